"""Costs of single operations under one search configuration: what the tiling search adds up for groups."""

from collections.abc import Iterable, Mapping

from squeezelerator.compiler.cost.energy import onchip_energy
from squeezelerator.compiler.ir.graph import Graph, Op
from squeezelerator.compiler.ir.group_schedule import StepTime, TileRate
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.mapping.weight_plan import ChunkStart
from squeezelerator.compiler.search_config import SearchConfig
from squeezelerator.compiler.tuning import COST
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig

_DATAFLOWS = {"auto": (Dataflow.OS, Dataflow.WS), "os": (Dataflow.OS,), "ws": (Dataflow.WS,)}


class OpCosts:
    """Times, rates and energy of the operations of a graph.

    Parameters
    ----------
    graph : Graph
    cfg : spec.machine.MachineConfig
    dataflow : str
        ``"auto"``, ``"os"`` or ``"ws"``.
    config : SearchConfig
    plan_cache : PlanCache
    """

    def __init__(self, graph: Graph, cfg: MachineConfig, dataflow: str, config: SearchConfig, plan_cache: PlanCache) -> None:
        self.cfg, self.dataflows = cfg, _DATAFLOWS[dataflow]
        self.config, self.energy_weight, self.plan_cache = config, config.weights.energy, plan_cache
        self.producers = graph.producers()
        self._costs: dict[tuple[Op, Dataflow | None], ArrayCost] = {}
        self._rates: dict[tuple[Op, int], TileRate] = {}
        self._energies: dict[tuple[Op, Dataflow], tuple[float, float]] = {}

    def cost(self, op: Op, dataflow: Dataflow | None) -> ArrayCost:
        """Array cycles of a convolution in a dataflow."""
        known = self._costs.get((op, dataflow))
        if known is None:
            if dataflow is None:
                raise AssertionError(f"{op.name} is no convolution")
            known = self._costs[op, dataflow] = self.plan_cache.cost(op, dataflow, self._chunk_starts(op))
        return known

    def _chunk_starts(self, op: Op) -> list[ChunkStart]:
        """Where the last channels that each producer computes begin: work on the others need not wait for them. Of a single input
        whose channels are all computed at once that is the second block; of several inputs the first are there anyway."""
        n, starts = self.cfg.n, []
        for index, part in enumerate(op.parts):
            producer = self.producers.get(part)
            last = (-(-part.c // self.cfg.rf) - 1) * self.cfg.rf
            if producer is None or not producer.is_conv or last % n:
                continue
            if last:
                starts.append((index, last // n))
            if len(op.parts) == 1 and part.c > n and (self.config.split_first_block or not last):
                starts.append((index, 1))
        return starts

    def times(self, op: Op, dataflow: Dataflow | None, units: int) -> StepTime:
        """Time of so many units of an operation."""
        cost = self._costs.get((op, dataflow))
        if cost is not None:
            return cost.of(units)
        if op.is_conv:
            return self.cost(op, dataflow).of(units)
        return StepTime(op.out.blocks(self.cfg.n) * units * op.out.w * op.positions, COST.pool_tail, 1)

    # -- rates ------------------------------------------------------------------------------------------------

    def rate(self, op: Op, parts: int) -> TileRate:
        """The rate that takes an operation's map in about ``parts`` parts of full array tiles, in the better dataflow; negative: of whole
        lines."""
        if not op.is_conv:
            return TileRate(1, -(-op.out.h // abs(parts)))
        if (op, parts) not in self._rates:
            self._rates[op, parts] = min(self._rate_in(op, dataflow, parts) for dataflow in self.dataflows)[1]
        return self._rates[op, parts]

    def _rate_in(self, op: Op, dataflow: Dataflow, parts: int) -> tuple[tuple[float, int], TileRate]:
        """((cost, dataflow), rate): the cost is that of the array or of the weights' transfer, whichever takes longer."""
        cost, n = self.cost(op, dataflow), self.cfg.n
        total = op.out.h * cost.units
        if parts > 0 and dataflow == Dataflow.OS:
            # Full tiles: as many segments as array rows.
            tiles = -(-total // n)
            quantum = n * -(-tiles // parts)
        else:
            quantum = cost.units * -(-op.out.h // abs(parts))
        steps, rest = divmod(total, quantum)
        array = steps * cost.of(quantum).work + (cost.of(rest).work if rest else 0)
        rate = TileRate(cost.units, quantum, dataflow)
        return (max(array, cost.plan.rows * self.config.memory.row_cycles(self.cfg)) + self.energy_cost({op: rate}), dataflow), rate

    def rates(self, ops: Iterable[Op], parts: int) -> dict[Op, TileRate]:
        """{operation: :meth:`rate`}."""
        return {op: self.rate(op, parts) for op in ops}

    def best_costs(self, ops: Iterable[Op]) -> list[ArrayCost]:
        """Costs of the convolutions among ``ops``, each in its better dataflow."""
        return [self.cost(op, self.rate(op, 1).dataflow) for op in ops if op.is_conv]

    # -- energy -----------------------------------------------------------------------------------------------

    def onchip_energy(self, op: Op, dataflow: Dataflow, step_sizes: Mapping[int, int]) -> float:
        """Energy on chip of a convolution that is computed in ``step_sizes``, {units: how many such steps}."""
        cost = self.cost(op, dataflow)
        if (op, dataflow) not in self._energies:
            self._energies[op, dataflow] = onchip_energy(cost.plan, self.cfg, self.config.energy_costs)
        computing, weights = self._energies[op, dataflow]
        return computing + weights * sum(cost.of(units).tiles * count for units, count in step_sizes.items()) // len(cost.plan.groups)

    def energy_cost(self, rates: Mapping[Op, TileRate]) -> float:
        """What operations' energy on chip counts beside their cycles."""
        if not self.energy_weight:
            return 0
        total: float = 0
        for op, rate in rates.items():
            if rate.dataflow is not None:
                steps, rest = divmod(op.out.h * rate.units, rate.quantum)
                total += self.onchip_energy(op, rate.dataflow, {rate.quantum: steps} | ({rest: 1} if rest else {}))
        return self.energy_weight * total
