"""The weight plans of a network, each made once however often and in how many graphs its convolution is looked at."""

from collections.abc import Hashable, Iterator, Sequence

from squeezelerator.compiler.ir.graph import Graph, Op
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.compiler.mapping.weight_plan import ChunkStart, WeightPlan
from squeezelerator.compiler.mapping.weight_streams import make_weight_plan
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig


def _contents(op: Op) -> Hashable:
    """Equal for convolutions whose plans and costs are the same: strips of one map differ in the columns only."""
    return (id(op.weight), id(op.taps), op.first, op.first_in, op.groups, op.kernel, op.stride, op.out.c, op.out.h, op.out.w,
            tuple(part.c for part in op.parts))  # fmt: skip


class PlanCache:
    """Remembers the :class:`~compiler.mapping.array_tiles.ArrayCost` of every convolution, with its plan, for the machine ``cfg``."""

    def __init__(self, cfg: MachineConfig) -> None:
        self.cfg = cfg
        #: The plans hold the arrays of which the keys have the identity.
        self._known: dict[tuple[Hashable, Dataflow, tuple[ChunkStart, ...], bool], ArrayCost] = {}

    def cost(self, op: Op, dataflow: Dataflow, starts: Sequence[ChunkStart], by_channels: bool = False) -> ArrayCost:
        """The cost of a convolution in a dataflow, with chunks that begin at ``starts``; parameters as of ``make_weight_plan``."""
        key = _contents(op), dataflow, tuple(starts), by_channels
        if key not in self._known:
            self._known[key] = ArrayCost(self.cfg, make_weight_plan(op, self.cfg, dataflow, starts, by_channels=by_channels))
        return self._known[key]

    def forget(self, graph: Graph) -> None:
        """Drop what operations outside ``graph`` have left."""
        kept = {_contents(op) for op in graph.ops}
        self._known = {key: cost for key, cost in self._known.items() if key[0] in kept}

    def __iter__(self) -> Iterator[WeightPlan]:
        return (cost.plan for cost in self._known.values())
