"""Exact timing of FETCH, LOAD and STORE: when they ask for bursts and when their data comes.

Each of the three is a requester: ``pending`` is the cycle in which it next asks for a burst (None: it does not, or does not know yet), and
the kernel tells it by ``granted`` in which cycle the request was accepted. A request accepted in cycle t is on the bus in t + 1, and the
memory takes it there. The rules are those of rtl/dma/dma_load.py, rtl/dma/dma_store.py and rtl/dma/fetch.py.
"""

import bisect

from squeezelerator.spec.constants.dma import FETCH_DEPTH, PAGE_BYTES, fetch_burst_beats, instruction_beats, load_cycles, store_fifo_rows
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.memory import MemoryTiming

__all__ = ["FetchTiming", "LoadTiming", "StoreTiming", "burst_beats"]


def burst_beats(offset: int, beats: int, *, most: int, beat_bytes: int) -> list[int]:
    """Lengths of the bursts into which ``beats`` beats from byte ``offset`` on are cut."""
    lengths = []
    while beats:
        length = min(beats, most, (PAGE_BYTES - offset % PAGE_BYTES) // beat_bytes)
        lengths.append(length)
        beats -= length
        offset += length * beat_bytes
    return lengths


def _line_bursts(cfg: MachineConfig, instr: Instruction) -> list[int]:
    """Burst lengths of a LOAD or STORE."""
    beats = instr["rows"] * cfg.row_beats
    lengths = []
    for line in range(instr["lines"]):
        offset = (instr["dram"] + line * instr["dram_pitch"]) & 0xFFFFFFFF
        lengths += burst_beats(offset, beats, most=cfg.burst_beats, beat_bytes=cfg.bus_bytes)
    return lengths


class LoadTiming:
    """LOAD. ``begin`` accepts an instruction; after its last grant ``ready`` and a new entry of ``retires`` are known."""

    def __init__(self, cfg: MachineConfig, memory: MemoryTiming) -> None:
        self.cfg = cfg
        self.memory = memory
        self.pending = None
        self.ready = 0
        self.retires = []
        self.lengths = []
        self.next = 0
        self.last_beats = [-1] * cfg.outstanding  # of the newest bursts: only these can still be in flight

    def begin(self, instr: Instruction, t: int) -> None:
        """Accept ``instr`` in cycle ``t``."""
        self.lengths = _line_bursts(self.cfg, instr)
        self.next = 0
        self.ready = None
        self._ask(t + 1)

    def _ask(self, earliest: int) -> None:
        self.pending = max(earliest, self.last_beats[0] + 1)

    def granted(self, t: int) -> None:
        """The request was accepted in cycle ``t``."""
        beats = self.lengths[self.next]
        last = self.memory.serve(t + 1, beats) + (beats - 1) * self.memory.interval
        self.last_beats = [*self.last_beats[1:], last]
        self.next += 1
        if self.next < len(self.lengths):
            self._ask(t + 1)
        else:
            self.pending = None
            self.ready = t + 1
            self.retires.append(last + load_cycles(self.cfg))


class StoreTiming:
    """STORE, as LoadTiming. ``reads`` gets an entry, the cycle of the pulse ``read``, as soon as that is determined: others may go on
    with the buffer before the instruction's last grant."""

    def __init__(self, cfg: MachineConfig, memory: MemoryTiming) -> None:
        self.cfg = cfg
        self.memory = memory
        self.pending = None
        self.ready = 0
        self.retires = []
        self.lengths = []
        self.next = 0
        self.responses = [-1] * cfg.outstanding
        self.firsts, self.starts = [], []  # of every burst: number of its first beat, cycle of it
        self.beats = 0
        self.rows = 0
        self.reads = []
        self.reads_free = 0  # last read of the newest instruction if the FIFO always has room
        self.undetermined = False  # whether its last read still is

    def begin(self, instr: Instruction, t: int) -> None:
        """Accept ``instr`` in cycle ``t``."""
        self.lengths = _line_bursts(self.cfg, instr)
        self.next = 0
        self.ready = None
        rows = instr["rows"] * instr["lines"]
        self.rows += rows
        self.reads_free = t + rows
        self.undetermined = True
        self._last_read()
        self._ask(t + self.cfg.read_latency + 1)

    def _ask(self, earliest: int) -> None:
        self.pending = max(earliest, self.responses[0] + 1)

    def _row_leaves(self, row: int) -> int:
        """Cycle of the last beat of row number ``row``."""
        beat = (row + 1) * self.cfg.row_beats - 1
        burst = bisect.bisect_right(self.firsts, beat) - 1
        return self.starts[burst] + (beat - self.firsts[burst]) * self.memory.interval

    def _last_read(self) -> None:
        """Append to ``reads`` if the instruction's last read is determined and was not before.

        Its last row can be read once the row ``store_fifo_rows`` before it has left; rows leave no faster than they are read, so no earlier
        row is decisive.
        """
        decisive = self.rows - 1 - store_fifo_rows(self.cfg)
        if self.undetermined and (decisive + 1) * self.cfg.row_beats <= self.beats:
            last = self.reads_free if decisive < 0 else max(self.reads_free, self._row_leaves(decisive) + 1)
            self.reads.append(last + 1)
            self.undetermined = False

    def granted(self, t: int) -> None:
        """The request was accepted in cycle ``t``."""
        beats = self.lengths[self.next]
        start = self.memory.serve(t + 1, beats, write=True)
        last = start + (beats - 1) * self.memory.interval
        self.firsts.append(self.beats)
        self.starts.append(start)
        self.beats += beats
        self._last_read()
        self.responses = [*self.responses[1:], last + 1]
        self.next += 1
        if self.next < len(self.lengths):
            self._ask(t + 1)
            return
        self.pending = None
        self.ready = max(t + 1, self.reads[-1])
        self.retires.append(last + 2)


class FetchTiming:
    """FETCH: ``available(i)`` is the first cycle in which instruction i can be dispatched, None if not yet known.

    Parameters
    ----------
    cfg : MachineConfig
    memory : MemoryTiming
    offset, count : int
        The program's byte offset and number of instructions.
    dispatched : list of int
        Cycles of the dispatches so far; the kernel appends to it and then calls ``update``.
    """

    def __init__(self, cfg: MachineConfig, memory: MemoryTiming, *, offset: int, count: int, dispatched: list[int]) -> None:
        self.memory = memory
        self.beats = instruction_beats(cfg)
        self.places = FETCH_DEPTH * self.beats
        self.lengths = burst_beats(offset, count * self.beats, most=fetch_burst_beats(cfg), beat_bytes=cfg.bus_bytes)
        self.dispatched = dispatched
        self.asked = 0
        self.next = 0
        self.earliest = 1
        self.last_beats = []  # of every instruction received or on its way
        self.pending = None
        self.bursts = []  # (cycle of the first beat, beats)
        self.update()

    def update(self) -> None:
        """Look whether the next request's cycle is known now."""
        if self.pending is not None or self.next == len(self.lengths):
            return
        over = self.asked + self.lengths[self.next] - self.places
        needed = max(0, -(-over // self.beats))
        if needed <= len(self.dispatched):
            room = self.dispatched[needed - 1] + 1 if needed else 0
            self.pending = max(self.earliest, room)

    def granted(self, t: int) -> None:
        """The request was accepted in cycle ``t``."""
        beats = self.lengths[self.next]
        start = self.memory.serve(t + 1, beats)
        self.bursts.append((start, beats))
        first = self.asked
        self.asked += beats
        while (len(self.last_beats) + 1) * self.beats <= self.asked:
            self.last_beats.append(start + ((len(self.last_beats) + 1) * self.beats - 1 - first) * self.memory.interval)
        self.next += 1
        self.earliest = t + 1
        self.pending = None
        self.update()

    def available(self, index: int) -> int | None:
        """First cycle in which instruction ``index`` can be dispatched, None if not yet known."""
        return self.last_beats[index] + 1 if index < len(self.last_beats) else None
