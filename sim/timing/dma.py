"""Timing of FETCH, LOAD and STORE: when they ask for bursts and what follows from the memory's answers.

See rtl/fetch.py, rtl/dma_load.py, rtl/dma_store.py and rtl/axi.py: a request made in cycle t is accepted by the memory in t + 1.
"""

from collections import deque

from rtl.dma_params import FETCH_DEPTH, STORE_FIFO_ROWS, fetch_burst_beats, instruction_beats
from rtl.isa import INSTRUCTION_BYTES

from .memory import cut_bursts

__all__ = ["FetchTiming", "LoadTiming", "StoreTiming"]


class FetchTiming:
    """Prefetch of a program of ``count`` instructions at byte ``offset``."""

    def __init__(self, cfg, memory, count, offset):
        self.memory = memory
        self.beats = instruction_beats(cfg)
        self.bursts = deque(cut_bursts(offset, count * self.beats, 1, 0, max_beats=fetch_burst_beats(cfg),
                                       bus_bytes=INSTRUCTION_BYTES // self.beats))
        self.arrivals = []  # cycle of each instruction's last beat
        self.partial = 0
        self.room = FETCH_DEPTH * self.beats
        self.returns = deque()  # cycles of dispatches whose room is not yet counted
        self.earliest = 1

    def _settle(self, cycle):
        while self.returns and self.returns[0] < cycle:
            self.returns.popleft()
            self.room += self.beats

    def wants(self, cycle):
        """Whether a request is made in this cycle."""
        self._settle(cycle)
        return bool(self.bursts) and cycle >= self.earliest and self.room >= self.bursts[0]

    def ask(self, cycle):
        """Make the request; instructions whose last beat is in the burst get their arrival."""
        beats = self.bursts.popleft()
        self.room -= beats
        self.earliest = cycle + 1
        start, _ = self.memory.serve(cycle + 1, beats)
        for beat in range(start, start + beats):
            self.partial += 1
            if self.partial == self.beats:
                self.partial = 0
                self.arrivals.append(beat)

    def dispatched(self, cycle):
        """An instruction has left in ``cycle``; returns the cycle in which a request has become possible, or None."""
        self.returns.append(cycle)
        return cycle + 1 if self.bursts else None

    def next_request(self, cycle):
        """The next cycle in which a request is possible as far as is known, or None."""
        return cycle + 1 if self.wants(cycle + 1) else None


class LoadTiming:
    """Bursts of LOAD; one instruction asks at a time, answers of several may be on their way."""

    def __init__(self, cfg, memory):
        self.cfg, self.memory = cfg, memory
        self.bursts = deque()
        self.flying = deque()  # last beats of the bursts in flight

    def accept(self, instr, cycle):
        """Begin an instruction."""
        cfg = self.cfg
        self.bursts = deque(cut_bursts(instr["dram"], instr["rows"] * cfg.row_beats, instr["lines"], instr["dram_pitch"],
                                       max_beats=cfg.burst_beats, bus_bytes=cfg.bus_bytes))

    def blocked_until(self, cycle):
        """The first cycle, ``cycle`` or later, in which a burst may be asked for."""
        while self.flying and self.flying[0] < cycle:
            self.flying.popleft()
        return cycle if len(self.flying) < self.cfg.outstanding else self.flying[0] + 1

    def ask(self, cycle):
        """Ask for the next burst; returns the retire cycle if it was the instruction's last, else None."""
        _, last = self.memory.serve(cycle + 1, self.bursts[0])
        self.bursts.popleft()
        self.flying.append(last)
        return None if self.bursts else last + 1


class StoreTiming:
    """Bursts of STORE and the reads of the buffer that feed them."""

    def __init__(self, cfg, memory):
        self.cfg, self.memory = cfg, memory
        self.bursts = deque()
        self.flying = deque()  # cycles of the responses
        self.left = deque([-1] * STORE_FIFO_ROWS, maxlen=STORE_FIFO_ROWS + 1)  # when the last rows left the FIFO
        self.partial = 0
        self.start = self.rows = self.sent = 0

    def accept(self, instr, cycle):
        """Begin an instruction."""
        cfg = self.cfg
        self.bursts = deque(cut_bursts(instr["dram"], instr["rows"] * cfg.row_beats, instr["lines"], instr["dram_pitch"],
                                       max_beats=cfg.burst_beats, bus_bytes=cfg.bus_bytes))
        self.start, self.rows = cycle, instr["rows"] * instr["lines"]

    def blocked_until(self, cycle):
        """The first cycle, ``cycle`` or later, in which a burst may be asked for."""
        while self.flying and self.flying[0] < cycle:
            self.flying.popleft()
        return cycle if len(self.flying) < self.cfg.outstanding else self.flying[0] + 1

    def ask(self, cycle):
        """Ask for the next burst; returns (retire, first cycle ready again) if it was the last, else None."""
        beats = self.bursts.popleft()
        start, last = self.memory.serve(cycle + 1, beats)
        self.flying.append(last + 1)
        size = self.cfg.row_beats
        rows = (self.partial + beats) // size
        first = start + size - 1 - self.partial
        # Only the last rows matter: a row is read when the one STORE_FIFO_ROWS before it has left.
        for row in range(max(0, rows - STORE_FIFO_ROWS - 1), rows):
            self.left.append(first + row * size)
        self.partial = (self.partial + beats) % size
        if self.bursts:
            return None
        read = max(self.start + self.rows, self.left[0] + 1)
        return last + 2, max(cycle, read) + 1
