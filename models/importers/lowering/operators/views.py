"""What moves elements and computes nothing: concatenations, padding, reshapes, permutations; and what is left to the host."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators.materialise import materialise
from squeezelerator.models.importers.lowering.operators.upsampling import same_phases
from squeezelerator.models.importers.lowering.value import PADDING, Value, analyse


def concat(ctx: OperatorContext, values: list[Value], axis: int) -> Value:
    """A concatenation along the channels, whichever axis of the graph's array they are."""
    ctx = ctx.called("concat")
    axis, rank = _checked_axis(ctx, values, axis), len(values[0].dims)
    parts = _of_equal_size(ctx, same_phases(ctx, [ctx.open(value) for value in values]))
    out = _joined(parts, axis)
    if analyse(out) is not None:
        return out
    if axis == 1 and all(analyse(part) is not None for part in parts):
        # Each part can be read, but not all in the same way.
        return concat(ctx, [materialise(ctx, part) for part in parts], axis)
    if out.index is not None and 1 < axis < rank - 1:
        ctx.fail(f"only channels can be concatenated, not axis {axis} of {values[0].dims}")
    return out


def _checked_axis(ctx: OperatorContext, values: list[Value], axis: int) -> int:
    """``axis`` counted from 0 on, of arrays that differ along it only."""
    rank = len(values[0].dims)
    if not -rank <= axis < rank:
        ctx.fail(f"axis {axis} does not exist in an array of shape {values[0].dims}")
    axis %= rank
    others = {(*value.dims[:axis], *value.dims[axis + 1 :]) if len(value.dims) == rank else None for value in values}
    if len(others) != 1:
        ctx.fail(f"concatenates maps of different sizes: {', '.join(str(value.dims) for value in values)}")
    return axis


def _of_equal_size(ctx: OperatorContext, values: list[Value]) -> list[Value]:
    """Values whose physical maps have equally many lines and columns and whose padding is filled with the same number."""
    if _map_sizes(values) > 1 or len({value.fill for value in values if value.padded}) > 1:
        values = [materialise(ctx, value) for value in values]
    if _map_sizes(values) > 1:
        ctx.fail(f"concatenates maps of different sizes: {', '.join(str(value.shape) for value in values)}")
    return values


def _map_sizes(values: list[Value]) -> int:
    return len({value.shape[1:] for value in values})


def _joined(values: list[Value], axis: int) -> Value:
    """The concatenation of the physical maps along their channels, and of the indices along ``axis``."""
    _, height, width = values[0].shape
    indices, channels = [], 0
    for value in values:
        indices.append(np.where(value.elements < 0, PADDING, value.elements + channels * height * width))
        channels += value.shape[0]
    fill = next((value.fill for value in values if value.padded), 0.0)
    whole = Value(tuple(source for value in values for source in value.sources), (channels, height, width), ())
    return whole.with_elements(np.concatenate(indices, axis), fill)


def pad(ctx: OperatorContext, value: Value, widths: list[tuple[int, int]], fill: float) -> Value:
    """Padding by ``(before, after)`` for each axis of the graph's array; negative widths cut off."""
    ctx.open(value)
    if value.padded and value.fill != fill and any(width > 0 for pair in widths for width in pair):
        ctx.fail(f"pads with {fill} what is padded with {value.fill} already")
    cut = tuple(slice(max(0, -before), size - max(0, -after)) for (before, after), size in zip(widths, value.dims, strict=True))
    grown = [(max(0, before), max(0, after)) for before, after in widths]
    return value.with_elements(np.pad(value.elements[cut], grown, constant_values=PADDING), float(fill))


def reshape(ctx: OperatorContext, value: Value, dims: Sequence[int]) -> Value:
    """The same elements in the same order under another shape, in which one size may be -1."""
    dims = [int(size) for size in dims]
    total = int(np.prod(value.dims))
    if dims.count(-1) == 1:
        known = int(np.prod([size for size in dims if size != -1]))
        dims[dims.index(-1)] = total // known if known else 0
    if int(np.prod(dims)) != total or min(dims, default=1) < 1:
        ctx.fail(f"turns shape {value.dims} into {tuple(dims)}, which has another number of elements")
    if value.host:
        return replace(value, dims=tuple(dims), host=(*value.host, ("reshape", *dims)))
    out = value.reshaped(tuple(dims))
    if value.padded and analyse(out) is None and analyse(value) is not None:
        return materialise(ctx.called("reshape"), value).reshaped(tuple(dims))
    return out


def transpose(ctx: OperatorContext, value: Value, axes: Sequence[int]) -> Value:
    """Another order of the axes."""
    axes = [int(axis) % len(value.dims) for axis in axes]
    if sorted(axes) != list(range(len(value.dims))):
        ctx.fail(f"the order {axes} is none of the axes of {value.dims}")
    if value.host:
        dims = tuple(value.dims[axis] for axis in axes)
        return replace(value, dims=dims, host=(*value.host, ("transpose", *axes)))
    return value.with_elements(value.elements.transpose(axes))


def on_host(ctx: OperatorContext, value: Value, operation: str, *numbers: int, dims: Sequence[int] | None = None) -> Value:
    """Something that the host computes after the last layer; ``dims`` is the result's shape if it is another."""
    if value.host:
        ctx.open(value)
    # The index stays that of the array before.
    return replace(value, dims=tuple(dims or value.dims), host=(("reshape", *value.dims), (operation, *numbers)))
