"""A builder that works out the shapes of a layer table while a network is written down."""

from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable


def _pair(value):
    """(x, y) from one number or from such a pair."""
    return value if isinstance(value, tuple) else (value, value)


class TableBuilder:
    """Collects layers; every method returns the name of the layer that it added.

    ``source`` is a name or a tuple of names (concatenated along the channels); without it a layer reads the one before.
    Kernel, stride and padding are one number or a pair (x, y), so ``kernel=(1, 3)`` is one wide and three high.
    """

    def __init__(self, name, input_shape):
        self._name = name
        self._input_shape = tuple(input_shape)
        self._layers = []
        self._shapes = {NETWORK_INPUT: self._input_shape}
        self.last = NETWORK_INPUT

    def shape(self, name):
        """Shape (C, H, W) of what ``name`` produces."""
        return self._shapes[name]

    def _add(self, name, kind, source, *, c_o=None, kernel=1, stride=1, pad=0, ceil=False, groups=1, activation="none"):
        inputs = (source or self.last,) if isinstance(source or self.last, str) else tuple(source)
        _, h_i, w_i = self._shapes[inputs[0]]
        channels = self._shapes[inputs[0]][0] if kind == "Add" else sum(self._shapes[item][0] for item in inputs)
        (k_w, k_h), (s_x, s_y), (p_w, p_h) = _pair(kernel), _pair(stride), _pair(pad)
        extra_x, extra_y = (s_x - 1, s_y - 1) if ceil else (0, 0)
        layer = Layer(
            name=name, type=kind, inputs=inputs, w_i=w_i, h_i=h_i, c_i=channels, k_w=k_w, k_h=k_h,
            w_o=(w_i + 2 * p_w - k_w + extra_x) // s_x + 1, h_o=(h_i + 2 * p_h - k_h + extra_y) // s_y + 1,
            c_o=channels if c_o is None else c_o, s_x=s_x, s_y=s_y, p_w=p_w, p_h=p_h,
            groups=groups, activation=activation,
        )  # fmt: skip
        self._layers.append(layer)
        self._shapes[name] = layer.out_shape
        self.last = name
        return name

    def conv(self, name, c_o, kernel=1, *, source=None, stride=1, pad=0, ceil=False, groups=1, activation="relu"):
        """Add a convolution with ``c_o`` filters."""
        return self._add(name, "Conv", source, c_o=c_o, kernel=kernel, stride=stride, pad=pad, ceil=ceil,
                         groups=groups, activation=activation)  # fmt: skip

    def fc(self, name, c_o, *, source=None, activation="none"):
        """Add a fully connected layer over the whole input map."""
        _, height, width = self._shapes[source or self.last]
        return self._add(name, "FC", source, c_o=c_o, kernel=(width, height), activation=activation)

    def max_pool(self, name, kernel, stride, *, source=None, pad=0, ceil=False):
        """Add a max pool."""
        return self._add(name, "MaxPool", source, kernel=kernel, stride=stride, pad=pad, ceil=ceil)

    def avg_pool(self, name, kernel=None, stride=1, *, source=None, pad=0, ceil=False):
        """Add an average pool; without a kernel it covers the whole map."""
        if kernel is None:
            _, height, width = self._shapes[source or self.last]
            kernel = (width, height)
        return self._add(name, "AvgPool", source, kernel=kernel, stride=stride, pad=pad, ceil=ceil)

    def add(self, name, left, right, *, activation="relu"):
        """Add an elementwise sum of two layers."""
        return self._add(name, "Add", (left, right), activation=activation)

    def table(self):
        """The validated :class:`LayerTable`."""
        return LayerTable(self._name, self._input_shape, tuple(self._layers)).validate()
