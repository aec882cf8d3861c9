"""ATen operators that work element by element: sums, scales, activations; and what the host does at the end.

Each function lowers one operator, with the arguments of its ATen schema; ``x`` is the first.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators import composites, elementwise, functions, views
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.torch.operator_table import operator
from squeezelerator.spec.functions.activations import imported
from squeezelerator.spec.network.layer_types import LayerType


@operator("leaky_relu", like="LeakyRelu")
def _leaky_relu(ctx: OperatorContext, x: Any, negative_slope: Any) -> Value:
    return composites.prelu(ctx, x, np.float32(negative_slope))


@operator("prelu", like="PRelu")
def _prelu(ctx: OperatorContext, x: Any, weight: Any) -> Value:
    weight = weight.reshape(-1, *(1,) * (len(x.dims) - 2)) if weight.size > 1 else weight
    return composites.prelu(ctx, x, weight)


@operator("hardtanh", like="Clip")
def _hardtanh(ctx: OperatorContext, x: Any, min_val: Any, max_val: Any) -> Value:
    return composites.clamp(ctx, x, min_val, max_val)


@operator("clamp", like="Clip")
def _clamp(ctx: OperatorContext, x: Any, min: Any = None, max: Any = None) -> Value:
    return composites.clamp(ctx, x, min, max)


@operator("clamp_max", like="Clip")
def _clamp_max(ctx: OperatorContext, x: Any, max: Any) -> Value:
    return composites.clamp(ctx, x, None, max)


@operator("hardsigmoid", like="HardSigmoid")
def _hardsigmoid(ctx: OperatorContext, x: Any) -> Value:
    return composites.hard_sigmoid(ctx, x, 1 / 6, 0.5)


@operator("abs", like="Abs")
def _abs(ctx: OperatorContext, x: Any) -> Value:
    return composites.absolute(ctx, x)


@operator("neg", like="Neg")
def _neg(ctx: OperatorContext, x: Any) -> Value:
    return elementwise.scale(ctx, x, -1.0, 0.0)


@operator("maximum", like="Max")
def _maximum(ctx: OperatorContext, x: Any, other: Any) -> Value:
    return composites.larger(ctx, *_two_maps(ctx, x, other))


@operator("minimum", like="Min")
def _minimum(ctx: OperatorContext, x: Any, other: Any) -> Value:
    return composites.smaller(ctx, *_two_maps(ctx, x, other))


def _two_maps(ctx: OperatorContext, x: Any, other: Any) -> tuple[Value, Value]:
    if not isinstance(x, Value) or not isinstance(other, Value):
        ctx.fail("needs two maps")
    return x, other


@operator("add", like="Add")
def _add(ctx: OperatorContext, x: Any, other: Any, alpha: Any = 1) -> Value:
    if isinstance(x, Value) and isinstance(other, Value):
        if alpha != 1:
            other = elementwise.scale(ctx.part("alpha"), other, alpha, 0.0)
        return elementwise.add(ctx, x, other)
    if isinstance(x, Value):
        return elementwise.scale(ctx, x, 1.0, np.multiply(other, alpha))
    return elementwise.scale(ctx, other, alpha, x)


@operator("sub", like="Sub")
def _sub(ctx: OperatorContext, x: Any, other: Any, alpha: Any = 1) -> Value:
    if isinstance(x, Value) and isinstance(other, Value):
        return _add(ctx, x, other, -alpha)
    if isinstance(x, Value):
        return elementwise.scale(ctx, x, 1.0, -np.multiply(other, alpha))
    return elementwise.scale(ctx, other, -alpha, x)


@operator("rsub", like="Sub")
def _rsub(ctx: OperatorContext, x: Any, other: Any, alpha: Any = 1) -> Value:
    if isinstance(other, Value):
        return _sub(ctx, other, x, alpha)
    return elementwise.scale(ctx, x, -alpha, other)


@operator("mul", like="Mul")
def _mul(ctx: OperatorContext, x: Any, other: Any) -> Value:
    if isinstance(x, Value) and isinstance(other, Value):
        return functions.multiply(ctx, x, other)
    value, constant = (x, other) if isinstance(x, Value) else (other, x)
    return elementwise.scale(ctx, functions.on_machine(ctx, value), constant, 0.0)


@operator("pow", like="Pow")
def _pow(ctx: OperatorContext, x: Any, exponent: Any) -> Value:
    if not isinstance(x, Value) or isinstance(exponent, Value):
        ctx.fail("its exponent must be a constant, and the base a map")
    return functions.power(ctx, x, exponent)


@operator("sqrt", like="Sqrt")
def _sqrt(ctx: OperatorContext, x: Any) -> Value:
    return functions.power(ctx, x, 0.5)


@operator("square", like="Pow")
def _square(ctx: OperatorContext, x: Any) -> Value:
    return functions.power(ctx, x, 2)


@operator("div", like="Div")
def _div(ctx: OperatorContext, x: Any, other: Any) -> Value:
    if isinstance(other, Value):
        if not isinstance(x, Value):
            ctx.fail("a division of a constant by a map is not supported")
        return functions.quotient(ctx, x, other)
    other = np.asarray(other, np.float64)
    if not np.all(other):
        ctx.fail("divides by zero")
    return elementwise.scale(ctx, x, 1.0 / other, 0.0)


@operator("dropout", like="Dropout")
def _dropout(ctx: OperatorContext, x: Any, train: bool = False, **_: Any) -> Any:
    if train:
        ctx.fail("drops elements in evaluation mode too")
    return x


@operator("clone", like="Identity")
def _clone(ctx: OperatorContext, x: Any, dtype: Any = None, **_: Any) -> Any:
    if dtype is not None and not dtype.is_floating_point:
        ctx.fail(f"becomes {dtype}, but only real numbers are supported")
    return x


def _along_scores(ctx: OperatorContext, x: Any, operation: str, dim: int) -> Value:
    if dim % len(x.dims) == 0:
        ctx.fail(f"only a {operation} over the scores is supported, not over the batch")
    return views.on_host(ctx, x, operation, dim % len(x.dims))


@operator("softmax", like="Softmax")
def _softmax(ctx: OperatorContext, x: Any, dim: int, **_: Any) -> Value:
    return _along_scores(ctx, x, "softmax", dim)


@operator("log_softmax", like="LogSoftmax")
def _log_softmax(ctx: OperatorContext, x: Any, dim: int, **_: Any) -> Value:
    return _along_scores(ctx, x, "log_softmax", dim)


@operator("sigmoid", like="Sigmoid")
def _sigmoid(ctx: OperatorContext, x: Any) -> Value:
    return views.on_host(ctx, x, "sigmoid")


@operator("tanh", like="Tanh")
def _tanh(ctx: OperatorContext, x: Any) -> Value:
    return views.on_host(ctx, x, "tanh")


@operator("argmax", like="ArgMax")
def _argmax(ctx: OperatorContext, x: Any, dim: int | None = None, keepdim: bool = False) -> Value:
    if dim is None or dim % len(x.dims) == 0:
        ctx.fail("only an argmax over the scores is supported")
    dim %= len(x.dims)
    dims = tuple(1 if place == dim else size for place, size in enumerate(x.dims) if keepdim or place != dim)
    return views.on_host(ctx, x, "argmax", dim, int(keepdim), 0, dims=dims)


def _activation(kind: str) -> Callable[[OperatorContext, Any], Value]:
    def lower(ctx: OperatorContext, x: Any) -> Value:
        return elementwise.activate(ctx, x, kind)

    return lower


_LIKE = {kind: name for name, kind in imported("onnx").items()} | {"relu6": "Clip"}
"""ONNX operators of activations; those without an operator of their own are written as another one."""

for _name, _kind in imported("torch").items():
    operator(_name, like=_LIKE[_kind])(_activation(_kind))


def _function(kind: LayerType) -> Callable[..., Value]:
    def lower(ctx: OperatorContext, x: Any, beta: Any = 1, **_: Any) -> Value:
        if beta != 1:
            ctx.fail(f"only a beta of 1 is supported, not {beta:g}")
        return functions.function(ctx, x, kind)

    return lower


for _name, _like, _layer in (
    ("silu", "Swish", LayerType.SILU), ("hardswish", "HardSwish", LayerType.HARD_SWISH), ("mish", "Mish", LayerType.MISH),
    ("softplus", "Softplus", LayerType.SOFTPLUS), ("erf", "Erf", LayerType.ERF), ("exp", "Exp", LayerType.EXP),
):  # fmt: skip
    operator(_name, like=_like)(_function(_layer))


@operator("gelu", like="Gelu")
def _gelu(ctx: OperatorContext, x: Any, approximate: str = "none") -> Value:
    return functions.function(ctx, x, LayerType.GELU_TANH if approximate == "tanh" else LayerType.GELU)


@operator("elu", like="Elu")
def _elu(ctx: OperatorContext, x: Any, alpha: Any = 1, scale: Any = 1, input_scale: Any = 1) -> Value:
    if input_scale != 1:
        ctx.fail(f"only an input_scale of 1 is supported, not {input_scale:g}")
    return composites.elu(ctx, x, float(alpha), float(scale))


@operator("selu", like="Selu")
def _selu(ctx: OperatorContext, x: Any) -> Value:
    return composites.elu(ctx, x, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


@operator("celu", like="Celu")
def _celu(ctx: OperatorContext, x: Any, alpha: Any = 1) -> Value:
    return composites.stretched(ctx, x, LayerType.ELU, 1 / float(alpha))
