"""Pass 8, synchronisation: the tickets that make the parallel machine compute what the program says in order.

Two instructions of different units must be ordered if one writes what the other reads or writes, or if both use the read
(or both the write) port of a sector of the activation buffer. Each instruction gets the latest such earlier instruction of every
unit as a ticket, unless a ticket that it or a predecessor in its queue already has implies it (vector clocks).

The latest such instruction is looked for backwards from the unit's last one, only as far as to what is known to have retired:
mostly a few steps. What an instruction touches on the chip is one integer, a bit for every row or register-file bank.
"""

from compiler.emit import ACT, BIAS, DRAM, RF, WEIGHT
from rtl.isa import BY_NAME, DRAIN, POOL, UNITS, Instruction

_UNITS = range(len(UNITS))
#: Tickets compare modulo 65536 with a sign; an older one than this is replaced by a younger one.
_OLDEST = 30000


class _Touched:
    """What an instruction reads or what it writes: ``bits`` of rows and banks, ``ports`` of sectors, ``beats`` of DRAM."""

    __slots__ = "beats", "bits", "ports"

    def __init__(self, bits=0, ports=0, beats=()):
        self.bits, self.ports, self.beats = bits, ports, beats


class _Layout:
    """Turns intervals into :class:`_Touched`; many instructions touch the same, so that is remembered."""

    def __init__(self, cfg):
        self.sector_rows, self.bus_bytes = cfg.sector_rows, cfg.bus_bytes
        weight, bias = cfg.act_rows, cfg.act_rows + cfg.weight_rows
        #: First bit of every kind of resource.
        self.first = {ACT: 0, WEIGHT: weight, BIAS: bias, RF: bias + cfg.bias_rows}
        self._known = {}

    def touched(self, spans):
        """The :class:`_Touched` of (kind, low, high) intervals."""
        key = tuple(spans)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._look(spans)
        return found

    def _look(self, spans):
        bits, ports, beats = 0, 0, []
        for kind, low, high in spans:
            if kind == DRAM:
                beats.append((low // self.bus_bytes, high // self.bus_bytes))
                continue
            bits |= ((1 << high - low) - 1) << self.first[kind] + low
            if kind == ACT:
                first = low // self.sector_rows
                ports |= ((1 << (high - 1) // self.sector_rows + 1 - first) - 1) << first
        return _Touched(bits, ports, tuple(beats))


def _meet(spans, others):
    return any(low < end and start < high for low, high in spans for start, end in others)


class _Past:
    """What the instructions of a unit so far have read and written, in order."""

    def __init__(self):
        self.reads, self.writes = [], []

    def add(self, reads, writes):
        """The next instruction."""
        self.reads.append(reads)
        self.writes.append(writes)

    def latest(self, reads, writes, known):
        """Number (1, 2, ...) of the latest instruction after number ``known`` that one with these reads and writes must follow;
        ``known`` if there is none."""
        read, written, read_ports, write_ports = reads.bits, writes.bits, reads.ports, writes.ports
        read_beats, written_beats = reads.beats, writes.beats
        touched = read | written
        for number in range(len(self.reads), known, -1):
            before, changed = self.reads[number - 1], self.writes[number - 1]
            if before.ports & read_ports or changed.ports & write_ports:
                return number
            if touched & changed.bits or written & before.bits:
                return number
            if read_beats and changed.beats and _meet(read_beats, changed.beats):
                return number
            if written_beats and (_meet(written_beats, before.beats) or _meet(written_beats, changed.beats)):
                return number
        return known

    def latest_write(self, reads, known):
        """The same for an instruction of the same unit: only what it reads must have been written."""
        for number in range(len(self.writes), known, -1):
            if self.writes[number - 1].bits & reads.bits:
                return number
        return known


class _Clocks:
    """What each unit knows to have retired when its latest instruction starts, and when any earlier one did."""

    def __init__(self):
        self.now = [[0] * len(UNITS) for _ in UNITS]
        self.at_start = [[] for _ in UNITS]

    def start(self, unit, need):
        """Tickets {unit: count} for an instruction with needs ``need``, one a unit, and remember what it then knows."""
        now, wanted = self.now[unit], {}
        for other in _UNITS:
            if need[other] > now[other]:
                issued = len(self.at_start[other])
                wanted[other] = min(max(need[other], issued - _OLDEST), issued)
        tickets = {}
        for other, count in wanted.items():
            if len(wanted) == 1 or not any(
                self.at_start[third][n - 1][other] >= count for third, n in wanted.items() if third != other
            ):
                tickets[other] = count
        if tickets:
            now = now.copy()
            for other, count in tickets.items():
                now = list(map(max, now, self.at_start[other][count - 1]))
                now[other] = max(now[other], count)
            self.now[unit] = now
        self.at_start[unit].append(now)
        return tickets


def synchronise(steps, cfg, make=Instruction):
    """The :class:`~rtl.isa.Instruction` list of ``steps``, END included, with tickets.

    ``make(op, fields, tickets)`` builds one; trials that only need these three pass something lighter.
    """
    layout, pasts, clocks, program = _Layout(cfg), [_Past() for _ in UNITS], _Clocks(), []
    for step in steps:
        unit = BY_NAME[step.op].unit
        reads, writes = layout.touched(step.reads), layout.touched(step.writes)
        known = clocks.now[unit]
        need = [0 if other == unit else pasts[other].latest(reads, writes, known[other]) for other in _UNITS]
        if unit in (DRAIN, POOL):
            # A unit's own writes are not in the buffer yet when its next instruction starts to read.
            need[unit] = pasts[unit].latest_write(reads, known[unit])
        pasts[unit].add(reads, writes)
        program.append(make(step.op, dict(step.fields), clocks.start(unit, need)))
    issued = {unit: len(past.reads) for unit, past in enumerate(pasts)}
    program.append(make("END", {}, {unit: count for unit, count in issued.items() if count}))
    return program
