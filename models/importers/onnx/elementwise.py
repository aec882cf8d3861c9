"""ONNX operators that work element by element: sums, scales, activations; and what the host does at the end."""

from collections.abc import Callable
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.operators import composites, elementwise, functions, views
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.onnx.functions import TABLE
from squeezelerator.models.importers.operator_table import Node, operator
from squeezelerator.spec.functions.activations import imported
from squeezelerator.spec.network.layer import NETWORK_INPUT

_PRODUCT = "Mul layer (machines with functions)"
_FOLDED = "a scale for each channel, folded into the Conv or FC before it, else a depthwise 1x1 convolution"


def _array(node: Node, value: Any, place: int) -> np.ndarray | None:
    """Input ``place``, a constant, without leading axes of 1 beyond those of ``value``."""
    array = node.array(f"input {place}", place)
    while array.ndim > len(value.dims) and array.shape[0] == 1:
        array = array[0]
    return array


def _pair(node: Node) -> tuple[Value, np.ndarray | None, bool] | None:
    """``(value, constant, value is first)`` of two inputs of which one is a constant; ``None`` if both are values."""
    if len(node.inputs) != 2:
        node.fail(f"needs two inputs, not {len(node.inputs)}")
    left, right = (isinstance(item, Value) for item in node.inputs)
    if left and right:
        return None
    value = node.value(0 if left else 1)
    return value, _array(node, value, 1 if left else 0), left


@operator("Add", unit="drain", how=f"Add layer, rides on the convolution before it; with a constant {_FOLDED}",
          limits="maps of equal shape; constants of one number a channel")  # fmt: skip
def _add(node: Node) -> Value:
    found = _pair(node)
    if found is None:
        return elementwise.add(node.ctx, node.value(0), node.value(1))
    return elementwise.scale(node.ctx, found[0], 1.0, found[1])


@operator("Sum", unit="drain", how="a chain of Add layers", limits="as Add")
def _sum(node: Node) -> Value:
    values = [item for item in node.inputs if isinstance(item, Value)]
    constants = [item for item in node.inputs if not isinstance(item, Value)]
    out = values[0]
    for value in values[1:]:
        out = elementwise.add(node.ctx, out, value)
    for constant in constants:
        out = elementwise.scale(node.ctx, out, 1.0, constant)
    return out


@operator("Mean", unit="drain", how="Sum, and a scale", limits="as Add")
def _mean(node: Node) -> Value:
    return elementwise.scale(node.ctx.part("mean"), _sum(node), 1 / len(node.inputs), 0.0)


@operator("Sub", unit="drain", how="Add layer of the first and the negated second; with a constant a scale", limits="as Add")
def _sub(node: Node) -> Value:
    found = _pair(node)
    if found is None:
        return composites.difference(node.ctx, node.value(0), node.value(1))
    value, constant, first = found
    constant = node.ctx.finite("its constant", constant)
    return elementwise.scale(node.ctx, value, *((1.0, -constant) if first else (-1.0, constant)))


@operator("Mul", unit="pool", how=f"{_PRODUCT}; x * Sigmoid(x) is SiLU, x * HardSigmoid(x) HardSwish; with a constant {_FOLDED}",
          limits="maps of equal shape, or a map and a number for each channel or pixel; constants of one number a channel")  # fmt: skip
def _mul(node: Node) -> Value:
    found = _pair(node)
    if found is None:
        return functions.multiply(node.ctx, node.value(0), node.value(1))
    return elementwise.scale(node.ctx, functions.on_machine(node.ctx, found[0]), found[1], 0.0)


@operator("Div", unit="array", how=f"{_FOLDED}; by a power: a Mul layer by the inverse power",
          limits="divisor constant, one number a channel, or a power or square root")  # fmt: skip
def _div(node: Node) -> Value:
    found = _pair(node)
    if found is None:
        return functions.quotient(node.ctx, node.value(0), node.value(1))
    if not found[2]:
        node.fail("a division of a constant by a map is not supported")
    divisor = node.ctx.finite("its divisor", found[1]).astype(np.float64)
    if not np.all(divisor):
        node.fail("divides by zero")
    return elementwise.scale(node.ctx, found[0], 1.0 / divisor, 0.0)


@operator("Neg", unit="array", how=_FOLDED)
def _neg(node: Node) -> Value:
    return elementwise.scale(node.ctx, node.value(), -1.0, 0.0)


