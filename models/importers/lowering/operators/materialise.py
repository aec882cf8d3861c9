"""Arrays of the graph as maps that layers can read: what their index selects, and layers that copy it where no layer can read it."""

from dataclasses import replace

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.geometry import Geometry
from squeezelerator.models.importers.lowering.operators.map_convolution import convolve_map, copy_map
from squeezelerator.models.importers.lowering.steps import identity_conv
from squeezelerator.models.importers.lowering.value import NO_PAD, Selection, Value, analyse


def select(ctx: OperatorContext, value: Value) -> Selection:
    """What ``value`` takes from its physical map, read as channels, height and width.

    Raises
    ------
    WeightError
        If its elements are no lines and columns of that map, or are padded with anything but 0.
    """
    ctx.open(value)
    found = analyse(value)
    if found is None:
        if value.map_dims is None:
            ctx.fail(f"needs a map (1, C, H, W), a signal (1, C, L) or a vector (1, C), but gets {value.dims}")
        ctx.fail(f"reads an array of shape {value.dims} whose elements are no lines and columns of the map {value.shape}")
    if any(found.pad) and value.fill != 0:
        ctx.fail(f"its padding is filled with {value.fill:g}, but must be 0")
    return found


def materialise(ctx: OperatorContext, value: Value) -> Value:
    """``value`` as a physical map of its own: padding, slices and permutations of channels become convolutions with weights of 1."""
    found = select(ctx, value)
    complete = found.whole(value.shape) and found.all_channels(value.shape)
    if complete and found.pad == NO_PAD:
        return replace(value, index=None)
    base = replace(value, dims=(1, *value.shape), index=None, fill=0.0)
    if not complete:
        base = _gather(ctx.part("select"), base, found)
    if found.pad != NO_PAD:
        base = copy_map(ctx.part("pad"), base, Geometry(pads=found.pad))
    return replace(base, dims=value.dims)


def _gather(ctx: OperatorContext, base: Value, found: Selection) -> Value:
    """Channels, lines and columns of a whole map by one convolution."""
    channels, height, width = base.shape
    (top, step_y, lines), (left, step_x, columns) = found.lines, found.columns
    kernel = (height - (lines - 1) * step_y, width - (columns - 1) * step_x)
    if found.all_channels(base.shape):
        groups, weight = channels, np.zeros((channels, 1, *kernel), np.float32)
        weight[:, 0, top, left] = 1
    else:
        groups, weight = 1, np.zeros((len(found.channels), channels, *kernel), np.float32)
        kept = np.flatnonzero(found.channels >= 0)
        weight[kept, found.channels[kept], top, left] = 1
    return convolve_map(ctx, base, weight, None, Geometry((step_x, step_y)), groups)


def single(ctx: OperatorContext, value: Value) -> Value:
    """``value`` as the output of one layer: the parts of a concatenation are copied by a 1x1 convolution that changes nothing."""
    made = ctx.add_step("Scale", value, value.shape)
    channels, steps = value.shape[0], ctx.low.steps
    steps[-1] = identity_conv(steps[-1], np.ones(channels, np.float32), np.zeros(channels, np.float32))
    return replace(value, sources=(made,))
