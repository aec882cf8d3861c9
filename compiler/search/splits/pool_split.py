"""Splitting for pools: convolutions that only a pool reads are split along the channels where the two are faster together that way.

A split convolution reads its input once for each piece, so the split must also beat the two one after the other, with the map between
them in DRAM. A trial decides that: the closed formulas do not see what the loads of the pieces wait for.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.graph import Graph
from squeezelerator.compiler.lowering.channel_split import Pair, pool_pairs, split_all
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.memory.allocate import AllocationError
from squeezelerator.compiler.search.local_search import LocalSearch
from squeezelerator.compiler.search.sites import IsolatedSite
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.compiler.search_config import SearchConfig
from squeezelerator.compiler.tuning import POOL_SPLIT
from squeezelerator.spec.machine import MachineConfig


def _together(pairs: Sequence[Pair]) -> list[GroupContext]:
    return [GroupContext(pair, frozenset(), frozenset(), frozenset([pair[1].out]), frozenset([pair[0].out])) for pair in pairs]


def _apart(pairs: Sequence[Pair]) -> list[GroupContext]:
    return [GroupContext.alone(op) for pair in pairs for op in pair]


class PoolSplitter:
    """Splits convolutions with a pool behind them; parameters as of :class:`~compiler.search.splits.channel_tiling.ChannelTiler`."""

    def __init__(self, cfg: MachineConfig, dataflow: str, config: SearchConfig, plan_cache: PlanCache) -> None:
        self.cfg, self.dataflow, self.config, self.plan_cache = cfg, dataflow, config, plan_cache
        #: Names of a layer's pieces -> what they and their pools cost together, and what they cost one after the other.
        self._times: dict[tuple[str, ...], tuple[float, float]] = {}

    def run(self, graph: Graph) -> list[Graph]:
        """The graph with its splits, and where the choice is close also with the splits that lost; the exact cost decides."""
        best = close = graph
        for home in [op.out.home for op in graph.ops if op.is_conv]:
            if pool_pairs(graph, home):
                best, close = self._split_layer(best, home, 1.0), self._split_layer(close, home, POOL_SPLIT.close)
        return [best] if [op.name for op in best.ops] == [op.name for op in close.ops] else [best, close]

    def _split_layer(self, graph: Graph, home: str, margin: float) -> Graph:
        """The layer split as often as is cheapest, if that costs less than ``margin`` times what the two cost one after the other."""
        split, _ = self._cheapest(graph, home, lambda smaller: self._estimate(smaller, _together(pool_pairs(smaller, home))))
        if split is graph:
            return graph
        key = tuple(op.name for op in split.ops if op.out.home == home)
        if key not in self._times:
            together = self._timed(split, _together(pool_pairs(split, home)))
            _, apart = self._cheapest(graph, home, lambda smaller: self._timed(smaller, _apart(pool_pairs(smaller, home))))
            self._times[key] = together, apart
        together, apart = self._times[key]
        return split if together < margin * apart else graph

    def _cheapest(self, graph: Graph, home: str, cost_of: Callable[[Graph], float]) -> tuple[Graph, float]:
        """The graph with the layer split as often as makes it cheapest, and its cost; infinite if it never fits."""
        best, least = graph, math.inf
        for smaller in self._split_graphs(graph, home):
            cost = cost_of(smaller)
            if cost < least:
                best, least = smaller, cost
            elif least < math.inf:
                break
        return best, least

    def _split_graphs(self, graph: Graph, home: str) -> Iterator[Graph]:
        """The graph as it is, with all convolutions of ``home`` split once, twice, ..."""
        smaller: Graph | None = graph
        while smaller is not None:
            yield smaller
            smaller = split_all(smaller, pool_pairs(smaller, home), self.cfg.n)

    def _tiling_search(self, graph: Graph) -> TilingSearch:
        return TilingSearch(graph, self.cfg, self.dataflow, self.config, self.plan_cache)

    def _estimate(self, graph: Graph, contexts: Sequence[GroupContext]) -> float:
        """Cost of groups by the closed formulas, each with the whole buffer for itself; infinite if one does not fit."""
        search = self._tiling_search(graph)
        tilings = [search.best(context, self.cfg.act_rows) for context in contexts]
        return sum(tiling.cost if tiling else math.inf for tiling in tilings)

    def _timed(self, graph: Graph, contexts: Sequence[GroupContext]) -> float:
        """Cost of groups one after the other by a trial; otherwise as :meth:`_estimate`."""
        search = self._tiling_search(graph)
        local_search, site = LocalSearch(search), IsolatedSite(search, {})
        groups: list[Group] = []
        for context in contexts:
            tiling = search.best(context, self.cfg.act_rows)
            if tiling is None:
                return math.inf
            try:
                groups.append(site.group(local_search.improve(context, tiling, self.cfg.act_rows, site)))
            except AllocationError:
                return math.inf
        found = Trial(groups, self.cfg, self.config.prefetch).time()
        return math.inf if found is None else found.cycles + self.config.weights.beat * found.beats
