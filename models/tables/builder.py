"""A builder that works out the shapes of a layer table while a network is written down."""

from dataclasses import replace
from typing import TypedDict, Unpack

from squeezelerator.spec.network.layer import NETWORK_INPUT, Activation, Layer, LayerType, Shape
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import LAYER_TYPES, Kernel

__all__ = ["Pair", "Source", "TableBuilder", "Window"]

Pair = int | tuple[int, int]
"""One number for both axes, or (x, y)."""
Source = str | tuple[str, ...]
"""A layer, or several that are concatenated along the channels."""


class Window(TypedDict, total=False):
    """How the windows of a layer lie: ``stride`` (1), ``pad`` (0), and ``ceil``: whether the last window may lie half outside."""

    stride: Pair
    pad: Pair
    ceil: bool


def _pair(value: Pair) -> tuple[int, int]:
    """(x, y) from one number or from such a pair."""
    return value if isinstance(value, tuple) else (value, value)


class TableBuilder:
    """Collects layers; every method returns the name of the layer that it added.

    ``source`` is a name or a tuple of names (concatenated along the channels); without it a layer reads the one before.
    Kernel, stride and padding are one number or a pair (x, y), so ``kernel=(1, 3)`` is one wide and three high.
    """

    def __init__(self, name: str, input_shape: Shape) -> None:
        self._name = name
        self._input_shape = input_shape
        self._layers: list[Layer] = []
        self._shapes: dict[str, Shape] = {NETWORK_INPUT: self._input_shape}
        self.last = NETWORK_INPUT

    def shape(self, name: str) -> Shape:
        """Shape (C, H, W) of what ``name`` produces."""
        return self._shapes[name]

    def _add(self, layer: Layer) -> str:
        self._layers.append(layer)
        self._shapes[layer.name] = layer.out_shape
        self.last = layer.name
        return layer.name

    def _inputs(self, source: Source | None) -> tuple[tuple[str, ...], Shape]:
        """(the layers read, shape of their concatenation)."""
        source = source or self.last
        inputs = (source,) if isinstance(source, str) else source
        _, h_i, w_i = self._shapes[inputs[0]]
        return inputs, (sum(self._shapes[item][0] for item in inputs), h_i, w_i)

    def _windowed(self, name: str, kind: LayerType, source: Source | None, kernel: Pair, window: Window) -> Layer:
        """A layer with windows; it keeps its channels, has no groups and no activation."""
        inputs, (channels, h_i, w_i) = self._inputs(source)
        (k_w, k_h), (s_x, s_y), (p_w, p_h) = _pair(kernel), _pair(window.get("stride", 1)), _pair(window.get("pad", 0))
        extra_x, extra_y = (s_x - 1, s_y - 1) if window.get("ceil") else (0, 0)
        return Layer(
            name=name, type=kind, inputs=inputs, w_i=w_i, h_i=h_i, c_i=channels, k_w=k_w, k_h=k_h,
            w_o=(w_i + 2 * p_w - k_w + extra_x) // s_x + 1, h_o=(h_i + 2 * p_h - k_h + extra_y) // s_y + 1,
            c_o=channels, s_x=s_x, s_y=s_y, p_w=p_w, p_h=p_h,
        )  # fmt: skip

    def conv(self, name: str, c_o: int, kernel: Pair = 1, *, source: Source | None = None, groups: int = 1,
             activation: Activation = Activation.RELU, **window: Unpack[Window]) -> str:  # fmt: skip
        """Add a convolution with ``c_o`` filters."""
        layer = self._windowed(name, LayerType.CONV, source, kernel, window)
        return self._add(replace(layer, c_o=c_o, groups=groups, activation=activation))

    def fc(self, name: str, c_o: int, *, source: Source | None = None, activation: Activation = Activation.NONE) -> str:
        """Add a fully connected layer over the whole input map."""
        return self.layer(name, LayerType.FC, c_o=c_o, source=source, activation=activation)

    def max_pool(self, name: str, kernel: Pair, stride: Pair, *, source: Source | None = None, pad: Pair = 0, ceil: bool = False) -> str:
        """Add a max pool."""
        return self.layer(name, LayerType.MAX_POOL, kernel, source=source, stride=stride, pad=pad, ceil=ceil)

    def avg_pool(self, name: str, kernel: Pair | None = None, *, source: Source | None = None, **window: Unpack[Window]) -> str:
        """Add an average pool; without a kernel it covers the whole map."""
        _, (_, height, width) = self._inputs(source)
        return self.layer(name, LayerType.AVG_POOL, kernel or (width, height), source=source, **window)

    def add(self, name: str, left: str, right: str, *, activation: Activation = Activation.RELU) -> str:
        """Add an elementwise sum of two layers."""
        return self.layer(name, LayerType.ADD, source=(left, right), activation=activation)

    def layer(self, name: str, kind: LayerType, kernel: Pair = 1, *, c_o: int | None = None, source: Source | None = None,
              activation: Activation = Activation.NONE, **window: Unpack[Window]) -> str:  # fmt: skip
        """Add a layer of any type, ``source`` being its operands where it has several; it keeps its channels unless ``c_o`` says otherwise.
        The kernel of a type that covers the whole map is that."""
        rule = LAYER_TYPES[kind]
        inputs, (_, height, width) = self._inputs(source)
        kernel = (width, height) if rule.kernel is Kernel.WHOLE_MAP else kernel
        layer = self._windowed(name, kind, source if rule.operands is None else inputs[0], kernel, window)
        return self._add(replace(layer, inputs=inputs, c_o=c_o or layer.c_o, activation=activation))

    def table(self) -> LayerTable:
        """The validated :class:`LayerTable`."""
        return LayerTable(self._name, self._input_shape, tuple(self._layers)).validate()
