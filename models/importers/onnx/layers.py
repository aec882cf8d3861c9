"""ONNX operators that become layers: convolutions, matrix products, pools, normalisation."""

import dataclasses
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.geometry import Geometry, Pair
from squeezelerator.models.importers.lowering.operators import (
    composites,
    convolution,
    elementwise,
    functions,
    matrix_product,
    pools,
    reductions,
)
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.operator_table import Node, operator

_AUTO_PADS = ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID")


def pair_of(node: Node, key: str, rank: int, default: int = 1) -> tuple[int, int]:
    """An attribute of one number for each of ``rank`` spatial axes as (x, y)."""
    values = list(node.attributes.get(key) or [default] * rank)
    if len(values) != rank:
        node.fail(f"{key} must have one number for each of {rank} spatial axes, not {len(values)}")
    return (values[-1], values[0] if rank == 2 else 1)


def geometry(node: Node, value: Value, kernel: Pair) -> Geometry:
    """Strides, dilations and padding of a node with windows of ``kernel`` (x, y)."""
    rank = len(value.dims) - 2
    if rank not in (1, 2):
        node.fail(f"needs a map (1, C, H, W) or a signal (1, C, L), but gets {value.dims}")
    stride, dilation = pair_of(node, "strides", rank), pair_of(node, "dilations", rank)
    automatic = node.text("auto_pad", "NOTSET")
    if automatic not in _AUTO_PADS:
        node.fail(f"auto_pad must be one of {', '.join(_AUTO_PADS)}, not {automatic!r}")
    if automatic == "VALID":
        return Geometry(stride, (0, 0, 0, 0), dilation)
    if automatic == "NOTSET":
        pads = list(node.attributes.get("pads") or [0] * (2 * rank))
        if len(pads) != 2 * rank:
            node.fail(f"pads must have two numbers for each of {rank} spatial axes, not {len(pads)}")
        left, top, right, bottom = pads[rank - 1], pads[0] if rank == 2 else 0, pads[-1], pads[2] if rank == 2 else 0
        return Geometry(stride, (left, top, right, bottom), dilation)
    (left, right), (top, bottom) = (
        _same_pads((value.map_dims or value.shape)[2 - axis], kernel[axis], stride[axis], dilation[axis], automatic) for axis in (0, 1)
    )
    return Geometry(stride, (left, top, right, bottom), dilation)


