"""How a run of operations can be executed as one group: paces, rings and their cost.

:class:`Chooser` answers what is the best way to run operations together, given which maps are in the buffer and how many rows are
free. The answer is remembered by shape: networks repeat their blocks.
"""

import dataclasses

from compiler.errors import CompileError
from compiler.passes import PlanCost
from compiler.plan import make_plan
from compiler.walk import Pace, Walk
from rtl.isa import MODE_OS, MODE_WS

#: Cycles from the last step of the pool unit to its result.
_POOL_TAIL = 12
#: Cycles that a step costs beside its work: filling and emptying the pipelines.
_STEP = 15
#: Share of the weight buffer that weights which stay may take when others pass through beside them.
_STAY = 0.75
#: What a beat on the DRAM bus counts when it costs no time: between equals, less traffic wins.
_BEAT = 0.02


@dataclasses.dataclass(frozen=True)
class Choice:
    """One way to run a group: what :meth:`Chooser.walk` needs to repeat it, and what it costs.

    ``parts``: into how many parts the maps are cut; ``ahead``, ``share``, ``slack`` as in :class:`~compiler.walk.Walk` (``share``:
    residuals that are streamed are overwritten in place). ``rows``: buffer rows of the rings; ``dram_rows`` and
    ``weight_rows``: rows that cross the bus.
    """

    cost: float
    rows: int
    parts: int
    ahead: int
    share: bool
    slack: bool
    cycles: int
    dram_rows: int
    weight_rows: int


class Situation:
    """A run of operations and what is known about their maps.

    Parameters
    ----------
    ops : list of compiler.graph.Op
    resident : frozenset of Tensor
        Maps that lie in the buffer whole.
    kept : frozenset of Tensor
        Results that stay there whole.
    stored : frozenset of Tensor
        Results that go to DRAM.
    ending : frozenset of Tensor
        Maps that nobody reads after these operations.
    """

    def __init__(self, ops, resident, kept, stored, ending):
        self.ops, self.kept, self.stored, self.ending = ops, kept, stored, ending
        self.produced = {op.out for op in ops}
        self.readers = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.resident = frozenset(t for t in self.readers if t in resident)
        self.streamed = tuple(t for t in self.readers if t not in self.produced and t not in self.resident)

    def roots(self, n, share):
        """Tensor -> tensor in whose buffer it is written in place."""
        roots = {}
        for op in self.ops:
            old = op.residual
            if old is None or old in op.parts or old in self.kept or old not in self.ending or self.readers[old][-1] is not op:
                continue
            if (old.blocks(n), old.h, old.w) != (op.out.blocks(n), op.out.h, op.out.w):
                continue
            if old in self.resident or old in self.produced or share:
                roots[op.out] = roots.get(old, old)
        return roots

    def signature(self):
        """Equal for situations that differ in names and weights only."""
        index = {}

        def number(tensor):
            return None if tensor is None else index.setdefault(tensor, len(index))

        ops = tuple(
            (op.kind, op.kernel, op.stride, op.pad, op.groups, tuple(map(number, op.parts)), number(op.residual), number(op.out))
            for op in self.ops
        )
        maps = tuple(
            (t.c, t.h, t.w, t in self.resident, t in self.kept, t in self.stored, t in self.ending) for t in index
        )
        return ops, maps


