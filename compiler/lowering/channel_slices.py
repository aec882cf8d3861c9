"""Channel ranges: operations that read some channels of a map straight from its copy in DRAM, as a map of their own."""

import dataclasses
import itertools

from squeezelerator.compiler.ir.graph import Tensor


def adjacent(parts, n):
    """Whether maps are consecutive channel blocks of one map in DRAM."""
    return all(a.home == b.home and a.c % n == 0 and b.home_block == a.home_block + a.c // n for a, b in itertools.pairwise(parts))


def _view(parts, name, at, channels, n):
    """``channels`` channels of adjacent maps, from channel ``at`` on."""
    source = parts[0]
    return Tensor(f"{source.name}@{name}", channels, source.h, source.w, source.home, source.home_block + at // n)


def channel_sliced(op, size, n):
    """Operations that compute ``size`` channels of ``op`` each, from the same channels of its inputs' home."""
    out, found = op.out, []
    for index, at in enumerate(range(0, out.c, size)):
        name, channels = f"{op.name}.{index}", min(size, out.c - at)
        part = Tensor(f"{out.name}.{index}", channels, out.h, out.w, out.home, out.home_block + at // n)
        found.append(dataclasses.replace(op, name=name, parts=(_view(op.parts, name, at, channels, n),), out=part,
                                         first=op.first + at, first_in=op.first_in + at))  # fmt: skip
    return found


def narrowed_to_groups(op, n):
    """A grouped convolution that reads no more channels than its groups need; ``op`` itself if it cannot be made to.

    Its input then is a range of the map in DRAM, which has to be there before: the parts of ``op`` belong among the graph's
    ``viewed`` maps.
    """
    if not op.is_conv or op.groups == 1 or op.first_in or not adjacent(op.parts, n):
        return op
    per_out, per_in = op.weight.shape[0] // op.groups, op.weight.shape[1]
    low = op.first // per_out * per_in
    high = -(-(op.first + op.out.c) // per_out) * per_in
    if low % n or high % n or high - low == sum(part.c for part in op.parts):
        return op
    return dataclasses.replace(op, parts=(_view(op.parts, op.name, low, high - low, n),), first_in=low)
