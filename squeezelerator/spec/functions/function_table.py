"""Function tables: how the machine computes a function of one 16-bit number, bit by bit.

A function is piecewise linear over ``SEGMENTS`` segments of ``2**segment`` codes each, which lie around zero; the first and the last one
go on to the ends of the range. Segment ``i`` has a 16-bit ``slope`` and a 32-bit ``offset``::

    i = clamp(x >> segment, -128, 127) + 128
    y = sat16((slope[i] * x + offset[i] + round) >> shift)        round = 1 << (shift - 1), 0 if shift is 0

This is the definition for the golden model and the functional model of the machine; the hardware computes the same in gates
(:mod:`rtl.postprocess.functions`).
"""

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_SEGMENT_BITS", "MAX_SHIFT", "SEGMENTS", "TABLES", "look_up", "segment_of"]

#: Segments of a table.
SEGMENTS = 256
#: Tables that the machine holds at the same time.
TABLES = 2
#: Largest ``segment``: then the segments cover all codes.
MAX_SEGMENT_BITS = 8
#: Largest ``shift``.
MAX_SHIFT = 31


def segment_of(x: npt.NDArray[np.int64], segment: int) -> npt.NDArray[np.int64]:
    """Number of the segment, 0 to ``SEGMENTS`` - 1, in which each 16-bit value lies."""
    return np.clip(x >> segment, -SEGMENTS // 2, SEGMENTS // 2 - 1) + SEGMENTS // 2


def look_up(x: npt.NDArray[np.int64], table: npt.NDArray[np.int64], segment: int, shift: int) -> npt.NDArray[np.int64]:
    """The function's values, before they are saturated to 16 bits.

    Parameters
    ----------
    x : numpy.ndarray
        int64 values of 16 bits.
    table : numpy.ndarray
        int64 (2, SEGMENTS): slopes, offsets.
    segment : int
        A segment spans ``2**segment`` codes.
    shift : int
        0 to ``MAX_SHIFT``.
    """
    at = segment_of(x, segment)
    value = table[0][at] * x + table[1][at]
    return (value + (1 << (shift - 1) if shift > 0 else 0)) >> shift
