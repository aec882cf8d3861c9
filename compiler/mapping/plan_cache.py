"""The weight plans of a network, each made once however often and in how many graphs its convolution is looked at."""

from collections.abc import Iterator, Sequence

from squeezelerator.compiler.ir.graph import Graph, Op
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.compiler.mapping.weight_plan import ChunkStart, WeightPlan
from squeezelerator.compiler.mapping.weight_streams import make_weight_plan
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig


class PlanCache:
    """Remembers the :class:`~compiler.mapping.array_tiles.ArrayCost` of every convolution, with its plan, for the machine ``cfg``."""

    def __init__(self, cfg: MachineConfig) -> None:
        self.cfg = cfg
        self._known: dict[tuple[Op, Dataflow, tuple[ChunkStart, ...]], ArrayCost] = {}

    def cost(self, op: Op, dataflow: Dataflow, starts: Sequence[ChunkStart]) -> ArrayCost:
        """The cost of a convolution in a dataflow, with chunks that begin at ``starts``."""
        key = op, dataflow, tuple(starts)
        if key not in self._known:
            self._known[key] = ArrayCost(self.cfg, make_weight_plan(op, self.cfg, dataflow, starts))
        return self._known[key]

    def forget(self, graph: Graph) -> None:
        """Drop what operations outside ``graph`` have left."""
        ops = set(graph.ops)
        self._known = {key: cost for key, cost in self._known.items() if key[0] in ops}

    def __iter__(self) -> Iterator[WeightPlan]:
        return (cost.plan for cost in self._known.values())
