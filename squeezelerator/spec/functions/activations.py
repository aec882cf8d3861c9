"""The activations, as one table: what each computes, in layer tables, float networks, integer arithmetic, importers and hardware.

The golden model, the machine's functional model, the float networks (numpy and PyTorch), calibration, the importers, the compiler and the
instruction set read it; the hardware (:mod:`rtl.postprocess.post`) computes the same in gates. docs/adding-an-activation.md walks
through an addition.
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping

import numpy as np

__all__ = ["ACTIVATIONS", "AFTER_SUM", "Activation", "ActivationCode", "ActivationRule", "Parameter", "apply_code",
           "code_doc", "imported"]  # fmt: skip

_INT16_MAX = 32767
#: Fractional bits of a slope.
SLOPE_FRAC = 15


class Activation(enum.StrEnum):
    """The function applied to every output of a layer, by its name in layer tables."""

    NONE = "none"
    RELU = "relu"
    LEAKY = "leaky"
    RELU6 = "relu6"


class ActivationCode(enum.IntEnum):
    """DRAIN's fields ``act`` and ``post_act``."""

    NONE = 0
    RELU = 1
    #: ReLU with an upper bound.
    CLIP = 2
    LEAKY = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parameter:
    """The number that an activation has beside its input.

    Parameters
    ----------
    field : str
        Where a layer's numbers hold it, float and quantised.
    title : str
        What messages call it.
    default : float
        Of float networks that do not say.
    accepts : callable
        Whether a float value is one that the machine can do; ``range`` says which are.
    quantise : callable
        (value, fractional bits of the layer's output) -> the 16-bit number in DRAIN's ``parm``, from 0 to 32767 if it fits.
    is_bound : bool
        Whether no result's magnitude exceeds it, so that a map needs no room above it.
    """

    field: str
    title: str
    default: float
    accepts: Callable[[float], bool]
    range: str
    quantise: Callable[[float, int], int]
    is_bound: bool = False


