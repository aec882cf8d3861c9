"""Which weights stay in the weight buffer while a group runs, and how many rows of weights the group fetches."""

from collections.abc import Mapping, Sequence

from squeezelerator.compiler.fusion.op_costs import OpCosts
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.ir.group_schedule import GroupSchedule, TileRate
from squeezelerator.compiler.mapping.weight_plan import leaves_room
from squeezelerator.compiler.tuning import TILING
from squeezelerator.spec.machine import MachineConfig


class WeightTraffic:
    """Weights of groups on the machine ``cfg``, with the weight plans of ``costs``."""

    def __init__(self, cfg: MachineConfig, costs: OpCosts) -> None:
        self.cfg, self.costs = cfg, costs

    def resident(self, schedule: GroupSchedule) -> set[Op]:
        """Operations whose weights stay in the weight buffer while the group runs."""
        if schedule.slots:
            return set()
        return self.resident_of(schedule.ops, schedule.rates, schedule.step_counts)

    def resident_of(self, ops: Sequence[Op], rates: Mapping[Op, TileRate], step_counts: Mapping[Op, int]) -> set[Op]:
        """As :meth:`resident` for operations that take so many steps: the first that fit beside what passes through."""
        convs = [op for op in ops if op.is_conv]
        plans = {op: self.costs.cost(op, rates[op].dataflow).plan for op in convs}
        resident: set[Op] = set()
        used = 0
        for op in convs:
            if step_counts[op] == 1 or plans[op].rows > self.cfg.weight_rows:
                continue
            # What passes through needs room for the chunk in use and the next ones.
            passing = max((plans[o].largest for o in convs if o is not op and o not in resident), default=0)
            if used + plans[op].rows + TILING.passing_chunks * passing <= self.cfg.weight_rows:
                resident.add(op)
                used += plans[op].rows
        return resident

    def rows(self, ops: Sequence[Op], rates: Mapping[Op, TileRate], step_counts: Mapping[Op, int]) -> int:
        """Rows of weights that cross the bus: once for those that stay, otherwise in every step, and the streams that fill the buffer
        alone for every array tile."""
        resident, rows = self.resident_of(ops, rates, step_counts), 0
        for op in ops:
            if op.is_conv:
                rows += self.step_rows(op, rates[op], op in resident) * (1 if op in resident else step_counts[op])
        return rows

    def step_rows(self, op: Op, rate: TileRate, resident: bool) -> int:
        """Rows of weights that a step of a convolution fetches."""
        cost = self.costs.cost(op, rate.dataflow)
        plan = cost.plan
        if resident:
            return plan.rows
        tiles = cost.of(min(rate.quantum, op.out.h * cost.units)).tiles // len(plan.groups)
        return plan.rows + (tiles - 1) * sum(group.rows for group in plan.groups if not leaves_room(group.rows, self.cfg))
