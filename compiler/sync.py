"""Pass 8, synchronisation: the tickets that make the parallel machine compute what the program says in order.

Two instructions of different units must be ordered if one writes what the other reads or writes, or if both use the read
(or both the write) port of a sector of the activation buffer. Each instruction gets the latest such earlier instruction of every
unit as a ticket, unless a ticket that it or a predecessor in its queue already has implies it (vector clocks).
"""

import numpy as np

from compiler.emit import ACT, BIAS, DRAM, RF, WEIGHT
from rtl.isa import BY_NAME, DRAIN, POOL, Instruction

_UNITS = 5
#: Tickets compare modulo 65536 with a sign; an older one than this is replaced by a younger one.
_OLDEST = 30000


class _Space:
    """The latest instruction of every unit that read or wrote each cell of a resource: 1, 2, ... within the unit, 0: none."""

    def __init__(self, cells):
        self.read = np.zeros((_UNITS, cells), np.int32)
        self.written = np.zeros((_UNITS, cells), np.int32)


class _Clocks:
    """What each unit knows to have retired when its latest instruction starts, and when any earlier one did."""

    def __init__(self):
        self.now = np.zeros((_UNITS, _UNITS), np.int64)
        self.at_start = [[] for _ in range(_UNITS)]

    def start(self, unit, need):
        """Tickets {unit: count} for an instruction with needs ``need`` (5,), and remember what it then knows."""
        wanted = {}
        for other in range(_UNITS):
            if need[other] > self.now[unit][other]:
                count = max(int(need[other]), len(self.at_start[other]) - _OLDEST)
                wanted[other] = min(count, len(self.at_start[other]))
        tickets = {}
        for other, count in wanted.items():
            implied = any(self.at_start[third][n - 1][other] >= count for third, n in wanted.items() if third != other)
            if not implied:
                tickets[other] = count
        known = self.now[unit].copy()
        for other, count in tickets.items():
            np.maximum(known, self.at_start[other][count - 1], out=known)
            known[other] = max(known[other], count)
        self.now[unit] = known
        self.at_start[unit].append(known)
        return tickets


def synchronise(steps, cfg, mem_bytes, make=Instruction):
    """The :class:`~rtl.isa.Instruction` list of ``steps``, END included, with tickets.

    ``make(op, fields, tickets)`` builds one; trials that only need these three pass something lighter.
    """
    sector_rows, bus_bytes = cfg.sector_rows, cfg.bus_bytes
    spaces = {
        ACT: _Space(cfg.act_rows), WEIGHT: _Space(cfg.weight_rows), BIAS: _Space(cfg.bias_rows), RF: _Space(2),
        DRAM: _Space(mem_bytes // cfg.bus_bytes + 1),
    }  # fmt: skip
    ports = _Space(cfg.sectors)
    clocks, issued, program = _Clocks(), [0] * _UNITS, []
    for step in steps:
        unit = BY_NAME[step.op].unit
        need = np.zeros(_UNITS, np.int64)
        own = 0
        issued[unit] += 1
        now = issued[unit]
        cells = {"read": [], "written": []}
        for how, spans in (("read", step.reads), ("written", step.writes)):
            sectors = set()
            for kind, low, high in spans:
                if kind == ACT:
                    sectors.update(range(low // sector_rows, (high - 1) // sector_rows + 1))
                if kind == DRAM:
                    low, high = low // bus_bytes, high // bus_bytes
                space = spaces[kind]
                written = space.written[:, low:high].max(axis=1)
                np.maximum(need, written, out=need)
                if how == "read":
                    # A unit's own writes are not in the buffer yet when its next instruction starts to read.
                    own = max(own, int(written[unit]))
                else:
                    np.maximum(need, space.read[:, low:high].max(axis=1), out=need)
                cells[how].append((getattr(space, how), low, high))
            for sector in sectors:
                users = getattr(ports, how)
                np.maximum(need, users[:, sector], out=need)
                cells[how].append((users, sector, sector + 1))
        need[unit] = own if unit in (DRAIN, POOL) else 0
        for table, low, high in (*cells["read"], *cells["written"]):
            table[unit, low:high] = now
        program.append(make(step.op, dict(step.fields), clocks.start(unit, need)))
    program.append(make("END", {}, {unit: count for unit, count in enumerate(issued) if count}))
    return program
