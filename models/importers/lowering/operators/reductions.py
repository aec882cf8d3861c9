"""Means, sums and maxima over axes."""

from collections.abc import Sequence

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators.convolution import conv
from squeezelerator.models.importers.lowering.operators.elementwise import scale
from squeezelerator.models.importers.lowering.operators.matrix_product import fc
from squeezelerator.models.importers.lowering.operators.pools import pool
from squeezelerator.models.importers.lowering.operators.views import reshape
from squeezelerator.models.importers.lowering.value import Value, analyse


def reduce(ctx: OperatorContext, value: Value, axes: Sequence[int], kind: str, keepdims: bool) -> Value:
    """``mean``, ``sum`` or ``max`` over axes: of lines and columns by pools, of channels (not ``max``) by a convolution."""
    rank = len(value.dims)
    axes = sorted({int(axis) % rank for axis in axes})
    if 0 in axes or rank not in (2, 3, 4):
        ctx.fail(f"cannot reduce the axes {axes} of an array of shape {value.dims}")
    if analyse(value) is None and rank > 2:
        out = _reduce_channels_last(ctx, value, axes, kind)
    else:
        out = _reduce_map(ctx, value, axes, kind)
    kept = [1 if axis in axes else size for axis, size in enumerate(value.dims) if keepdims or axis not in axes]
    return reshape(ctx, out, kept)


def _reduce_channels_last(ctx: OperatorContext, value: Value, axes: list[int], kind: str) -> Value:
    rank = len(value.dims)
    order = [0, rank - 1, *range(1, rank - 1)]
    turned = value.with_elements(value.elements.transpose(order))
    out = _reduce_map(ctx, turned, [order.index(axis) for axis in axes], kind)
    return out.with_elements(out.elements.transpose(np.argsort(order)))


def _reduce_map(ctx: OperatorContext, value: Value, places: list[int], kind: str) -> Value:
    """A reduction over ``places`` of (1, C), (1, C, L) or (1, C, H, W), which remain as axes of 1."""
    rank, count = len(value.dims), int(np.prod([value.dims[place] for place in places]))
    if max(places, default=0) > 1:
        kernel = (value.dims[-1] if rank - 1 in places else 1, value.dims[2] if rank == 4 and 2 in places else 1)
        value = pool(ctx, value, "MaxPool" if kind == "max" else "AvgPool", kernel)
    if 1 in places:
        if kind == "max":
            ctx.fail("a maximum over the channels is not supported")
        value = _mean_of_channels(ctx, value)
    return scale(ctx.part("sum"), value, float(count), 0.0) if kind == "sum" else value


def _mean_of_channels(ctx: OperatorContext, value: Value) -> Value:
    rank, channels = len(value.dims), value.dims[1]
    shape = (1, channels, *(1,) * (rank - 2))
    average = fc if rank == 2 else conv
    return average(ctx, value, np.full(shape, 1 / channels, np.float32), None)
