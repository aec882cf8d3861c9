"""Channel slices: operations that read some channels of a map straight from its copy in DRAM, as a map of their own."""

import dataclasses
import itertools
from collections.abc import Sequence

from squeezelerator.compiler.ir.graph import Op, Tensor


def are_adjacent(parts: Sequence[Tensor], n: int) -> bool:
    """Whether tensors are consecutive channel blocks of one map in DRAM."""
    return all(a.home == b.home and a.c % n == 0 and b.home_block == a.home_block + a.c // n
               and (a.home_column, a.w) == (b.home_column, b.w) for a, b in itertools.pairwise(parts))  # fmt: skip


def _slice(parts: Sequence[Tensor], name: str, first: int, channels: int, n: int) -> Tensor:
    """``channels`` channels of adjacent tensors, from channel ``first`` on, for the operation ``name``."""
    source = parts[0]
    return dataclasses.replace(source, name=f"{source.name}@{name}", c=channels, home_block=source.home_block + first // n)


def channel_slices(op: Op, size: int, n: int) -> list[Op]:
    """Operations that compute ``size`` channels of a depthwise ``op`` each, from the same channels of its inputs' map in DRAM."""
    out, found = op.out, []
    for index, first in enumerate(range(0, out.c, size)):
        name, channels = f"{op.name}.{index}", min(size, out.c - first)
        part = dataclasses.replace(out, name=f"{out.name}.{index}", c=channels, home_block=out.home_block + first // n)
        found.append(dataclasses.replace(op, name=name, parts=(_slice(op.parts, name, first, channels, n),), out=part,
                                         first=op.first + first, first_in=op.first_in + first))  # fmt: skip
    return found


def narrowed_to_groups(op: Op, n: int) -> Op:
    """A grouped convolution that reads no more channels than its groups need; ``op`` itself if it cannot be made to.

    Its input then is a slice of the map in DRAM, which has to be there before: the parts of ``op`` belong among the graph's ``sliced``
    maps.
    """
    if not op.is_conv or op.groups == 1 or op.first_in or not are_adjacent(op.parts, n):
        return op
    per_out, per_in = op.filters.shape[0] // op.groups, op.filters.shape[1]
    low = op.first // per_out * per_in
    high = -(-(op.first + op.out.c) // per_out) * per_in
    if low % n or high % n or high - low == sum(part.c for part in op.parts):
        return op
    return dataclasses.replace(op, parts=(_slice(op.parts, op.name, low, high - low, n),), first_in=low)
