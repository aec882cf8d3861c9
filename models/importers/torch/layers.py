"""ATen operators that become layers: convolutions, matrix products, pools, normalisation.

Each function lowers one operator, with the arguments of its ATen schema; ``x`` is the first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.geometry import Geometry, Pair
from squeezelerator.models.importers.lowering.operators import (
    convolution,
    elementwise,
    functions,
    matrix_product,
    pools,
    reductions,
    upsampling,
)
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.torch.operator_table import operator, pair


def _map_of(ctx: OperatorContext, value: Any) -> Value:
    if not isinstance(value, Value):
        ctx.fail("its first input must depend on the network's input")
    return value


@dataclass(frozen=True)
class _Convolution:
    """What the schemas of convolutions have beside arrays; lists are of one number for each axis, the last one along the lines."""

    stride: Any
    padding: Any
    dilation: Any
    groups: int
    output_padding: Any = (0, 0)


@operator("conv2d", like="Conv")
def _conv2d(ctx: OperatorContext, x: Any, weight: Any, bias: Any, **settings: Any) -> Value:
    schema = _Convolution(**settings)
    stride, dilation = pair(schema.stride), pair(schema.dilation)
    if isinstance(schema.padding, str):
        spans = [(size - 1) * step for size, step in zip(weight.shape[:1:-1], dilation, strict=True)]
        left, top = (span // 2 if schema.padding == "same" else 0 for span in spans)
        right, bottom = (span - span // 2 if schema.padding == "same" else 0 for span in spans)
    else:
        left, top = right, bottom = pair(schema.padding)
    geometry = Geometry(stride, (left, top, right, bottom), dilation)
    return convolution.conv(ctx, _map_of(ctx, x), weight, bias, geometry, schema.groups)


@operator("conv1d", like="Conv")
def _conv1d(ctx: OperatorContext, x: Any, weight: Any, bias: Any, **settings: Any) -> Value:
    schema = _Convolution(**settings)
    (step,), (spread,) = list(schema.stride), list(schema.dilation)
    if isinstance(schema.padding, str):
        span = (weight.shape[2] - 1) * spread if schema.padding == "same" else 0
        before, after = span // 2, span - span // 2
    else:
        before = after = schema.padding[0]
    geometry = Geometry((step, 1), (before, 0, after, 0), (spread, 1))
    return convolution.conv(ctx, _map_of(ctx, x), weight, bias, geometry, schema.groups)


@operator("conv_transpose2d", like="ConvTranspose")
def _conv_transpose2d(ctx: OperatorContext, x: Any, weight: Any, bias: Any, **settings: Any) -> Value:
    schema = _Convolution(**settings)
    if pair(schema.dilation) != (1, 1):
        ctx.fail("a transposed convolution with dilation is not supported")
    geometry = Geometry(pair(schema.stride), (*pair(schema.padding), *pair(schema.padding)))
    return upsampling.conv_transpose(ctx, _map_of(ctx, x), weight, bias, geometry, pair(schema.output_padding), schema.groups)


@operator("convolution", like="Conv")
def _convolution(ctx: OperatorContext, x: Any, weight: Any, bias: Any, transposed: bool, **settings: Any) -> Value:
    if transposed:
        return _conv_transpose2d(ctx, x, weight, bias, **settings)
    return (_conv1d if weight.ndim == 3 else _conv2d)(ctx, x, weight, bias, **settings)


@operator("batch_norm", like="BatchNormalization")
def _batch_norm(ctx: OperatorContext, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, **settings: Any) -> Value:
    if settings.get("training", False) or running_mean is None:
        ctx.fail("normalises by the statistics of the batch, not by stored ones")
    scale = np.ones_like(running_mean) if weight is None else weight
    shift = np.zeros_like(running_mean) if bias is None else bias
    return elementwise.batch_norm(ctx, x, scale, shift, running_mean, running_var, settings["eps"])


@dataclass(frozen=True)
class _Pool:
    """What the schemas of pools have beside their windows, as :class:`_Convolution`; an empty stride is the window."""

    stride: Any
    padding: Any
    ceil_mode: bool
    dilation: Any = 1
    count_include_pad: bool = False
    divisor_override: int | None = None


def _pool(ctx: OperatorContext, x: Any, kind: str, kernel: Pair, stride: Pair, pads: Pair, settings: _Pool) -> Value:
    if pair(settings.dilation) != (1, 1):
        ctx.fail("a pool with dilation is not supported")
    if settings.divisor_override is not None:
        ctx.fail("an average with a divisor of its own is not supported")
    geometry = Geometry(stride, (*pads, *pads))
    return pools.pool(ctx, x, kind, kernel, geometry, ceil=settings.ceil_mode, counts_padding=settings.count_include_pad)


def _pool2d(ctx: OperatorContext, x: Any, kind: str, kernel_size: Any, settings: _Pool) -> Value:
    return _pool(ctx, x, kind, pair(kernel_size), pair(settings.stride or kernel_size), pair(settings.padding), settings)


def _pool1d(ctx: OperatorContext, x: Any, kind: str, kernel_size: Any, settings: _Pool) -> Value:
    (kernel,), (pad,) = list(kernel_size), list(settings.padding)
    step = (list(settings.stride) or [kernel])[0]
    return _pool(ctx, x, kind, (kernel, 1), (step, 1), (pad, 0), settings)


@operator("max_pool2d", like="MaxPool")
def _max_pool2d(ctx: OperatorContext, x: Any, kernel_size: Any, **settings: Any) -> Value:
    return _pool2d(ctx, x, "MaxPool", kernel_size, _Pool(**settings))


@operator("avg_pool3d", like="LRN")
def _avg_pool3d(ctx: OperatorContext, x: Any, kernel_size: Any, stride: Any, **settings: Any) -> Value:
    """The mean over neighbouring channels within ``local_response_norm``: of (1, 1, C, H, W), padded already."""
    size = kernel_size[0]
    if len(x.dims) != 5 or x.dims[1] != 1 or [*kernel_size[1:], *stride] != [1] * 5 or any(settings["padding"]) or settings["ceil_mode"]:
        ctx.fail("only the mean over channels of a local_response_norm is supported")
    total = functions.window_sum(ctx, x.reshaped((1, *x.dims[2:])), size)
    mean = elementwise.scale(ctx.part("mean"), total, 1 / (settings["divisor_override"] or size), 0.0)
    return mean.reshaped((1, 1, *mean.dims[1:]))


@operator("max_pool1d", like="MaxPool")
def _max_pool1d(ctx: OperatorContext, x: Any, kernel_size: Any, **settings: Any) -> Value:
    return _pool1d(ctx, x, "MaxPool", kernel_size, _Pool(**settings))


@operator("avg_pool2d", like="AveragePool")
def _avg_pool2d(ctx: OperatorContext, x: Any, kernel_size: Any, **settings: Any) -> Value:
    return _pool2d(ctx, x, "AvgPool", kernel_size, _Pool(**settings))


@operator("avg_pool1d", like="AveragePool")
def _avg_pool1d(ctx: OperatorContext, x: Any, kernel_size: Any, **settings: Any) -> Value:
    return _pool1d(ctx, x, "AvgPool", kernel_size, _Pool(**settings))


@operator("adaptive_avg_pool2d", like="AveragePool")
def _adaptive_avg_pool2d(ctx: OperatorContext, x: Any, output_size: Any) -> Value:
    return _adaptive(ctx, x, "AvgPool", pair(output_size))


@operator("adaptive_max_pool2d", like="MaxPool")
def _adaptive_max_pool2d(ctx: OperatorContext, x: Any, output_size: Any) -> Value:
    return _adaptive(ctx, x, "MaxPool", pair(output_size))


@operator("adaptive_avg_pool1d", like="AveragePool")
def _adaptive_avg_pool1d(ctx: OperatorContext, x: Any, output_size: Any) -> Value:
    return _adaptive(ctx, x, "AvgPool", (output_size[0], 1))


def _adaptive(ctx: OperatorContext, x: Any, kind: str, output_size: tuple[int | None, int | None]) -> Value:
    """A pool to a size (W, H), ``None`` where it stays."""
    if x.map_dims is None:
        ctx.fail(f"needs a map, but gets {x.dims}")
    sizes = x.map_dims[:0:-1]
    wanted = tuple(size if want is None else want for size, want in zip(sizes, output_size, strict=True))
    if wanted == sizes:
        return x
    if any(size % want for size, want in zip(sizes, wanted, strict=True)):
        ctx.fail(f"a pool from {sizes} to {wanted} has windows of different sizes")
    width, height = (size // want for size, want in zip(sizes, wanted, strict=True))
    return pools.pool(ctx, x, kind, (width, height), Geometry((width, height)))


@operator("mean", like="ReduceMean")
def _mean(ctx: OperatorContext, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduce(ctx, x, "mean", dim, keepdim)


@operator("sum", like="ReduceSum")
def _sum(ctx: OperatorContext, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduce(ctx, x, "sum", dim, keepdim)


@operator("amax", like="ReduceMax")
def _amax(ctx: OperatorContext, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Value:
    return _reduce(ctx, x, "max", dim, keepdim)


def _reduce(ctx: OperatorContext, x: Any, kind: str, dim: Any, keepdim: bool) -> Value:
    if not dim:
        ctx.fail("reduces all axes, the batch among them")
    return reductions.reduce(ctx, x, dim, kind, keepdim)


@operator("linear", like="Gemm")
def _linear(ctx: OperatorContext, x: Any, weight: Any, bias: Any) -> Value:
    return matrix_product.fc(ctx, x, weight, bias)


@operator("addmm", like="Gemm")
def _addmm(ctx: OperatorContext, x: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any) -> Value:
    if not isinstance(mat1, Value) or isinstance(mat2, Value) or isinstance(x, Value):
        ctx.fail("only the product of a vector and a constant matrix is supported")
    return matrix_product.fc(ctx, mat1, mat2.T * alpha, x * beta)


@operator("matmul", like="MatMul")
def _matmul(ctx: OperatorContext, x: Any, other: Any = None, mat2: Any = None) -> Value:
    other = mat2 if other is None else other
    if isinstance(other, Value) or not isinstance(x, Value) or other.ndim != 2:
        ctx.fail("only the product with a constant matrix is supported")
    return matrix_product.fc(ctx, x, other.T, None)
