"""Convolutions of any array that is a map, a signal or a map in phases."""

from dataclasses import replace
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext, with_rank
from squeezelerator.models.importers.lowering.geometry import Geometry, Pair
from squeezelerator.models.importers.lowering.operators.map_convolution import convolve_map
from squeezelerator.models.importers.lowering.operators.materialise import materialise, select
from squeezelerator.models.importers.lowering.operators.upsampling import phased_conv
from squeezelerator.models.importers.lowering.phases import dense, find_phases
from squeezelerator.models.importers.lowering.value import Value, analyse


def conv(ctx: OperatorContext, value: Value, weight: Any, bias: Any = None, geometry: Geometry | None = None, groups: int = 1) -> Value:
    """A convolution; ``weight`` is (O, I/groups, Kh, Kw), or (O, I/groups, K) for signals, ``bias`` (O) or ``None``."""
    geometry = geometry or Geometry()
    weight = _checked_weight(ctx, value, weight)
    bias = _checked_bias(ctx, weight, bias)
    phases = None if analyse(value) is not None else find_phases(ctx.open(value))
    if phases is not None and _groups_fit(weight, groups, len(phases.channels)):
        return phased_conv(ctx, value, phases, dilated(dense(weight, groups), geometry.dilation), bias, geometry)
    found = select(ctx, value)
    if not _groups_fit(weight, groups, len(found.channels)):
        ctx.fail(f"weights of shape {weight.shape} in {groups} groups do not fit {len(found.channels)} input channels")
    if not found.whole(value.shape) or (groups > 1 and not found.all_channels(value.shape)):
        value = materialise(ctx, value)
        found = select(ctx, value)
    if not found.all_channels(value.shape):
        weight = _spread_channels(weight, found.channels, value.shape[0])
    left, top, right, bottom = (mine + theirs for mine, theirs in zip(geometry.pads, found.pad, strict=True))
    whole = replace(geometry, pads=(left, top, right, bottom))
    return with_rank(convolve_map(ctx, value, dilated(weight, geometry.dilation), bias, whole, groups), len(value.dims))


def depthwise(ctx: OperatorContext, value: Value, weight: np.ndarray, geometry: Geometry | None = None) -> Value:
    """A convolution of every channel by itself; ``weight`` is (C, 1, Kh, Kw)."""
    return conv(ctx, value, weight, None, geometry, value.shape[0])


def _checked_weight(ctx: OperatorContext, value: Value, weight: Any) -> np.ndarray:
    """``weight`` as float32 (O, I/groups, Kh, Kw)."""
    weight = ctx.finite("its weight", weight)
    signal = len(value.dims) == 3
    if weight.ndim == 3 and signal:
        weight = weight[:, :, None]
    if weight.ndim != 4 or (signal and weight.shape[2] != 1):
        ctx.fail(f"weights of shape {weight.shape} do not fit an input of shape {value.dims}")
    return weight


def _checked_bias(ctx: OperatorContext, weight: np.ndarray, bias: Any) -> np.ndarray:
    filters = weight.shape[0]
    bias = np.zeros(filters, np.float32) if bias is None else ctx.finite("its bias", bias)
    if bias.shape != (filters,):
        ctx.fail(f"its bias must have shape ({filters},), not {bias.shape}")
    return bias


def _groups_fit(weight: np.ndarray, groups: int, channels: int) -> bool:
    return groups >= 1 and weight.shape[1] * groups == channels and weight.shape[0] % groups == 0


def dilated(weight: np.ndarray, dilation: Pair) -> np.ndarray:
    """A dilated kernel is a larger one with zeros in between, and zeros cost no cycles in OS."""
    if tuple(dilation) == (1, 1):
        return weight
    height, width = ((size - 1) * step + 1 for size, step in zip(weight.shape[2:], (dilation[1], dilation[0]), strict=True))
    spread = np.zeros((*weight.shape[:2], height, width), np.float32)
    spread[:, :, :: dilation[1], :: dilation[0]] = weight
    return spread


def _spread_channels(weight: np.ndarray, channels: np.ndarray, count: int) -> np.ndarray:
    """Weights over some channels as weights over all ``count`` channels of the map."""
    whole = np.zeros((weight.shape[0], count, *weight.shape[2:]), np.float32)
    taken = channels >= 0
    np.add.at(whole.swapaxes(0, 1), channels[taken], weight[:, taken].swapaxes(0, 1))
    return whole
