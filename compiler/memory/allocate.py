"""Allocation group by group: where in the activation buffer every buffer of the schedule lies.

Maps that are live across groups are allocated first, for all groups together and compactly; then the ring buffers of each group where
these leave room.
"""

import random
from collections.abc import Mapping, Sequence

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.ir.buffer import Buffer, Usage
from squeezelerator.compiler.memory.sectors import Rival, Rows, candidate_bases, port_conflict, rank, sector_shares, shared_cost
from squeezelerator.compiler.tuning import ALLOCATION
from squeezelerator.spec.isa import LOAD
from squeezelerator.spec.machine import MachineConfig

#: Where buffers lie: their first rows.
Bases = dict[Buffer, int]


class AllocationError(CompileError):
    """The buffers do not fit as they are; a schedule for a smaller buffer may."""


class _GroupAllocation:
    """Buffers of one group placed so far, and what placing another one costs; parameters as in :func:`allocate_group`."""

    def __init__(self, cfg: MachineConfig, usage: Mapping[Buffer, Usage], fixed: Sequence[Buffer], before: Sequence[Rows]) -> None:
        self.cfg, self.usage, self.fixed, self.before = cfg, usage, fixed, before
        self.bases: Bases = {}

    def _rivals(self, buffer: Buffer) -> list[tuple[Buffer, int, int]]:
        """(buffer, base, port conflict) of everything that is alive at the same time."""
        use = self.usage[buffer]
        found = [(other, other.base, port_conflict(use, self.usage[other]) if other in self.usage else 0) for other in self.fixed]
        for other, base in self.bases.items():
            its = self.usage[other]
            if other is not buffer and its.first <= use.last and use.first <= its.last:
                found.append((other, base, port_conflict(use, its)))
        return found

    def _late(self, base: int, rows: int) -> float:
        """What it costs that transfers into these rows have to wait for the group before."""
        late = sum(max(0, min(end, base + rows) - max(start, base)) for start, end in self.before)
        return ALLOCATION.late * late / rows

    def best(self, buffer: Buffer, careful: bool) -> int | None:
        """The base that costs least, or None. ``careful``: sharing sectors counts first, otherwise compactness does."""
        cfg, size, rows = self.cfg, self.cfg.sector_rows, buffer.rows
        neighbours = self._rivals(buffer)
        taken = [(base, base + other.rows) for other, base, _ in neighbours]
        rivals: list[Rival] = [(sector_shares(base, other.rows, size), weight) for other, base, weight in neighbours if weight]
        filled = (LOAD, "write") in self.usage[buffer].users
        found = []
        for base in candidate_bases(taken, rows, cfg):
            mine = sector_shares(base, rows, size)
            cost = shared_cost(mine, rivals)
            if filled:
                cost += self._late(base, rows)
            found.append((rank(base, rows, taken, cost, len(mine), cfg.act_rows, careful), base))
        return min(found)[1] if found else None

    def cost(self) -> float:
        """How much sectors are shared by units that want them at the same time, over all pairs."""
        size, total = self.cfg.sector_rows, 0.0
        for buffer, base in self.bases.items():
            mine = sector_shares(base, buffer.rows, size)
            for other, at, weight in self._rivals(buffer):
                theirs = sector_shares(at, other.rows, size) if weight else {}
                total += weight * sum(mine[s] * theirs[s] for s in mine if s in theirs)
        return total

    def place_all(self, order: Sequence[Buffer], careful: bool) -> Buffer | None:
        """Place all buffers in ``order``; returns one that finds no room, or None."""
        for buffer in order:
            base = self.best(buffer, careful)
            if base is None:
                return buffer
            self.bases[buffer] = base
        return None

    def improve(self, order: Sequence[Buffer]) -> None:
        """Move each buffer in turn to where it costs least now that all have their rows."""
        for buffer in order:
            base = self.best(buffer, True)
            if base is None:
                raise AssertionError("the rows that a buffer has are free for it")
            self.bases[buffer] = base


def allocate_group(buffers: Sequence[Buffer], usage: Mapping[Buffer, Usage], fixed: Sequence[Buffer], before: Sequence[Rows],
                   cfg: MachineConfig) -> None:  # fmt: skip
    """Set ``base`` of every buffer of a group.

    Parameters
    ----------
    buffers : sequence of Buffer
    usage : mapping
        Buffer -> Usage, for these and for those of ``fixed`` that the group uses.
    fixed : sequence of Buffer
        Buffers of maps that are live across groups, allocated already.
    before : sequence of (first row, row behind the last)
        What the group before uses besides.
    cfg : spec.machine.MachineConfig

    Raises
    ------
    AllocationError
        If they do not all find room.
    """
    def lifetime(buffer: Buffer) -> int:
        return usage[buffer].last - usage[buffer].first + 1

    failed = buffers[0] if buffers else None
    for careful in (True, False):
        for key in (lambda b: (-b.rows * lifetime(b), usage[b].first), lambda b: (-b.rows, usage[b].first),
                    lambda b: (usage[b].first, -b.rows)):  # fmt: skip
            allocation = _GroupAllocation(cfg, usage, fixed, before)
            order = sorted(buffers, key=key)
            failed = allocation.place_all(order, careful)
            if failed is None:
                if careful:
                    allocation.improve((*order, *order))
                assign_bases(allocation.bases)
                return
    assert failed is not None
    raise AllocationError(f"layer {failed.tensors[0].home}: its {failed.rows} rows and what is alive beside them do not fit the "
                          f"{cfg.act_rows} rows of the activation buffer")  # fmt: skip


def low_conflict_allocations(buffers: Sequence[Buffer], usage: Mapping[Buffer, Usage], fixed: Sequence[Buffer], cfg: MachineConfig,
                             count: int) -> list[Bases]:  # fmt: skip
    """Up to ``count`` allocations of the buffers of a group in which few units want the same sectors.

    Parameters as in :func:`allocate_group`.
    """
    shuffle = random.Random(0)  # always the same sequence: compiling is deterministic
    found: list[tuple[float, int, Bases]] = []
    for _ in range(ALLOCATION.random_orders):
        order = shuffle.sample(buffers, len(buffers))
        allocation = _GroupAllocation(cfg, usage, fixed, [])
        if allocation.place_all(order, careful=True) is None:
            allocation.improve(order)
            found.append((allocation.cost(), len(found), allocation.bases))
    chosen: list[Bases] = []
    for _, _, bases in sorted(found, key=lambda one: one[:2]):
        if bases not in chosen:
            chosen.append(bases)
    return chosen[:count]


def assign_bases(bases: Mapping[Buffer, int]) -> None:
    """Write an allocation into the buffers."""
    for buffer, base in bases.items():
        buffer.base = base
