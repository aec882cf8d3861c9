"""Exact timing of a program: dispatch, queues, tickets, memory.

Nothing in the machine can stall a unit once it has an instruction, except the memory port. So every cycle number is the maximum of
earlier ones plus a constant, and it is computed as soon as those are known; only requests to the memory are handled in the order of
time, because they compete.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from squeezelerator.common.errors import UserError
from squeezelerator.spec.constants.units import LATEST_FAULT
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE, UNITS, WRITTEN, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.timing.dma import FetchTiming, LoadTiming, StoreTiming
from squeezelerator.timing.memory import MemoryTiming

__all__ = ["Timeline", "TimingError", "simulate"]

#: The order in which a stall of ARRAY is blamed on the units that it waits for.
BLAME = (LOAD, DRAIN, POOL, STORE)


class TimingError(UserError, ValueError):
    """A program that does not come to its end."""


@dataclasses.dataclass
class Timeline:
    """When everything happened; cycle 0 is the first in which the program runs.

    ``starts``, ``retires`` : for each unit the cycles in which its instructions were accepted and retired.
    ``cycles`` : cycles of the run. ``waits`` : for each ARRAY instruction {counter name: stalled cycles before its acceptance}.
    ``tail`` : cycles after the last ARRAY instruction retired. ``occupied`` : cycles in which ARRAY had an instruction.
    ``fetch_beats`` : beats of instructions read. ``dispatched`` : cycle in which each instruction left FETCH, END included.
    ``tickets`` : for each instruction [(unit or WRITTEN, count)], counts not reduced modulo 65536. ``reads`` : cycle in which each
    STORE had read its rows, which is what tickets of STORE mean.
    """

    starts: list[list[int]]
    retires: list[list[int]]
    cycles: int
    waits: list[dict[str, int]]
    tail: int
    occupied: int
    fetch_beats: int
    dispatched: list[int]
    tickets: list[list[tuple[int, int]]]
    reads: list[int]


class _Kernel:
    def __init__(self, cfg: MachineConfig, program: Sequence[Instruction], units: Mapping[str, Any], *,
                 prog_offset: int, memory: DramProfile) -> None:
        self.cfg = cfg
        self.program = program
        self.memory = timing = MemoryTiming(memory, cfg)
        self.dispatched: list[int] = []
        self.load, self.store = LoadTiming(cfg, timing), StoreTiming(cfg, timing)
        self.fetch = FetchTiming(cfg, timing, offset=prog_offset, count=len(program), dispatched=self.dispatched)
        self.models: list[Any] = [self.load, *(units.get(name) for name in UNITS[ARRAY:STORE]), self.store]
        self.unit_of = [instr.unit for instr in program]
        self.tickets = self._absolute_tickets()
        self.pushed: list[list[int]] = [[] for _ in UNITS]  # instruction numbers by unit, in the order of dispatch
        self.accepts: list[list[int]] = [[] for _ in UNITS]
        self.retires: list[list[int]] = [[] for _ in UNITS]
        self.retires[LOAD], self.retires[STORE] = self.load.retires, self.store.retires
        self.counted = [*self.retires[:STORE], self.store.reads, self.store.retires]  # what tickets count
        self.ready = [0] * len(UNITS)
        self.end = -1  # cycle in which END leaves FETCH; -1: not yet known
        self.array_tickets: list[dict[int, int]] = []  # for each ARRAY instruction: {unit: cycle in which its ticket is satisfied}

    def _absolute_tickets(self) -> list[list[tuple[int, int]]]:
        """Tickets as [(unit or WRITTEN, count)], counts not reduced modulo 65536.

        A count is compared modulo 65536 and with a sign, as the hardware does: one that is 32768 or more behind is one still to come.
        """
        issued = [0] * len(UNITS)
        tickets = []
        for instr in self.program:
            store = WRITTEN if instr.unit is None or (instr.unit == LOAD and instr["written"]) else STORE
            tickets.append([(store if u == STORE else u, issued[u] + ((count - issued[u] + 0x8000) & 0xFFFF) - 0x8000)
                            for u, count in instr.tickets.items()])
            if instr.unit is not None:
                issued[instr.unit] += 1
        return tickets

    def _satisfied(self, index: int) -> int | None:
        """Cycle in which the tickets of instruction ``index`` are satisfied, None if not yet known."""
        latest = 0
        for unit, count in self.tickets[index]:
            if count > 0:
                times = self.counted[unit]
                if count > len(times):
                    return None
                latest = max(latest, times[count - 1] + 1)
        return latest

    def _dispatch(self) -> bool:
        """Dispatch what can be dispatched; True if something was."""
        moved = False
        while self.end < 0:
            index = len(self.dispatched)
            if index == len(self.program):
                raise TimingError("the program has no END")
            t = self.fetch.available(index)
            if t is None:
                break
            if index:
                t = max(t, self.dispatched[-1] + 1)
            unit = self.unit_of[index]
            if unit is None:
                satisfied = self._satisfied(index)
                if satisfied is None:
                    break
                self.end = max(t, satisfied) + LATEST_FAULT
                self.dispatched.append(self.end)
                return True
            waiting = len(self.pushed[unit]) - self.cfg.queue_depth
            if waiting >= 0:
                if waiting >= len(self.accepts[unit]):
                    break
                t = max(t, self.accepts[unit][waiting] + 1)
            self.dispatched.append(t)
            self.pushed[unit].append(index)
            moved = True
        if moved:
            self.fetch.update()
        return moved

    def _accept(self, unit: int) -> bool:
        """Let ``unit`` accept what it can; True if it accepted something."""
        moved = False
        accepts, pushed = self.accepts[unit], self.pushed[unit]
        model = self.models[unit]
        while len(accepts) < len(pushed):
            index = pushed[len(accepts)]
            instr = self.program[index]
            satisfied = self._satisfied(index)
            ready = model.ready if unit in (LOAD, STORE) else self.ready[unit]
            if satisfied is None or ready is None:
                break
            if hasattr(model, "ready_for"):
                ready = max(ready, model.ready_for(instr))
            t = max(self.dispatched[index] + 1, satisfied, ready)
            if accepts:
                t = max(t, accepts[-1] + 1)
            accepts.append(t)
            moved = True
            if unit == ARRAY:
                self.array_tickets.append(
                    {u: self.counted[u][count - 1] + 1 for u, count in self.tickets[index] if count > 0})
            if unit in (LOAD, STORE):
                model.begin(instr, t)
            else:
                self.ready[unit], retire = model.accept(instr, t)
                self.retires[unit].append(retire)
        return moved

    def run(self) -> None:
        """Everything up to the end of the program."""
        read_free = 0  # first cycle in which the arbiter of the readers can accept a request
        while True:
            moved = True
            while moved and self.end < 0:
                moved = self._dispatch()
                for unit in range(len(UNITS)):
                    moved |= self._accept(unit)
            if self.end >= 0:
                return
            source, t = self._next_request(read_free)
            if source is not self.store:
                read_free = t + 1
            source.granted(t)

    def _next_request(self, read_free: int) -> tuple[FetchTiming | LoadTiming | StoreTiming, int]:
        """The unit whose request for a burst is accepted next, and in which cycle; readers not before cycle ``read_free``.

        FETCH before LOAD before STORE in the same cycle: the memory takes the read first.
        """
        best, when = None, 0
        for source in (self.fetch, self.load, self.store):
            t = source.pending
            if t is None:
                continue
            if source is not self.store:
                t = max(t, read_free)
            if best is None or t < when:
                best, when = source, t
        if best is None:
            raise TimingError("the program waits for something that never comes")
        return best, when

    def stalls(self) -> tuple[list[dict[str, int]], int]:
        """(for each ARRAY instruction {cause: cycles in which ARRAY was empty before it}, empty cycles at the end)."""
        waits = []
        free = 0  # first cycle in which ARRAY is empty
        for index, tickets, retire in zip(self.pushed[ARRAY], self.array_tickets, self.retires[ARRAY], strict=True):
            wait = {}
            at = free
            for cause, until in (("fetch", self.dispatched[index] + 1), *((UNITS[u], tickets.get(u, 0)) for u in BLAME)):
                if until > at:
                    wait[f"stall_{cause}"] = until - at
                    at = until
            waits.append(wait)
            free = max(free, retire + 1)
        return waits, max(0, self.end + 1 - free)


def simulate(cfg: MachineConfig, instructions: Sequence[Instruction], closed: Mapping[str, Any], *, prog_offset: int = 0,
             memory: DramProfile = REFERENCE) -> Timeline:
    """Timing of a program.

    Parameters
    ----------
    cfg : MachineConfig
    instructions : list of Instruction
        The last one is END.
    closed : dict
        Timing objects of the units "array", "drain" and "pool"; those that the program does not use may be left out. Each has
        ``accept(instr, t)`` -> (first cycle ready again, retire), and may have ``ready_for(instr)`` -> first cycle in which it
        can accept this one.
    prog_offset : int
        Byte offset of the first instruction in the program's memory.
    memory : DramProfile

    Returns
    -------
    Timeline

    Raises
    ------
    TimingError
        The program does not come to its end.
    """
    kernel = _Kernel(cfg, instructions, closed, prog_offset=prog_offset, memory=memory)
    kernel.run()
    waits, tail = kernel.stalls()
    cycles = kernel.end + 1
    return Timeline(
        starts=kernel.accepts, retires=kernel.retires, cycles=cycles, waits=waits, tail=tail,
        occupied=cycles - tail - sum(sum(wait.values()) for wait in waits),
        fetch_beats=sum(min(beats, max(0, -(-(cycles - start) // kernel.memory.interval))) for start, beats in kernel.fetch.bursts),
        dispatched=kernel.dispatched, tickets=kernel.tickets, reads=kernel.store.reads)
