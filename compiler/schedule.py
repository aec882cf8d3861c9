"""Pass 4, scheduling: which operations run together as a group, in bands of how many lines, and what stays on chip.

A *group* is a run of operations that go over their maps in step, band by band. A map that only the group needs lies in a
*ring* of as many lines as are alive at the same time; a map of which the group reads a copy in DRAM is loaded line by line
into such a ring; one that is kept for later groups lies in the buffer whole. A group of one operation with whole maps is the
simplest case of the same thing.
"""

import dataclasses

from compiler.errors import CompileError, GroupError
from compiler.passes import PlanCost
from compiler.plan import make_plan
from compiler.walk import Pace, Walk
from rtl.isa import ARRAY, DRAIN, LOAD, MODE_OS, MODE_WS, POOL, STORE

#: Cycles from the last step of the pool unit to its result.
_POOL_TAIL = 12
#: Cycles that a step costs beside its work: filling and emptying the pipelines.
_STEP = 15


@dataclasses.dataclass(eq=False)
class Buffer:
    """Rows of the activation buffer for one or more tensors that follow each other in place: a ring of ``lines`` lines.

    ``first`` and ``last`` are the items between which it is alive, ``users`` the (unit, "read" or "write") that touch it;
    ``base`` is set by :mod:`compiler.allocate`.
    """

    tensors: list
    blocks: int
    lines: int
    pitch: int
    first: int = -1
    last: int = -1
    base: int = -1
    users: set = dataclasses.field(default_factory=set)

    @property
    def streamed(self):
        """Whether it is filled from DRAM."""
        return (LOAD, "write") in self.users

    @property
    def plane(self):
        """Rows of one channel block."""
        return self.lines * self.pitch

    @property
    def rows(self):
        """Rows in all."""
        return self.blocks * self.plane

    def __repr__(self):
        return f"{'+'.join(t.name for t in self.tensors)} {self.blocks}x{self.lines}x{self.pitch}@{self.base}"


@dataclasses.dataclass(eq=False)
class Group:
    """Operations that run together, and how: see the module's docstring."""

    ops: list
    band: int = 0
    items: list = dataclasses.field(default_factory=list)
    buffers: dict = dataclasses.field(default_factory=dict)
    plans: dict = dataclasses.field(default_factory=dict)
    resident_weights: set = dataclasses.field(default_factory=set)
    kept: set = dataclasses.field(default_factory=set)
    stored: set = dataclasses.field(default_factory=set)
    streamed: tuple = ()
    cycles: int = 0
    dram_rows: int = 0
    weight_rows: int = 0
    why: str = ""

    @property
    def name(self):
        """First and last operation."""
        return self.ops[0].name if len(self.ops) == 1 else f"{self.ops[0].name}..{self.ops[-1].name}"


@dataclasses.dataclass
class Schedule:
    """The groups in order and all buffers."""

    groups: list
    buffers: list


@dataclasses.dataclass
class _Choice:
    """One way to run a group."""

    cost: float
    cycles: int
    band: int
    items: list
    lines: dict
    roots: dict
    modes: dict
    rows: int
    dram_rows: int
    weight_rows: int
    resident_weights: set


def _users(item):
    """(tensor, unit, "read" or "write") for everything that an item touches."""
    if item.kind != "step":
        return [(item.what, LOAD, "write") if item.kind == "load" else (item.what, STORE, "read")]
    op = item.what
    reader, writer = (ARRAY, DRAIN) if op.is_conv else (POOL, POOL)
    found = [(tensor, reader, "read") for tensor in op.parts] + [(op.out, writer, "write")]
    return found + ([(op.residual, DRAIN, "read")] if op.residual else [])


