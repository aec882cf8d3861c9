"""Function tables from functions: the piecewise linear approximation of :mod:`spec.functions.function_table` that fits best.

Every segment gets the line with the least squared error over its codes, so that it lies on both sides of the function and adds no bias.
How wide the segments are is tried: narrow ones around zero follow a curve more closely, wide ones reach further.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelerator.models.arithmetic.quantised_network import INT16_MAX, INT16_MIN
from squeezelerator.spec.functions.function_table import MAX_SEGMENT_BITS, MAX_SHIFT, SEGMENTS, look_up, segment_of

__all__ = ["FunctionTable", "fit_table"]

_CODES = np.arange(INT16_MIN, INT16_MAX + 1, dtype=np.int64)
#: Small inputs are more frequent than large ones: a code counts in inverse proportion to its magnitude, from this one on.
_FREQUENT = 256
_OFFSET_LIMIT = 2**31 - 1

_Floats = npt.NDArray[np.float64]


class FunctionTable(NamedTuple):
    """int32 (2, 256) slopes and offsets, and the fields ``segment`` and ``shift`` of LOOKUP."""

    table: npt.NDArray[np.int32]
    segment: int
    shift: int


def _lines(at: npt.NDArray[np.int64], wanted: _Floats) -> tuple[_Floats, _Floats, _Floats]:
    """(slopes, means of the codes, means of the function) of the least-squares lines; ``at``: segment of each code."""
    counts = np.maximum(np.bincount(at, minlength=SEGMENTS), 1)
    x, y = (np.bincount(at, values, SEGMENTS) / counts for values in (_CODES, wanted))
    dx, dy = _CODES - x[at], wanted - y[at]
    spread = np.bincount(at, dx * dx, SEGMENTS)
    slopes = np.bincount(at, dx * dy, SEGMENTS) / np.maximum(spread, 1e-9)
    return slopes.astype(np.float64), x, y


def _with_segments(wanted: _Floats, segment: int) -> FunctionTable:
    """The table whose segments span ``2**segment`` codes; ``wanted``: the function's values for all codes, in units of the result."""
    slopes, x, y = _lines(segment_of(_CODES, segment), wanted)
    shift = MAX_SHIFT
    while True:
        # A slope that does not fit even without fractional bits belongs to a jump from one end of the range to the other.
        slope = np.clip(np.rint(slopes * 2.0**shift), INT16_MIN, INT16_MAX)
        offset = np.rint(y * 2.0**shift - slope * x)
        fits = np.abs(slopes).max() * 2.0**shift <= INT16_MAX and np.abs(offset).max() <= _OFFSET_LIMIT
        if fits or shift == 0:
            offset = np.clip(offset, -_OFFSET_LIMIT, _OFFSET_LIMIT)
            return FunctionTable(np.stack([slope, offset]).astype(np.int32), segment, shift)
        shift -= 1


def fit_table(function: Callable[[_Floats], _Floats], frac_in: int, frac_out: int) -> FunctionTable:
    """The best table of a function.

    Parameters
    ----------
    function : callable
        Of float64 values.
    frac_in, frac_out : int
        Fractional bits of its input and result.
    """
    # The result's format holds what calibration has seen: inputs beside that need not be followed.
    values = function((_CODES * 2.0**-frac_in).astype(np.float64))
    wanted = np.clip(values * 2.0**frac_out, 2 * INT16_MIN, 2 * INT16_MAX)
    weight = (np.abs(wanted) <= INT16_MAX) / (np.abs(_CODES) + _FREQUENT)
    exact = np.clip(wanted, INT16_MIN, INT16_MAX)

    def error(found: FunctionTable) -> float:
        values = np.clip(look_up(_CODES, found.table.astype(np.int64), found.segment, found.shift), INT16_MIN, INT16_MAX)
        return float(np.sum(weight * (values - exact) ** 2))

    return min((_with_segments(wanted, segment) for segment in range(MAX_SEGMENT_BITS + 1)), key=error)
