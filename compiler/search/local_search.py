"""Local search: the best tilings of a group are compiled by themselves and timed instruction by instruction.

What the closed formulas do not see (ports of sectors, the order of transfers, dependence tokens) decides between tilings that look alike.
Where room is left, ring buffers get more lines than they need.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import NamedTuple, Protocol

from squeezelerator.compiler.fusion.group import Group, GroupPlan
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling import Tiling
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.ir.group_schedule import StepKind
from squeezelerator.compiler.memory.allocate import AllocationError
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.compiler.tuning import COST, LOCAL_SEARCH
from squeezelerator.spec.enums import Dataflow


class Site(Protocol):
    """Where trials place a group's buffers."""

    @property
    def key(self) -> Hashable:
        """Equal for sites that place equal groups in the same way."""
        ...

    def group(self, plan: GroupPlan) -> Group:
        """The group, its buffers allocated; raises AllocationError."""
        ...

    def around(self, group: Group) -> list[Group]:
        """What a trial runs."""
        ...


class _Timed(NamedTuple):
    cycles: int
    plan: GroupPlan


class LocalSearch:
    """Tries the tilings that ``tiling_search`` finds, as long as the budget of its configuration lasts."""

    def __init__(self, tiling_search: TilingSearch) -> None:
        self.tiling_search, self.cfg = tiling_search, tiling_search.cfg
        self.effort = tiling_search.config.effort
        self._known: dict[Hashable, tuple[Tiling, tuple[int, ...]]] = {}
        self._timed = 0 if tiling_search.thorough else self.effort.trial_instructions + 1

    @property
    def spent(self) -> bool:
        """Whether there is nothing left for trials."""
        return self._timed > self.effort.trial_instructions

    def timed(self, trial: Trial) -> int | None:
        """Cycles of a trial, or None if the weights do not fit."""
        found = trial.time()
        if not found:
            return None
        self._timed += found.instructions
        return found.cycles

    def improve(self, context: GroupContext, tiling: Tiling, room: int, site: Site) -> GroupPlan:
        """The best way to run a group in ``room`` rows; ``tiling``: what the formulas find best."""
        key = context.signature(), room, site.key
        if key in self._known:
            plan = self._remembered(context, *self._known[key])
            # Operations that look alike may have other zeros, and then a schedule in another order that wants more lines.
            if all(plan.ring_lines[root] >= least for root, least in plan.schedule.ring_lines(0).items()):
                return plan
        plan = self._search(context, tiling, room, site)
        self._known[key] = plan.tiling, tuple(plan.ring_lines.values())
        return self._remembered(context, *self._known[key])

    def _remembered(self, context: GroupContext, tiling: Tiling, lines: tuple[int, ...]) -> GroupPlan:
        schedule = self.tiling_search.schedule(context, tiling.spec)
        return GroupPlan(context, tiling, schedule, dict(zip(schedule.ring_lines(tiling.slack), lines, strict=True)))

    def _plan(self, context: GroupContext, tiling: Tiling) -> GroupPlan:
        schedule = self.tiling_search.schedule(context, tiling.spec)
        return GroupPlan(context, tiling, schedule, schedule.ring_lines(tiling.slack))

    def _wider(self, lines: Mapping[Tensor, int], more: int, room: int) -> dict[Tensor, int]:
        """Ring buffers with ``more`` lines each, as far as there is room, the smallest first."""
        lines = dict(lines)
        for root in sorted(lines, key=lambda t: t.blocks(self.cfg.n) * t.w):
            for _ in range(more):
                wider = lines | {root: min(root.h, lines[root] + 1)}
                if self.tiling_search.rows(wider) <= room:
                    lines = wider
        return lines

    def _search(self, context: GroupContext, tiling: Tiling, room: int, site: Site) -> GroupPlan:
        """The fastest of the best tilings, with wider ring buffers where that helps."""
        plain = self._plan(context, tiling)
        if self.spent or tiling.cycles < LOCAL_SEARCH.good * self.tiling_search.lower_bound(context):
            return plain
        best: _Timed | None = None
        seen: set[Hashable] = set()
        for candidate in (tiling, *self.tiling_search.best_several(context, room, self.effort.tilings_tried)):
            best = self._try(self._plan(context, candidate), room, site, best, seen)
        if best is None:
            return plain
        return best.plan if best.plan.schedule.slots else self._climb(room, site, best).plan

    def _try(self, plan: GroupPlan, room: int, site: Site, best: _Timed | None, seen: set[Hashable]) -> _Timed | None:
        """The better of ``best`` and a tiling with wider and wider ring buffers; ``seen``: what has been timed."""
        cycles: int | None = None
        for more in (0,) if plan.schedule.slots else LOCAL_SEARCH.widenings:
            if best is not None and cycles is not None and cycles > self.effort.widen_within * best.cycles:
                break
            wider = GroupPlan(plan.context, plan.tiling, plan.schedule, self._wider(plan.ring_lines, more, room))
            key = tuple(plan.schedule.steps), tuple(wider.ring_lines.items())
            if key in seen:
                continue
            seen.add(key)
            cycles = self._time(wider, site)
            if cycles is not None and (best is None or cycles < best.cycles):
                best = _Timed(cycles, wider)
        return best

    def _climb(self, room: int, site: Site, best: _Timed) -> _Timed:
        """Hill climbing: give single ring buffers another line, each time where it helps most."""
        for _ in range(LOCAL_SEARCH.climb_rounds):
            found = [_Timed(time, plan) for plan in self._neighbours(best.plan, room)
                     if (time := self._time(plan, site)) is not None and time < LOCAL_SEARCH.climb_gain * best.cycles]  # fmt: skip
            if not found:
                break
            best = min(found, key=lambda timed: timed.cycles)
        return best

    def _neighbours(self, plan: GroupPlan, room: int) -> Iterator[GroupPlan]:
        for root, lines in plan.ring_lines.items():
            wider = plan.ring_lines | {root: lines + 1}
            if lines < root.h and self.tiling_search.rows(wider) <= room:
                yield GroupPlan(plan.context, plan.tiling, plan.schedule, wider)

    def _time(self, plan: GroupPlan, site: Site) -> int | None:
        """Cycles of the group and what the site puts before it, or None if it cannot be allocated or the budget is spent."""
        if self.spent:
            return None
        try:
            groups = site.around(site.group(plan))
        except AllocationError:
            return None
        cycles = self.timed(Trial(groups, self.cfg, self.tiling_search.config.prefetch, self.tiling_search.schedule_cache.trials))
        if cycles is None:
            return None
        # Alone, a group need not empty the array for others; most of what stands around it runs in OS.
        schedule = plan.schedule
        convs = [step.what for step in schedule.steps if step.kind is StepKind.COMPUTE and step.what.is_conv]
        switches = sum(schedule.rates[op].dataflow != Dataflow.OS for op in (*convs[:1], *convs[-1:]))
        return cycles + switches * COST.dataflow_switch
