"""How a run of operations can be executed as one group: paces, rings and their cost.

:class:`TilingSearch` answers what is the best way to run operations together, given which maps are in the buffer and how many rows are
free. The answer is remembered by shape: networks repeat their blocks.
"""

import dataclasses
import math

from squeezelerator.compiler.cost.energy import onchip_energy
from squeezelerator.compiler.cost.group_timeline import GroupTimeline
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.channel_schedule import (
    ChannelSchedule,
    ChannelSlots,
    channel_stretches,
    fit_slots,
    is_applicable,
    slot_shape,
    transfers,
)
from squeezelerator.compiler.fusion.line_schedule import ScheduleTooLong, TileRate
from squeezelerator.compiler.fusion.schedule_cache import ScheduleCache
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
class Tiling:
    """One way to run a group: what :meth:`TilingSearch.schedule` needs to repeat it, and what it costs.

    ``parts``: into how many parts the maps are cut (see :meth:`TilingSearch.rates`), or the
    :class:`~compiler.fusion.channel_schedule.ChannelSlots` of a channel-wise convolution; ``run_ahead``, ``short_first_step``, ``slack``
    as in ``LineSchedule``; ``overwrite_streamed``: a streamed residual is overwritten by the sum; ``rows``: buffer rows of the ring
    buffers; ``array`` and ``pool``: cycles in which these units work; ``dram_rows`` and ``weight_rows``: rows that cross the bus, none of
    the latter packed.
    """

    cost: float
    rows: int
    parts: int | ChannelSlots
    run_ahead: int
    short_first_step: bool
    overwrite_streamed: bool
    slack: float
    cycles: int
    array: int
    pool: int
    dram_rows: int
    weight_rows: int


