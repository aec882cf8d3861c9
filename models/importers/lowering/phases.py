"""Maps larger than what layers write: upsampling, transposed convolutions and pixel shuffles, without moving an element.

No layer writes between its own lines and columns, so a map of f times the height and width is kept as f x f *phases*: element (f Y + p,
f X + q) is element (Y, X) of other channels of a small map. A convolution of such a map is a convolution of the small one with more
channels, most of its weights zero; its output has phases again, or none where its stride takes them away. What leaves the network is put
in order by the host.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from squeezelerator.models.importers.lowering.value import NO_PAD, Value, analyse

Pair = tuple[int, int]
Tap = tuple[int, int, int]
"""Phase of the output, place in the kernel, and element of the input relative to the first one of the output's group."""


@dataclass(frozen=True, eq=False)
class Phases:
    """``factor`` (y, x), and for each channel of the large map and each phase the channel of the small one: (C, y, x)."""

    factor: Pair
    channels: np.ndarray


def find_phases(value: Value) -> Phases | None:
    """The :class:`Phases` of a value, ``None`` if it has none (or is a plain map)."""
    dims = value.map_dims
    if dims is None or value.index is None or dims[1] % value.shape[1] or dims[2] % value.shape[2]:
        return None
    factor = dims[1] // value.shape[1], dims[2] // value.shape[2]
    channels = np.empty((dims[0], *factor), np.int64)
    for p in range(factor[0]):
        for q in range(factor[1]):
            elements = value.elements.reshape(dims)[:, p :: factor[0], q :: factor[1]]
            part = analyse(Value(value.sources, value.shape, (1, *elements.shape), elements[None]))
            if part is None or not part.whole(value.shape) or part.pad != NO_PAD:
                return None
            channels[:, p, q] = part.channels
    return Phases(factor, channels) if factor != (1, 1) else None


def in_order(sources: Sequence[str], shape: tuple[int, int, int], factor: Pair, rank: int) -> Value:
    """A large map whose phases lie one after the other in the channels of a small one of ``shape``."""
    channels, height, width = shape[0] // (factor[0] * factor[1]), shape[1], shape[2]
    places = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(*factor, channels, height, width)
    dims = (1, channels, height * factor[0], width * factor[1])
    elements = places.transpose(2, 3, 0, 4, 1).reshape(dims)
    return Value(tuple(sources), shape, ()).with_elements(elements if rank == 4 else elements.reshape(1, channels, dims[3]))


def host_order(value: Value) -> tuple[tuple, ...] | None:
    """What the host does to put a map of :func:`in_order` in order."""
    found = find_phases(value)
    if found is None:
        return None
    (y, x), (_, height, width) = found.factor, value.shape
    channels = value.shape[0] // (y * x)
    if value.shape[0] != channels * y * x or value.index is None:
        return None
    if not (in_order(value.sources, value.shape, found.factor, 4).elements.reshape(-1) == value.index.reshape(-1)).all():
        return None
    return (("reshape", y, x, channels, height, width), ("transpose", 2, 3, 0, 4, 1), ("reshape", *value.index.shape))


def conv_taps(kernel: int, factor: int, stride: int, pad: int) -> list[Tap]:
    """Taps of one axis of a convolution; ``stride`` divides ``factor``, and ``factor / stride`` phases remain."""
    return [(q, k, stride * q + k - pad) for q in range(factor // stride) for k in range(kernel)]


def transposed_taps(kernel: int, factor: int, stride: int, pad: int) -> list[Tap]:
    """Taps of one axis of a transposed convolution, whose output has ``factor * stride`` phases."""
    return [(q, k, (q + pad - k) // stride) for q in range(factor * stride) for k in range(kernel) if (q + pad - k) % stride == 0]


@dataclass(frozen=True, eq=False)
class PhaseConv:
    """A convolution in phases: weights over the small map, the padding (before, after) of its two axes (y, x)."""

    weight: np.ndarray
    pads: tuple[Pair, Pair]


def phase_weights(weight: np.ndarray, phases: Phases, inputs: int, taps: tuple[list[Tap], list[Tap]], factor: Pair, sizes: Pair,
                  positions: Pair) -> PhaseConv:  # fmt: skip
    """The convolution of a small map of ``inputs`` channels and ``sizes`` (H, W) that computes ``factor`` output phases at ``positions``.

    ``weight`` is (O, C, Kh, Kw) over the large map's channels.
    """
    begin, spans = [], []
    for axis in (0, 1):
        moves = [t // phases.factor[axis] for *_, t in taps[axis]]
        first = min(0, *moves)
        length = max(moves) - first + 1
        # No padding behind is negative: a kernel that is too short gets zeros.
        begin.append(first)
        spans.append(max(length, sizes[axis] - first - positions[axis] + 1))
    filters = weight.shape[0]
    whole = np.zeros((*factor, filters, inputs, *spans), np.float32)
    for q_y, k_y, t_y in taps[0]:
        for q_x, k_x, t_x in taps[1]:
            (d_y, p_y), (d_x, p_x) = divmod(t_y, phases.factor[0]), divmod(t_x, phases.factor[1])
            into = whole[q_y, q_x, :, :, d_y - begin[0], d_x - begin[1]]
            read = phases.channels[:, p_y, p_x]
            kept = read >= 0
            for channel, numbers in zip(read[kept], weight[:, kept, k_y, k_x].T, strict=True):
                into[:, channel] += numbers
    pads = tuple((-begin[axis], positions[axis] + spans[axis] - 1 + begin[axis] - sizes[axis]) for axis in (0, 1))
    return PhaseConv(whole.reshape(factor[0] * factor[1] * filters, inputs, *spans), (pads[0], pads[1]))


def dense(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weights (O, I/groups, Kh, Kw) of a grouped convolution over all input channels, with zeros between groups."""
    if groups == 1:
        return weight
    filters, per_group = weight.shape[0] // groups, weight.shape[1]
    whole = np.zeros((weight.shape[0], per_group * groups, *weight.shape[2:]), np.float32)
    for group in range(groups):
        rows = slice(group * filters, (group + 1) * filters)
        whole[rows, group * per_group : (group + 1) * per_group] = weight[rows]
    return whole
