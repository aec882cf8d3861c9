"""Pools and averages of any size, stride and padding, from those that a layer table knows.

A table's ``AvgPool`` counts padding as zeros and always divides by the whole window, its windows reach to 31 and its strides to 4.
Everything else is composed here of pools, depthwise convolutions and sums.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from squeezelerator.models.importers.lowering.lowering import Lowering, Pads, Pair
from squeezelerator.models.importers.lowering.steps import LARGEST_POOL, LARGEST_STRIDE, output_size, split_stride
from squeezelerator.models.importers.lowering.value import NO_PAD, Value, analyse


def pool(low: Lowering, name: str, origin: str, value: Value, kind: str, kernel: Pair, stride: Pair, pads: Pads = NO_PAD, *,
         ceil: bool = False, counts_padding: bool = False) -> Value:  # fmt: skip
    """``MaxPool`` or ``AvgPool``; ``counts_padding`` says whether an average divides by the padding's positions too."""
    rank = len(value.dims)
    if rank not in (3, 4):
        low.fail(origin, f"needs a map (1, C, H, W) or a signal (1, C, L), but gets {value.dims}")
    if kind == "MaxPool":
        value, pads = _padded_for_max(low, name, origin, value, kernel, pads)
    else:
        value = low.materialise(name, origin, value)
    width, height = (
        _count(low, origin, value.shape[2 - axis], kernel[axis], stride[axis], (pads[axis], pads[axis + 2]), ceil) for axis in (0, 1)
    )
    size = width, height
    make = _maximum if kind == "MaxPool" else _average
    out = make(low, name, origin, value, kernel, stride, pads, size)
    if kind == "AvgPool":
        for axis in (0, 1):
            factors = _divisors(value.shape[2 - axis], kernel[axis], stride[axis], (pads[axis], pads[axis + 2]), size[axis], counts_padding)
            out = _multiply(low, name, origin, out, factors, axis)
    return replace(out, dims=low.result("", out.shape, rank).dims)


def _count(low: Lowering, origin: str, size: int, kernel: int, stride: int, pads: Pair, ceil: bool) -> int:
    if min(pads) < 0:
        low.fail(origin, "negative padding is not supported")
    if kernel < 1 or stride < 1:
        low.fail(origin, f"kernel {kernel} and stride {stride} must be at least 1")
    if kernel > size + sum(pads):
        low.fail(origin, f"a kernel of {kernel} is larger than its input of {size}")
    return output_size(size, kernel, stride, *pads, ceil)


def _padded_for_max(low: Lowering, name: str, origin: str, value: Value, kernel: Pair, pads: Pads) -> tuple[Value, Pads]:
    """``(value, pads)`` with a value that has no padding of its own: the pool's is none of the numbers it compares."""
    found = analyse(value)
    if found is None or not any(found.pad):
        return low.materialise(name, origin, value), pads
    left, top, right, bottom = (mine + theirs for mine, theirs in zip(pads, found.pad, strict=True))
    merged = left, top, right, bottom
    plain = value.fill == -np.inf or (value.fill == 0 and low.nonnegative(value))
    if plain and found.all_channels(value.shape) and found.whole(value.shape) and all(
        merged[place] < kernel[place % 2] for place in range(4)
    ):  # fmt: skip
        # No window holds padding only, and a zero loses against (or equals) every number that is not negative.
        return replace(value, dims=(1, *value.shape), index=None), merged
    return low.materialise(name, origin, value), pads