class TilingSearch:
    """Finds the best :class:`Tiling` of a group; ``dataflow`` is "auto", "os" or "ws"; without ``thorough`` only the likeliest is tried.

    ``plans`` is the :class:`~compiler.mapping.stream_cache.PlanCache`, ``schedules`` the
    :class:`~compiler.fusion.schedule_cache.ScheduleCache` that searches of one network share.
    """

    def __init__(self, graph, cfg, dataflow, config, plans, thorough=True, schedules=None):
        self.config, self.thorough, self._schedule_cache = config, thorough, schedules or ScheduleCache()
        self.graph, self.cfg, self.dataflow = graph, cfg, dataflow
        self.producers = graph.producers()
        self._plan_cache, self.costs, self._paces, self._energies = plans, {}, {}, {}
        self._known, self._least = {}, {}
        self._last_schedules = None, {}  # walks of the situation looked at last
        self._work = 0 if thorough else config.effort.schedule_steps + 1

    # -- one operation ----------------------------------------------------------------------------------------

    def _cost(self, op, mode):
        if (op, mode) not in self.costs:
            self.costs[op, mode] = self._plan_cache.cost(op, mode, self._cuts(op))
        return self.costs[op, mode]

    def onchip_energy(self, op, mode, steps):
        """Energy on chip of a convolution that is computed in ``steps``, {units: how many such steps}."""
        cost = self._cost(op, mode)
        if (op, mode) not in self._energies:
            self._energies[op, mode] = onchip_energy(cost.plan, self.cfg, self.config.energy_costs)
        computing, weights = self._energies[op, mode]
        return computing + weights * sum(cost.of(units)[2] * count for units, count in steps.items()) // len(cost.plan.groups)

    def _onchip(self, rates):
        """What operations' energy on chip counts beside their cycles, {operation: Pace}."""
        if not self.config.weights.energy:
            return 0
        total = 0
        for op, one in rates.items():
            if op.is_conv:
                steps, rest = divmod(op.out.h * one.units, one.quantum)
                total += self.onchip_energy(op, one.mode, {one.quantum: steps} | ({rest: 1} if rest else {}))
        return self.config.weights.energy * total

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
            if len(op.parts) == 1 and part.c > n and (self.config.split_first_block or not last):
                cuts.append((index, 1))
        return cuts

    def plan(self, op, schedule):
        """The :class:`~compiler.mapping.weight_streams.WeightPlan` of an operation in a walk."""
        return schedule.plan if schedule.slots else self.costs[op, schedule.rates[op].mode].plan

    def _pace(self, op, parts):
        """The ``TileRate`` that takes an operation's map in about ``parts`` parts, in the better dataflow."""
        if not op.is_conv:
            return TileRate(1, -(-op.out.h // abs(parts)))
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
                lower_bound = max(array, self.costs[op, mode].plan.rows * self.cfg.row_beats)
                found.append((lower_bound + self._onchip({op: TileRate(cost.units, quantum, mode)}), mode, cost.units, quantum))
            _, mode, units, quantum = min(found)
            self._paces[op, parts] = TileRate(units, quantum, mode)
        return self._paces[op, parts]

    def _times(self, op, mode, units):
        """(cycles, tail, passes) of so many units of an operation."""
        if op.is_conv:
            return self.costs[op, mode].of(units)
        return op.out.blocks(self.cfg.n) * units * op.out.w * op.kernel[0] * op.kernel[1], _POOL_TAIL, 1

    # -- several ----------------------------------------------------------------------------------------------

    def rates(self, ops, parts):
        """{operation: Pace} that takes every map in about ``parts`` parts, of whole passes; negative: of whole lines."""
        return {op: self._pace(op, parts) for op in ops}

    def _parts(self, ops):
        """Numbers of parts worth trying, fewest first; those of whole lines, which leave passes unfilled, last."""
        height = max(op.out.h for op in ops)
        paces = [self._pace(op, 1) for op in ops]
        passes = {-(-op.out.h * rates.units // self.cfg.n) for op, rates in zip(ops, paces, strict=True) if rates.mode == MODE_OS}
        if len(ops) > 1:
            whole = {height, *(-(-count // k) for count in passes for k in (1, 2))}
        else:
            whole = {*range(1, 9), *(-(-count // k) for count in (*passes, height) for k in (1, 2, 3, 4, 6))}
        lines = {-(-height // count) for count in self.config.band_heights} if passes else set()
        return sorted(whole) + sorted((-count for count in lines), reverse=True)

    def schedule(self, context, parts, run_ahead, short_first_step, overwrite_streamed, most=math.inf):
        """The line or channel schedule of a tiling; raises ScheduleTooLong if that takes more than ``most`` cycles."""
        if isinstance(parts, ChannelSlots):
            return ChannelSchedule(context, parts, self._by_channels(context), _SWITCH)
        key = parts, run_ahead, short_first_step, overwrite_streamed
        if self._last_schedules[0] is not context:
            self._last_schedules = context, {}
        if key not in self._last_schedules[1]:
            schedule = self._schedule_cache.schedule(
                context.ops, self.rates(context.ops, parts), self._times, split_first_block=self.config.split_first_block,
                streamed=context.streamed, stored=context.stored, live_out=context.live_out,
                overwrites=context.overwrites(self.cfg.n, overwrite_streamed), run_ahead=run_ahead, short_first_step=short_first_step,
                switch=_SWITCH, reload_wait=self.config.reload_wait, most=most)  # fmt: skip
            schedule.overwrite_streamed = overwrite_streamed
            self._last_schedules[1][key] = schedule
        schedule = self._last_schedules[1][key]
        self._work += sum(schedule.step_counts.values())
        return schedule

    def _by_channels(self, context):
        """The :class:`~compiler.mapping.array_tiles.ArrayCost` of a convolution whose chunks begin where slots do."""
        (op,) = context.ops
        blocks, _ = slot_shape(op, self.cfg)
        cuts = [(part, at) for part, at, _ in channel_stretches(op, context.streamed, self.cfg.n, blocks) if at]
        return self._plan_cache.cost(op, MODE_OS, cuts)

    def _channel_tiling(self, context, capacity):
        """The :class:`Tiling` to go by channels, or None."""
        cfg = self.cfg
        if self.dataflow == "ws" or not is_applicable(context, cfg):
            return None
        (op,), cost = context.ops, self._by_channels(context)
        slots = fit_slots(context, cost.plan, cfg, capacity)
        if slots is None:
            return None
        schedule = ChannelSchedule(context, slots, cost, _SWITCH)
        read, weights = transfers(op, cost.plan, slots, context.streamed, cfg)
        moved = read + sum(t.rows(cfg.n) for t in context.stored)
        beats = (moved + weights) * cfg.row_beats
        first = slots.blocks * slots.lines * op.parts[0].w * cfg.row_beats
        cycles = round(_BY_CHANNELS * max(cost.whole, beats)) + first + cost.of(schedule.rates[op].quantum)[1]
        rows = sum(schedule.blocks(root, cfg.n) * lines * root.w for root, lines in schedule.ring_lines(0).items())
        total = cycles + _STEP * len(cost.plan.groups) + self.config.weights.beat * beats + self._onchip(schedule.rates)
        return Tiling(cost=total, rows=rows, parts=slots, run_ahead=0, short_first_step=False, overwrite_streamed=False, slack=0.0,
                      cycles=cycles, array=cost.whole, pool=0, dram_rows=moved, weight_rows=weights)  # fmt: skip

    @property
    def budget_spent(self):
        """Whether the budget is spent."""
        return self._work > self.config.effort.schedule_steps

    def rows(self, lines):
        """Buffer rows of rings {root tensor: lines}."""
        return sum(root.blocks(self.cfg.n) * count * root.w for root, count in lines.items())

    def best(self, context, capacity, limit=math.inf):
        """The best :class:`Tiling` that fits ``capacity`` rows and costs less than ``limit``, or None."""
        key = context.signature(), capacity
        tiling, searched = self._known.get(key, (None, -math.inf))
        if tiling is None and limit > searched:
            tiling = self._search(context, capacity, limit)
            self._known[key] = tiling, limit
        return tiling if tiling is not None and tiling.cost < limit else None

    def min_rows(self, context):
        """Fewest rows that a group can do with; more than there are if that is not enough."""
        key = context.signature()
        if key not in self._least:
            parts = self._parts(context.ops)[-1]
            rows = [self.rows(schedule.ring_lines(0)) for schedule in self._schedules(context, parts, ((0, False), (-1, True)))]
            self._least[key] = min(rows, default=self.cfg.act_rows + 1)
        return self._least[key]

    def _schedules(self, context, parts, orders, most=lambda: math.inf):
        """Different walks that cut the maps into ``parts`` parts, without those of more than ``most()`` cycles."""
        shares = {tuple(context.roots(self.cfg.n, overwrite_streamed).items()): overwrite_streamed for overwrite_streamed in (True, False)}
        for run_ahead, short_first_step in orders if len(context.ops) > 1 else ((0, False),):
            for overwrite_streamed in shares.values():
                try:
                    yield self.schedule(context, parts, run_ahead, short_first_step, overwrite_streamed, most())
                except ScheduleTooLong as error:
                    self._work += error.step_counts
                except CompileError:
                    pass  # no order of lines works in place

    def _too_small(self, context, rates, capacity):
        """Whether even the lines that single steps read and write exceed ``capacity`` rows."""
        lines = {}
        for op in context.ops:
            quantum = min(op.out.h, -(-rates[op].quantum // rates[op].units))
            lines[op.out] = max(lines.get(op.out, 0), quantum)
            for tensor in op.parts:
                lines[tensor] = max(lines.get(tensor, 0), min(tensor.h, (quantum - 1) * op.stride[0] + 1))
        roots = context.roots(self.cfg.n, True)
        new = {t: count for t, count in lines.items() if t not in context.live_in and t not in roots}
        return self.rows(new) > capacity

    def _search(self, context, capacity, limit):
        """The best choice; the search ends when one comes close to what the array or the bus need at least."""
        paces = {op: self._pace(op, 1) for op in context.ops}
        best, enough = None, _NEAR * self.lower_bound(context) + self._onchip(paces)
        for tiling in self._fitting(context, capacity, lambda: best.cost if best else limit):
            if best is None or (tiling.cost, tiling.rows) < (best.cost, best.rows):
                best = tiling
            if best.cost < enough:
                break
        return best if best is not None and best.cost < limit else None

    def best_several(self, context, capacity, count):
        """The ``count`` best choices, best first."""
        found = []

        def limit():
            return sorted(c.cost for c in found)[count - 1] if len(found) >= count else math.inf

        for tiling in self._fitting(context, capacity, limit):
            found.append(tiling)
        return sorted(found, key=lambda c: (c.cost, c.rows))[:count]

    def _fitting(self, context, capacity, limit):
        """Choices that fit ``capacity`` rows, the most promising first, without those that certainly cost more than ``limit()``."""
        tiling = self._channel_tiling(context, capacity)
        if tiling and tiling.cost < limit():
            yield tiling
        candidates = {}
        for parts in self._parts(context.ops):
            rates = self.rates(context.ops, parts)
            candidates.setdefault(tuple(rates.values()), (self._at_least(context, rates), len(candidates), parts, rates))
        for min_rows, _, parts, rates in sorted(candidates.values(), key=lambda c: c[:2]):
            if min_rows > limit():
                break
            if self._too_small(context, rates, capacity):
                continue
            onchip = self._onchip(rates)
            for schedule in self._schedules(context, parts, _ORDERS, lambda onchip=onchip: limit() - onchip):
                if schedule.cycles + _STEP * sum(schedule.step_counts.values()) + onchip > limit():
                    continue
                for slack in (1.0, 0.5, 0.0):
                    ring_lines = schedule.ring_lines(slack)
                    if self.rows(ring_lines) <= capacity:
                        # More lines never hurt, so smaller rings need not be tried.
                        yield self._evaluate(context, schedule, ring_lines, parts, slack)
                        break

    def _at_least(self, context, rates):
        """What a choice with these paces costs at least: the busiest of array, pool unit and bus."""
        array = pool = steps = 0
        moved = sum(t.rows(self.cfg.n) for t in (*context.streamed, *context.stored))
        counts = {}
        for op in context.ops:
            total = op.out.h * rates[op].units
            counts[op], rest = divmod(total, rates[op].quantum)
            work = counts[op] * self._times(op, rates[op].mode, rates[op].quantum)[0]
            if rest:
                work += self._times(op, rates[op].mode, rest)[0]
                counts[op] += 1
            steps += counts[op]
            if op.is_conv:
                array += work
            else:
                pool += work
        weights = self._weight_rows(context.ops, {op: rates[op].mode for op in counts}, counts, rates)
        beats = (moved + weights) * self.cfg.row_beats
        return max(array, pool, beats) + _STEP * steps + self.config.weights.beat * beats + self._onchip(rates)

    def lower_bound(self, context):
        """Cycles that no choice can do without."""
        beats = self.cfg.row_beats
        paces = {op: self._pace(op, 1) for op in context.ops if op.is_conv}
        array = sum(self.costs[op, rates.mode].whole for op, rates in paces.items())
        moved = sum(t.rows(self.cfg.n) for t in (*context.streamed, *context.stored))
        weights = sum(self.costs[op, rates.mode].plan.rows for op, rates in paces.items())
        return max(array, (moved + weights) * beats)

    def resident_weights(self, context, schedule):
        """Operations whose weights stay in the weight buffer while the group runs."""
        if schedule.slots:
            return set()
        return self._staying(context.ops, {op: rates.mode for op, rates in schedule.rates.items()}, schedule.step_counts)

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

    def _weight_rows(self, ops, modes, steps, rates):
        """Rows of weights that cross the bus: once for those that stay, otherwise in every step, and the streams that fill the
        buffer alone in every pass."""
        staying, rows = self._staying(ops, modes, steps), 0
        for op in ops:
            if op.is_conv:
                rows += self._step_rows(op, modes[op], rates[op].quantum, op in staying) * (1 if op in staying else steps[op])
        return rows

    def _step_rows(self, op, mode, units, stays):
        """Rows of weights that a step of so many units fetches."""
        plan = self.costs[op, mode].plan
        if stays:
            return plan.rows
        passes = self.costs[op, mode].of(min(units, op.out.h * self.costs[op, mode].units))[2] // len(plan.groups)
        return plan.rows + (passes - 1) * sum(group.rows for group in plan.groups if group.rows > self.cfg.weight_rows * 3 // 4)

    def _time(self, context, schedule, ring_lines):
        """Cycles of a walk with rings of so many lines."""
        beats, staying = self.cfg.row_beats, self.resident_weights(context, schedule)
        key = tuple(ring_lines.items()), frozenset(staying), self.config.overlap_transfers
        if key in schedule.timed:
            return schedule.timed[key]

        def weight_beats(op):
            rows = self._step_rows(op, schedule.rates[op].mode, schedule.rates[op].quantum, op in staying) * beats if op.is_conv else 0
            return (rows, 0) if op in staying else (0, rows)

        weights = {op: weight_beats(op) for op in context.ops}
        line = GroupTimeline(schedule, ring_lines, lambda tensor: tensor.blocks(self.cfg.n) * tensor.w * beats, weights.get,
                        store_fifo_rows(self.cfg) * beats, self.config.overlap_transfers)  # fmt: skip
        schedule.timed[key] = line.cycles
        return line.cycles

    def _evaluate(self, context, schedule, ring_lines, parts, slack):
        modes = {op: rate.mode for op, rate in schedule.rates.items()}
        weights = self._weight_rows(context.ops, modes, schedule.step_counts, schedule.rates)
        moved = sum((step.y1 - step.y0) * step.what.w * step.what.blocks(self.cfg.n)
                    for step in schedule.steps if step.kind != "step")  # fmt: skip
        cycles = self._time(context, schedule, ring_lines)
        cost = cycles + _STEP * sum(schedule.step_counts.values()) + self.config.weights.beat * (moved + weights) * self.cfg.row_beats
        cost += self._onchip(schedule.rates)
        return Tiling(cost=cost, rows=self.rows(ring_lines), parts=parts, run_ahead=schedule.run_ahead,
                      short_first_step=schedule.short_first_step, overwrite_streamed=schedule.overwrite_streamed, slack=slack,
                      cycles=cycles, array=schedule.array_work, pool=schedule.pool_work,
                      dram_rows=moved, weight_rows=weights)  # fmt: skip
