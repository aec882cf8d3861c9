"""Channel tiling: operations are split or sliced along the channels where that makes them cheaper by themselves.

A convolution in OS wants whole maps in the buffer, at least N segments of them; fewer output channels at a time leave room for that.
Depthwise operations (and pools) can take their input in channel slices straight from the copy in DRAM.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.graph import Graph, Op, Tensor
from squeezelerator.compiler.lowering.channel_slices import are_adjacent, channel_slices
from squeezelerator.compiler.lowering.channel_split import split_channels, tied_tensors
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.search_config import SearchConfig
from squeezelerator.compiler.tuning import CHANNEL_TILING
from squeezelerator.spec.machine import MachineConfig


class ChannelTiler:
    """Splits and slices a graph's operations, each where its cost by itself falls; parameters as of
    :class:`~compiler.fusion.tiling_search.TilingSearch`."""

    def __init__(self, cfg: MachineConfig, dataflow: str, config: SearchConfig, plan_cache: PlanCache) -> None:
        self.cfg, self.dataflow, self.config, self.plan_cache = cfg, dataflow, config, plan_cache

    def run(self, graph: Graph) -> Graph:
        """The graph with its splits and slices."""
        for home in dict.fromkeys(op.out.home for op in graph.ops):
            op = next(op for op in graph.ops if op.out.home == home)
            graph = self._slice_layer(graph, op) if op.is_depthwise else self._split_layer(graph, op)
        return graph

    # -- costs ------------------------------------------------------------------------------------------------

    def _tiling_search(self, graph: Graph) -> TilingSearch:
        return TilingSearch(graph, self.cfg, self.dataflow, self.config, self.plan_cache)

    def _op_cost(self, tiling_search: TilingSearch, op: Op) -> float:
        """Cost of an operation by itself: its input in DRAM, or in the buffer if half of that holds it; its output to DRAM."""
        cfg = self.cfg
        inputs = sum(t.rows(cfg.n) for t in op.parts)
        least = math.inf
        for live_in in (frozenset(), frozenset(op.parts)) if 2 * inputs <= cfg.act_rows else (frozenset(),):
            tiling = tiling_search.best(GroupContext.alone(op, live_in), cfg.act_rows - (inputs if live_in else 0))
            # An input in the buffer has been brought or computed there; between the two ways only what is waited for counts.
            least = min(least, tiling.cost if tiling else math.inf)
        return least

    def _cost(self, graph: Graph, ops: Sequence[Op]) -> float:
        tiling_search = self._tiling_search(graph)
        return sum(self._op_cost(tiling_search, op) for op in ops)

    def _is_good(self, graph: Graph, ops: Sequence[Op], cost: float) -> bool:
        """Whether a cost is close to the lower bound."""
        tiling_search = self._tiling_search(graph)
        return cost <= CHANNEL_TILING.good * sum(tiling_search.lower_bound(GroupContext.alone(op)) for op in ops)

    # -- splits -----------------------------------------------------------------------------------------------

    def _split_layer(self, graph: Graph, op: Op) -> Graph:
        """``op`` and what is tied to it split in two, as often as that helps."""
        tied = tied_tensors(graph, op.out)
        ops = [other for other in graph.ops if other.out in tied]
        if op is not ops[0] or op.out.home == graph.input.home:
            return graph
        cost, best = self._cost(graph, ops), graph
        if self._is_good(graph, ops, cost):
            return graph
        homes = {other.out.home for other in ops}
        for smaller in self._split_graphs(graph, op.out.home):
            less = self._cost(smaller, [other for other in smaller.ops if other.out.home in homes])
            if less < CHANNEL_TILING.gain * cost:
                cost, best = less, smaller
        return best

    def _split_graphs(self, graph: Graph, home: str) -> Iterator[Graph]:
        """The graph with all maps of ``home`` split once, twice, ..."""
        for _ in range(CHANNEL_TILING.halvings):
            for out in [op.out for op in graph.ops if op.out.home == home]:
                smaller = split_channels(graph, out, self.cfg.n)
                if smaller is None:
                    return
                graph = smaller
            yield graph

    # -- slices -----------------------------------------------------------------------------------------------

    def _slice_layer(self, graph: Graph, op: Op) -> Graph:
        """``op`` in channel slices that read the copy of its input in DRAM."""
        if not self._can_slice(graph, op):
            return graph
        cost, best = self._cost(graph, [op]), graph
        if self._is_good(graph, [op], cost):
            return graph
        blocks = op.out.blocks(self.cfg.n)
        for count in CHANNEL_TILING.slices:
            if count > blocks:
                break
            slices = channel_slices(op, -(-blocks // count) * self.cfg.n, self.cfg.n)
            sliced = _with_slices(graph, op, slices)
            less = self._cost(sliced, slices)
            if less < CHANNEL_TILING.gain * cost:
                cost, best = less, sliced
        return best

    def _can_slice(self, graph: Graph, op: Op) -> bool:
        if sum(other.out.home == op.out.home for other in graph.ops) > 1 or op.residual is not None:
            return False
        if not are_adjacent(op.parts, self.cfg.n) or op.parts[0].home == graph.input.home:
            return False
        return not any(op.out is other.residual or (op.out in other.parts and not other.is_conv) for other in graph.ops)


def _with_slices(graph: Graph, op: Op, slices: Sequence[Op]) -> Graph:
    """The graph with ``slices`` instead of ``op``; readers of the whole result read the slices, one after the other."""
    def parts_of(other: Op) -> tuple[Tensor, ...]:
        return tuple(new for part in other.parts for new in ([one.out for one in slices] if part is op.out else [part]))

    at = graph.ops.index(op)
    behind = [dataclasses.replace(other, parts=parts_of(other)) if op.out in other.parts else other for other in graph.ops[at + 1 :]]
    sliced = graph.sliced.union(op.parts)
    if op.out in sliced:
        sliced = sliced.union(one.out for one in slices)  # somebody reads columns of it
    return dataclasses.replace(graph, ops=[*graph.ops[:at], *slices, *behind], sliced=sliced)
