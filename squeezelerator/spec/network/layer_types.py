"""The layer types, as one table: what each computes, from what inputs, with what numbers, and what the compiler makes of it.

The checks of layer tables, the table builder, the golden model, the float networks (numpy and PyTorch), quantisation, the folding of the
importers and the compiler's lowering read it. docs/adding-a-layer-type.md walks through an addition.
"""

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from squeezelerator.spec.functions.function_table import look_up

__all__ = ["LAYER_TYPES", "Kernel", "LayerRule", "LayerType", "Lowered", "Numbers", "layer_rule"]


class LayerType(enum.StrEnum):
    """What a layer computes, by its name in layer tables."""

    CONV = "Conv"
    FC = "FC"
    MAX_POOL = "MaxPool"
    AVG_POOL = "AvgPool"
    ADD = "Add"
    MUL = "Mul"
    SIGMOID = "Sigmoid"
    TANH = "Tanh"
    SILU = "SiLU"
    HARD_SWISH = "HardSwish"
    ELU = "ELU"
    SOFTPLUS = "Softplus"
    MISH = "Mish"
    GELU = "GELU"
    GELU_TANH = "GELUTanh"
    ERF = "Erf"
    EXP = "Exp"
    POWER = "Power"


class Kernel(enum.Enum):
    """Which windows a layer type may have."""

    ANY = enum.auto()
    #: The kernel covers the whole input map.
    WHOLE_MAP = enum.auto()
    #: 1x1 with stride 1: every element by itself.
    POINT = enum.auto()


class Numbers(enum.Enum):
    """What a quantised layer holds beside its activation's parameter, and how its output's number format follows."""

    #: Weights, biases and a shift, which also leads to the output's format.
    WEIGHTS = enum.auto()
    #: ``mult`` and ``shift``, together 1 / window size times the change of format.
    MEAN_FACTOR = enum.auto()
    #: Nothing: the output has the format that all inputs share.
    NONE = enum.auto()
    #: A shift that leads from the formats of two factors, which may differ, to that of the product.
    PRODUCT = enum.auto()
    #: A function table (:mod:`spec.functions.function_table`), its ``segment`` and a shift; input and output have formats of their own.
    TABLE = enum.auto()


class Lowered(enum.Enum):
    """What operations of the machine the compiler makes of a layer; ``compiler/lowering/lower.py`` has a method for each."""

    CONVOLUTION = enum.auto()
    #: The residual of the convolution before, or of a copy.
    RESIDUAL = enum.auto()
    MAX_POOL = enum.auto()
    AVERAGE_POOL = enum.auto()
    PRODUCT = enum.auto()
    LOOK_UP = enum.auto()


class Quantised(Protocol):
    """The numbers of a quantised layer without weights: see ``models.arithmetic.quantised_network.LayerQuant``."""

    @property
    def mult(self) -> int: ...
    @property
    def shift(self) -> int: ...
    @property
    def segment(self) -> int: ...
    @property
    def table(self) -> np.ndarray | None: ...


