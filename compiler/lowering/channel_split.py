"""Pass 2, splitting: a map whose lines do not fit the activation buffer is cut along the channels.

The parts are maps of their own. What they come from and what goes channel by channel with them (pools, residuals) is cut in the
same way; convolutions that read the map read the parts as a concatenation.
"""

import dataclasses
import math

from squeezelerator.compiler.ir.graph import Graph, Tensor
from squeezelerator.compiler.lowering.channel_slices import narrowed_to_groups


def tied_tensors(graph, tensor):
    """All tensors that have to be cut if ``tensor`` is: linked by pools and residuals."""
    links = {}
    for op in graph.ops:
        others = [] if op.is_conv else list(op.parts)
        others += [op.residual] if op.residual else []
        for other in others:
            links.setdefault(op.out, []).append(other)
            links.setdefault(other, []).append(op.out)
    found, todo = {tensor}, [tensor]
    while todo:
        for other in links.get(todo.pop(), ()):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found


def _in_order(ops):
    """Operations with producers before readers; a pool comes as soon as it can, otherwise the order stays."""
    produced = {op.out for op in ops}
    done, ordered, pending = set(), [], list(ops)
    pools = [op for op in ops if not op.is_conv]

    writers = {}
    for op in ops:
        writers.setdefault(op.out.home, []).append(op.out)

    def ready(op):
        # What no operation writes is a channel range: all of the map must be there.
        return all(t in done if t in produced else all(out in done for out in writers.get(t.home, ())) for t in op.reads)

    while pending:
        last = ordered[-1].out if ordered else None
        op = next((op for op in pools if op.parts[0] is last and op.out not in done and ready(op)), None)
        op = op or next(op for op in pending if ready(op))
        pending.remove(op)
        ordered.append(op)
        done.add(op.out)
    return ordered


def split_channels(graph, tensor, n):
    """A graph in which ``tensor`` is two maps, cut at a channel block; None if it cannot be cut.

    Parameters
    ----------
    graph : compiler.ir.graph.Graph
    tensor : compiler.ir.graph.Tensor
    n : int
        Channels of a block.
    """
    bound = tied_tensors(graph, tensor)
    blocks = tensor.blocks(n)
    made = {op.out for op in graph.ops}
    if blocks < 2 or graph.input in bound or not bound <= made:
        return None
    cut = -(-blocks // 2) * n
    halves = {
        old: tuple(
            Tensor(f"{old.name}/{tag}", channels, old.h, old.w, old.home, old.home_block + first // n)
            for tag, first, channels in (("a", 0, cut), ("b", cut, old.c - cut))
        )
        for old in bound
    }
    ops = []
    sliced = frozenset(new for old in graph.sliced for new in halves.get(old, (old,)))
    for op in graph.ops:
        if op.out not in bound:
            parts = tuple(new for part in op.parts for new in halves.get(part, (part,)))
            ops.append(op if parts == op.parts else dataclasses.replace(op, parts=parts))
            continue
        for index, out in enumerate(halves[op.out]):
            parts = op.parts
            if op.is_conv:
                parts = tuple(new for part in parts for new in halves.get(part, (part,)))
            else:
                parts = (halves[parts[0]][index],)
            half = dataclasses.replace(
                op, name=f"{op.name}/{'ab'[index]}", parts=parts, out=out, first=op.first + (cut if index else 0),
                residual=halves[op.residual][index] if op.residual else None,
            )  # fmt: skip
            # What comes from the host has no producer that would have to be waited for, but is laid out in another way.
            fewer = half if graph.input in parts else narrowed_to_groups(half, n)
            if fewer is not half:
                sliced = sliced.union(parts)
            ops.append(fewer)
    return Graph(graph.name, _in_order(ops), graph.input, graph.input_layout, graph.outputs, sliced)


def split_for_pools(graph, n, cost_of):
    """A graph in which convolutions whose result only a pool reads are cut as often as makes the two fastest together.

    Parameters
    ----------
    graph : compiler.ir.graph.Graph
    n : int
        Channels of a block.
    cost_of : callable(graph, pairs)
        Cycles of the (convolution, pool) pairs of ``graph``, each as a group; infinite if one does not fit.
    """
    for home in [op.out.home for op in graph.ops if op.is_conv]:
        pairs = _pairs(graph, home)
        if not pairs:
            continue
        cost = cost_of(graph, pairs)
        while True:
            smaller = graph
            for conv, _ in pairs:
                smaller = smaller and split_channels(smaller, next(op.out for op in smaller.ops if op.name == conv.name), n)
            if smaller is None:
                break
            pairs = _pairs(smaller, home)
            less = cost_of(smaller, pairs)
            if less > cost or (less == cost and cost < math.inf):
                break
            graph, cost = smaller, less
    return graph


def _pairs(graph, home):
    """(convolution, pool) pairs of one layer: nobody but the pool reads what the convolution writes."""
    readers, pairs = graph.readers(), []
    for op in graph.ops:
        if op.is_conv and op.out.home == home:
            if len(readers[op.out]) != 1 or readers[op.out][0].is_conv or op.out.home in graph.outputs:
                return []
            pairs.append((op, readers[op.out][0]))
    return pairs
