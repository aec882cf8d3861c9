"""Pass 5, allocation: where in the activation buffer every buffer of the schedule lies.

Maps that are kept from group to group are placed first, for all groups together and compactly; then the rings of each group
where these leave room. Buffers that are alive at the same time must not overlap, and should lie in different sectors: two
units that use one sector's port at the same time have to wait for each other.
"""

import bisect
import functools
import random

from squeezelerator.compiler.errors import CompileError
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE

#: How much it hurts if transfers into a buffer have to wait for the group before.
_LATE = 12
#: Random orders in which a group's buffers are placed.
_STARTS = 40
#: How often kept maps are placed in another order.
_TRIES = 60
#: Share of a buffer that an instruction touches, roughly.
_REACH = 0.3
#: How much it hurts if a unit has to wait, relative to the others.
_WEIGHT = {ARRAY: 8, DRAIN: 4, LOAD: 2, POOL: 2, STORE: 2}


class AllocationError(CompileError):
    """The buffers do not fit as they are; a schedule for a smaller buffer may."""


@functools.lru_cache(maxsize=65536)
def sector_shares(base, rows, size):
    """{sector: how likely an access to a buffer touches it}."""
    return {
        sector: min(1.0, (min(base + rows, (sector + 1) * size) - max(base, sector * size)) / rows + _REACH)
        for sector in range(base // size, (base + rows - 1) // size + 1)
    }


def port_conflict(a, b):
    """How much it hurts if buffers of these usages share a sector: pairs of different units that want the same kind of port."""
    return sum(_WEIGHT[unit] * _WEIGHT[other] for unit, how in a.users for other, kind in b.users
               if how == kind and unit != other)  # fmt: skip


def candidate_bases(taken, rows, cfg):
    """Bases that are worth a look for ``rows`` free rows beside ``taken`` (low, high), lowest first."""
    size, last = cfg.sector_rows, cfg.act_rows - rows
    bases = {0, *(end for _, end in taken), *(start - rows for start, _ in taken), *range(0, cfg.act_rows, size),
             *range(size - rows, last + 1, size), last}  # fmt: skip
    starts, ends = [], []  # what is taken, as intervals that do not meet
    for start, end in sorted(taken):
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    starts.append(cfg.act_rows)
    return [base for base in sorted(bases) if 0 <= base <= last and starts[bisect.bisect_right(ends, base)] >= base + rows]


class _Placement:
    """Buffers placed so far in one group, and what placing another one costs; parameters as in :func:`allocate`."""

    def __init__(self, cfg, usage, fixed, before):
        self.cfg, self.usage, self.fixed, self.before = cfg, usage, fixed, before
        self.bases = {}

    def _rivals(self, buffer):
        """(buffer, base, rivalry) of everything that is alive at the same time."""
        use = self.usage[buffer]
        found = [(other, other.base, port_conflict(use, self.usage[other]) if other in self.usage else 0) for other in self.fixed]
        for other, base in self.bases.items():
            its = self.usage[other]
            if other is not buffer and its.first <= use.last and use.first <= its.last:
                found.append((other, base, port_conflict(use, its)))
        return found

    def best(self, buffer, careful):
        """The base that costs least, or None. ``careful``: sharing sectors counts first, otherwise compactness does."""
        cfg, size, rows = self.cfg, self.cfg.sector_rows, buffer.rows
        rivals = self._rivals(buffer)
        taken = [(base, base + other.rows) for other, base, _ in rivals]
        theirs_all = [(sector_shares(base, other.rows, size), weight) for other, base, weight in rivals if weight]
        found = []
        for base in candidate_bases(taken, rows, cfg):
            mine = sector_shares(base, rows, size)
            cost = sum(weight * mine[s] * theirs[s] for theirs, weight in theirs_all for s in mine if s in theirs)
            if (LOAD, "write") in self.usage[buffer].users:
                late = sum(max(0, min(end, base + rows) - max(start, base)) for start, end in self.before)
                cost += _LATE * late / rows
            # Near an end, and against a neighbour: that keeps the free rows in one piece.
            edge = min(base, cfg.act_rows - base - rows)
            alone = not any(base in (start, end) or base + rows == start for start, end in taken)
            found.append(((cost, len(mine), edge, base) if careful else (alone and edge > 0, cost, edge, base), base))
        return min(found)[1] if found else None

    def cost(self):
        """How much sectors are shared by units that want them at the same time, over all pairs."""
        size, total = self.cfg.sector_rows, 0.0
        for buffer, base in self.bases.items():
            mine = sector_shares(base, buffer.rows, size)
            for other, at, weight in self._rivals(buffer):
                theirs = sector_shares(at, other.rows, size) if weight else {}
                total += weight * sum(mine[s] * theirs[s] for s in mine if s in theirs)
        return total

    def all(self, order, careful):
        """Place all buffers in ``order``; returns one that finds no place, or None."""
        for buffer in order:
            base = self.best(buffer, careful)
            if base is None:
                return buffer
            self.bases[buffer] = base
        return None


def allocate_group(buffers, usage, fixed, before, cfg):
    """Set ``base`` of every :class:`~compiler.fusion.group.Buffer` of a group.

    Parameters
    ----------
    buffers : list
    usage : dict
        Buffer -> :class:`~compiler.fusion.group.Usage`, for these and for those of ``fixed`` that the group uses.
    fixed : list
        Buffers of kept maps, placed already.
    before : list of (first row, row behind the last)
        What the group before uses besides.
    cfg : spec.machine.MachineConfig

    Raises
    ------
    AllocationError
        If they cannot all be placed.
    """
    failed = None
    for careful in (True, False):
        for key in (lambda b: (-b.rows * _life(usage[b]), usage[b].first), lambda b: (-b.rows, usage[b].first),
                    lambda b: (usage[b].first, -b.rows)):  # fmt: skip
            placement = _Placement(cfg, usage, fixed, before)
            order = sorted(buffers, key=key)
            failed = placement.all(order, careful)
            if failed is None:
                for buffer in (*order, *order) if careful else ():
                    placement.bases[buffer] = placement.best(buffer, True)
                for buffer, base in placement.bases.items():
                    buffer.base = base
                return
    raise AllocationError(f"layer {failed.tensors[0].home}: its {failed.rows} rows and what is alive beside them do not fit the "
                 f"{cfg.act_rows} rows of the activation buffer")  # fmt: skip


def low_conflict_allocations(buffers, usage, fixed, cfg, count):
    """Ways to place the buffers of a group in which few units want the same sectors: up to ``count`` dicts from buffer to base.

    Parameters as in :func:`allocate`.
    """
    shuffle = random.Random(0)  # always the same sequence: compiling is deterministic
    found = []
    for _ in range(_STARTS):
        order = shuffle.sample(buffers, len(buffers))
        placement = _Placement(cfg, usage, fixed, [])
        if placement.all(order, careful=True) is None:
            for buffer in order:
                placement.bases[buffer] = placement.best(buffer, True)
            found.append((placement.cost(), len(found), placement.bases))
    chosen = []
    for _, _, bases in sorted(found, key=lambda f: f[:2]):
        if bases not in chosen:
            chosen.append(bases)
    return chosen[:count]


def _life(use):
    return use.last - use.first + 1


def allocate_live_across(lives, cfg):
    """Rows for maps that are kept from group to group.

    Parameters
    ----------
    lives : dict
        Tensor -> (rows, first group, last group).
    cfg : spec.machine.MachineConfig

    Returns
    -------
    dict
        Tensor -> first row.

    Raises
    ------
    AllocationError
        If they cannot all be placed.
    """
    weight = {tensor: rows * (last - first + 1) for tensor, (rows, first, last) in lives.items()}
    for _ in range(_TRIES):
        bases, failed = {}, None
        for tensor in sorted(lives, key=lambda t: (-weight[t], lives[t][1])):
            rows, first, last = lives[tensor]
            taken = [(bases[t], bases[t] + lives[t][0]) for t in bases if lives[t][1] <= last and first <= lives[t][2]]
            candidates = {0, cfg.act_rows - rows, *(end for _, end in taken), *(start - rows for start, _ in taken)}
            free = [base for base in candidates if 0 <= base <= cfg.act_rows - rows
                    and not any(base < end and start < base + rows for start, end in taken)]  # fmt: skip
            if free:
                # At an end of the buffer: what is free stays in one piece.
                bases[tensor] = min(free, key=lambda base: (min(base, cfg.act_rows - rows - base), base))
            else:
                failed = failed or tensor
                weight[tensor] *= 2  # earlier next time
        if failed is None:
            return bases
    raise AllocationError(f"layer {failed.home}: its map and what is kept beside it do not fit the {cfg.act_rows} rows of the "
                 f"activation buffer")  # fmt: skip
