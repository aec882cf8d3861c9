"""The tiling search: what is the best way to run operations as one group, and what does it cost?

:class:`TilingSearch` answers for a context (which maps are in the buffer, which stay) and a number of free rows. The answer is remembered
by shape: networks repeat their blocks.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence

from squeezelerator.compiler.cost.group_timeline import GroupTimeline, GroupTraffic
from squeezelerator.compiler.cost.lower_bound import lower_bound
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.channel_schedule import (
    ChannelSchedule,
    channel_stretches,
    fit_slots,
    is_applicable,
    slot_shape,
    transfer_rows,
)
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.line_schedule import LineParameters, LineSchedule, ScheduleTooLong
from squeezelerator.compiler.fusion.op_costs import OpCosts
from squeezelerator.compiler.fusion.schedule_cache import ScheduleCache
from squeezelerator.compiler.fusion.tiling import ScheduleSpec, Tiling
from squeezelerator.compiler.fusion.weight_traffic import WeightTraffic
from squeezelerator.compiler.ir.graph import Graph, Op, Tensor
from squeezelerator.compiler.ir.group_schedule import GroupSchedule, Slots, StepKind, TileRate
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.mapping.weight_plan import WeightPlan
from squeezelerator.compiler.search_config import SearchConfig
from squeezelerator.compiler.tuning import COST, TILING
from squeezelerator.spec.constants.dma import store_fifo_rows
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig


def _quotients(counts: Iterable[int], divisors: Iterable[int]) -> set[int]:
    """All quotients, rounded up."""
    return {-(-count // divisor) for count, divisor in itertools.product(counts, divisors)}


class TilingSearch:
    """Finds the best :class:`~compiler.fusion.tiling.Tiling` of a group.

    Parameters
    ----------
    graph : Graph
    cfg : spec.machine.MachineConfig
    dataflow : str
        ``"auto"``, ``"os"`` or ``"ws"``.
    config : SearchConfig
    plan_cache : PlanCache
    thorough : bool
        False: as if the budget of the search were spent from the beginning.
    schedules : ScheduleCache or None
        Shared with the searches under other configurations.
    """

    def __init__(self, graph: Graph, cfg: MachineConfig, dataflow: str, config: SearchConfig, plan_cache: PlanCache,
                 thorough: bool = True, schedules: ScheduleCache | None = None) -> None:  # fmt: skip
        self.config, self.thorough, self.cfg, self.dataflow = config, thorough, cfg, dataflow
        self._row_cycles = config.memory.row_cycles(cfg)
        self.costs = OpCosts(graph, cfg, dataflow, config, plan_cache)
        self.weights = WeightTraffic(cfg, self.costs)
        self._plan_cache, self.schedule_cache = plan_cache, schedules or ScheduleCache()
        #: (context, capacity) by shape -> (its tiling, the limit up to which one was looked for).
        self._known: dict[Hashable, tuple[Tiling | None, float]] = {}
        self._min_rows: dict[Hashable, int] = {}
        self._last_context: GroupContext | None = None
        self._last_schedules: dict[ScheduleSpec, LineSchedule] = {}
        self._work = 0 if thorough else config.effort.schedule_steps + 1

    @property
    def budget_spent(self) -> bool:
        """Whether the budget of schedule steps is spent."""
        return self._work > self.config.effort.schedule_steps

    # -- answers ----------------------------------------------------------------------------------------------

    def best(self, context: GroupContext, capacity: int, limit: float = math.inf) -> Tiling | None:
        """The best tiling that fits ``capacity`` rows and costs less than ``limit``, or None."""
        key = context.signature(), capacity
        tiling, searched = self._known.get(key, (None, -math.inf))
        if tiling is None and limit > searched:
            tiling = self._search(context, capacity, limit)
            self._known[key] = tiling, limit
        return tiling if tiling is not None and tiling.cost < limit else None

    def best_several(self, context: GroupContext, capacity: int, count: int) -> list[Tiling]:
        """The ``count`` best tilings, best first."""
        found: list[Tiling] = []

        def limit() -> float:
            return sorted(tiling.cost for tiling in found)[count - 1] if len(found) >= count else math.inf

        for tiling in self._fitting(context, capacity, limit):
            found.append(tiling)  # noqa: PERF402 - what is found so far sets the limit for the rest
        return sorted(found, key=lambda tiling: (tiling.cost, tiling.rows))[:count]

    def min_rows(self, context: GroupContext) -> int:
        """Fewest rows that a group can do with; more than there are if that is not enough."""
        key = context.signature()
        if key not in self._min_rows:
            parts = self._part_counts(context.ops)[-1]
            schedules = self._schedules(context, parts, TILING.compact_orders, lambda: math.inf)
            self._min_rows[key] = min((self.rows(schedule.ring_lines(0)) for _, schedule in schedules), default=self.cfg.act_rows + 1)
        return self._min_rows[key]

    def lower_bound(self, context: GroupContext) -> int:
        """Cycles that no tiling can do without, with every convolution in its better dataflow."""
        return lower_bound(self.cfg, self.costs.best_costs(context.ops), (*context.streamed, *context.stored),
                           self.config.memory)  # fmt: skip

    def schedule(self, context: GroupContext, spec: ScheduleSpec) -> GroupSchedule:
        """The schedule of a tiling."""
        if isinstance(spec.parts, Slots):
            return ChannelSchedule(context, spec.parts, self._channel_cost(context))
        return self._line_schedule(context, spec, spec.parts, math.inf)

    def plan(self, op: Op, schedule: GroupSchedule) -> WeightPlan:
        """The weight plan of a convolution in a schedule."""
        return schedule.plan if isinstance(schedule, ChannelSchedule) else self.costs.cost(op, schedule.rates[op].dataflow).plan

    def rows(self, lines: Mapping[Tensor, int]) -> int:
        """Buffer rows of ring buffers, {root tensor: lines}."""
        return sum(root.blocks(self.cfg.n) * count * root.w for root, count in lines.items())

    # -- schedules --------------------------------------------------------------------------------------------

    def _line_schedule(self, context: GroupContext, spec: ScheduleSpec, parts: int, most: float) -> LineSchedule:
        """The line schedule of ``spec``; raises ScheduleTooLong if that takes more than ``most`` cycles."""
        if self._last_context is not context:
            self._last_context, self._last_schedules = context, {}
        if spec not in self._last_schedules:
            parameters = LineParameters(
                ops=context.ops, rates=self.costs.rates(context.ops, parts), streamed=context.streamed, stored=context.stored,
                live_out=context.live_out, overwrites=context.overwrites(self.cfg.n, spec.overwrite_streamed), run_ahead=spec.run_ahead,
                short_first_step=spec.short_first_step, reload_wait=self.config.reload_wait,
            )  # fmt: skip
            self._last_schedules[spec] = self.schedule_cache.schedule(
                parameters, self.costs.times, self.config.split_first_block, most)
        schedule = self._last_schedules[spec]
        self._work += sum(schedule.step_counts.values())
        return schedule

    def _schedules(self, context: GroupContext, parts: int, orders: Sequence[tuple[int, bool]],
                   most: Callable[[], float]) -> Iterator[tuple[ScheduleSpec, LineSchedule]]:  # fmt: skip
        """Different schedules that cut the maps into ``parts`` parts, without those of more than ``most()`` cycles."""
        choices = {tuple(context.roots(self.cfg.n, streamed_too).items()): streamed_too for streamed_too in (True, False)}
        for run_ahead, short_first_step in orders if len(context.ops) > 1 else ((0, False),):
            for overwrite_streamed in choices.values():
                spec = ScheduleSpec(parts, run_ahead, short_first_step, overwrite_streamed)
                try:
                    yield spec, self._line_schedule(context, spec, parts, most())
                except ScheduleTooLong as error:
                    self._work += error.step_counts
                except CompileError:
                    pass  # no order of lines works with what is overwritten

    def _part_counts(self, ops: Sequence[Op]) -> list[int]:
        """Numbers of parts worth trying, fewest first; those of whole lines, which leave array tiles unfilled, last."""
        height = max(op.out.h for op in ops)
        tiles = self._os_tile_counts(ops)
        if len(ops) > 1:
            full = {height, *_quotients(tiles, TILING.tiles_a_step)}
        else:
            full = {*range(1, TILING.single_parts + 1), *_quotients({*tiles, height}, TILING.single_tiles_a_step)}
        lines = _quotients({height}, self.config.band_heights) if tiles else set()
        return sorted(full) + sorted((-count for count in lines), reverse=True)

    def _os_tile_counts(self, ops: Sequence[Op]) -> set[int]:
        """Numbers of array tiles of the convolutions that run in OS."""
        rates = [(op, self.costs.rate(op, 1)) for op in ops]
        return {-(-op.out.h * rate.units // self.cfg.n) for op, rate in rates if rate.dataflow == Dataflow.OS}

    # -- search -----------------------------------------------------------------------------------------------

    def _search(self, context: GroupContext, capacity: int, limit: float) -> Tiling | None:
        """The best tiling; the search ends when one comes close to the lower bound."""
        best: Tiling | None = None
        near = TILING.near_bound * self.lower_bound(context) + self.costs.energy_cost(self.costs.rates(context.ops, 1))
        # The limit is asked for anew each time: it is the cost of the best so far.
        for tiling in self._fitting(context, capacity, lambda: best.cost if best else limit):  # noqa: B023
            if best is None or (tiling.cost, tiling.rows) < (best.cost, best.rows):
                best = tiling
            if best.cost < near:
                break
        return best if best is not None and best.cost < limit else None

    def _fitting(self, context: GroupContext, capacity: int, limit: Callable[[], float]) -> Iterator[Tiling]:
        """Tilings that fit ``capacity`` rows, the most promising first, without those that certainly cost more than ``limit()``."""
        tiling = self._channel_tiling(context, capacity)
        if tiling and tiling.cost < limit():
            yield tiling
        for least, parts, rates in self._promising(context):
            if least > limit():
                break
            if not self._too_small(context, rates, capacity):
                yield from self._line_tilings(context, capacity, parts, self.costs.energy_cost(rates), limit)

    def _promising(self, context: GroupContext) -> list[tuple[float, int, Mapping[Op, TileRate]]]:
        """(least cost, parts, rates) of every different set of rates, cheapest first."""
        found: dict[Hashable, tuple[float, int, int, Mapping[Op, TileRate]]] = {}
        for parts in self._part_counts(context.ops):
            rates = self.costs.rates(context.ops, parts)
            if (key := tuple(rates.values())) not in found:
                found[key] = self._least_cost(context, rates), len(found), parts, rates
        return [(least, parts, rates) for least, _, parts, rates in sorted(found.values(), key=lambda one: one[:2])]

    def _line_tilings(self, context: GroupContext, capacity: int, parts: int, energy_cost: float,
                      limit: Callable[[], float]) -> Iterator[Tiling]:  # fmt: skip
        for spec, schedule in self._schedules(context, parts, TILING.orders, lambda: limit() - energy_cost):
            if schedule.cycles + COST.step_overhead * sum(schedule.step_counts.values()) + energy_cost > limit():
                continue
            for slack in TILING.slacks:
                lines = schedule.ring_lines(slack)
                if self.rows(lines) <= capacity:
                    # More lines never hurt, so shorter ring buffers need not be tried.
                    yield self._line_tiling(context, spec, schedule, lines, slack)
                    break

    def _too_small(self, context: GroupContext, rates: Mapping[Op, TileRate], capacity: int) -> bool:
        """Whether even the lines that single steps read and write exceed ``capacity`` rows."""
        lines: dict[Tensor, int] = {}
        for op in context.ops:
            quantum = min(op.out.h, -(-rates[op].quantum // rates[op].units))
            lines[op.out] = max(lines.get(op.out, 0), quantum)
            for tensor in op.parts:
                lines[tensor] = max(lines.get(tensor, 0), min(tensor.h, (quantum - 1) * op.stride[0] + 1))
        roots = context.roots(self.cfg.n, True)
        return self.rows({t: count for t, count in lines.items() if t not in context.live_in and t not in roots}) > capacity

    # -- costs ------------------------------------------------------------------------------------------------

    @staticmethod
    def _cost(cycles: float, steps: int, beat_cost: float, energy_cost: float) -> float:
        """The cost of a tiling."""
        return cycles + COST.step_overhead * steps + beat_cost + energy_cost

    def _least_cost(self, context: GroupContext, rates: Mapping[Op, TileRate]) -> float:
        """What a tiling with these rates costs at least: the busiest of array, pool unit and bus."""
        work = {True: 0, False: 0}
        counts: dict[Op, int] = {}
        for op in context.ops:
            units, quantum, dataflow = rates[op]
            counts[op], rest = divmod(op.out.h * units, quantum)
            work[op.is_conv] += counts[op] * self.costs.times(op, dataflow, quantum).work
            if rest:
                work[op.is_conv] += self.costs.times(op, dataflow, rest).work
                counts[op] += 1
        moved = sum(t.rows(self.cfg.n) for t in (*context.streamed, *context.stored))
        rows = moved + self.weights.rows(context.ops, rates, counts)
        beat_cost = self.config.weights.beat * rows * self.cfg.row_beats
        return self._cost(max(*work.values(), rows * self._row_cycles), sum(counts.values()), beat_cost, self.costs.energy_cost(rates))

    def _line_tiling(self, context: GroupContext, spec: ScheduleSpec, schedule: LineSchedule, lines: Mapping[Tensor, int],
                     slack: float) -> Tiling:  # fmt: skip
        weights = self.weights.rows(context.ops, schedule.rates, schedule.step_counts)
        moved = sum((step.y1 - step.y0) * step.what.w * step.what.blocks(self.cfg.n)
                    for step in schedule.steps if step.kind is not StepKind.COMPUTE)  # fmt: skip
        cycles, beat_cost = self._time(schedule, lines), self.config.weights.beat * (moved + weights) * self.cfg.row_beats
        cost = self._cost(cycles, sum(schedule.step_counts.values()), beat_cost, self.costs.energy_cost(schedule.rates))
        return Tiling(cost=cost, rows=self.rows(lines), spec=spec, slack=slack, cycles=cycles, compute_cycles=schedule.cycles,
                      array=schedule.array_work, pool=schedule.pool_work, dram_rows=moved, weight_rows=weights)  # fmt: skip

    def _time(self, schedule: LineSchedule, lines: Mapping[Tensor, int]) -> int:
        """Cycles of a schedule with ring buffers of so many lines, by the group timeline."""
        resident, memory = self.weights.resident(schedule), self.config.memory
        key = tuple(lines.items()), frozenset(resident), self.config.overlap_transfers
        if key not in schedule.timed:
            weights: dict[Op, tuple[int, int]] = {}
            for op in schedule.ops:
                rows = self.weights.step_rows(op, schedule.rates[op], op in resident) * self._row_cycles if op.is_conv else 0
                weights[op] = (rows, 0) if op in resident else (0, rows)
            traffic = GroupTraffic(
                lambda tensor: tensor.blocks(self.cfg.n) * memory.line_cycles(self.cfg, tensor.w), weights.__getitem__,
                store_fifo_rows(self.cfg) * self._row_cycles, self.config.overlap_transfers, memory.latency + COST.load_way,
            )  # fmt: skip
            schedule.timed[key] = GroupTimeline(schedule, lines, traffic).cycles
        return schedule.timed[key]

    # -- channel schedules ------------------------------------------------------------------------------------

    def _channel_cost(self, context: GroupContext) -> ArrayCost:
        """Array cycles of a convolution whose chunks begin where slots do."""
        (op,) = context.ops
        blocks, _ = slot_shape(op, self.cfg)
        starts = [(part, at) for part, at, _ in channel_stretches(op, context.streamed, self.cfg.n, blocks) if at]
        return self._plan_cache.cost(op, Dataflow.OS, starts, by_channels=True)

    def _channel_tiling(self, context: GroupContext, capacity: int) -> Tiling | None:
        """The tiling of a channel-wise convolution, or None if it is none or does not fit."""
        cfg = self.cfg
        if self.dataflow == "ws" or not is_applicable(context, cfg):
            return None
        (op,), cost = context.ops, self._channel_cost(context)
        slots = fit_slots(context, cost.plan, cfg, capacity)
        if slots is None:
            return None
        schedule = ChannelSchedule(context, slots, cost)
        read, weights = transfer_rows(op, cost.plan, slots, context.streamed, cfg)
        moved = read + sum(t.rows(cfg.n) for t in context.stored)
        beats = (moved + weights) * cfg.row_beats
        first_slot = slots.blocks * slots.lines * op.parts[0].w * self._row_cycles
        cycles = round(COST.channel_wise_factor * max(cost.whole, (moved + weights) * self._row_cycles)) + first_slot
        cycles += cost.of(schedule.rates[op].quantum).tail
        rows = sum(schedule.blocks(root, cfg.n) * lines * root.w for root, lines in schedule.ring_lines(0).items())
        total = self._cost(cycles, len(cost.plan.groups), self.config.weights.beat * beats, self.costs.energy_cost(schedule.rates))
        return Tiling(cost=total, rows=rows, spec=ScheduleSpec(slots), slack=0.0, cycles=cycles, compute_cycles=cost.whole,
                      array=cost.whole, pool=0, dram_rows=moved, weight_rows=weights)  # fmt: skip
