"""Exact timing of a whole program: FETCH, the queues with their tickets, and the five units.

An event is "unit u may do something in cycle t"; events are handled in the order of time, requests to the memory within a cycle in the
order FETCH, LOAD, STORE, which is the order in which the memory accepts them. Cycle 0 is the first cycle in which the program runs.
"""

import dataclasses
import heapq

from rtl.isa import ARRAY, DRAIN, LOAD, POOL, STORE, UNITS

from .dma import FetchTiming, LoadTiming, StoreTiming
from .memory import ReferenceMemory

__all__ = ["Timeline", "simulate"]

#: Order in which events of one cycle are handled; requests to memory last and in the order in which it accepts them.
_DISPATCH, _ACCEPT, _FETCH, _LOAD, _STORE = range(5)
#: Causes for which ARRAY waits, the first that applies counts.
_CAUSES = (LOAD, DRAIN, POOL, STORE)
#: A unit that asks for bursts cannot accept before the last of them; then it is known when.
_NEVER = 1 << 60


@dataclasses.dataclass
class Timeline:
    """When everything happened.

    ``starts``, ``retires`` : for each unit the cycles in which its instructions were accepted and retired.
    ``cycles`` : cycles of the run. ``waits`` : for each ARRAY instruction {counter name: stalled cycles before its acceptance}.
    ``tail`` : cycles after the last ARRAY instruction retired. ``occupied`` : cycles in which ARRAY had an instruction.
    """

    starts: list
    retires: list
    cycles: int
    waits: list
    tail: int
    occupied: int


