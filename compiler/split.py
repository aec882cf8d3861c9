"""Pass 2, splitting: a map whose lines do not fit the activation buffer is cut along the channels.

The parts are maps of their own. What they come from and what goes channel by channel with them (pools, residuals) is cut in the
same way; convolutions that read the map read the parts as a concatenation.
"""

import dataclasses

from compiler.graph import Graph, Tensor


def _bound_together(graph, tensor):
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
    while pending:
        ready = [op for op in pending if all(t in done or t not in produced for t in op.reads)]
        after_last = [op for op in ready if not op.is_conv and ordered and op.parts[0] is ordered[-1].out]
        op = (after_last or ready)[0]
        pending.remove(op)
        ordered.append(op)
        done.add(op.out)
    return ordered


def split(graph, tensor, n):
    """A graph in which ``tensor`` is two maps, cut at a channel block; None if it cannot be cut.

    Parameters
    ----------
    graph : compiler.graph.Graph
    tensor : compiler.graph.Tensor
    n : int
        Channels of a block.
    """
    bound = _bound_together(graph, tensor)
    blocks = tensor.blocks(n)
    if blocks < 2 or graph.input in bound:
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
    for op in graph.ops:
        if op.out not in bound:
            parts = tuple(new for part in op.parts for new in halves.get(part, (part,)))
            ops.append(dataclasses.replace(op, parts=parts))
            continue
        for index, out in enumerate(halves[op.out]):
            parts = op.parts
            if op.is_conv:
                parts = tuple(new for part in parts for new in halves.get(part, (part,)))
            else:
                parts = (halves[parts[0]][index],)
            ops.append(dataclasses.replace(
                op, name=f"{op.name}/{'ab'[index]}", parts=parts, out=out, first=op.first + (cut if index else 0),
                residual=halves[op.residual][index] if op.residual else None,
            ))  # fmt: skip
    return Graph(graph.name, _in_order(ops), graph.input, graph.input_layout, graph.outputs)


def split_for_pools(graph, n, rows):
    """A graph in which every convolution can run together with the pool that alone reads its result.

    Their lines, and those of the convolution's input, must fit ``rows`` rows of the buffer with room for transfers.
    """
    while True:
        readers, producers = graph.readers(), graph.producers()
        for op in graph.ops:
            conv = None if op.is_conv else producers.get(op.parts[0])
            if conv is None or not conv.is_conv or readers[conv.out] != [op] or op.out.h == 1:
                continue
            # Lines that a band of two lines' worth of segments needs, and as many that are on their way.
            band = 1 + -(-n // -(-conv.out.w // n))
            fixed = sum(t.blocks(n) * t.w * (conv.kernel[0] + 2 * band * conv.stride[0]) for t in conv.parts)
            own = conv.out.blocks(n) * conv.out.w * (op.kernel[0] + band) + op.out.blocks(n) * op.out.w * 2
            if fixed + own > rows and fixed < rows:
                smaller = split(graph, conv.out, n)
                if smaller is not None:
                    graph = smaller
                    break
        else:
            return graph