@operator("Max", unit="drain", how="a + relu(b - a): a convolution with relu and two Add layers; with the constant 0 a relu",
          limits="maps of equal shape, or one number")  # fmt: skip
def _max(node: Node) -> Value | Any:
    return _extreme(node, composites.larger, lambda value, number: composites.clamp(node.ctx, value, number, None))


@operator("Min", unit="drain", how="a - relu(a - b)", limits="as Max")
def _min(node: Node) -> Value | Any:
    return _extreme(node, composites.smaller, lambda value, number: composites.clamp(node.ctx, value, None, number))


def _extreme(node: Node, of_values: Any, with_number: Any) -> Value | Any:
    values = [item for item in node.inputs if isinstance(item, Value)]
    out = values[0]
    for value in values[1:]:
        out = of_values(node.ctx, out, value)
    for constant in (item for item in node.inputs if not isinstance(item, Value)):
        if np.size(constant) != 1:
            node.fail(f"a constant of shape {np.shape(constant)} is not one number")
        out = with_number(out, float(np.reshape(constant, ())))
    return out


def _activation(kind: str) -> Callable[[Node], Value]:
    def lower(node: Node) -> Value:
        return elementwise.activate(node.ctx, node.value(), kind)

    return lower


for _name, _kind in imported("onnx").items():
    operator(_name, unit="drain", how="activation of the layer before it")(_activation(_kind))


@operator("LeakyRelu", unit="drain", how="activation of the layer before it", limits="slope from 0 to below 1")
def _leaky(node: Node) -> Value:
    return composites.prelu(node.ctx, node.value(), np.float32(node.attributes.get("alpha", 0.01)))


@operator("PRelu", unit="drain", how="relu(x) - slope * relu(-x): depthwise convolutions and an Add layer; one slope below 1: LeakyRelu",
          limits="slopes constant, one a channel")  # fmt: skip
def _prelu(node: Node) -> Value:
    value, slope = node.value(), node.needed("its slope", 1)
    if node.opset < 7 and slope.size > 1:
        # Before operator set 7 there was no broadcasting: one slope a channel.
        slope = slope.reshape(-1, *(1,) * (len(value.dims) - 2))
    return composites.prelu(node.ctx, value, slope)


@operator("Clip", unit="drain", how="relu6 with any upper end; another lower end is moved to 0 and back by scales")
def _clip(node: Node) -> Value:
    least = node.scalar("min", 1, node.attributes.get("min"))
    most = node.scalar("max", 2, node.attributes.get("max"))
    return composites.clamp(node.ctx, node.value(), least, most)


@operator("HardSigmoid", unit="drain", how="a scale and relu6 with the upper end 1")
def _hard_sigmoid(node: Node) -> Value:
    return composites.hard_sigmoid(node.ctx, node.value(), node.attributes.get("alpha", 0.2),
                                   node.attributes.get("beta", 0.5))  # fmt: skip


@operator("LRN", unit="pool", how="squares (Mul), a 1x1 convolution that sums channels, a power from a table, a product",
          limits="machines with functions; a bias above 0")  # fmt: skip