#: (values, parameter) -> values.
_Integer = Callable[[np.ndarray, int], np.ndarray]
_Real = Callable[[np.ndarray, float], np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ActivationRule:
    """One activation.

    Parameters
    ----------
    name : Activation
    code : ActivationCode
        In instructions.
    title : str
        What the pages of the documentation call it.
    formula, field_doc : str
        What it computes, on integers, what the code means; both for docs/instructions.md.
    integer : callable
        int64 values of 16 bits, parameter -> int64 values of 16 bits.
    real : callable
        float32 values, parameter -> float32 values.
    torch_module : str
        Class in ``torch.nn``; it is made with ``torch_arguments`` where the network is trained.
    torch_arguments : mapping
    parameter : Parameter or None
    after_sum : bool
        Whether it can be applied to the sum with a residual, too (DRAIN's ``post_act``).
    range_before : bool
        Whether values must fit their number format before it, because it makes large ones smaller without losing them.
    monotonic : bool
        Whether it never falls: then it may change places with a max pool.
    relu_like : bool
        Whether weights before it are best trained from the start that suits a ReLU.
    nonnegative : bool
        Whether its result never is.
    torch_ops, onnx_ops : tuple of str
        Operators of ``torch.export`` and ONNX that are this activation, with its parameter's default and no arguments.
    """

    name: Activation
    code: ActivationCode
    title: str
    formula: str
    field_doc: str
    integer: _Integer
    real: _Real
    torch_module: str
    torch_arguments: Mapping[str, float] = dataclasses.field(default_factory=dict)
    parameter: Parameter | None = None
    after_sum: bool = True
    range_before: bool = False
    monotonic: bool = True
    nonnegative: bool = True
    relu_like: bool = False
    torch_ops: tuple[str, ...] = ()
    onnx_ops: tuple[str, ...] = ()


CLIP = Parameter(
    field="clip", title="upper end", default=6.0, accepts=lambda value: value > 0, range="above 0",
    quantise=lambda value, frac: int(min(_INT16_MAX, max(0, np.rint(value * 2.0**frac)))), is_bound=True,
)  # fmt: skip
SLOPE = Parameter(
    field="slope", title="slope", default=0.1, accepts=lambda value: 0 <= value < 1, range="0 or more and below 1",
    quantise=lambda value, _: round(value * (1 << SLOPE_FRAC)),
)  # fmt: skip


def _leaky(value: np.ndarray, slope: int) -> np.ndarray:
    return np.where(value >= 0, value, (value * slope + (1 << SLOPE_FRAC - 1)) >> SLOPE_FRAC)


_RULES = (
    ActivationRule(
        name=Activation.NONE, code=ActivationCode.NONE, title="none", formula="`v`", field_doc="none",
        integer=lambda value, _: value, real=lambda value, _: value, torch_module="Identity", nonnegative=False,
    ),
    ActivationRule(
        name=Activation.RELU, code=ActivationCode.RELU, title="ReLU", formula="`max(v, 0)`", field_doc="ReLU",
        integer=lambda value, _: np.maximum(value, 0), real=lambda value, _: np.maximum(value, 0), torch_module="ReLU",
        relu_like=True,
        torch_ops=("relu",), onnx_ops=("Relu",),
    ),
    ActivationRule(
        name=Activation.RELU6, code=ActivationCode.CLIP, title="ReLU6", field_doc="ReLU with upper bound parm",
        formula="`min(max(v, 0), clip)`, `clip` being 6.0 in the output's format", parameter=CLIP,
        integer=lambda value, clip: np.clip(value, 0, clip), real=lambda value, clip: np.clip(value, 0, np.float32(clip)),
        torch_module="ReLU6", torch_ops=("relu6",),
    ),
    ActivationRule(
        name=Activation.LEAKY, code=ActivationCode.LEAKY, title="leaky ReLU", field_doc="leaky with slope parm", parameter=SLOPE,
        formula="`v` for `v >= 0`, else `(v * slope + 2^14) >> 15`; slope 0.1 is 3277", integer=_leaky,
        real=lambda value, slope: np.where(value >= 0, value, value * np.float32(slope)), torch_module="LeakyReLU",
        torch_arguments={"negative_slope": SLOPE.default}, after_sum=False, range_before=True, nonnegative=False,
    ),
)  # fmt: skip

#: By the name in layer tables.
ACTIVATIONS: Mapping[Activation, ActivationRule] = {rule.name: rule for rule in _RULES}
_BY_CODE = {rule.code: rule for rule in _RULES}


class _Codes:
    """The codes of activations that can be applied after the sum with a residual: 0 to ``most``."""

    def __init__(self) -> None:
        codes = sorted(int(rule.code) for rule in _RULES if rule.after_sum)
        self.most = codes[-1]
        self.text = f"{', '.join(map(str, codes[:-1]))} or {codes[-1]}"
        if codes != list(range(len(codes))):
            raise ValueError(f"activations after a sum must have the lowest codes, not {self.text}")

    def __str__(self) -> str:
        return self.text


AFTER_SUM = _Codes()


def apply_code(code: int, value: np.ndarray, parm: int) -> np.ndarray:
    """What DRAIN makes of int64 values of 16 bits by the activation ``code`` with ``parm``."""
    return np.clip(_BY_CODE[ActivationCode(code)].integer(value, parm), -_INT16_MAX - 1, _INT16_MAX)


def imported(framework: str) -> dict[str, Activation]:
    """{operator: its activation} of ``"torch"`` or ``"onnx"``."""
    return {name: rule.name for rule in _RULES for name in (rule.torch_ops if framework == "torch" else rule.onnx_ops)}


def code_doc() -> str:
    """What the codes mean, for the documentation of DRAIN's field."""
    return ", ".join(f"{int(code)} {_BY_CODE[code].field_doc}" for code in ActivationCode)


def check_table() -> None:
    """Raise ValueError if a name or a code has no record or two."""
    if len(_RULES) != len(ACTIVATIONS) or len(_RULES) != len(_BY_CODE):
        raise ValueError("two activations have one name or one code")
    if set(ACTIVATIONS) != set(Activation) or set(_BY_CODE) != set(ActivationCode):
        raise ValueError("an activation has no record")


check_table()
