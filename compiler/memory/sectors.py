"""What it costs if buffers share sectors of the activation buffer, and where a buffer may lie beside others.

Buffers that are alive at the same time must not overlap, and should lie in different sectors: two units that use one sector's port at the
same time have to wait for each other.
"""

import bisect
import functools
from collections.abc import Iterable, Mapping, Sequence

from squeezelerator.compiler.ir.buffer import Usage
from squeezelerator.compiler.tuning import ALLOCATION
from squeezelerator.spec.machine import MachineConfig

#: Rows from ... to (exclusive).
Rows = tuple[int, int]


@functools.lru_cache(maxsize=65536)
def sector_shares(base: int, rows: int, size: int) -> Mapping[int, float]:
    """{sector: how likely an access to a buffer touches it}."""
    return {
        sector: min(1.0, (min(base + rows, (sector + 1) * size) - max(base, sector * size)) / rows + ALLOCATION.reach)
        for sector in range(base // size, (base + rows - 1) // size + 1)
    }


def port_conflict(a: Usage, b: Usage) -> int:
    """How much it hurts if buffers of these usages share a sector: pairs of different units that want the same kind of port."""
    weights = ALLOCATION.port_weights
    return sum(weights[unit] * weights[other] for unit, how in a.users for other, kind in b.users
               if how == kind and unit != other)  # fmt: skip


#: A buffer that lies somewhere: its sector shares, and what sharing a sector with it costs.
Rival = tuple[Mapping[int, float], int]


def shared_cost(mine: Mapping[int, float], rivals: Iterable[Rival]) -> float:
    """What it costs that a buffer with these sector shares lies beside ``rivals``."""
    return sum(weight * mine[s] * theirs[s] for theirs, weight in rivals for s in mine if s in theirs)


def candidate_bases(taken: Sequence[Rows], rows: int, cfg: MachineConfig) -> list[int]:
    """Bases that are worth a look for ``rows`` free rows beside those that are taken, lowest first."""
    size, last = cfg.sector_rows, cfg.act_rows - rows
    bases = {0, *(end for _, end in taken), *(start - rows for start, _ in taken), *range(0, cfg.act_rows, size),
             *range(size - rows, last + 1, size), last}  # fmt: skip
    starts: list[int] = []  # what is taken, as intervals that do not meet
    ends: list[int] = []
    for start, end in sorted(taken):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    starts.append(cfg.act_rows)
    return [base for base in sorted(bases) if 0 <= base <= last and starts[bisect.bisect_right(ends, base)] >= base + rows]


def rank(base: int, rows: int, taken: Sequence[Rows], cost: float, sectors: int, act_rows: int, careful: bool) -> tuple[float, ...]:
    """How good a base is, least first. ``careful``: the cost of sharing sectors counts first, otherwise compactness does."""
    # Near an end, and against a neighbour: that keeps the free rows in one piece.
    edge = min(base, act_rows - base - rows)
    if careful:
        return cost, sectors, edge, base
    alone = not any(base in (start, end) or base + rows == start for start, end in taken)
    return alone and edge > 0, cost, edge, base