def _lrn(node: Node) -> Value:
    settings = tuple(node.attributes.get(name, default) for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return functions.response_norm(node.ctx, node.value(), node.attributes["size"], settings)


@operator("Abs", unit="drain", how="relu(x) + relu(-x)")
def _abs(node: Node) -> Value:
    return composites.absolute(node.ctx, node.value())


@operator("Identity", unit="view", how="nothing")
def _identity(node: Node) -> Value:
    return node.value()


@operator("Cast", unit="view", how="nothing: the machine's numbers are 16 bits wide whatever the file says", limits="to a real type")
def _cast(node: Node) -> Value:
    from onnx import TensorProto

    real = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    value = node.value()
    if node.attributes.get("to") not in real and not (value.host and value.host[-1][0] == "argmax"):
        node.fail(f"only casts to real numbers are supported, not to {TensorProto.DataType.Name(node.attributes.get('to', 0))}")
    return value


@operator("Dropout", unit="view", how="nothing", limits="inference mode")
def _dropout(node: Node) -> Value:
    training = node.array("training_mode", 2)
    if (training is not None and bool(np.any(training))) or ("is_test" in node.attributes and not node.attributes["is_test"]):
        node.fail("is in training mode")
    if node.opset < 7 and "is_test" not in node.attributes:
        node.fail("is in training mode (is_test is 0)")
    return node.value()


@operator("QuantizeLinear", unit="drain", how="the clip to the range of its codes, as of Clip: activations themselves have 16 bits",
          limits="scale and zero point constant, one number")  # fmt: skip
def _quantize(node: Node) -> Value:
    value, scale = node.value(), node.scalar("its scale", 1)
    zero = node.array("its zero point", 2, np.uint8(0))
    if zero.size != 1 or zero.dtype.kind not in "iu":
        node.fail(f"its zero point must be one whole number, not {zero.dtype} of shape {zero.shape}")
    limits, point = np.iinfo(zero.dtype), int(zero.reshape(()))
    return composites.clamp(node.ctx, value, (limits.min - point) * scale, (limits.max - point) * scale)


@operator("DequantizeLinear", unit="view", how="of constants: computed while reading; of an input that holds codes: a scale; of other "
          "activations nothing", limits="one number; of an input also one a channel")  # fmt: skip
def _dequantize(node: Node) -> Value:
    value = node.value()
    scale, zero = node.needed("its scale", 1), node.array("its zero point", 2, np.zeros(1))
    if node.attributes.get("block_size", 0):
        node.fail("blocks of elements with a scale each are not supported")
    if value.sources != (NETWORK_INPUT,):
        if scale.size != 1:
            node.fail(f"its scale must be one number, not {scale.size}")
        return value
    # Nothing has made real numbers of the codes yet.
    factor, zero = node.ctx.finite("its scale", scale), node.ctx.finite("its zero point", zero)
    if scale.ndim == 1 and scale.size > 1:
        axis = node.attributes.get("axis", 1) % len(value.dims)
        shape = [-1 if place == axis else 1 for place in range(len(value.dims))]
        factor, zero = factor.reshape(shape), zero.reshape(shape) if zero.size > 1 else zero
    return elementwise.scale(node.ctx, value, factor, -zero * factor)


def _softmax_axis(node: Node, value: Value) -> tuple[int, bool]:
    """``(axis, flat)``: before opset 13 all axes from ``axis`` on count together."""
    rank, old = len(value.dims), node.opset < 13
    axis = node.attributes.get("axis", 1 if old else -1)
    if not -rank <= axis < rank:
        node.fail(f"axis {axis} does not exist in an array of shape {value.dims}")
    return axis % rank, old


def _softmax(node: Node, kind: str) -> Value:
    value = node.value()
    axis, flat = _softmax_axis(node, value)
    if axis == 0:
        node.fail(f"only a softmax over the scores is supported, not over the batch (axis {axis})")
    return views.on_host(node.ctx, value, f"flat_{kind}" if flat else kind, axis)


@operator("Softmax", unit="host", how="after the last layer; scores are the numbers before it", limits="at the end only")
def _softmax_node(node: Node) -> Value:
    return _softmax(node, "softmax")


@operator("LogSoftmax", unit="host", how="as Softmax", limits="at the end only")
def _log_softmax(node: Node) -> Value:
    return _softmax(node, "log_softmax")


@operator("Sigmoid", unit="pool", how=f"{TABLE}; at the end the host computes it after the last layer")
def _sigmoid(node: Node) -> Value:
    return views.on_host(node.ctx, node.value(), "sigmoid")


@operator("Tanh", unit="pool", how="as Sigmoid")
def _tanh(node: Node) -> Value:
    return views.on_host(node.ctx, node.value(), "tanh")


@operator("ArgMax", unit="host", how="after the last layer", limits="at the end only")
def _argmax(node: Node) -> Value:
    value = node.value()
    axis = node.attributes.get("axis", 0)
    if not -len(value.dims) <= axis < len(value.dims) or axis % len(value.dims) == 0:
        node.fail(f"only an ArgMax over the scores is supported, not over axis {axis} of {value.dims}")
    axis, keep = axis % len(value.dims), int(node.attributes.get("keepdims", 1))
    dims = tuple(1 if place == axis else size for place, size in enumerate(value.dims) if keep or place != axis)
    return views.on_host(node.ctx, value, "argmax", axis, keep, int(node.attributes.get("select_last_index", 0)), dims=dims)
