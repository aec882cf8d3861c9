"""How a run of operations can be executed as one group: paces, rings and their cost.

:class:`Chooser` answers what is the best way to run operations together, given which maps are in the buffer and how many rows are
free. The answer is remembered by shape: networks repeat their blocks.
"""

import dataclasses
import math

from squeezelerator.compiler.cost.energy import onchip_energy
from squeezelerator.compiler.cost.group_timeline import Timeline
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.channel_schedule import ChannelWalk, Slots, can_go, slot_shape, slots_for, stretches, transfers
from squeezelerator.compiler.fusion.line_schedule import Pace, TooLong, roots_of
from squeezelerator.compiler.fusion.schedule_cache import Walks
from squeezelerator.spec.dma_timing import store_fifo_rows
from squeezelerator.spec.isa import MODE_OS, MODE_WS

#: Cycles from the last step of the pool unit to its result.
_POOL_TAIL = 12
#: Cycles that a step costs beside its work: filling and emptying the pipelines.
_STEP = 15
#: (ahead, early) that are tried.
_ORDERS = ((0, True), (1, True), (0, False), (-1, True))
#: A choice that costs no more than this times what is unavoidable ends the search.
_NEAR = 1.04
#: Cycles that a change of dataflow costs: the array empties.
_SWITCH = 45
#: By what factor a convolution that goes by channels takes longer than its array's work or its transfers.
_BY_CHANNELS = 1.03
#: Chunks for which the weight buffer has room beside weights that stay, where others pass through.
_PASSING = 3


@dataclasses.dataclass(frozen=True)
class Choice:
    """One way to run a group: what :meth:`Chooser.walk` needs to repeat it, and what it costs.

    ``parts``: into how many parts the maps are cut (see :meth:`Chooser.pace`), or the :class:`~compiler.fusion.channel_schedule.Slots` of a
    convolution that goes by channels; ``ahead``, ``early``, ``slack`` as in
    ``Walk``; ``share``: residuals that are streamed are overwritten in place; ``rows``: buffer rows of the
    rings; ``array`` and ``pool``: cycles in which these units work; ``dram_rows`` and ``weight_rows``: rows that cross the bus, none of
    the latter packed.
    """

    cost: float
    rows: int
    parts: int | Slots
    ahead: int
    early: bool
    share: bool
    slack: float
    cycles: int
    array: int
    pool: int
    dram_rows: int
    weight_rows: int


