"""Pools and averages of any size, stride and padding, from those that a layer table knows.

A table's ``AvgPool`` counts padding as zeros and always divides by the whole window, its windows reach to 31 and its strides to 4.
Everything else is composed here of pools, depthwise convolutions and sums.
"""

from dataclasses import dataclass, replace

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext, with_rank
from squeezelerator.models.importers.lowering.geometry import LARGEST_POOL, LARGEST_STRIDE, Geometry, Pads, Pair, output_size
from squeezelerator.models.importers.lowering.operators.convolution import depthwise
from squeezelerator.models.importers.lowering.operators.elementwise import add, scale
from squeezelerator.models.importers.lowering.operators.map_convolution import copy_map, split_strides
from squeezelerator.models.importers.lowering.operators.materialise import materialise
from squeezelerator.models.importers.lowering.value import NO_PAD, Value, analyse


@dataclass(frozen=True)
class _Windows:
    """The windows of a pool, at ``size`` (W, H) positions; pairs are (x, y), ``pads`` is (left, top, right, bottom)."""

    kernel: Pair
    stride: Pair
    pads: Pads
    size: Pair

    def last(self, axis: int) -> int:
        """Where along an axis the last window begins, counted from the map's first element."""
        return (self.size[axis] - 1) * self.stride[axis] - self.pads[axis]


def pool(ctx: OperatorContext, value: Value, kind: str, kernel: Pair, geometry: Geometry | None = None, *, ceil: bool = False,
         counts_padding: bool = False) -> Value:  # fmt: skip
    """A pool without dilation, by default of stride 1 and without padding.

    Parameters
    ----------
    kind : str
        ``MaxPool`` or ``AvgPool``.
    ceil : bool
        Whether a last window that is not full counts too.
    counts_padding : bool
        Whether an average divides by the padding's positions too.
    """
    geometry, rank = geometry or Geometry(), len(value.dims)
    if rank not in (3, 4):
        ctx.fail(f"needs a map (1, C, H, W) or a signal (1, C, L), but gets {value.dims}")
    stride, pads = geometry.stride, geometry.pads
    if kind == "MaxPool":
        value, pads = _padded_for_max(ctx, value, kernel, pads)
    else:
        value = materialise(ctx, value)
    width, height = (_count(ctx, value.shape[2 - axis], kernel[axis], stride[axis], (pads[axis], pads[axis + 2]), ceil) for axis in (0, 1))
    windows = _Windows(kernel, stride, pads, (width, height))
    if kind == "MaxPool":
        return with_rank(_maximum(ctx, value, windows), rank)
    out = _average(ctx, value, windows)
    for axis in (0, 1):
        out = _multiply(ctx, out, _divisors(value.shape[2 - axis], windows, axis, counts_padding), axis)
    return with_rank(out, rank)


def _count(ctx: OperatorContext, size: int, kernel: int, stride: int, pads: Pair, ceil: bool) -> int:
    """Positions of a pool's windows along one axis."""
    if min(pads) < 0:
        ctx.fail("negative padding is not supported")
    if kernel < 1 or stride < 1:
        ctx.fail(f"kernel {kernel} and stride {stride} must be at least 1")
    if kernel > size + sum(pads):
        ctx.fail(f"a kernel of {kernel} is larger than its input of {size}")
    return output_size(size, kernel, stride, *pads, ceil)


def _padded_for_max(ctx: OperatorContext, value: Value, kernel: Pair, pads: Pads) -> tuple[Value, Pads]:
    """``(value, pads)`` with a value that has no padding of its own: the pool's is none of the numbers it compares."""
    found = analyse(value)
    if found is None or not any(found.pad):
        return materialise(ctx, value), pads
    left, top, right, bottom = (mine + theirs for mine, theirs in zip(pads, found.pad, strict=True))
    merged = left, top, right, bottom
    plain = value.fill == -np.inf or (value.fill == 0 and ctx.low.nonnegative(value))
    if plain and found.all_channels(value.shape) and found.whole(value.shape) and all(
        merged[place] < kernel[place % 2] for place in range(4)
    ):  # fmt: skip
        # No window holds padding only, and a zero loses against (or equals) every number that is not negative.
        return replace(value, dims=(1, *value.shape), index=None), merged
    return materialise(ctx, value), pads


