"""One layer of a network: what it computes and the shapes it connects.

Shapes are channels, height, width. Nothing here knows of hardware, of weights or of arithmetic.
"""

from dataclasses import dataclass

from squeezelerator.common.errors import UserError
from squeezelerator.spec.functions.activations import Activation
from squeezelerator.spec.network.layer_types import LAYER_TYPES, LayerRule, LayerType, layer_rule

__all__ = ["NETWORK_INPUT", "Activation", "Layer", "LayerType", "Shape", "TableError"]

NETWORK_INPUT = "input"
"""Name by which a layer refers to the input of the network."""

Shape = tuple[int, int, int]
"""Channels, height, width."""


#: Members by their words: explorations make layers by the hundred thousand, and an enum's ``in`` takes words only as of Python 3.12.
_TYPES: dict[str, LayerType] = {item.value: item for item in LayerType}
_ACTIVATIONS: dict[str, Activation] = {item.value: item for item in Activation}


class TableError(UserError, ValueError):
    """A layer table contradicts itself. The message is one line that names the layer."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One row of a layer table.

    Parameters
    ----------
    name : str
        Unique within the table.
    type : LayerType
        A record of :mod:`spec.network.layer_types` says what it computes and which of the fields it leaves free.
    inputs : tuple of str
        Producing layers, or ``"input"``. Several inputs of a type without operands are concatenated along the channels
        in the given order; ``Add`` has exactly two.
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
    activation : Activation
    """

    name: str
    type: LayerType
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
    activation: Activation = Activation.NONE

    def __post_init__(self) -> None:
        # Files give plain text; what is no member stays as it is, and ``check_table`` complains of it.
        object.__setattr__(self, "type", _TYPES.get(self.type, self.type))
        object.__setattr__(self, "activation", _ACTIVATIONS.get(self.activation, self.activation))

    @property
    def rule(self) -> LayerRule:
        """The record of the layer's type, which must exist (see ``check_layers``)."""
        return LAYER_TYPES[self.type]

    @property
    def has_weights(self) -> bool:
        """Whether this is a sum of products with weights: ``Conv`` or ``FC``. A type that does not exist has none."""
        rule = layer_rule(self.type)
        return rule is not None and rule.has_weights

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Input shape (C, H, W)."""
        return (self.c_i, self.h_i, self.w_i)

    @property
    def out_shape(self) -> tuple[int, int, int]:
        """Output shape (C, H, W)."""
        return (self.c_o, self.h_o, self.w_o)

    @property
    def weight_shape(self) -> tuple[int, int, int, int] | None:
        """Weight shape (O, I/groups, Kh, Kw); ``None`` for a layer without weights."""
        return (self.c_o, self.c_i // self.groups, self.k_h, self.k_w) if self.has_weights else None

    @property
    def params(self) -> int:
        """Number of weights, without biases."""
        return self.c_o * (self.c_i // self.groups) * self.k_h * self.k_w if self.has_weights else 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, padding included."""
        return self.params * self.h_o * self.w_o

    @property
    def macs_with_bias(self) -> int:
        """MACs with one more per output for the bias, as the paper counts."""
        return self.macs + (self.c_o * self.h_o * self.w_o if self.has_weights else 0)

    @property
    def in_size(self) -> int:
        """Number of input elements."""
        return self.c_i * self.h_i * self.w_i

    @property
    def out_size(self) -> int:
        """Number of output elements."""
        return self.c_o * self.h_o * self.w_o

    @property
    def pad_after(self) -> tuple[int, int]:
        """Padding (right, bottom) that the output size implies; 0 where the last window ends inside the input."""
        return (
            max(0, (self.w_o - 1) * self.s_x + self.k_w - self.p_w - self.w_i),
            max(0, (self.h_o - 1) * self.s_y + self.k_h - self.p_h - self.h_i),
        )