class Scheduler:
    """Builds the :class:`Schedule`; ``capacity`` is the number of activation rows to use."""

    def __init__(self, graph, cfg, dataflow, groups, capacity):
        self.graph, self.cfg, self.dataflow, self.capacity = graph, cfg, dataflow, capacity
        self.groups = [Group(list(ops)) for ops in groups]
        self.readers = graph.readers()
        self.group_of = {op: i for i, group in enumerate(self.groups) for op in group.ops}
        self.last_group = {t: max((self.group_of[op] for op in ops), default=-1) for t, ops in self.readers.items()}
        self.plans, self.costs, self._least, self._mode = {}, {}, {}, {}
        self.resident = {}

    # -- plans and costs --------------------------------------------------------------------------------------

    def _cost(self, op, mode):
        if (op, mode) not in self.costs:
            self.plans[op, mode] = make_plan(op, self.cfg, mode, self._cuts(op))
            self.costs[op, mode] = PlanCost(self.cfg, self.plans[op, mode])
        return self.costs[op, mode]

    def _cuts(self, op):
        """Where the last channels that each producer computes begin: work on the others need not wait for them."""
        n, cuts = self.cfg.n, []
        producers = {o.out: o for o in self.graph.ops}
        for index, part in enumerate(op.parts):
            producer = producers.get(part)
            if producer is None or not producer.is_conv:
                continue
            last = (-(-part.c // self.cfg.rf) - 1) * self.cfg.rf
            if last > 0 and last % n == 0:
                cuts.append((index, last // n))
        return cuts

    def _best_mode(self, op):
        """The dataflow that computes the whole map faster."""
        if op not in self._mode:
            costs = {}
            for mode in {"os": (MODE_OS,), "ws": (MODE_WS,), "auto": (MODE_OS, MODE_WS)}[self.dataflow]:
                array = self._cost(op, mode).whole
                costs[mode] = max(array, self.plans[op, mode].rows * self.cfg.row_beats), mode
            self._mode[op] = min(costs.values())[1]
        return self._mode[op]

    def _times(self, op, units):
        """(cycles, tail) of so many units of an operation."""
        if op.is_conv:
            return self.costs[op, self._mode[op]].of(units)
        return op.out.blocks(self.cfg.n) * units * op.out.w * op.kernel[0] * op.kernel[1], _POOL_TAIL

    # -- one group --------------------------------------------------------------------------------------------

    def _roots(self, group, resident, kept, share):
        """Tensor -> tensor in whose buffer it is written in place."""
        roots = {}
        index = self.group_of[group.ops[0]]
        for op in group.ops:
            old = op.residual
            if old is None or old in op.parts or self.last_group[old] > index or self.readers[old][-1] is not op:
                continue
            if (old.blocks(self.cfg.n), old.h, old.w) != (op.out.blocks(self.cfg.n), op.out.h, op.out.w) or old in kept:
                continue
            produced_here = any(other.out is old for other in group.ops)
            if old in resident or produced_here or share:
                roots[op.out] = roots.get(old, old)
        return roots

    def _paces(self, ops, fractions=None):
        """{operation: Pace} for groups that take their maps in 1, 2, 3, ... parts, each way once."""
        n, height = self.cfg.n, max(op.out.h for op in ops)
        units = {op: self._cost(op, self._best_mode(op)).units if op.is_conv else 1 for op in ops}
        passes = {op: -(-op.out.h * units[op] // n) for op in ops if op.is_conv and self._mode[op] == MODE_OS}
        if fractions is None:
            fractions = {*range(1, 9), *(-(-height // k) for k in range(1, 7))}
            fractions |= {-(-count // k) for count in passes.values() for k in range(1, 5)}
        seen = set()
        for parts in sorted(fractions):
            pace = {}
            for op in ops:
                lines = -(-op.out.h // parts)
                pace[op] = Pace(units[op], n * -(-passes[op] // parts) if op in passes else lines)
            key = tuple(pace.values())
            if key not in seen:
                seen.add(key)
                yield pace

    def _choices(self, group, resident, kept, capacity, fractions=None):
        """Every :class:`_Choice` of a group that fits ``capacity`` rows beside what is already resident."""
        ops, n = group.ops, self.cfg.n
        produced = {op.out for op in ops}
        index = self.group_of[ops[0]]
        stored = {t for t in produced
                  if t.home in self.graph.outputs or (t not in kept and self.last_group[t] > index)}  # fmt: skip
        streamed = tuple(dict.fromkeys(t for op in ops for t in op.reads if t not in produced and t not in resident))
        seen = set()
        for pace in self._paces(ops, fractions):
            for ahead in (1, 0) if len(ops) > 1 else (0,):
                for share, slack in ((False, True), (True, True), (False, False), (True, False)):
                    roots = self._roots(group, resident, kept, share)
                    try:
                        walk = Walk(ops, pace, self._times, streamed=streamed, stored=stored, kept=kept, roots=roots,
                                    slack=slack, ahead=ahead)  # fmt: skip
                    except CompileError:
                        continue
                    rows = sum(root.blocks(n) * lines * root.w for root, lines in walk.lines.items())
                    key = (tuple(pace.values()), walk.cycles, tuple(walk.lines.values()), slack)
                    if rows <= capacity and key not in seen:
                        seen.add(key)
                        yield self._judge(group, walk, roots, rows, slack)

    def _judge(self, group, walk, roots, rows, slack):
        cfg, steps = self.cfg, {}
        for item in walk.items:
            if item.kind == "step":
                steps[item.what] = steps.get(item.what, 0) + 1
        modes = {op: self._mode[op] for op in group.ops if op.is_conv}
        resident, used, weight_rows = set(), 0, 0
        for op in modes:
            plan_rows = self.plans[op, modes[op]].rows
            if steps[op] > 1 and used + plan_rows <= cfg.weight_rows * (1.0 if len(modes) == 1 else 0.75):
                resident.add(op)
                used += plan_rows
            weight_rows += plan_rows * (1 if op in resident else steps[op])
        moved = sum((item.y1 - item.y0) * item.what.w * item.what.blocks(cfg.n) for item in walk.items if item.kind != "step")
        dram = (moved + weight_rows) * cfg.row_beats
        # Without slack every transfer of activations stands in the way of the next step.
        cost = max(walk.cycles, dram) if slack else max(walk.cycles + moved * cfg.row_beats, dram)
        cost += _STEP * sum(steps.values()) + 0.02 * dram
        tallest = max(group.ops, key=lambda op: op.out.h)
        band = -(-walk.pace[tallest].quantum // walk.pace[tallest].units)
        return _Choice(cost, walk.cycles, band, walk.items, walk.lines, roots, modes, rows, moved, weight_rows, resident)

    def _best(self, group, resident, kept, capacity):
        return min(self._choices(group, resident, kept, capacity), key=lambda c: (c.cost, c.rows), default=None)

    def _least_rows(self, index, resident):
        """Fewest rows that group ``index`` needs beside ``resident`` tensors."""
        group = self.groups[index]
        here = frozenset(t for op in group.ops for t in op.reads if t in resident)
        if (index, here) not in self._least:
            rows = [c.rows for c in self._choices(group, here, frozenset(), 1 << 30, fractions=[1 << 16])]
            self._least[index, here] = min(rows, default=1 << 30)
        return self._least[index, here]

    # -- all groups -------------------------------------------------------------------------------------------

    def _live(self, index, besides=()):
        """Rows of buffers filled before and still needed in group ``index``."""
        buffers = {id(b): b for t, b in self.resident.items() if self.last_group[t] >= index and t not in besides}
        return sum(b.rows for b in buffers.values())

    def _room_later(self, index, tensors):
        """Whether all later groups that pass while ``tensors`` are kept still fit."""
        for later in range(index + 1, max(self.last_group[t] for t in tensors) + 1):
            kept = {t for t in tensors if self.last_group[t] >= later}
            rows = self._live(later) + sum(t.rows(self.cfg.n) for t in kept)
            resident = {t for t in self.resident if self.last_group[t] >= later} | kept
            if rows + self._least_rows(later, resident) > self.capacity:
                return False
        return True

    def run(self):
        """Decide group by group, in order.

        Raises
        ------
        CompileError
            If a group does not fit even a line at a time.
        """
        buffers, offset = [], 0
        for index, group in enumerate(self.groups):
            resident = {t for t in self.resident if self.last_group[t] >= index}
            room = self.capacity - self._live(index)
            kept, best = set(), self._best(group, resident, set(), room)
            for op in group.ops:
                tensor = op.out
                if self.last_group[tensor] <= index or not self._room_later(index, kept | {tensor}):
                    continue
                choice = self._best(group, resident, kept | {tensor}, room)
                saved = 2 * tensor.rows(self.cfg.n) * self.cfg.row_beats
                if choice and (best is None or choice.cost <= best.cost + saved / 4):
                    kept, best = kept | {tensor}, choice
            if best is None:
                least = self._least_rows(index, resident)
                largest = max((op.out for op in group.ops), key=lambda t: t.blocks(self.cfg.n) * t.w)
                raise GroupError(f"layer {group.ops[0].layers[0]}: needs {least} rows of activation buffer beside {self._live(index)} "
                                 f"rows in use, there are {self.capacity}", group, largest)  # fmt: skip
            self._settle(group, index, best, kept, buffers, offset)
            offset += len(group.items)
        return Schedule(self.groups, buffers)

    def _settle(self, group, index, choice, kept, buffers, offset):
        """Write the choice into the group and make its buffers; items are numbered from ``offset``."""
        n = self.cfg.n
        group.band, group.items, group.kept = choice.band, choice.items, kept
        group.plans = {op: self.plans[op, mode] for op, mode in choice.modes.items()}
        group.resident_weights = choice.resident_weights
        group.cycles, group.dram_rows, group.weight_rows = choice.cycles, choice.dram_rows, choice.weight_rows
        group.stored = {item.what for item in choice.items if item.kind == "store"}
        for root, lines in choice.lines.items():
            buffer = Buffer([root], root.blocks(n), lines, root.w)
            group.buffers[root] = buffer
            buffers.append(buffer)
        for op in group.ops:
            for tensor in (*op.reads, op.out):
                if tensor in group.buffers:
                    continue
                root = choice.roots.get(tensor, tensor)
                buffer = group.buffers.get(root) or self.resident[root]
                group.buffers[tensor] = buffer
                if tensor not in buffer.tensors:
                    buffer.tensors.append(tensor)
        for tensor in kept:
            self.resident[tensor] = group.buffers[tensor]
        group.streamed = tuple(dict.fromkeys(item.what for item in group.items if item.kind == "load"))
        for number, item in enumerate(choice.items, offset):
            for tensor, *user in _users(item):
                buffer = group.buffers[tensor]
                buffer.first = number if buffer.first < 0 else buffer.first
                buffer.last = max(buffer.last, number)
                buffer.users.add(tuple(user))


def schedule(graph, cfg, dataflow, groups, capacity):
    """Schedule ``graph`` in ``groups`` (a list of lists of operations) within ``capacity`` activation rows."""
    return Scheduler(graph, cfg, dataflow, groups, capacity).run()