class Chooser:
    """Finds the best :class:`Choice`; ``dataflow`` is "auto", "os" or "ws"."""

    def __init__(self, graph, cfg, dataflow):
        self.graph, self.cfg, self.dataflow = graph, cfg, dataflow
        self.producers = graph.producers()
        self.plans, self.costs, self.modes = {}, {}, {}
        self._known, self._least = {}, {}

    # -- one operation ----------------------------------------------------------------------------------------

    def _cost(self, op, mode):
        if (op, mode) not in self.costs:
            self.plans[op, mode] = make_plan(op, self.cfg, mode, self._cuts(op))
            self.costs[op, mode] = PlanCost(self.cfg, self.plans[op, mode])
        return self.costs[op, mode]

    def _cuts(self, op):
        """Where the last channels that each producer computes begin: work on the others need not wait for them."""
        n, cuts = self.cfg.n, []
        for index, part in enumerate(op.parts):
            producer = self.producers.get(part)
            last = (-(-part.c // self.cfg.rf) - 1) * self.cfg.rf
            if producer is not None and producer.is_conv and last > 0 and last % n == 0:
                cuts.append((index, last // n))
        return cuts

    def mode(self, op):
        """The dataflow that computes the whole map faster."""
        if op not in self.modes:
            costs = []
            for mode in {"os": (MODE_OS,), "ws": (MODE_WS,), "auto": (MODE_OS, MODE_WS)}[self.dataflow]:
                array = self._cost(op, mode).whole
                costs.append((max(array, self.plans[op, mode].rows * self.cfg.row_beats), mode))
            self.modes[op] = min(costs)[1]
        return self.modes[op]

    def plan(self, op):
        """The :class:`~compiler.plan.ConvPlan` in that dataflow."""
        return self.plans[op, self.mode(op)]

    def _units(self, op):
        return self._cost(op, self.mode(op)).units if op.is_conv else 1

    def _times(self, op, units):
        """(cycles, tail) of so many units of an operation."""
        if op.is_conv:
            return self.costs[op, self.modes[op]].of(units)
        return op.out.blocks(self.cfg.n) * units * op.out.w * op.kernel[0] * op.kernel[1], _POOL_TAIL

    # -- several ----------------------------------------------------------------------------------------------

    def pace(self, ops, parts):
        """{operation: Pace} that takes every map in about ``parts`` parts of whole passes."""
        n, pace = self.cfg.n, {}
        for op in ops:
            units = self._units(op)
            if op.is_conv and self.mode(op) == MODE_OS:
                passes = -(-op.out.h * units // n)
                pace[op] = Pace(units, n * -(-passes // parts))
            else:
                pace[op] = Pace(units, -(-op.out.h // parts))
        return pace

    def _parts(self, ops):
        """Numbers of parts worth trying, fewest first."""
        height = max(op.out.h for op in ops)
        passes = {-(-op.out.h * self._units(op) // self.cfg.n) for op in ops if op.is_conv and self.mode(op) == MODE_OS}
        found = {-(-count // k) for count in (*passes, height) for k in (1, 2, 3, 4)}
        found |= {1, 2, 3, 4} if len(ops) > 1 else {*range(1, 9), *(-(-height // k) for k in range(1, 9))}
        return sorted(found)

    def walk(self, situation, parts, ahead, share):
        """The :class:`~compiler.walk.Walk` of a choice."""
        return Walk(situation.ops, self.pace(situation.ops, parts), self._times, streamed=situation.streamed,
                    stored=situation.stored, kept=situation.kept, roots=situation.roots(self.cfg.n, share), ahead=ahead)  # fmt: skip

    def rows(self, lines):
        """Buffer rows of rings {root tensor: lines}."""
        return sum(root.blocks(self.cfg.n) * count * root.w for root, count in lines.items())

    def best(self, situation, capacity):
        """The best :class:`Choice` that fits ``capacity`` rows, or None."""
        found = [choice for choice in self._all(situation) if choice.rows <= capacity]
        return min(found, key=lambda c: (c.cost, c.rows), default=None)

    def least(self, situation):
        """Fewest rows that a group can do with."""
        return min(choice.rows for choice in self._all(situation))

    def _all(self, situation):
        key = situation.signature()
        if key not in self._known:
            self._known[key] = list(self._enumerate(situation))
        return self._known[key]

    def _enumerate(self, situation):
        seen = set()
        roots = {tuple(sorted((t.name, r.name) for t, r in situation.roots(self.cfg.n, share).items())): share
                 for share in (True, False)}  # fmt: skip
        for parts in reversed(self._parts(situation.ops)):
            pace = tuple(self.pace(situation.ops, parts).values())
            if pace in seen:
                continue
            seen.add(pace)
            for ahead in (1, 0) if len(situation.ops) > 1 else (0,):
                for share in roots.values():
                    try:
                        walk = self.walk(situation, parts, ahead, share)
                    except CompileError:
                        continue
                    for slack in (True, False):
                        yield self._judge(situation, walk, parts, ahead, share, slack)

    def stay(self, situation, walk):
        """Operations whose weights stay in the weight buffer while the group runs."""
        staying, used = set(), 0
        convs = [op for op in situation.ops if op.is_conv]
        for op in convs:
            rows = self.plan(op).rows
            if walk.steps[op] > 1 and used + rows <= self.cfg.weight_rows * (1.0 if len(convs) == 1 else _STAY):
                staying.add(op)
                used += rows
        return staying

    def _judge(self, situation, walk, parts, ahead, share, slack):
        beats = self.cfg.row_beats
        staying = self.stay(situation, walk)
        weights = sum(self.plan(op).rows * (1 if op in staying else walk.steps[op]) for op in situation.ops if op.is_conv)
        moved = sum((item.y1 - item.y0) * item.what.w * item.what.blocks(self.cfg.n)
                    for item in walk.items if item.kind != "step")  # fmt: skip
        dram = (moved + weights) * beats
        # Without slack every transfer of activations stands in the way of the next step.
        cost = max(walk.cycles, dram) if slack else max(walk.cycles + moved * beats, dram)
        cost += _STEP * sum(walk.steps.values()) + _BEAT * dram
        return Choice(cost, self.rows(walk.rings(slack)), parts, ahead, share, slack, walk.cycles, moved, weights)