class Situation:
    """A run of operations and what is known about their maps.

    Parameters
    ----------
    ops : list of compiler.ir.graph.Op
    resident : frozenset of Tensor
        Maps that lie in the buffer whole.
    kept : frozenset of Tensor
        Results that stay there whole.
    stored : frozenset of Tensor
        Results that go to DRAM.
    ending : frozenset of Tensor
        Maps that nobody reads after these operations.
    reuse : bool
        Whether results that stay may take the place of maps in the buffer that these operations use up.
    """

    def __init__(self, ops, resident, kept, stored, ending, reuse=False):
        self.ops, self.kept, self.stored, self.ending, self.reuse = ops, kept, stored, ending, reuse
        self.produced = {op.out for op in ops}
        self.readers = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.resident = frozenset(t for t in self.readers if t in resident)
        self.streamed = tuple(t for t in self.readers if t not in self.produced and t not in self.resident)

    def over(self, n, share):
        """Result -> map in whose place it is written: the residual, or with ``reuse`` a map in the buffer that the group uses up."""
        over = {}
        for op in self.ops:
            old = op.residual
            if old is None or old in op.parts or old in self.kept or old not in self.ending or self.readers[old][-1] is not op:
                continue
            if (old.blocks(n), old.h, old.w) != (op.out.blocks(n), op.out.h, op.out.w):
                continue
            if old in self.resident or old in self.produced or share:
                over[op.out] = old
        for op in reversed(self.ops) if self.reuse else ():
            if op.out not in self.kept or op.out in over:
                continue
            for old in self.readers:
                if old in self.resident and old in self.ending and old not in over.values() and self._fits(op, old, n):
                    over[op.out] = old
                    break
        return over

    def _fits(self, op, old, n):
        """Whether the lines of ``op``'s result can take the place of lines of ``old`` as these are used up."""
        out = op.out
        if (old.h, old.w) != (out.h, out.w) or old.blocks(n) < out.blocks(n) or old in op.reads:
            return False
        return self.ops.index(op) > max(self.ops.index(reader) for reader in self.readers[old])

    def roots(self, n, share):
        """Tensor -> tensor in whose buffer it is written in place."""
        return roots_of(self.over(n, share))

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
    """Finds the best :class:`Choice`; ``dataflow`` is "auto", "os" or "ws"; without ``thorough`` the likeliest one; ``plans`` are the
    :class:`~compiler.mapping.stream_cache.Plans` that are known, ``walks`` the :class:`~compiler.fusion.schedule_cache.Walks`."""

    def __init__(self, graph, cfg, dataflow, strategy, plans, thorough=True, walks=None):
        self.strategy, self.thorough, self._walks_known = strategy, thorough, walks or Walks()
        self.graph, self.cfg, self.dataflow = graph, cfg, dataflow
        self.producers = graph.producers()
        self._plans, self.costs, self._paces, self._energies = plans, {}, {}, {}
        self._known, self._least = {}, {}
        self._walked = None, {}  # walks of the situation looked at last
        self._work = 0 if thorough else strategy.effort.walks + 1

    # -- one operation ----------------------------------------------------------------------------------------

    def _cost(self, op, mode):
        if (op, mode) not in self.costs:
            self.costs[op, mode] = self._plans.cost(op, mode, self._cuts(op))
        return self.costs[op, mode]

    def onchip_energy(self, op, mode, steps):
        """Energy on chip of a convolution that is computed in ``steps``, {units: how many such steps}."""
        cost = self._cost(op, mode)
        if (op, mode) not in self._energies:
            self._energies[op, mode] = onchip_energy(cost.plan, self.cfg)
        computing, weights = self._energies[op, mode]
        return computing + weights * sum(cost.of(units)[2] * count for units, count in steps.items()) // len(cost.plan.groups)

    def _onchip(self, pace):
        """What operations' energy on chip counts beside their cycles, {operation: Pace}."""
        if not self.strategy.unit:
            return 0
        total = 0
        for op, one in pace.items():
            if op.is_conv:
                steps, rest = divmod(op.out.h * one.units, one.quantum)
                total += self.onchip_energy(op, one.mode, {one.quantum: steps} | ({rest: 1} if rest else {}))
        return self.strategy.unit * total

    def _cuts(self, op):
        """Where the last channels that each producer computes begin: work on the others need not wait for them. Of a single input
        whose channels are all computed at once that is the second block; of several inputs the first are there anyway."""
        n, cuts = self.cfg.n, []
        for index, part in enumerate(op.parts):
            producer = self.producers.get(part)
            last = (-(-part.c // self.cfg.rf) - 1) * self.cfg.rf
            if producer is None or not producer.is_conv or last % n:
                continue
            if last:
                cuts.append((index, last // n))
            if len(op.parts) == 1 and part.c > n and (self.strategy.fine or not last):
                cuts.append((index, 1))
        return cuts

    def plan(self, op, walk):
        """The :class:`~compiler.mapping.weight_streams.ConvPlan` of an operation in a walk."""
        return walk.plan if walk.slots else self.costs[op, walk.pace[op].mode].plan

    def _pace(self, op, parts):
        """The ``Pace`` that takes an operation's map in about ``parts`` parts, in the better dataflow."""
        if not op.is_conv:
            return Pace(1, -(-op.out.h // abs(parts)))
        if (op, parts) not in self._paces:
            found = []
            for mode in {"os": (MODE_OS,), "ws": (MODE_WS,), "auto": (MODE_OS, MODE_WS)}[self.dataflow]:
                cost = self._cost(op, mode)
                total = op.out.h * cost.units
                if mode == MODE_OS and parts > 0:
                    passes = -(-total // self.cfg.n)
                    quantum = self.cfg.n * -(-passes // parts)
                else:
                    quantum = cost.units * -(-op.out.h // abs(parts))
                steps, rest = divmod(total, quantum)
                array = steps * cost.of(quantum)[0] + (cost.of(rest)[0] if rest else 0)
                bound = max(array, self.costs[op, mode].plan.rows * self.cfg.row_beats)
                found.append((bound + self._onchip({op: Pace(cost.units, quantum, mode)}), mode, cost.units, quantum))
            _, mode, units, quantum = min(found)
            self._paces[op, parts] = Pace(units, quantum, mode)
        return self._paces[op, parts]

    def _times(self, op, mode, units):
        """(cycles, tail, passes) of so many units of an operation."""
        if op.is_conv:
            return self.costs[op, mode].of(units)
        return op.out.blocks(self.cfg.n) * units * op.out.w * op.kernel[0] * op.kernel[1], _POOL_TAIL, 1

    # -- several ----------------------------------------------------------------------------------------------

    def pace(self, ops, parts):
        """{operation: Pace} that takes every map in about ``parts`` parts, of whole passes; negative: of whole lines."""
        return {op: self._pace(op, parts) for op in ops}

    def _parts(self, ops):
        """Numbers of parts worth trying, fewest first; those of whole lines, which leave passes unfilled, last."""
        height = max(op.out.h for op in ops)
        paces = [self._pace(op, 1) for op in ops]
        passes = {-(-op.out.h * pace.units // self.cfg.n) for op, pace in zip(ops, paces, strict=True) if pace.mode == MODE_OS}
        if len(ops) > 1:
            whole = {height, *(-(-count // k) for count in passes for k in (1, 2))}
        else:
            whole = {*range(1, 9), *(-(-count // k) for count in (*passes, height) for k in (1, 2, 3, 4, 6))}
        lines = {-(-height // count) for count in self.strategy.lines} if passes else set()
        return sorted(whole) + sorted((-count for count in lines), reverse=True)

    def walk(self, situation, parts, ahead, early, share, most=math.inf):
        """The :class:`~compiler.fusion.line_schedule.Walk` of a choice; raises TooLong if that takes more than ``most`` cycles."""
        if isinstance(parts, Slots):
            return ChannelWalk(situation, parts, self._by_channels(situation), _SWITCH)
        key = parts, ahead, early, share
        if self._walked[0] is not situation:
            self._walked = situation, {}
        if key not in self._walked[1]:
            walk = self._walks_known.walk(
                situation.ops, self.pace(situation.ops, parts), self._times, fine=self.strategy.fine, streamed=situation.streamed,
                stored=situation.stored, kept=situation.kept, over=situation.over(self.cfg.n, share), ahead=ahead, early=early,
                switch=_SWITCH, wait=self.strategy.wait, most=most)  # fmt: skip
            walk.share = share
            self._walked[1][key] = walk
        walk = self._walked[1][key]
        self._work += sum(walk.steps.values())
        return walk

    def _by_channels(self, situation):
        """The :class:`~compiler.mapping.array_tiles.PlanCost` of a convolution whose chunks begin where slots do."""
        (op,) = situation.ops
        blocks, _ = slot_shape(op, self.cfg)
        cuts = [(part, at) for part, at, _ in stretches(op, situation.streamed, self.cfg.n, blocks) if at]
        return self._plans.cost(op, MODE_OS, cuts)

    def _channelwise(self, situation, capacity):
        """The :class:`Choice` to go by channels, or None."""
        cfg = self.cfg
        if self.dataflow == "ws" or not can_go(situation, cfg):
            return None
        (op,), cost = situation.ops, self._by_channels(situation)
        slots = slots_for(situation, cost.plan, cfg, capacity)
        if slots is None:
            return None
        walk = ChannelWalk(situation, slots, cost, _SWITCH)
        read, weights = transfers(op, cost.plan, slots, situation.streamed, cfg)
        moved = read + sum(t.rows(cfg.n) for t in situation.stored)
        beats = (moved + weights) * cfg.row_beats
        first = slots.blocks * slots.lines * op.parts[0].w * cfg.row_beats
        cycles = round(_BY_CHANNELS * max(cost.whole, beats)) + first + cost.of(walk.pace[op].quantum)[1]
        rows = sum(walk.blocks(root, cfg.n) * lines * root.w for root, lines in walk.rings(0).items())
        total = cycles + _STEP * len(cost.plan.groups) + self.strategy.beat * beats + self._onchip(walk.pace)
        return Choice(cost=total, rows=rows, parts=slots, ahead=0, early=False, share=False, slack=0.0, cycles=cycles, array=cost.whole,
                      pool=0, dram_rows=moved, weight_rows=weights)  # fmt: skip

    @property
    def brief(self):
        """Whether the budget is spent."""
        return self._work > self.strategy.effort.walks

    def rows(self, lines):
        """Buffer rows of rings {root tensor: lines}."""
        return sum(root.blocks(self.cfg.n) * count * root.w for root, count in lines.items())

    def best(self, situation, capacity, limit=math.inf):
        """The best :class:`Choice` that fits ``capacity`` rows and costs less than ``limit``, or None."""
        key = situation.signature(), capacity
        choice, searched = self._known.get(key, (None, -math.inf))
        if choice is None and limit > searched:
            choice = self._search(situation, capacity, limit)
            self._known[key] = choice, limit
        return choice if choice is not None and choice.cost < limit else None

    def least(self, situation):
        """Fewest rows that a group can do with; more than there are if that is not enough."""
        key = situation.signature()
        if key not in self._least:
            parts = self._parts(situation.ops)[-1]
            rows = [self.rows(walk.rings(0)) for walk in self._walks(situation, parts, ((0, False), (-1, True)))]
            self._least[key] = min(rows, default=self.cfg.act_rows + 1)
        return self._least[key]

    def _walks(self, situation, parts, orders, most=lambda: math.inf):
        """Different walks that cut the maps into ``parts`` parts, without those of more than ``most()`` cycles."""
        shares = {tuple(situation.roots(self.cfg.n, share).items()): share for share in (True, False)}
        for ahead, early in orders if len(situation.ops) > 1 else ((0, False),):
            for share in shares.values():
                try:
                    yield self.walk(situation, parts, ahead, early, share, most())
                except TooLong as error:
                    self._work += error.steps
                except CompileError:
                    pass  # no order of lines works in place

    def _too_small(self, situation, pace, capacity):
        """Whether even the lines that single steps read and write exceed ``capacity`` rows."""
        lines = {}
        for op in situation.ops:
            quantum = min(op.out.h, -(-pace[op].quantum // pace[op].units))
            lines[op.out] = max(lines.get(op.out, 0), quantum)
            for tensor in op.parts:
                lines[tensor] = max(lines.get(tensor, 0), min(tensor.h, (quantum - 1) * op.stride[0] + 1))
        roots = situation.roots(self.cfg.n, True)
        new = {t: count for t, count in lines.items() if t not in situation.resident and t not in roots}
        return self.rows(new) > capacity

    def _search(self, situation, capacity, limit):
        """The best choice; the search ends when one comes close to what the array or the bus need at least."""
        paces = {op: self._pace(op, 1) for op in situation.ops}
        best, enough = None, _NEAR * self.bound(situation) + self._onchip(paces)
        for choice in self._fitting(situation, capacity, lambda: best.cost if best else limit):
            if best is None or (choice.cost, choice.rows) < (best.cost, best.rows):
                best = choice
            if best.cost < enough:
                break
        return best if best is not None and best.cost < limit else None

    def several(self, situation, capacity, count):
        """The ``count`` best choices, best first."""
        found = []

        def limit():
            return sorted(c.cost for c in found)[count - 1] if len(found) >= count else math.inf

        for choice in self._fitting(situation, capacity, limit):
            found.append(choice)
        return sorted(found, key=lambda c: (c.cost, c.rows))[:count]

    def _fitting(self, situation, capacity, limit):
        """Choices that fit ``capacity`` rows, the most promising first, without those that certainly cost more than ``limit()``."""
        choice = self._channelwise(situation, capacity)
        if choice and choice.cost < limit():
            yield choice
        candidates = {}
        for parts in self._parts(situation.ops):
            pace = self.pace(situation.ops, parts)
            candidates.setdefault(tuple(pace.values()), (self._at_least(situation, pace), len(candidates), parts, pace))
        for least, _, parts, pace in sorted(candidates.values(), key=lambda c: c[:2]):
            if least > limit():
                break
            if self._too_small(situation, pace, capacity):
                continue
            onchip = self._onchip(pace)
            for walk in self._walks(situation, parts, _ORDERS, lambda onchip=onchip: limit() - onchip):
                if walk.cycles + _STEP * sum(walk.steps.values()) + onchip > limit():
                    continue
                for slack in (1.0, 0.5, 0.0):
                    rings = walk.rings(slack)
                    if self.rows(rings) <= capacity:
                        # More lines never hurt, so smaller rings need not be tried.
                        yield self._judge(situation, walk, rings, parts, slack)
                        break

    def _at_least(self, situation, pace):
        """What a choice with these paces costs at least: the busiest of array, pool unit and bus."""
        array = pool = steps = 0
        moved = sum(t.rows(self.cfg.n) for t in (*situation.streamed, *situation.stored))
        counts = {}
        for op in situation.ops:
            total = op.out.h * pace[op].units
            counts[op], rest = divmod(total, pace[op].quantum)
            work = counts[op] * self._times(op, pace[op].mode, pace[op].quantum)[0]
            if rest:
                work += self._times(op, pace[op].mode, rest)[0]
                counts[op] += 1
            steps += counts[op]
            if op.is_conv:
                array += work
            else:
                pool += work
        weights = self._weight_rows(situation.ops, {op: pace[op].mode for op in counts}, counts, pace)
        beats = (moved + weights) * self.cfg.row_beats
        return max(array, pool, beats) + _STEP * steps + self.strategy.beat * beats + self._onchip(pace)

    def bound(self, situation):
        """Cycles that no choice can do without."""
        beats = self.cfg.row_beats
        paces = {op: self._pace(op, 1) for op in situation.ops if op.is_conv}
        array = sum(self.costs[op, pace.mode].whole for op, pace in paces.items())
        moved = sum(t.rows(self.cfg.n) for t in (*situation.streamed, *situation.stored))
        weights = sum(self.costs[op, pace.mode].plan.rows for op, pace in paces.items())
        return max(array, (moved + weights) * beats)

    def stay(self, situation, walk):
        """Operations whose weights stay in the weight buffer while the group runs."""
        if walk.slots:
            return set()
        return self._staying(situation.ops, {op: pace.mode for op, pace in walk.pace.items()}, walk.steps)

    def _staying(self, ops, modes, steps):
        convs = [op for op in ops if op.is_conv]
        plans = {op: self.costs[op, modes[op]].plan for op in convs}
        candidates = [op for op in convs if steps[op] > 1 and plans[op].rows <= self.cfg.weight_rows]
        staying, used = set(), 0
        for op in candidates:
            # What passes through needs room for the chunk in use and the next ones.
            passing = max((plans[o].largest for o in convs if o is not op and o not in staying), default=0)
            if used + plans[op].rows + _PASSING * passing <= self.cfg.weight_rows:
                staying.add(op)
                used += plans[op].rows
        return staying

    def _weight_rows(self, ops, modes, steps, pace):
        """Rows of weights that cross the bus: once for those that stay, otherwise in every step, and the streams that fill the
        buffer alone in every pass."""
        staying, rows = self._staying(ops, modes, steps), 0
        for op in ops:
            if op.is_conv:
                rows += self._step_rows(op, modes[op], pace[op].quantum, op in staying) * (1 if op in staying else steps[op])
        return rows

    def _step_rows(self, op, mode, units, stays):
        """Rows of weights that a step of so many units fetches."""
        plan = self.costs[op, mode].plan
        if stays:
            return plan.rows
        passes = self.costs[op, mode].of(min(units, op.out.h * self.costs[op, mode].units))[2] // len(plan.groups)
        return plan.rows + (passes - 1) * sum(group.rows for group in plan.groups if group.rows > self.cfg.weight_rows * 3 // 4)

    def _time(self, situation, walk, rings):
        """Cycles of a walk with rings of so many lines."""
        beats, staying = self.cfg.row_beats, self.stay(situation, walk)
        key = tuple(rings.items()), frozenset(staying), self.strategy.hasty
        if key in walk.timed:
            return walk.timed[key]

        def weight_beats(op):
            rows = self._step_rows(op, walk.pace[op].mode, walk.pace[op].quantum, op in staying) * beats if op.is_conv else 0
            return (rows, 0) if op in staying else (0, rows)

        weights = {op: weight_beats(op) for op in situation.ops}
        line = Timeline(walk, rings, lambda tensor: tensor.blocks(self.cfg.n) * tensor.w * beats, weights.get,
                        store_fifo_rows(self.cfg) * beats, self.strategy.hasty)  # fmt: skip
        walk.timed[key] = line.cycles
        return line.cycles

    def _judge(self, situation, walk, rings, parts, slack):
        weights = self._weight_rows(situation.ops, {op: pace.mode for op, pace in walk.pace.items()}, walk.steps, walk.pace)
        moved = sum((item.y1 - item.y0) * item.what.w * item.what.blocks(self.cfg.n)
                    for item in walk.items if item.kind != "step")  # fmt: skip
        cycles = self._time(situation, walk, rings)
        cost = cycles + _STEP * sum(walk.steps.values()) + self.strategy.beat * (moved + weights) * self.cfg.row_beats
        cost += self._onchip(walk.pace)
        return Choice(cost=cost, rows=self.rows(rings), parts=parts, ahead=walk.ahead, early=walk.early, share=walk.share,
                      slack=slack, cycles=cycles, array=walk.array_work, pool=walk.pool_work,
                      dram_rows=moved, weight_rows=weights)  # fmt: skip