def _same_pads(size: int, kernel: int, stride: int, dilation: int, automatic: str) -> Pair:
    """Padding ``(before, after)`` of one axis so that there is a window for each ``stride`` elements."""
    span = (kernel - 1) * dilation + 1
    total = max(0, (-(-size // stride) - 1) * stride + span - size)
    before = total // 2 if automatic == "SAME_UPPER" else total - total // 2
    return before, total - before


@operator("Conv", unit="array", how="Conv layer; a dilated kernel gets zeros in between, a 1-D one is a map of one line",
          limits="1-D and 2-D, weights and bias constant")  # fmt: skip
def _conv(node: Node) -> Value:
    value, weight = node.value(), node.needed("its weight", 1)
    if weight.ndim not in (3, 4) or weight.ndim != len(value.dims):
        node.fail(f"only 1-D and 2-D convolutions are supported, not weights of shape {weight.shape} for an input of shape {value.dims}")
    shape = node.attributes.get("kernel_shape")
    if shape is not None and tuple(shape) != weight.shape[2:]:
        node.fail(f"kernel_shape is {tuple(shape)}, but the weights have {weight.shape[2:]}")
    kernel = (weight.shape[-1], weight.shape[2] if weight.ndim == 4 else 1)
    moves = geometry(node, value, kernel)
    return convolution.conv(node.ctx, value, weight, node.array("its bias", 2), moves, node.attributes.get("group", 1))


@operator("BatchNormalization", unit="array", how="folded into the Conv or FC before it, else a depthwise 1x1 convolution",
          limits="inference mode, statistics constant")  # fmt: skip
def _batch_norm(node: Node) -> Any:
    if node.attributes.get("training_mode", 0):
        node.fail("is in training mode")
    if not node.attributes.get("spatial", 1):
        node.fail("normalises every element by itself (spatial=0), which is not supported")
    scale, shift, mean, variance = (node.needed(f"its input {place}", place) for place in range(1, 5))
    return elementwise.batch_norm(node.ctx, node.value(), scale, shift, mean, variance, node.attributes.get("epsilon", 1e-5))


def _pool(node: Node, kind: str) -> Value:
    value, shape = node.value(), list(node.attributes.get("kernel_shape") or ())
    if len(shape) != len(value.dims) - 2 or len(shape) not in (1, 2):
        node.fail(f"only 1-D and 2-D windows are supported, not {shape} on an input of shape {value.dims}")
    kernel = (shape[-1], shape[0] if len(shape) == 2 else 1)
    moves = geometry(node, value, kernel)
    if moves.dilation != (1, 1):
        node.fail("a pool with dilation is not supported")
    ceil = bool(node.attributes.get("ceil_mode", 0)) and node.text("auto_pad", "NOTSET") == "NOTSET"
    return pools.pool(node.ctx, value, kind, kernel, moves, ceil=ceil,
                      counts_padding=bool(node.attributes.get("count_include_pad", 0)))  # fmt: skip


@operator("MaxPool", unit="pool", how="MaxPool layer; windows above 31 and strides above 4 in several steps",
          limits="no dilation, no indices")  # fmt: skip
def _max_pool(node: Node) -> Value:
    return _pool(node, "MaxPool")


@operator("AveragePool", unit="pool", how="AvgPool layer; where padding is left out of the average, the border is added by depthwise "
          "convolutions; windows above 31 are depthwise convolutions", limits="no dilation")  # fmt: skip
def _average_pool(node: Node) -> Value:
    return _pool(node, "AvgPool")


def _global(node: Node, kind: str) -> Value:
    rank = len(node.value().dims)
    return reductions.reduce(node.ctx, node.value(), range(2, rank), kind, True)


@operator("GlobalAveragePool", unit="pool", how="AvgPool layer over the whole map; several above 31")
def _global_average(node: Node) -> Value:
    return _global(node, "mean")


@operator("GlobalMaxPool", unit="pool", how="MaxPool layer over the whole map; several above 31")
def _global_max(node: Node) -> Value:
    return _global(node, "max")


def _reduce(node: Node, kind: str) -> Value:
    value = node.value()
    axes = node.numbers("axes", 1)
    if not axes:
        if node.attributes.get("noop_with_empty_axes", 0):
            return value
        axes = list(range(1, len(value.dims)))
        if node.ctx.low.batch > 1 or node.attributes.get("keepdims", 1) == 0:
            node.fail("reduces the batch")
    return reductions.reduce(node.ctx, value, axes, kind, bool(node.attributes.get("keepdims", 1)))


@operator("ReduceMean", unit="pool", how="AvgPool layer over lines and columns, a 1x1 convolution over channels")
def _reduce_mean(node: Node) -> Value:
    return _reduce(node, "mean")


@operator("ReduceSum", unit="pool", how="as ReduceMean, times the number of elements")
def _reduce_sum(node: Node) -> Value:
    return _reduce(node, "sum")


@operator("ReduceMax", unit="pool", how="MaxPool layer over lines and columns", limits="not over channels")
def _reduce_max(node: Node) -> Value:
    return _reduce(node, "max")


@operator("ReduceMin", unit="pool", how="as ReduceMax, of the negated map", limits="not over channels")
def _reduce_min(node: Node) -> Value:
    return _of_changed(node, elementwise.scale(node.ctx.part("negative"), node.value(), -1.0, 0.0), "max", -1.0)


@operator("ReduceL1", unit="pool", how="as ReduceSum, of absolute values")
def _reduce_l1(node: Node) -> Value:
    return _of_changed(node, composites.absolute(node.ctx.part("absolute"), node.value()), "sum")


@operator("ReduceSumSquare", unit="pool", how="as ReduceSum, of squares (Mul, machines with functions)")
def _reduce_squares(node: Node) -> Value:
    return _of_changed(node, functions.multiply(node.ctx.part("square"), node.value(), node.value()), "sum")


@operator("ReduceL2", unit="pool", how="the square root (a table) of ReduceSumSquare")
def _reduce_l2(node: Node) -> Value:
    return functions.power(node.ctx.part("root"), _reduce_squares(node), 0.5)


def _of_changed(node: Node, value: Value, kind: str, factor: float = 1.0) -> Value:
    """A reduction of ``value``, which stands for the node's first input, times ``factor``."""
    out = _reduce(dataclasses.replace(node, inputs=[value, *node.inputs[1:]]), kind)
    return out if factor == 1 else elementwise.scale(node.ctx.part("factor"), out, factor, 0.0)


@operator("Gemm", unit="array", how="FC layer", limits="second and third matrix constant, no transA")
def _gemm(node: Node) -> Value:
    weight = node.needed("B", 1)
    if node.attributes.get("transA", 0):
        node.fail("a transposed first matrix is not supported")
    value = node.value()
    if len(value.dims) != 2:
        node.fail(f"needs a vector, but gets an array of shape {value.dims}: flatten it first")
    weight = node.ctx.finite("its weight", weight)
    weight = (weight if node.attributes.get("transB", 0) else weight.T) * np.float32(node.attributes.get("alpha", 1.0))
    bias = node.array("C", 2)
    if bias is not None:
        bias = node.ctx.finite("its bias", bias) * np.float32(node.attributes.get("beta", 1.0))
    return matrix_product.fc(node.ctx, value, weight, bias)


@operator("MatMul", unit="array", how="FC layer; on a map a 1x1 convolution over the last axis", limits="second matrix constant")
def _matmul(node: Node) -> Value:
    value, weight = node.value(), node.needed("its second matrix", 1)
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    if weight.ndim != 2:
        node.fail(f"only the product with a constant matrix is supported, not with an array of shape {weight.shape}")
    return matrix_product.fc(node.ctx, value, weight.T, None)