class _Simulation:
    def __init__(self, cfg, instructions, closed, latency, prog_offset):
        self.cfg = cfg
        self.instructions = instructions
        self.memory = ReferenceMemory(latency)
        self.events = []
        self.load = LoadTiming(cfg, self.memory)
        self.store = StoreTiming(cfg, self.memory)
        self.fetch = FetchTiming(cfg, self.memory, len(instructions), prog_offset)
        self.closed = {ARRAY: closed["array"], DRAIN: closed["drain"], POOL: closed["pool"]}
        count = len(UNITS)
        self.queues = [[] for _ in range(count)]  # (instruction, cycle of its push), in order
        self.heads = [0] * count
        self.ready = [0] * count
        self.starts = [[] for _ in range(count)]
        self.retires = [[] for _ in range(count)]
        self.waiters = [{} for _ in range(count)]  # retired count -> units that wait for it to be known
        self.dispatched = 0
        self.end_since = 0
        self.blocked = None  # unit whose full queue stops the dispatch
        self.bus_read = -1  # last cycle in which a read request was accepted
        self.waits = []
        self.finish = None

    def at(self, cycle, order, detail=0):
        heapq.heappush(self.events, (cycle, order, detail))

    def run(self):
        self.at(1, _FETCH)
        handlers = (self._dispatch, self._accept, self._fetch, self._load, self._store)
        while self.events and self.finish is None:
            cycle, order, detail = heapq.heappop(self.events)
            handlers[order](cycle, detail)
        if self.finish is None:
            raise RuntimeError(f"the program stops after {self.dispatched} of {len(self.instructions)} instructions")
        return self._timeline()

    # -- instructions on their way to the units --------------------------------------------------------------------

    def _fetch(self, cycle, _):
        """FETCH may ask for a burst."""
        if self.fetch.wants(cycle):
            if self.bus_read == cycle:
                raise RuntimeError("two reads in a cycle")
            self.bus_read = cycle
            first = self.dispatched == len(self.fetch.arrivals)
            self.fetch.ask(cycle)
            if first:
                self.at(self.fetch.arrivals[self.dispatched] + 1, _DISPATCH)
        following = self.fetch.next_request(cycle)
        if following is not None:
            self.at(following, _FETCH)

    def _dispatch(self, cycle, _):
        """The oldest instruction fetched goes into its queue, if there is room."""
        number = self.dispatched
        instr = self.instructions[number]
        if instr.unit is None:
            self._end(instr, cycle)
            return
        unit = instr.unit
        if len(self.queues[unit]) - self.heads[unit] >= self.cfg.queue_depth:
            self.blocked = unit
            return
        self.queues[unit].append((instr, cycle))
        if len(self.queues[unit]) - self.heads[unit] == 1:
            self.at(cycle + 1, _ACCEPT, unit)
        self.dispatched += 1
        wake = self.fetch.dispatched(cycle)
        if wake is not None:
            self.at(wake, _FETCH)
        if self.dispatched < len(self.fetch.arrivals):
            self.at(max(cycle, self.fetch.arrivals[self.dispatched]) + 1, _DISPATCH)

    def _end(self, instr, cycle):
        ready = self._tickets(instr, None)
        if ready is None:
            self.end_since = cycle
        else:
            self.finish = max(cycle, ready)

    def _tickets(self, instr, unit):
        """First cycle in which all tickets are satisfied; None (and a waiter, for ``unit``) if one is not known yet."""
        ready = 0
        for other, count in instr.tickets.items():
            if count > len(self.retires[other]):
                self.waiters[other].setdefault(count, []).append(unit)
                return None
            if count:
                ready = max(ready, self.retires[other][count - 1] + 1)
        return ready

    def _accept(self, cycle, unit):
        """The oldest instruction of a queue may start."""
        head = self.heads[unit]
        if head >= len(self.queues[unit]):
            return
        instr, pushed = self.queues[unit][head]
        tickets = self._tickets(instr, unit)
        if tickets is None:
            return
        ready = self.closed[ARRAY].ready_for(instr) if unit == ARRAY else self.ready[unit]
        start = max(pushed + 1, tickets, ready)
        if start > cycle:
            if start < _NEVER:
                self.at(start, _ACCEPT, unit)
            return
        self.heads[unit] = head + 1
        self.starts[unit].append(cycle)
        if unit == ARRAY:
            self.waits.append(self._array_waits(instr, pushed, cycle))
        if self.blocked == unit:
            self.blocked = None
            self.at(cycle + 1, _DISPATCH)
        if unit in (LOAD, STORE):
            self.ready[unit] = _NEVER
        if unit == LOAD:
            self.load.accept(instr, cycle)
            self.at(cycle + 1, _LOAD)
        elif unit == STORE:
            self.store.accept(instr, cycle)
            self.at(cycle + self.cfg.read_latency, _STORE)
        else:
            self.ready[unit], retire = self.closed[unit].accept(instr, cycle)
            self._retired(unit, retire)
            self.at(max(self.ready[unit], cycle + 1), _ACCEPT, unit)

    def _retired(self, unit, cycle):
        """The cycle in which the next instruction of ``unit`` retires is known."""
        self.retires[unit].append(cycle)
        for waiting in self.waiters[unit].pop(len(self.retires[unit]), ()):
            if waiting is None:
                self._end(self.instructions[self.dispatched], self.end_since)
            else:
                # What it waits for lies ahead or was just decided; the event finds the right cycle.
                self.at(cycle + 1, _ACCEPT, waiting)

    # -- memory ------------------------------------------------------------------------------------------------------

    def _load(self, cycle, _):
        """LOAD may ask for a burst; FETCH goes before it."""
        if self.bus_read == cycle or self.fetch.wants(cycle):
            self.at(cycle + 1, _LOAD)
            return
        wait = self.load.blocked_until(cycle)
        if wait > cycle:
            self.at(wait, _LOAD)
            return
        self.bus_read = cycle
        done = self.load.ask(cycle)
        if done is None:
            self.at(cycle + 1, _LOAD)
            return
        self.ready[LOAD] = cycle + 1
        self._retired(LOAD, done)
        self.at(cycle + 1, _ACCEPT, LOAD)

    def _store(self, cycle, _):
        """STORE may ask for a burst."""
        wait = self.store.blocked_until(cycle)
        if wait > cycle:
            self.at(wait, _STORE)
            return
        done = self.store.ask(cycle)
        if done is None:
            self.at(cycle + 1, _STORE)
            return
        retire, self.ready[STORE] = done
        self._retired(STORE, retire)
        self.at(self.ready[STORE], _ACCEPT, STORE)

    # -- what ARRAY waited for -----------------------------------------------------------------------------------------

    def _array_waits(self, instr, pushed, accepted):
        """{counter: cycles} between the last instruction's retirement and the acceptance of ``instr``."""
        idle = self.retires[ARRAY][-1] + 1 if self.retires[ARRAY] else 0
        waits = {}

        def count(name, until):
            nonlocal idle
            until = min(until, accepted)
            if until > idle:
                waits[name] = until - idle
                idle = until

        count("stall_fetch", pushed + 1)
        for unit in _CAUSES:
            ticket = instr.tickets.get(unit, 0)
            if ticket:
                count(f"stall_{UNITS[unit]}", self.retires[unit][ticket - 1] + 1)
        return waits

    def _timeline(self):
        occupied, end = 0, -1
        for start, retire in zip(self.starts[ARRAY], self.retires[ARRAY]):
            occupied += max(0, retire - max(start - 1, end))
            end = max(end, retire)
        cycles = self.finish + 1
        return Timeline(self.starts, self.retires, cycles, self.waits, cycles - 1 - end, occupied)


def simulate(cfg, instructions, closed, *, prog_offset=0, latency=100):
    """Timing of a program on the reference memory.

    Parameters
    ----------
    cfg : MachineConfig
    instructions : list of Instruction
        The last one is END.
    closed : dict
        Timing objects of the units "array", "drain" and "pool": ``accept(instr, t)`` gives (first cycle ready again, retire).
    prog_offset : int
        Byte offset of the first instruction in the program's memory.
    latency : int
        Of the memory, cycles.

    Returns
    -------
    Timeline

    Raises
    ------
    RuntimeError
        If the program cannot finish (a ticket that nothing satisfies).
    """
    return _Simulation(cfg, instructions, closed, latency, prog_offset).run()
