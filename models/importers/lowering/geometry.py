"""Windows that move over a map: where they stand, and what a layer's limits make of them.

All pairs are (x, y); padding is (left, top, right, bottom).
"""

from dataclasses import dataclass

from squeezelerator.models.importers.lowering.value import NO_PAD

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]

LARGEST_POOL = 31
"""Widest window of a pool; larger ones become several."""
LARGEST_STRIDE = 4
"""Largest stride, except where there is one position only; larger ones become two steps."""


@dataclass(frozen=True)
class Geometry:
    """How a window moves over a map: ``stride`` and ``dilation`` (x, y), ``pads`` (left, top, right, bottom) around the map."""

    stride: Pair = (1, 1)
    pads: Pads = NO_PAD
    dilation: Pair = (1, 1)


def output_size(size: int, kernel: int, stride: int, before: int, after: int, ceil: bool) -> int:
    """Positions of a window along one axis; in ceil mode the last one begins inside the input or the padding before it."""
    room = size + before + after - kernel
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + before else count


def split_stride(stride: int, count: int) -> Pair | None:
    """``(first, second)`` with the product ``stride``, the first within the limit; ``None`` if it has a prime factor above the limit.

    With one position only, ``count``, every stride is within the limit.
    """
    if stride <= LARGEST_STRIDE or count <= 1:
        return stride, 1
    first = max(step for step in range(1, LARGEST_STRIDE + 1) if stride % step == 0)
    rest = stride // first
    return (first, rest) if first > 1 and split_stride(rest, count) is not None else None


def widen(size: int, kernel: int, stride: int, before: int, count: int) -> Pair:
    """Zeros ``(in front, behind)`` by which a kernel grows so that its padding ``before`` is smaller than it is, and its last of ``count``
    windows begins inside the input or the padding before it."""
    front = max(0, (count - 1) * stride - size - before + 1)
    return front, max(0, before + 1 - kernel)