def _maximum(low: Lowering, name: str, origin: str, value: Value, kernel: Pair, stride: Pair, pads: Pads, size: Pair) -> Value:
    for axis in (0, 1):
        last = (size[axis] - 1) * stride[axis] - pads[axis]
        if pads[axis] >= kernel[axis] or last >= value.shape[2 - axis]:
            low.fail(origin, f"some windows of {kernel} hold padding {pads} only")
    if max(kernel) > LARGEST_POOL:
        if any(pads):
            low.fail(origin, f"a window of {kernel} with padding is not supported beyond {LARGEST_POOL}")
        first = min(kernel[0], LARGEST_POOL), min(kernel[1], LARGEST_POOL)
        rest = kernel[0] - first[0] + 1, kernel[1] - first[1] + 1
        positions = value.shape[2] - first[0] + 1, value.shape[1] - first[1] + 1
        if size == (1, 1):
            # One position only: fewer of the intermediate ones do as long as they cover everything.
            step = tuple(LARGEST_STRIDE if length > LARGEST_POOL else 1 for length in kernel)
            part = tuple(LARGEST_STRIDE if length > LARGEST_POOL else 1 for length in kernel)
            positions = -(-value.shape[2] // step[0]), -(-value.shape[1] // step[1])
            made = low.add_step(f"{name}_part", "MaxPool", value, (value.shape[0], positions[1], positions[0]), origin,
                                kernel=part, stride=step)  # fmt: skip
            inner = low.result(made, (value.shape[0], positions[1], positions[0]), 4)
            return _maximum(low, name, origin, inner, positions, (1, 1), NO_PAD, (1, 1))
        made = low.add_step(f"{name}_part", "MaxPool", value, (value.shape[0], positions[1], positions[0]), origin, kernel=first)
        inner = low.result(made, (value.shape[0], positions[1], positions[0]), 4)
        return _maximum(low, name, origin, inner, rest, stride, NO_PAD, size)
    return _strided_pool(low, name, origin, value, "MaxPool", kernel, stride, pads, size)


def _strided_pool(low: Lowering, name: str, origin: str, value: Value, kind: str, kernel: Pair,
                  stride: Pair, pads: Pads, size: Pair) -> Value:
    steps = [split_stride(step, count) for step, count in zip(stride, size, strict=True)]
    rest = steps[0][1], steps[1][1]
    # As many positions as the second step reads, the first of every ``rest``, and those that need no padding behind.
    fewest = [(value.shape[2 - axis] + pads[axis] - kernel[axis]) // steps[axis][0] + 1 for axis in (0, 1)]
    counts = size if rest == (1, 1) else tuple(
        max((count - 1) * step + 1, least) for count, step, least in zip(size, rest, fewest, strict=True)
    )  # fmt: skip
    made = low.add_step(name, kind, value, (value.shape[0], counts[1], counts[0]), origin, kernel=tuple(kernel),
                        stride=tuple(step[0] for step in steps), pad=tuple(pads[:2]))  # fmt: skip
    out = low.result(made, (value.shape[0], counts[1], counts[0]), 4)
    if rest == (1, 1):
        return out
    ones = np.ones((out.shape[0], 1, 1, 1), np.float32)
    return low.conv(f"{name}_stride", origin, out, ones, None, stride=rest, groups=out.shape[0])


def _average(low: Lowering, name: str, origin: str, value: Value, kernel: Pair, stride: Pair, pads: Pads, size: Pair) -> Value:
    """Averages that count everything outside as zeros."""
    fits = max(kernel) <= LARGEST_POOL and all(
        pads[axis] < kernel[axis] and (size[axis] - 1) * stride[axis] - pads[axis] < value.shape[2 - axis] for axis in (0, 1)
    )
    if fits:
        return _strided_pool(low, name, origin, value, "AvgPool", kernel, stride, pads, size)
    if size == (1, 1) and not any(pads) and (kernel[1], kernel[0]) == tuple(value.shape[1:]):
        return _large_average(low, name, origin, value)
    # Padding behind up to the end of the last window: with ceil mode that is more than the pool's own.
    after = [max(0, (size[axis] - 1) * stride[axis] + kernel[axis] - pads[axis] - value.shape[2 - axis]) for axis in (0, 1)]
    weight = np.full((value.shape[0], 1, kernel[1], kernel[0]), 1 / (kernel[0] * kernel[1]), np.float32)
    flat = replace(value, dims=(1, *value.shape))
    return low.conv(name, origin, flat, weight, None, stride=stride, pads=(pads[0], pads[1], after[0], after[1]), groups=value.shape[0])


def _large_average(low: Lowering, name: str, origin: str, value: Value) -> Value:
    """The average over a whole map of any size: of parts first, the last of which are filled up with zeros, then of the averages."""
    channels, height, width = value.shape
    part = tuple(LARGEST_STRIDE if length > LARGEST_POOL else 1 for length in (width, height))
    counts = (-(-width // part[0]), -(-height // part[1]))
    if part == (1, 1):
        return _strided_pool(low, name, origin, value, "AvgPool", (width, height), (1, 1), NO_PAD, (1, 1))
    made = low.add_step(f"{name}_part", "AvgPool", value, (channels, counts[1], counts[0]), origin, kernel=part, stride=part)
    out = _large_average(low, name, origin, low.result(made, (channels, counts[1], counts[0]), 4))
    filled = counts[0] * part[0] * counts[1] * part[1]
    return out if filled == width * height else low.scale(f"{name}_divisor", origin, out, filled / (width * height), 0.0)


def _divisors(size: int, kernel: int, stride: int, pads: Pair, count: int, counts_padding: bool) -> np.ndarray:
    """What the average over a whole window has to be multiplied with, for each position of one axis."""
    low, high = (-pads[0], size + pads[1]) if counts_padding else (0, size)
    begin = np.arange(count) * stride - pads[0]
    return kernel / (np.minimum(begin + kernel, high) - np.maximum(begin, low))


def _multiply(low: Lowering, name: str, origin: str, value: Value, factors: np.ndarray, axis: int) -> Value:
    """``value`` times a factor for each position of an axis: the commonest for all, and what is missing added at the borders."""
    found, counts = np.unique(factors, return_counts=True)
    usual = found[counts.argmax()]
    channels = value.shape[0]
    out = value if usual == 1 else low.scale(f"{name}_divisor", origin, value, usual, 0.0)
    for place in np.flatnonzero(factors != usual).tolist():
        size = value.shape[2 - axis]
        length = [1, 1]
        length[axis] = size
        # One line: a kernel as long as the axis that reads one place of it.
        weight = np.zeros((channels, 1, length[1], length[0]), np.float32)
        weight[:, 0, place if axis == 1 else 0, place if axis == 0 else 0] = factors[place] - usual
        line = low.conv(f"{name}_border", origin, value, weight, None, groups=channels)
        pads = [0, 0, 0, 0]
        pads[axis], pads[axis + 2] = place, size - 1 - place
        ones = np.ones((channels, 1, 1, 1), np.float32)
        spread = low.conv(f"{name}_border_pad", origin, line, ones, None, pads=(pads[0], pads[1], pads[2], pads[3]), groups=channels)
        out = low.add(f"{name}_border_add", origin, spread, out)
    return out


def reduce(low: Lowering, name: str, origin: str, value: Value, axes: Sequence[int], kind: str, keepdims: bool) -> Value:
    """``mean``, ``sum`` or ``max`` over axes: of lines and columns by pools, of channels (not ``max``) by a convolution."""
    rank = len(value.dims)
    axes = sorted({int(axis) % rank for axis in axes})
    if 0 in axes or rank not in (2, 3, 4):
        low.fail(origin, f"cannot reduce the axes {axes} of an array of shape {value.dims}")
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(value.dims))
    order = list(range(rank))
    if analyse(value) is None and rank > 2:
        # Channels last.
        order = [0, rank - 1, *range(1, rank - 1)]
    turned = value if order == list(range(rank)) else value.with_elements(value.elements.transpose(order))
    places = [order.index(axis) for axis in axes]
    out = _reduce_map(low, name, origin, turned, places, kind)
    if order != list(range(rank)):
        out = out.with_elements(out.elements.transpose(np.argsort(order)))
    dims = kept if keepdims else tuple(size for axis, size in enumerate(value.dims) if axis not in axes)
    return low.reshape(origin, out, dims)


def _reduce_map(low: Lowering, name: str, origin: str, value: Value, places: list[int], kind: str) -> Value:
    rank = len(value.dims)
    spatial = [place for place in places if place > 1]
    count = int(np.prod([value.dims[place] for place in places]))
    if spatial:
        kernel = (value.dims[-1] if rank - 1 in spatial else 1, value.dims[2] if rank == 4 and 2 in spatial else 1)
        value = pool(low, name, origin, value, "MaxPool" if kind == "max" else "AvgPool", kernel, (1, 1))
    if 1 in places:
        if kind == "max":
            low.fail(origin, "a maximum over the channels is not supported")
        channels = value.dims[1]
        shape = (1, channels, 1, 1)[: max(rank, 3)] if rank > 2 else (1, channels)
        if rank == 2:
            value = low.fc(name, origin, value, np.full(shape, 1 / channels, np.float32), None)
        else:
            value = low.conv(name, origin, value, np.full(shape, 1 / channels, np.float32), None)
    return low.scale(f"{name}_sum", origin, value, float(count), 0.0) if kind == "sum" else value


