"""Pass 8, synchronisation: the tickets that make the parallel machine compute what the program says in order.

Two instructions of different units must be ordered if one writes what the other reads or writes, or if both use the read
(or both the write) port of a sector of the activation buffer. Each instruction gets the latest such earlier instruction of every
unit as a ticket, unless a ticket that it or a predecessor in its queue already has implies it (vector clocks).

STORE has two entries in the clocks. Who overwrites rows that it reads, or wants its port, waits until it has read them; only a LOAD of
what it has stored waits until that is in DRAM, with the field ``written``.

The latest such instruction is looked for backwards from the unit's last one, only as far as to what is known to have retired:
mostly a few steps. What an instruction touches on the chip is one integer.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

from squeezelerator.compiler.codegen.events import ACT, BIAS, DRAM, RF, WEIGHT
from squeezelerator.compiler.codegen.transfers import Step
from squeezelerator.spec.isa import BY_NAME, DRAIN, LOAD, POOL, STORE, UNITS, WRITTEN, Instruction
from squeezelerator.spec.machine import MachineConfig

#: Tickets compare modulo 65536 with a sign; an older one than this is replaced by a younger one.
_OLDEST = 30000


#: (kind of resource, first, first behind).
_Span = tuple[str, int, int]
#: Intervals of beats in DRAM.
_Beats = list[tuple[int, int]]
#: (bits read, bits written, either, beats read, beats written) by a step; using a port counts as writing it.
_Entry = tuple[int, int, int, _Beats, _Beats]
#: (bits, ports, beats) of a list of intervals.
_Touched = tuple[int, int, _Beats]


class _Layout:
    """Turns intervals into integers with a bit for every row and register-file bank, and for the two ports of every sector."""

    def __init__(self, steps: Sequence[Step], cfg: MachineConfig) -> None:
        self.sectors, self.sector_rows, self.bus_bytes = cfg.sectors, cfg.sector_rows, cfg.bus_bytes
        stored = [span for step in steps for span in step.writes if span[0] == DRAM]
        #: Bytes between which everything lies that is ever stored; nothing has to be ordered because of others.
        self.stored = min((low for _, low, _ in stored), default=0), max((high for *_, high in stored), default=0)
        weight, bias = cfg.act_rows, cfg.act_rows + cfg.weight_rows
        #: First bit of every kind of resource; the ports come behind the two register-file banks.
        self.first = {ACT: 0, WEIGHT: weight, BIAS: bias, RF: bias + cfg.bias_rows}
        self.ports = self.first[RF] + 2
        #: By the identity of lists of intervals: steps share them, and hold them as long as this lives.
        self._known: dict[int, _Touched] = {}

    def touched(self, spans: Sequence[_Span]) -> _Touched:
        """(bits, ports, beats) of (kind, low, high) intervals; ``ports`` has a bit for every sector, ``beats`` are intervals in DRAM."""
        known = self._known.get(id(spans))
        if known is not None:
            return known
        bits, ports, sector_rows = 0, 0, self.sector_rows
        beats: _Beats = []
        for kind, low, high in spans:
            if kind == DRAM:
                if low < self.stored[1] and self.stored[0] < high:
                    beats.append((low // self.bus_bytes, high // self.bus_bytes))
                continue
            bits |= ((1 << high - low) - 1) << self.first[kind] + low
            if kind == ACT:
                first = low // sector_rows
                ports |= ((1 << (high - 1) // sector_rows + 1 - first) - 1) << first
        self._known[id(spans)] = bits, ports, beats
        return bits, ports, beats

    def of(self, step: Step) -> _Entry:
        """What a step touches."""
        sources = step.sources
        read, read_ports, read_beats = self.touched(sources[0]) if sources else (0, 0, [])
        for spans in sources[1:]:
            bits, ports, beats = self.touched(spans)
            read |= bits
            read_ports |= ports
            if beats:
                read_beats = read_beats + beats
        written, write_ports, written_beats = self.touched(step.writes)
        written |= (write_ports << self.sectors | read_ports) << self.ports
        return read, written, read | written, read_beats, written_beats


def _meet(spans: _Beats, others: _Beats) -> bool:
    return bool(spans and others) and any(low < end and start < high for low, high in spans for start, end in others)


class _Past:
    """What the instructions of a unit so far have read and written, in order: entries of :meth:`_Layout.of`."""

    def __init__(self) -> None:
        self.log: list[_Entry] = []

    def latest(self, entry: _Entry, known: int) -> int:
        """Number (1, 2, ...) of the latest instruction after number ``known`` that one with this entry must follow; ``known`` if
        there is none. Of a STORE, that must have read its rows (those of other units do not write to DRAM)."""
        _, written, touched, _, written_beats = entry
        for number in range(len(self.log), known, -1):
            before, changed, _, beats_before, _ = self.log[number - 1]
            if touched & changed or written & before:
                return number
            if written_beats and _meet(written_beats, beats_before):
                return number
        return known

    def latest_stored(self, beats: _Beats, known: int) -> int:
        """The same for a LOAD of these beats and STORE: what has stored them must have been answered."""
        for number in range(len(self.log), known, -1):
            if _meet(beats, self.log[number - 1][4]):
                return number
        return known

    def latest_write(self, read: int, known: int) -> int:
        """The same for an instruction of the same unit: only what it reads must have been written."""
        for number in range(len(self.log), known, -1):
            if self.log[number - 1][1] & read:
                return number
        return known


class _Clocks:
    """What each unit knows to have retired when its latest instruction starts, and when any earlier one did."""

    def __init__(self) -> None:
        self.now: list[list[int]] = [[0] * (len(UNITS) + 1) for _ in UNITS]
        self.at_start: list[list[list[int]]] = [[] for _ in UNITS]
        self.at_start.append(self.at_start[STORE])

    def start(self, unit: int, need: Sequence[int]) -> dict[int, int]:
        """Tickets {entry: count} for an instruction with needs ``need``, one an entry, and remember what it then knows: at most one for
        STORE, which has two entries."""
        now, at_start = self.now[unit], self.at_start
        if all(map(operator.le, need, now)):
            at_start[unit].append(now)
            return {}
        wanted = {u: max(count, len(at_start[u]) - _OLDEST) for u, count in enumerate(need) if count > now[u]}
        if len(wanted) > 1:
            known = [(u, at_start[u][count - 1]) for u, count in wanted.items()]
            tickets = {u: count for u, count in wanted.items() if not any(k[u] >= count for other, k in known if other != u)}
        else:
            tickets = wanted
        if WRITTEN in tickets:
            # What is written has been read.
            tickets[WRITTEN] = max(tickets[WRITTEN], tickets.pop(STORE, 0))
        for other, count in tickets.items():
            now = list(map(max, now, at_start[other][count - 1]))
            now[other] = max(now[other], count)
        now[STORE] = max(now[STORE], now[WRITTEN])
        self.now[unit] = now
        at_start[unit].append(now)
        return tickets


def _needs(unit: int, entry: _Entry, known: list[int], pasts: list[_Past]) -> list[int]:
    """For each entry of the clocks the number of the latest instruction that one of ``unit`` must follow, 0 if there is none."""
    # What is known to have retired need not be looked at.
    need = [0 if other == unit or len(past.log) == known[other] else past.latest(entry, known[other]) for other, past in enumerate(pasts)]
    if unit in (DRAIN, POOL):
        # A unit's own writes are not in the buffer yet when its next instruction starts to read.
        need[unit] = pasts[unit].latest_write(entry[0], known[unit])
    stored = unit == LOAD and entry[3]
    return [*need, pasts[STORE].latest_stored(entry[3], known[WRITTEN]) if stored else 0]


#: {operation: its unit}.
_UNIT_OF = {name: op.unit for name, op in BY_NAME.items() if op.unit is not None}


def _instruction(op: str, fields: dict[str, int], tickets: dict[int, int]) -> Instruction:
    return Instruction(op, dict(fields), tickets)  # it fills in what is missing


def synchronise(steps: Sequence[Step], cfg: MachineConfig,
                make: Callable[[str, dict[str, int], dict[int, int]], Any] = _instruction) -> list[Any]:  # fmt: skip
    """The instructions of ``steps`` with their tickets, END included.

    ``make(op, fields, tickets)`` builds one, a :class:`~spec.isa.Instruction` or, in trials that only need these three, something lighter;
    ``fields`` are those of the step.
    """
    layout, pasts, clocks, program = _Layout(steps, cfg), [_Past() for _ in UNITS], _Clocks(), []
    for step in steps:
        unit, entry = _UNIT_OF[step.op], layout.of(step)
        need = _needs(unit, entry, clocks.now[unit], pasts)
        pasts[unit].log.append(entry)
        fields, tickets = step.fields, clocks.start(unit, need)
        if WRITTEN in tickets:
            fields = dict(fields)
            fields["written"], tickets[STORE] = 1, tickets.pop(WRITTEN)
        program.append(make(step.op, fields, tickets))
    issued = {unit: len(past.log) for unit, past in enumerate(pasts)}
    program.append(make("END", {}, {unit: count for unit, count in issued.items() if count}))
    return program
