"""Width strips: operations that compute some columns of their layer's map, from columns of their inputs' copies in DRAM.

A strip is an operation like others whose maps are narrower: it reads the columns that its own need, the halo with them, and has padding
only where it lies at the map's edge. Its result goes to its columns of the layer's map in DRAM, from where all others read it.
"""

import dataclasses
from collections.abc import Iterable, Sequence

from squeezelerator.compiler.ir.graph import Graph, Op, Tensor
from squeezelerator.compiler.lowering.channel_slices import are_adjacent, narrowed_to_groups

__all__ = ["channel_pieces", "columns_read", "strip", "strips", "with_strips"]


def columns_read(op: Op, first: int, end: int) -> tuple[int, int]:
    """(first, end) of the input columns that output columns ``first`` .. ``end - 1`` read, at least one."""
    width, step, left = op.parts[0].w, op.stride[1], op.pad[1]
    low, high = first * step - left, (end - 1) * step - left + op.kernel[1]
    low = max(0, min(low, width - 1))
    return low, max(low + 1, min(high, width))


def _columns(tensor: Tensor, name: str, first: int, end: int) -> Tensor:
    """Columns of a map, for the operation ``name``."""
    return dataclasses.replace(tensor, name=f"{tensor.name}@{name}", w=end - first, home_column=tensor.home_column + first,
                               home_columns=tensor.dram_w)  # fmt: skip


def strip(op: Op, name: str, first: int, end: int) -> Op:
    """An operation ``name`` that computes columns ``first`` .. ``end - 1`` of what ``op`` does."""
    low, high = columns_read(op, first, end)
    other = op.residual
    if other is not None and not op.broadcasts:
        other = _columns(other, name, first, end)
    return dataclasses.replace(
        op, name=name, parts=tuple(_columns(part, name, low, high) for part in op.parts), out=_columns(op.out, name, first, end),
        residual=other, pad=(op.pad[0], low - (first * op.stride[1] - op.pad[1])),
    )  # fmt: skip


def strips(op: Op, width: int) -> list[Op]:
    """``op`` in strips of ``width`` columns, the last of those that are left."""
    edges = [*range(0, op.out.w, width), op.out.w]
    return [strip(op, f"{op.name}|{number}", *edges[number : number + 2]) for number in range(len(edges) - 1)]


def _channel_piece(op: Op, name: str, first: int, channels: int, n: int) -> Op:
    """An operation ``name`` for ``channels`` output channels of ``op`` from ``first`` on, a multiple of ``n``, with no more input channels
    than these need."""
    def of(tensor: Tensor) -> Tensor:
        return dataclasses.replace(tensor, name=f"{tensor.name}@{name}", c=channels, home_block=tensor.home_block + first // n)

    residual = of(op.residual) if op.residual is not None else None
    piece = dataclasses.replace(op, name=name, out=of(op.out), residual=residual, first=op.first + first)
    if op.is_depthwise:
        return dataclasses.replace(piece, parts=(of(op.parts[0]),), first_in=op.first_in + first)
    return narrowed_to_groups(piece, n)


def channel_pieces(op: Op, size: int, n: int) -> list[Op]:
    """``op`` in pieces of ``size`` output channels, a multiple of ``n``; only itself where its input cannot be taken apart."""
    if size >= op.out.c or (op.is_depthwise and not are_adjacent(op.parts, n)):
        return [op]
    return [_channel_piece(op, f"{op.name}:{number}", first, min(size, op.out.c - first), n)
            for number, first in enumerate(range(0, op.out.c, size))]  # fmt: skip


def with_strips(graph: Graph, op: Op, pieces: Sequence[Op]) -> Graph:
    """The graph with ``pieces`` instead of ``op``. They read what ``op`` does from DRAM, and its readers read the result from there."""
    at, produced = graph.ops.index(op), {other.out for other in graph.ops}
    whole = dataclasses.replace(op.out, name=f"{op.out.name}@all")

    def stored(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
        return tuple(whole if tensor is op.out else tensor for tensor in tensors)

    behind = []
    for other in graph.ops[at + 1 :]:
        if op.out in other.reads:
            residual = whole if other.residual is op.out else other.residual
            other = dataclasses.replace(other, parts=stored(other.parts), residual=residual)
        behind.append(other)
    sliced = {tensor for tensor in op.reads if tensor in produced} | {piece.out for piece in pieces}
    return dataclasses.replace(graph, ops=[*graph.ops[:at], *pieces, *behind], sliced=graph.sliced | sliced)