#: (inputs, numbers) -> values; see ``LayerRule.integer``.
_Integer = Callable[[Sequence[np.ndarray], Quantised], np.ndarray]
#: (inputs, exponent) -> values; see ``LayerRule.real``.
_Real = Callable[[Sequence[np.ndarray], float], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerRule:
    """One layer type.

    Parameters
    ----------
    name : LayerType
    lowered : Lowered
    numbers : Numbers
        ``WEIGHTS`` makes it a sum of products with weights (O, I/groups, Kh, Kw), which readers compute themselves; MACs, parameters and
        the layer's place in importers, training and compression follow from that.
    operands : int or None
        How many inputs of equal shape it has. ``None``: it reads one map, and several inputs are concatenated along the channels.
    broadcasts : bool
        Whether the second operand may also be a vector, a map of 1x1, whose numbers count for all elements of their channels.
    kernel : Kernel
    keeps_channels : bool
        Whether it has as many output as input channels, each computed from the same channel of every input.
    groups : bool
        Whether ``groups`` may be above 1.
    activation : bool
        Whether an activation may follow within the layer.
    normalised : bool
        Whether a network's normalisation follows its sums; otherwise biases do.
    integer : callable or None
        The definition, on 16-bit values; ``None`` for layers with weights. With ``Kernel.POINT`` the inputs are its operands (C, H, W) as
        int64, otherwise one int16 view (C, Ho, Wo, Kh, Kw) of all windows; the layer's numbers follow. The result (C, Ho, Wo) is saturated
        to 16 bits by the caller.
    real : callable or None
        The same on float32 values; the layer's ``exponent`` follows, which only ``Power`` has.
    pads_lowest : bool
        Whether positions outside the input have the lowest value there is, rather than zero.
    torch_function : str
        Function in ``torch.nn.functional`` or ``torch`` that does it: (operands) for ``Kernel.POINT``, else (padded map, kernel, stride).
        Empty where there is none without further numbers; such a layer cannot be trained.
    keeps_sign : bool
        Whether its result is not negative where no input is.
    selects_largest : bool
        Whether its outputs are the largest of some inputs each, so that it may change places with a monotonic activation.
    bound : float
        The largest magnitude of its results, whatever its inputs.
    """

    name: LayerType
    lowered: Lowered
    numbers: Numbers
    operands: int | None = None
    broadcasts: bool = False
    kernel: Kernel = Kernel.ANY
    keeps_channels: bool = True
    groups: bool = False
    activation: bool = True
    normalised: bool = False
    integer: _Integer | None = None
    real: _Real | None = None
    pads_lowest: bool = False
    torch_function: str = ""
    keeps_sign: bool = False
    selects_largest: bool = False
    bound: float = math.inf

    @property
    def has_weights(self) -> bool:
        """Whether it is a sum of products with weights."""
        return self.numbers is Numbers.WEIGHTS

    @property
    def needs_functions(self) -> bool:
        """Whether only machines with functions can do it."""
        return self.numbers in (Numbers.PRODUCT, Numbers.TABLE)

    @property
    def has_windows(self) -> bool:
        """Whether an output depends on more than the elements at its own place."""
        return self.kernel is not Kernel.POINT


def _round_shift(value: np.ndarray, shift: int) -> np.ndarray:
    return (value + (1 << (shift - 1) if shift > 0 else 0)) >> shift


def _rounded_mean(inputs: Sequence[np.ndarray], numbers: Quantised) -> np.ndarray:
    return _round_shift(inputs[0].sum(axis=(3, 4), dtype=np.int64) * numbers.mult, numbers.shift)


def _product(inputs: Sequence[np.ndarray], numbers: Quantised) -> np.ndarray:
    return _round_shift(inputs[0] * inputs[1], numbers.shift)


def _from_table(inputs: Sequence[np.ndarray], numbers: Quantised) -> np.ndarray:
    if numbers.table is None:
        raise AssertionError("a layer without a function table was asked for it")
    return look_up(inputs[0], numbers.table.astype(np.int64), numbers.segment, numbers.shift)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(x, 0)


def _erf(x: np.ndarray) -> np.ndarray:
    """The error function, exact in float64: numpy has none."""
    flat = np.fromiter(map(math.erf, np.ravel(x).tolist()), np.float64, np.size(x))
    return flat.reshape(np.shape(x)).astype(np.asarray(x).dtype)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    """GELU as its authors approximate it."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _function(name: LayerType, real: Callable[[np.ndarray], np.ndarray], torch_function: str, **more: Any) -> LayerRule:
    """A function of every element, from a table."""
    return LayerRule(name=name, lowered=Lowered.LOOK_UP, numbers=Numbers.TABLE, kernel=Kernel.POINT, activation=False, integer=_from_table,
                     real=lambda inputs, _: real(inputs[0]), torch_function=torch_function, **more)


#: What ``Power`` takes for arguments that are not positive.
LEAST_BASE = 2.0**-20


_RULES = (
    LayerRule(
        name=LayerType.CONV, lowered=Lowered.CONVOLUTION, numbers=Numbers.WEIGHTS, keeps_channels=False, groups=True, normalised=True,
    ),
    LayerRule(
        name=LayerType.FC, lowered=Lowered.CONVOLUTION, numbers=Numbers.WEIGHTS, keeps_channels=False, kernel=Kernel.WHOLE_MAP,
    ),
    LayerRule(
        name=LayerType.MAX_POOL, lowered=Lowered.MAX_POOL, numbers=Numbers.NONE, activation=False,
        # The lowest value loses against every position inside, of which each window has one.
        pads_lowest=True, integer=lambda inputs, *_: inputs[0].max(axis=(3, 4)), real=lambda inputs, *_: inputs[0].max(axis=(3, 4)),
        torch_function="max_pool2d", keeps_sign=True, selects_largest=True,
    ),
    LayerRule(
        name=LayerType.AVG_POOL, lowered=Lowered.AVERAGE_POOL, numbers=Numbers.MEAN_FACTOR, activation=False, integer=_rounded_mean,
        real=lambda inputs, *_: inputs[0].mean(axis=(3, 4), dtype=np.float32), torch_function="avg_pool2d", keeps_sign=True,
    ),
    LayerRule(
        name=LayerType.ADD, lowered=Lowered.RESIDUAL, numbers=Numbers.NONE, operands=2, kernel=Kernel.POINT,
        integer=lambda inputs, *_: inputs[0] + inputs[1], real=lambda inputs, *_: inputs[0] + inputs[1], torch_function="add",
        keeps_sign=True,
    ),
    LayerRule(
        name=LayerType.MUL, lowered=Lowered.PRODUCT, numbers=Numbers.PRODUCT, operands=2, broadcasts=True, kernel=Kernel.POINT,
        activation=False, integer=_product, real=lambda inputs, *_: inputs[0] * inputs[1], torch_function="mul", keeps_sign=True,
    ),
    _function(LayerType.SIGMOID, _sigmoid, "sigmoid", keeps_sign=True, bound=1.0),
    _function(LayerType.TANH, np.tanh, "tanh", keeps_sign=True, bound=1.0),
    _function(LayerType.SILU, lambda x: x * _sigmoid(x), "silu", keeps_sign=True),
    _function(LayerType.HARD_SWISH, lambda x: x * np.clip(x / 6 + 0.5, 0, 1), "hardswish", keeps_sign=True),
    _function(LayerType.ELU, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), "elu", keeps_sign=True),
    _function(LayerType.SOFTPLUS, _softplus, "softplus", keeps_sign=True),
    _function(LayerType.MISH, lambda x: x * np.tanh(_softplus(x)), "mish", keeps_sign=True),
    _function(LayerType.GELU, lambda x: 0.5 * x * (1 + _erf(x * math.sqrt(0.5))), "gelu", keeps_sign=True),
    _function(LayerType.GELU_TANH, _gelu_tanh, "", keeps_sign=True),
    _function(LayerType.ERF, _erf, "erf", keeps_sign=True, bound=1.0),
    # Beyond this every result is cut off at the end of float32.
    _function(LayerType.EXP, lambda x: np.exp(np.minimum(x, 88)), "exp", keeps_sign=True),
    LayerRule(
        name=LayerType.POWER, lowered=Lowered.LOOK_UP, numbers=Numbers.TABLE, kernel=Kernel.POINT, activation=False, integer=_from_table,
        real=lambda inputs, exponent: np.maximum(inputs[0], LEAST_BASE) ** exponent, keeps_sign=True,
    ),
)  # fmt: skip

#: By the name in layer tables.
LAYER_TYPES: Mapping[LayerType, LayerRule] = {rule.name: rule for rule in _RULES}
_BY_WORD: Mapping[str, LayerRule] = {rule.name.value: rule for rule in _RULES}


def layer_rule(name: str) -> LayerRule | None:
    """The record of a layer type by its name; ``None`` where there is no such type."""
    return _BY_WORD.get(name)


def check_table() -> None:
    """Raise ValueError if a type has no record or two, or a record contradicts itself."""
    if len(_RULES) != len(LAYER_TYPES) or set(LAYER_TYPES) != set(LayerType):
        raise ValueError("a layer type has no record, or two")
    for rule in _RULES:
        _check_rule(rule)


def _check_rule(rule: LayerRule) -> None:
    """Raise ValueError if a record contradicts itself."""
    given = [bool(item) for item in (rule.integer, rule.real)]
    if given != [not rule.has_weights] * 2 or (rule.has_weights and rule.torch_function):
        raise ValueError(f"{rule.name}: a layer type without weights, and no other, has integer and real")
    if rule.operands is not None and (rule.has_windows or rule.has_weights):
        raise ValueError(f"{rule.name}: a layer type with operands works on points and has no weights")
    if not (rule.keeps_channels or rule.has_weights):
        raise ValueError(f"{rule.name}: only layers with weights change the channels")


check_table()
