"""Pass 2b, cutting along the channels where that makes an operation cheaper by itself.

A convolution in OS wants whole maps in the buffer, at least N segments of them; fewer output channels at a time leave room for that.
What goes channel by channel (depthwise convolutions, pools) can take its input in channel ranges straight from the copy in DRAM.
"""

import dataclasses
import math

from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling import TilingSearch
from squeezelerator.compiler.ir.graph import Graph
from squeezelerator.compiler.lowering.channel_slices import adjacent, channel_sliced
from squeezelerator.compiler.lowering.channel_split import split_channels, tied_tensors

#: An operation that takes at most so many times what the array or the bus need is left alone.
_GOOD = 1.06
#: What a cut must save at least, as a share of the cost before.
_WORTH = 0.97
#: Numbers of channel ranges that are tried for what goes channel by channel.
_RANGES = (2, 4, 8, 16, 32)


class ChannelTiler:
    """Cuts a graph's operations, each where its cost by itself falls.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    dataflow : str
        As in :class:`~compiler.fusion.tiling.TilingSearch`.
    strategy : compiler.search.configuration.Strategy
    plans : compiler.mapping.stream_cache.Plans
    """

    def __init__(self, cfg, dataflow, config, plan_cache):
        self.cfg, self.dataflow, self.config, self.plan_cache = cfg, dataflow, config, plan_cache

    def run(self, graph):
        """The graph with its cuts."""
        for home in dict.fromkeys(op.out.home for op in graph.ops):
            op = next(op for op in graph.ops if op.out.home == home)
            if _by_channel(op):
                graph = self._slice_layer(graph, op)
            elif op.is_conv:
                graph = self._split_layer(graph, op)
        return graph

    # -- costs ------------------------------------------------------------------------------------------------

    def _cost(self, tiling_search, op):
        """Cycles of an operation by itself: its input in DRAM, or in the buffer if half of that holds it; its output to DRAM."""
        cfg = self.cfg
        inputs = sum(t.rows(cfg.n) for t in op.parts)
        found = [math.inf]
        for live_in in (frozenset(), frozenset(op.parts)) if 2 * inputs <= cfg.act_rows else (frozenset(),):
            context = GroupContext([op], live_in, frozenset(), frozenset([op.out]), frozenset(op.reads))
            tiling = tiling_search.best(context, cfg.act_rows - (inputs if live_in else 0))
            # An input in the buffer has been brought or computed there; between the two ways only what is waited for counts.
            found.append(tiling.cost if tiling else math.inf)
        return min(found)

    def _total(self, graph, ops):
        tiling_search = TilingSearch(graph, self.cfg, self.dataflow, self.config, self.plan_cache)
        return sum(self._cost(tiling_search, op) for op in ops)

    def _lower_bound(self, graph, op):
        tiling_search = TilingSearch(graph, self.cfg, self.dataflow, self.config, self.plan_cache)
        context = GroupContext([op], frozenset(), frozenset(), frozenset([op.out]), frozenset(op.reads))
        return tiling_search.lower_bound(context)

    # -- cuts -------------------------------------------------------------------------------------------------

    def _split_layer(self, graph, op):
        """``op`` and what is bound to it cut in two, as often as that helps."""
        tensor = op.out
        tied = tied_tensors(graph, tensor)
        ops = [other for other in graph.ops if other.out in tied]
        if op is not ops[0] or tensor.home == graph.input.home:
            return graph
        cost = self._total(graph, ops)
        if cost <= _GOOD * sum(self._lower_bound(graph, other) for other in ops):
            return graph
        best, trial, tried = (cost, graph), graph, ops
        for _ in range(4):
            for out in [other.out for other in tried if other.out.home == tensor.home]:
                trial = trial and split_channels(trial, out, self.cfg.n)
            if trial is None:
                break
            homes = {other.out.home for other in ops}
            tried = [other for other in trial.ops if other.out.home in homes]
            cost = self._total(trial, tried)
            if cost < _WORTH * best[0]:
                best = cost, trial
        return best[1]

    def _slice_layer(self, graph, op):
        """``op`` cut in channel ranges that read the copy of its input in DRAM."""
        ops = [other for other in graph.ops if other.out.home == op.out.home]
        if len(ops) > 1 or not adjacent(op.parts, self.cfg.n) or op.residual is not None or op.parts[0].home == graph.input.home:
            return graph
        cost = self._total(graph, ops)
        best = cost, graph
        if cost <= _GOOD * self._lower_bound(graph, op):
            return graph
        blocks = op.out.blocks(self.cfg.n)
        for count in _RANGES:
            if count > blocks:
                break
            parts = channel_sliced(op, -(-blocks // count) * self.cfg.n, self.cfg.n)
            at = graph.ops.index(op)
            # Readers of the whole result now read its ranges, one after the other.
            ops = [dataclasses.replace(other, parts=_replaced(other.parts, op.out, parts)) if op.out in other.parts else other
                   for other in graph.ops[at + 1 :]]  # fmt: skip
            if any(op.out is other.residual or (op.out in other.parts and not other.is_conv) for other in graph.ops):
                break
            trial = Graph(graph.name, [*graph.ops[:at], *parts, *ops], graph.input, graph.input_layout, graph.outputs,
                          graph.sliced.union(op.parts))  # fmt: skip
            cost = self._total(trial, parts)
            if cost < _WORTH * best[0]:
                best = cost, trial
        return best[1]


def _by_channel(op):
    """Whether each output channel needs only the input channel of the same number."""
    return not op.is_conv or (op.groups == op.out.c and op.weight.shape[1] == 1 and op.weight.shape[0] == op.groups)


def _replaced(parts, old, ops):
    return tuple(new for part in parts for new in ([op.out for op in ops] if part is old else [part]))
