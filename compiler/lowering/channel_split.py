"""Channel splitting: a map whose lines do not fit the activation buffer becomes two, cut at a channel block.

The halves are maps of their own. What is tied to a map channel by channel (pools, residuals) is split in the same way; convolutions that
read the map read the halves as a concatenation.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from squeezelerator.compiler.ir.graph import Graph, Op, Tensor
from squeezelerator.compiler.lowering.channel_slices import narrowed_to_groups

#: A convolution and the pool that alone reads its result.
Pair = tuple[Op, Op]


def tied_tensors(graph: Graph, tensor: Tensor) -> set[Tensor]:
    """All tensors that have to be split if ``tensor`` is: linked by pools and residuals."""
    links: dict[Tensor, list[Tensor]] = {}
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


class _Ordering:
    """Topological order of operations, the same as before as far as that is possible; a pool comes as soon as it can."""

    def __init__(self, ops: Sequence[Op]) -> None:
        self.ops = ops
        self.produced = {op.out for op in ops}
        self.done: set[Tensor] = set()
        self.writers: dict[str, list[Tensor]] = {}
        for op in ops:
            self.writers.setdefault(op.out.home, []).append(op.out)

    def _present(self, tensor: Tensor) -> bool:
        if tensor in self.produced:
            return tensor in self.done
        # What no operation writes is a channel slice: all of the map must be there.
        return all(out in self.done for out in self.writers.get(tensor.home, ()))

    def _ready(self, op: Op) -> bool:
        return all(self._present(tensor) for tensor in op.reads)

    def run(self) -> list[Op]:
        ordered: list[Op] = []
        pending = list(self.ops)
        pools = [op for op in self.ops if not op.is_conv]
        while pending:
            last = ordered[-1].out if ordered else None
            op = next((op for op in pools if op.parts[0] is last and op.out not in self.done and self._ready(op)), None)
            op = op or next(op for op in pending if self._ready(op))
            pending.remove(op)
            ordered.append(op)
            self.done.add(op.out)
        return ordered


class _Halves:
    """Tensors that are split at channel ``cut``, a multiple of the block ``n``."""

    def __init__(self, tensors: Iterable[Tensor], cut: int, n: int) -> None:
        self.cut = cut
        self.halves = {
            old: tuple(
                dataclasses.replace(old, name=f"{old.name}/{tag}", c=channels, home_block=old.home_block + first // n)
                for tag, first, channels in (("a", 0, cut), ("b", cut, old.c - cut))
            )
            for old in tensors
        }

    def concatenation(self, parts: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Tensors with halves in the place of those that are split."""
        return tuple(new for part in parts for new in self.halves.get(part, (part,)))

    def of(self, op: Op) -> Iterator[Op]:
        """The two operations that compute the halves of ``op``'s result."""
        for index, out in enumerate(self.halves[op.out]):
            parts = self.concatenation(op.parts) if op.is_conv else (self.halves[op.parts[0]][index],)
            yield dataclasses.replace(
                op, name=f"{op.name}/{'ab'[index]}", parts=parts, out=out, first=op.first + (self.cut if index else 0),
                residual=self.halves[op.residual][index] if op.residual else None,
            )  # fmt: skip


def split_channels(graph: Graph, tensor: Tensor, n: int) -> Graph | None:
    """A graph in which ``tensor`` is two maps; None if it cannot be split.

    Parameters
    ----------
    graph : Graph
    tensor : Tensor
    n : int
        Channels of a block.
    """
    tied = tied_tensors(graph, tensor)
    blocks = tensor.blocks(n)
    if blocks < 2 or graph.input in tied or not tied <= {op.out for op in graph.ops}:
        return None
    halves = _Halves(tied, -(-blocks // 2) * n, n)
    ops: list[Op] = []
    sliced = frozenset(halves.concatenation(graph.sliced))
    for op in graph.ops:
        if op.out not in tied:
            parts = halves.concatenation(op.parts)
            ops.append(op if parts == op.parts else dataclasses.replace(op, parts=parts))
            continue
        for half in halves.of(op):
            # What comes from the host has no producer that would have to be waited for, but is laid out in another way.
            narrowed = half if graph.input in half.parts else narrowed_to_groups(half, n)
            if narrowed is not half:
                sliced = sliced.union(half.parts)
            ops.append(narrowed)
    return Graph(graph.name, _Ordering(ops).run(), graph.input, graph.input_layout, graph.outputs, sliced)


def split_all(graph: Graph, pairs: Sequence[Pair], n: int) -> Graph | None:
    """``graph`` with the results of all convolutions of the pairs split; None if one cannot be."""
    smaller: Graph | None = graph
    for conv, _ in pairs:
        smaller = smaller and split_channels(smaller, next(op.out for op in smaller.ops if op.name == conv.name), n)
    return smaller


def pool_pairs(graph: Graph, home: str) -> list[Pair]:
    """(convolution, pool) pairs of one layer: nobody but the pool reads what the convolution writes."""
    readers, pairs = graph.readers(), []
    for op in graph.ops:
        if op.is_conv and op.out.home == home:
            if len(readers[op.out]) != 1 or readers[op.out][0].is_conv or op.out.home in graph.outputs:
                return []
            pairs.append((op, readers[op.out][0]))
    return pairs