def _maximum(ctx: OperatorContext, value: Value, windows: _Windows) -> Value:
    kernel, pads = windows.kernel, windows.pads
    for axis in (0, 1):
        if pads[axis] >= kernel[axis] or windows.last(axis) >= value.shape[2 - axis]:
            ctx.fail(f"some windows of {kernel} hold padding {pads} only")
    if max(kernel) <= LARGEST_POOL:
        return _strided_pool(ctx, value, "MaxPool", windows)
    if any(pads):
        ctx.fail(f"a window of {kernel} with padding is not supported beyond {LARGEST_POOL}")
    channels, height, width = value.shape
    if windows.size == (1, 1):
        # One position only: fewer of the intermediate ones do as long as they cover everything.
        part = _part(kernel)
        positions = -(-width // part[0]), -(-height // part[1])
        inner = ctx.part("part").add_map("MaxPool", value, (channels, positions[1], positions[0]), kernel=part, stride=part)
        return _maximum(ctx, inner, _Windows(positions, (1, 1), NO_PAD, (1, 1)))
    first = min(kernel[0], LARGEST_POOL), min(kernel[1], LARGEST_POOL)
    rest = kernel[0] - first[0] + 1, kernel[1] - first[1] + 1
    inner = ctx.part("part").add_map("MaxPool", value, (channels, height - first[1] + 1, width - first[0] + 1), kernel=first)
    return _maximum(ctx, inner, _Windows(rest, windows.stride, NO_PAD, windows.size))


def _part(kernel: Pair) -> Pair:
    """Windows next to each other into which one is cut that is too large."""
    width, height = (LARGEST_STRIDE if length > LARGEST_POOL else 1 for length in kernel)
    return width, height


def _strided_pool(ctx: OperatorContext, value: Value, kind: str, windows: _Windows) -> Value:
    """A pool of any stride, of windows that a layer can have."""
    kernel, pads = windows.kernel, windows.pads
    first, rest = split_strides(ctx, windows.stride, windows.size)
    # As many positions as the second step reads, the first of every ``rest``, and those that need no padding behind.
    fewest = [(value.shape[2 - axis] + pads[axis] - kernel[axis]) // first[axis] + 1 for axis in (0, 1)]
    counts = windows.size if rest == (1, 1) else tuple(
        max((count - 1) * step + 1, least) for count, step, least in zip(windows.size, rest, fewest, strict=True)
    )  # fmt: skip
    out = ctx.add_map(kind, value, (value.shape[0], counts[1], counts[0]), kernel=tuple(kernel), stride=first, pad=tuple(pads[:2]))
    return out if rest == (1, 1) else copy_map(ctx.part("stride"), out, Geometry(rest))


def _average(ctx: OperatorContext, value: Value, windows: _Windows) -> Value:
    """Averages that count everything outside as zeros."""
    kernel, pads, size = windows.kernel, windows.pads, windows.size
    if max(kernel) <= LARGEST_POOL and all(pads[axis] < kernel[axis] and windows.last(axis) < value.shape[2 - axis] for axis in (0, 1)):
        return _strided_pool(ctx, value, "AvgPool", windows)
    if size == (1, 1) and not any(pads) and (kernel[1], kernel[0]) == tuple(value.shape[1:]):
        return _large_average(ctx, value)
    # Padding behind up to the end of the last window: with ceil mode that is more than the pool's own.
    right, bottom = (max(0, windows.last(axis) + kernel[axis] - value.shape[2 - axis]) for axis in (0, 1))
    weight = np.full((value.shape[0], 1, kernel[1], kernel[0]), 1 / (kernel[0] * kernel[1]), np.float32)
    flat = replace(value, dims=(1, *value.shape))
    return depthwise(ctx, flat, weight, Geometry(windows.stride, (pads[0], pads[1], right, bottom)))


def _large_average(ctx: OperatorContext, value: Value) -> Value:
    """The average over a whole map of any size: of parts first, the last of which are filled up with zeros, then of the averages."""
    channels, height, width = value.shape
    part = _part((width, height))
    if part == (1, 1):
        return _strided_pool(ctx, value, "AvgPool", _Windows((width, height), (1, 1), NO_PAD, (1, 1)))
    counts = (-(-width // part[0]), -(-height // part[1]))
    parts = ctx.part("part").add_map("AvgPool", value, (channels, counts[1], counts[0]), kernel=part, stride=part)
    out = _large_average(ctx, parts)
    filled = counts[0] * part[0] * counts[1] * part[1]
    return out if filled == width * height else scale(ctx.part("divisor"), out, filled / (width * height), 0.0)


def _divisors(size: int, windows: _Windows, axis: int, counts_padding: bool) -> np.ndarray:
    """What the average over a whole window has to be multiplied with, for each position of one axis of ``size`` elements."""
    kernel, before, after = windows.kernel[axis], windows.pads[axis], windows.pads[axis + 2]
    low, high = (-before, size + after) if counts_padding else (0, size)
    begin = np.arange(windows.size[axis]) * windows.stride[axis] - before
    return kernel / (np.minimum(begin + kernel, high) - np.maximum(begin, low))


def _multiply(ctx: OperatorContext, value: Value, factors: np.ndarray, axis: int) -> Value:
    """``value`` times a factor for each position of an axis: the commonest for all, and what is missing added at the borders."""
    found, counts = np.unique(factors, return_counts=True)
    usual = found[counts.argmax()]
    channels = value.shape[0]
    out = value if usual == 1 else scale(ctx.part("divisor"), value, usual, 0.0)
    for place in np.flatnonzero(factors != usual).tolist():
        size = value.shape[2 - axis]
        length = [1, 1]
        length[axis] = size
        # One line: a kernel as long as the axis that reads one place of it.
        weight = np.zeros((channels, 1, length[1], length[0]), np.float32)
        weight[:, 0, place if axis == 1 else 0, place if axis == 0 else 0] = factors[place] - usual
        line = depthwise(ctx.part("border"), value, weight)
        pads = [0, 0, 0, 0]
        pads[axis], pads[axis + 2] = place, size - 1 - place
        spread = copy_map(ctx.part("border_pad"), line, Geometry(pads=(pads[0], pads[1], pads[2], pads[3])))
        out = add(ctx.part("border_add"), spread, out)
    return out
