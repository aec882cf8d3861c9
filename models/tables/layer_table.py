"""Layer tables: the one description of a network's shapes that everything else reads.

A :class:`LayerTable` is a list of :class:`Layer` rows in an order in which every producer stands before its readers.
Shapes are channels, height, width. Nothing here knows of hardware, of weights or of arithmetic.
"""

from dataclasses import dataclass
from functools import cached_property

NETWORK_INPUT = "input"
"""Name by which a layer refers to the input of the network."""

TYPES = ("Conv", "FC", "MaxPool", "AvgPool", "Add")
ACTIVATIONS = ("none", "relu", "leaky", "relu6")
WEIGHTED = ("Conv", "FC")
POOLS = ("MaxPool", "AvgPool")


class TableError(ValueError):
    """A layer table contradicts itself. The message is one line that names the layer."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of a layer table.

    Parameters
    ----------
    name : str
        Unique within the table.
    type : str
        ``Conv``, ``FC``, ``MaxPool``, ``AvgPool`` or ``Add``.
    inputs : tuple of str
        Producing layers, or ``"input"``. Several inputs of anything but ``Add`` are concatenated along the channels in
        the given order; ``Add`` has exactly two.
    w_i, h_i, c_i, w_o, h_o, c_o : int
        Input (after concatenation) and output shape.
    k_w, k_h, s_x, s_y : int
        Kernel and stride. ``FC`` has the kernel of its whole input map.
    p_w, p_h : int
        Padding before (left, top). The padding after is whatever ``w_o`` and ``h_o`` imply, which is how ceil mode and
        asymmetric padding are expressed. A convolution pads with zeros, ``MaxPool`` ignores what lies outside,
        ``AvgPool`` counts it as zero and always divides by ``k_w * k_h``.
    groups : int
        Channel groups of a convolution.
    activation : str
        ``none``, ``relu``, ``leaky`` or ``relu6``.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    w_i: int
    h_i: int
    c_i: int
    k_w: int = 1
    k_h: int = 1
    w_o: int
    h_o: int
    c_o: int
    s_x: int = 1
    s_y: int = 1
    p_w: int = 0
    p_h: int = 0
    groups: int = 1
    activation: str = "none"

    @property
    def has_weights(self):
        """Whether this is a ``Conv`` or ``FC`` layer."""
        return self.type in WEIGHTED

    @property
    def in_shape(self):
        """Input shape (C, H, W)."""
        return (self.c_i, self.h_i, self.w_i)

    @property
    def out_shape(self):
        """Output shape (C, H, W)."""
        return (self.c_o, self.h_o, self.w_o)

    @property
    def weight_shape(self):
        """Weight shape (O, I/groups, Kh, Kw); ``None`` for a layer without weights."""
        return (self.c_o, self.c_i // self.groups, self.k_h, self.k_w) if self.has_weights else None

    @property
    def params(self):
        """Number of weights, without biases."""
        return self.c_o * (self.c_i // self.groups) * self.k_h * self.k_w if self.has_weights else 0

    @property
    def macs(self):
        """Multiply-accumulates of one inference, padding included."""
        return self.params * self.h_o * self.w_o

    @property
    def macs_with_bias(self):
        """MACs with one more per output for the bias, as the paper counts."""
        return self.macs + (self.c_o * self.h_o * self.w_o if self.has_weights else 0)

    @property
    def in_size(self):
        """Number of input elements."""
        return self.c_i * self.h_i * self.w_i

    @property
    def out_size(self):
        """Number of output elements."""
        return self.c_o * self.h_o * self.w_o

    @property
    def pad_after(self):
        """Padding (right, bottom) that the output size implies; 0 where the last window ends inside the input."""
        return (
            max(0, (self.w_o - 1) * self.s_x + self.k_w - self.p_w - self.w_i),
            max(0, (self.h_o - 1) * self.s_y + self.k_h - self.p_h - self.h_i),
        )


@dataclass(frozen=True)
class LayerTable:
    """A network: its name, the shape (C, H, W) of its input, and its layers, producers first."""

    name: str
    input_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]

    @cached_property
    def by_name(self):
        """Layers by name."""
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _consumers(self):
        found = {NETWORK_INPUT: []} | {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for source in dict.fromkeys(layer.inputs):
                found[source].append(layer)
        return {name: tuple(layers) for name, layers in found.items()}

    def consumers(self, name):
        """Layers that read the output of layer ``name`` (or ``"input"``), in table order."""
        return self._consumers[name]

    @property
    def outputs(self):
        """Names of the layers that nobody reads: the outputs of the network."""
        return tuple(layer.name for layer in self.layers if not self._consumers[layer.name])

    def shape_of(self, name):
        """Shape (C, H, W) of the output of layer ``name``, or of the network's input."""
        return self.input_shape if name == NETWORK_INPUT else self.by_name[name].out_shape

    @property
    def params(self):
        """Number of weights of the network, without biases."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self):
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def macs_with_bias(self):
        """MACs with one more per output of a Conv or FC layer, as the paper counts."""
        return sum(layer.macs_with_bias for layer in self.layers)

    def validate(self):
        """Check the table and return it.

        Raises
        ------
        TableError
            At the first inconsistency, in one line.
        """
        from squeezelerator.models.tables.checks import check_table

        check_table(self)
        return self
