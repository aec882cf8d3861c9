"""Layers that read or make maps in phases (see :mod:`models.importers.lowering.phases`)."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext, with_rank
from squeezelerator.models.importers.lowering.geometry import Geometry, Pair
from squeezelerator.models.importers.lowering.operators.map_convolution import convolve_map, copy_map
from squeezelerator.models.importers.lowering.operators.materialise import materialise
from squeezelerator.models.importers.lowering.phases import (
    Phases,
    Tap,
    conv_taps,
    dense,
    find_phases,
    in_order,
    phase_weights,
    transposed_taps,
)
from squeezelerator.models.importers.lowering.value import Value, analyse


@dataclass(frozen=True)
class _PhasedOutput:
    """An output of ``sizes`` (H, W) in ``factor`` (y, x) phases, and the taps of its two axes (y, x)."""

    taps: tuple[list[Tap], list[Tap]]
    factor: Pair
    sizes: Pair


def phased_conv(ctx: OperatorContext, value: Value, phases: Phases, weight: np.ndarray, bias: np.ndarray, geometry: Geometry) -> Value:
    """A convolution of a map in phases; ``weight`` is (O, C, Kh, Kw) without groups, dilated already."""
    pads = geometry.pads
    dims, steps, before = value.map_dims, (geometry.stride[1], geometry.stride[0]), (pads[1], pads[0])
    if dims is None or any(factor % step for factor, step in zip(phases.factor, steps, strict=True)):
        ctx.fail(f"reads an upsampled map (by {phases.factor}) with the stride {steps}, which does not divide it")
    sizes = [(dims[1 + axis] + pads[1 - axis] + pads[3 - axis] - weight.shape[2 + axis]) // steps[axis] + 1 for axis in (0, 1)]
    taps = [conv_taps(weight.shape[2 + axis], phases.factor[axis], steps[axis], before[axis]) for axis in (0, 1)]
    factor = phases.factor[0] // steps[0], phases.factor[1] // steps[1]
    return _convolve(ctx, value, phases, weight, bias, _PhasedOutput((taps[0], taps[1]), factor, (sizes[0], sizes[1])))


def _convolve(ctx: OperatorContext, value: Value, phases: Phases, weight: np.ndarray, bias: np.ndarray, output: _PhasedOutput) -> Value:
    """Append the convolution of the small map that computes all phases of an output."""
    factor, sizes = output.factor, output.sizes
    if min(sizes) < 1 or sizes[0] % factor[0] or sizes[1] % factor[1]:
        ctx.fail(f"its output of {sizes} lines and columns is no multiple of {factor}, in which an upsampled map is kept")
    positions = sizes[0] // factor[0], sizes[1] // factor[1]
    made = phase_weights(weight, phases, value.shape[0], output.taps, factor, value.shape[1:], positions)
    (top, bottom), (left, right) = made.pads
    copies = factor[0] * factor[1]
    # Several weights that meet the same element are added up.
    weight = ctx.finite("its weight", made.weight)
    out = convolve_map(ctx, ctx.open(value), weight, np.tile(bias, copies), Geometry(pads=(left, top, right, bottom)))
    rank = len(value.dims)
    return in_order(out.sources, out.shape, factor, rank) if copies > 1 else with_rank(out, rank)


def to_phases(ctx: OperatorContext, value: Value, factor: Pair) -> Value:
    """A map with its phases (y, x) in order in the channels of a small map."""
    found = find_phases(value)
    channels = value.map_dims[0] if value.map_dims else 0
    if found is None:
        return _split_into_phases(ctx, value, channels, factor)
    if found.factor != factor:
        ctx.fail(f"meets maps that are upsampled by {found.factor} and by {factor}")
    if value.shape[0] == channels * factor[0] * factor[1]:
        ordered = in_order(value.sources, value.shape, factor, len(value.dims))
        if ordered.dims == value.dims and bool((ordered.elements == value.elements).all()):
            return value
    # The same phases in another order, or one for several.
    eye = np.eye(channels, dtype=np.float32)[:, :, None, None]
    return phased_conv(ctx.part("phases"), value, found, eye, np.zeros(channels, np.float32), Geometry())


def _split_into_phases(ctx: OperatorContext, value: Value, channels: int, factor: Pair) -> Value:
    """The phases of a plain map, by a convolution whose stride is ``factor`` (y, x)."""
    value = materialise(ctx, value)
    weight = np.zeros((*factor, channels, channels, *factor), np.float32)
    for y in range(factor[0]):
        for x in range(factor[1]):
            weight[y, x, range(channels), range(channels), y, x] = 1
    out = convolve_map(ctx.part("phases"), value, weight.reshape(-1, channels, *factor), None, Geometry((factor[1], factor[0])))
    return in_order(out.sources, out.shape, factor, len(value.dims))


def same_phases(ctx: OperatorContext, values: list[Value]) -> list[Value]:
    """The values with equal phases, if any of them has phases; else as they are."""
    found = [phases.factor for value in values if (phases := find_phases(value)) is not None]
    if not found:
        return values
    return [to_phases(ctx.part(str(place)), value, max(found)) for place, value in enumerate(values)]


def nearest(ctx: OperatorContext, value: Value, factors: tuple[int, ...]) -> Value:
    """Upsampling by repetition: ``factors`` for each axis of the value. Nothing is computed."""
    ctx.open(value)
    elements = value.elements
    for axis, factor in enumerate(factors):
        elements = np.repeat(elements, factor, axis)
    return value.with_elements(elements)


def taken(ctx: OperatorContext, value: Value, elements: np.ndarray) -> Value:
    """``elements`` of a value (an index into its map), which a layer must be able to read: as a map, or as one in phases."""
    out = value.with_elements(elements)
    if analyse(out) is None and find_phases(out) is None:
        ctx.fail(f"takes lines and columns of an array of shape {value.dims} for one of {out.dims} that no layer can read")
    return out


def space_to_depth(ctx: OperatorContext, value: Value, block: int, blocks_first: bool) -> Value:
    """Blocks of lines and columns as channels: all channels for each place (``blocks_first``), or all places for each channel."""
    value = to_phases(ctx, value, (block, block))
    channels, height, width = value.dims[1], value.dims[2] // block, value.dims[3] // block
    elements = value.elements.reshape(1, channels, height, block, width, block)
    order = (0, 3, 5, 1, 2, 4) if blocks_first else (0, 1, 3, 5, 2, 4)
    return value.with_elements(elements.transpose(order).reshape(1, channels * block * block, height, width))


def bilinear(ctx: OperatorContext, value: Value, factors: Pair) -> Value:
    """Bilinear upsampling by whole ``factors`` (y, x), centres of elements aligned: a depthwise transposed convolution with triangles.

    Beyond its border a map goes on with its border, so that it gets one more line and column of it on every side first.
    """
    value = materialise(ctx, value)
    if len(value.dims) != 4:
        ctx.fail(f"only maps (1, C, H, W) are supported, not {value.dims}")
    pads, triangles = [0, 0], [np.ones(1, np.float32), np.ones(1, np.float32)]
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        value = _with_border(ctx.part("border"), value, 1 - axis)
        length = 2 * factor - factor % 2
        triangles[axis] = (1 - np.abs(np.arange(length) - (length - 1) / 2) / factor).astype(np.float32)
        # Output o lies at (o + 1/2) / factor - 1/2 of the map, which begins behind the border; what is computed beyond is cut off.
        pads[axis] = (length + factor) // 2
    weight = np.tile(np.outer(*triangles), (value.shape[0], 1, 1, 1))
    geometry = Geometry((factors[1], factors[0]), (pads[1], pads[0], pads[1], pads[0]))
    return conv_transpose(ctx, value, weight, None, geometry, (0, 0), value.shape[0])


def _with_border(ctx: OperatorContext, value: Value, axis: int) -> Value:
    """A map with its first and last line (``axis`` 1) or column (0) once more in front and behind."""
    channels, size = value.shape[0], value.shape[2 - axis]
    pads = [0, 0, 0, 0]
    pads[axis] = pads[axis + 2] = 1
    out = copy_map(ctx, value, Geometry(pads=(pads[0], pads[1], pads[2], pads[3])))
    for behind in (False, True):
        weight = np.zeros((channels, 1, *((size, 1) if axis else (1, size))), np.float32)
        weight.reshape(channels, size)[:, -1 if behind else 0] = 1
        line = convolve_map(ctx.part("line"), value, weight, None, None, channels)
        pads[axis], pads[axis + 2] = (size + 1, 0) if behind else (0, size + 1)
        spread = copy_map(ctx.part("pad"), line, Geometry(pads=(pads[0], pads[1], pads[2], pads[3])))
        pair = replace(spread, sources=(spread.sources[0], out.sources[0]))
        out = ctx.add_map("Add", pair, pair.shape)
    return out


def conv_transpose(ctx: OperatorContext, value: Value, weight: Any, bias: Any, geometry: Geometry, extra: Pair, groups: int) -> Value:
    """A transposed convolution without dilation; ``weight`` is (I, O/groups, Kh, Kw), ``extra`` (x, y) is added to the output's end."""
    weight = ctx.finite("its weight", weight)
    if weight.ndim != 4 or len(value.dims) != 4:
        ctx.fail(f"only 2-D transposed convolutions are supported, not weights of shape {weight.shape}")
    turned = _turned(weight, groups)
    bias = np.zeros(len(turned), np.float32) if bias is None else ctx.finite("its bias", bias)
    phases = find_phases(value)
    if phases is None:
        value = materialise(ctx, value)
        phases = Phases((1, 1), np.arange(value.shape[0])[:, None, None])
    dims, pads, steps = value.dims, geometry.pads, (geometry.stride[1], geometry.stride[0])
    if turned.shape[1] != dims[1] or bias.shape != (len(turned),):
        ctx.fail(f"weights of shape {weight.shape} in {groups} groups do not fit {dims[1]} input channels")
    sizes = [(dims[2 + axis] - 1) * steps[axis] - pads[1 - axis] - pads[3 - axis] + turned.shape[2 + axis] + extra[1 - axis]
             for axis in (0, 1)]  # fmt: skip
    taps = [transposed_taps(turned.shape[2 + axis], phases.factor[axis], steps[axis], pads[1 - axis]) for axis in (0, 1)]
    factor = phases.factor[0] * steps[0], phases.factor[1] * steps[1]
    if not taps[0] or not taps[1]:
        ctx.fail("none of its weights reaches the output")
    return _convolve(ctx, value, phases, turned, bias, _PhasedOutput((taps[0], taps[1]), factor, (sizes[0], sizes[1])))


def _turned(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights (I, O/groups, Kh, Kw) of a transposed convolution as (O, I, Kh, Kw) over all input channels."""
    per_group = weight.shape[0] // groups
    parts = [weight[group * per_group : (group + 1) * per_group].swapaxes(0, 1) for group in range(groups)]
    return dense(np.ascontiguousarray(np.concatenate(parts)), groups)
