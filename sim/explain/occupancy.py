"""How much of the on-chip buffers holds something that is still needed, over time."""

from dataclasses import dataclass

import numpy as np

from squeezelerator.spec.isa import STORE, UNITS
from squeezelerator.spec.program import Program
from squeezelerator.spec.verification.footprint import Footprints
from squeezelerator.timing.kernel import Timeline

__all__ = ["Occupancy", "occupancy"]


@dataclass(frozen=True)
class Occupancy:
    """Rows in use in equal stretches of time.

    ``cycles`` : first cycle of each stretch. ``activations``, ``weights`` : most rows in use within it. ``act_rows``, ``weight_rows`` :
    how many there are. ``row_bytes`` : bytes of a row on chip.
    """

    cycles: np.ndarray
    activations: np.ndarray
    weights: np.ndarray
    act_rows: int
    weight_rows: int
    row_bytes: int


class _Rows:
    """Rows of both buffers, each with the stretch of time for which its present contents are needed."""

    def __init__(self, rows: int, cycles: int) -> None:
        self.first = np.full(rows, -1)
        self.last = np.zeros(rows, np.int64)
        self.was_read = np.zeros(rows, bool)
        #: Change of the number of rows in use, by cycle and buffer.
        self.changes = np.zeros((2, cycles + 2), np.int64)

    def _close(self, chosen: np.ndarray, split: int) -> None:
        """The contents of the rows with the numbers ``chosen`` are not needed any more."""
        for buffer, part in enumerate((chosen[chosen < split], chosen[chosen >= split])):
            np.add.at(self.changes[buffer], self.first[part], 1)
            np.add.at(self.changes[buffer], self.last[part] + 1, -1)

    def write(self, rows: np.ndarray, begin: int, end: int, split: int) -> None:
        """An instruction accepted in cycle ``begin`` and retired in ``end`` writes ``rows``. What was read before is over then; what was
        not is taken to be another part of the same (lanes of a row are written by several DRAINs)."""
        over = rows[self.was_read[rows]]
        self.last[over] = np.minimum(self.last[over], begin - 1)  # units read ahead of their retirement
        self._close(over, split)
        fresh = rows[self.was_read[rows] | (self.first[rows] < 0)]
        self.first[fresh] = begin
        self.was_read[fresh] = False
        self.last[rows] = end

    def read(self, rows: np.ndarray, end: int) -> None:
        """An instruction that retires in cycle ``end`` reads ``rows``."""
        self.was_read[rows] = True
        self.last[rows] = np.maximum(self.last[rows], end)

    def close(self, split: int) -> None:
        """The program is over."""
        self._close(np.flatnonzero(self.first >= 0), split)


def _numbers(bits: int, count: int) -> np.ndarray:
    """Numbers of the bits below ``count`` that are set."""
    data = (bits & ((1 << count) - 1)).to_bytes(-(-count // 8), "little")
    return np.flatnonzero(np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little"))


def occupancy(program: Program, timeline: Timeline, *, points: int = 1500) -> Occupancy:
    """Rows in use over the time of a run: from the acceptance of the instruction that writes a row to the retirement of the last that reads
    it. ``points``: stretches of time, at most."""
    cfg, cycles = program.cfg, timeline.cycles
    footprints = Footprints(cfg, program.image, (program.constants_offset, program.constants_offset + len(program.constants)))
    rows = _Rows(cfg.act_rows + cfg.weight_rows, cycles)
    place = [0] * len(UNITS)
    ends = [*timeline.retires[:STORE], timeline.reads]
    for instr in program.instructions:
        if instr.unit is None:
            continue
        number, place[instr.unit] = place[instr.unit], place[instr.unit] + 1
        begin, end = timeline.starts[instr.unit][number], ends[instr.unit][number]
        found = footprints.of(instr)
        rows.read(_numbers(found.read, len(rows.first)), end)
        rows.write(_numbers(found.written, len(rows.first)), begin, end, cfg.act_rows)
    rows.close(cfg.act_rows)
    step = max(1, -(-cycles // points))
    starts = np.arange(0, cycles, step)
    used = np.maximum.reduceat(np.cumsum(rows.changes, axis=1)[:, :cycles], starts, axis=1)
    return Occupancy(starts, used[0], used[1], cfg.act_rows, cfg.weight_rows, 2 * cfg.n)
