"""Layers that read or make maps in phases (see :mod:`models.importers.lowering.phases`)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

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
from squeezelerator.models.importers.lowering.value import Value

if TYPE_CHECKING:
    from squeezelerator.models.importers.lowering.lowering import Lowering, Pads, Pair


def phased_conv(low: Lowering, name: str, origin: str, value: Value, phases: Phases, weight: np.ndarray, bias: np.ndarray,
                stride: Pair, pads: Pads) -> Value:  # fmt: skip
    """A convolution of a map in phases; ``weight`` is (O, C, Kh, Kw) without groups and dilation, pairs are (x, y)."""
    dims, steps, before = value.map_dims, (stride[1], stride[0]), (pads[1], pads[0])
    if dims is None or any(factor % step for factor, step in zip(phases.factor, steps, strict=True)):
        low.fail(origin, f"reads an upsampled map (by {phases.factor}) with the stride {steps}, which does not divide it")
    sizes = [(dims[1 + axis] + pads[1 - axis] + pads[3 - axis] - weight.shape[2 + axis]) // steps[axis] + 1 for axis in (0, 1)]
    taps = [conv_taps(weight.shape[2 + axis], phases.factor[axis], steps[axis], before[axis]) for axis in (0, 1)]
    factor = phases.factor[0] // steps[0], phases.factor[1] // steps[1]
    return _emit(low, name, origin, value, phases, weight, bias, (taps[0], taps[1]), factor, (sizes[0], sizes[1]))


def _emit(low: Lowering, name: str, origin: str, value: Value, phases: Phases, weight: np.ndarray, bias: np.ndarray,
          taps: tuple[list[Tap], list[Tap]], factor: Pair, sizes: Pair) -> Value:
    """Append the convolution of the small map that computes ``factor`` phases of an output of ``sizes``."""
    if min(sizes) < 1 or sizes[0] % factor[0] or sizes[1] % factor[1]:
        low.fail(origin, f"its output of {sizes} lines and columns is no multiple of {factor}, in which an upsampled map is kept")
    positions = sizes[0] // factor[0], sizes[1] // factor[1]
    made = phase_weights(weight, phases, value.shape[0], taps, factor, value.shape[1:], positions)
    (top, bottom), (left, right) = made.pads
    small = replace(value, dims=(1, *value.shape), index=None)
    copies = factor[0] * factor[1]
    out = low.conv(name, origin, small, made.weight, np.tile(bias, copies), pads=(left, top, right, bottom))
    return in_order(out.sources, out.shape, factor, len(value.dims)) if copies > 1 else replace(
        out, dims=low.result("", out.shape, len(value.dims)).dims)  # fmt: skip


def to_phases(low: Lowering, name: str, origin: str, value: Value, factor: Pair) -> Value:
    """A map with its phases (y, x) in order in the channels of a small map."""
    found = find_phases(value)
    channels = value.map_dims[0] if value.map_dims else 0
    if found is not None and found.factor == factor:
        if value.shape[0] == channels * factor[0] * factor[1]:
            ordered = in_order(value.sources, value.shape, factor, len(value.dims))
            if ordered.dims == value.dims and bool((ordered.elements == value.elements).all()):
                return value
        # The same phases in another order, or one for several.
        eye = np.eye(channels, dtype=np.float32)[:, :, None, None]
        return phased_conv(low, f"{name}_phases", origin, value, found, eye, np.zeros(channels, np.float32), (1, 1), (0, 0, 0, 0))
    if found is not None:
        low.fail(origin, f"meets maps that are upsampled by {found.factor} and by {factor}")
    value = low.materialise(name, origin, value)
    weight = np.zeros((*factor, channels, channels, *factor), np.float32)
    for y in range(factor[0]):
        for x in range(factor[1]):
            weight[y, x, range(channels), range(channels), y, x] = 1
    small = replace(value, dims=(1, *value.shape))
    out = low.conv(f"{name}_phases", origin, small, weight.reshape(-1, channels, *factor), None, stride=(factor[1], factor[0]))
    return in_order(out.sources, out.shape, factor, len(value.dims))


def same_phases(low: Lowering, name: str, origin: str, values: list[Value]) -> list[Value]:
    """The values with equal phases, if any of them has phases; else as they are."""
    found = [phases.factor for value in values if (phases := find_phases(value)) is not None]
    if not found:
        return values
    return [to_phases(low, f"{name}_{place}", origin, value, max(found)) for place, value in enumerate(values)]


def nearest(low: Lowering, origin: str, value: Value, factors: tuple[int, ...]) -> Value:
    """Upsampling by repetition: ``factors`` for each axis of the value. Nothing is computed."""
    low.open(origin, value)
    elements = value.elements
    for axis, factor in enumerate(factors):
        elements = np.repeat(elements, factor, axis)
    return value.with_elements(elements)


def conv_transpose(low: Lowering, name: str, origin: str, value: Value, weight: np.ndarray, bias: np.ndarray | None, stride: Pair,
                   pads: Pads, extra: Pair, groups: int) -> Value:  # fmt: skip
    """A transposed convolution; ``weight`` is (I, O/groups, Kh, Kw), pairs are (x, y), ``extra`` is added to the output's end."""
    weight = low.finite(origin, "its weight", weight)
    if weight.ndim != 4 or len(value.dims) != 4:
        low.fail(origin, f"only 2-D transposed convolutions are supported, not weights of shape {weight.shape}")
    per_group = weight.shape[0] // groups
    turned = np.concatenate([weight[group * per_group : (group + 1) * per_group].swapaxes(0, 1) for group in range(groups)])
    turned = dense(np.ascontiguousarray(turned), groups)
    bias = np.zeros(len(turned), np.float32) if bias is None else low.finite(origin, "its bias", bias)
    phases = find_phases(value)
    if phases is None:
        value = low.materialise(name, origin, value)
        phases = Phases((1, 1), np.arange(value.shape[0])[:, None, None])
    dims, steps = value.dims, (stride[1], stride[0])
    if turned.shape[1] != dims[1] or bias.shape != (len(turned),):
        low.fail(origin, f"weights of shape {weight.shape} in {groups} groups do not fit {dims[1]} input channels")
    sizes = [(dims[2 + axis] - 1) * steps[axis] - pads[1 - axis] - pads[3 - axis] + turned.shape[2 + axis] + extra[1 - axis]
             for axis in (0, 1)]  # fmt: skip
    taps = [transposed_taps(turned.shape[2 + axis], phases.factor[axis], steps[axis], pads[1 - axis]) for axis in (0, 1)]
    factor = phases.factor[0] * steps[0], phases.factor[1] * steps[1]
    if not taps[0] or not taps[1]:
        low.fail(origin, "none of its weights reaches the output")
    return _emit(low, name, origin, value, phases, turned, bias, (taps[0], taps[1]), factor, (sizes[0], sizes[1]))
