"""Pass 5a: all buffers of a schedule placed together, each where it shares the fewest sectors with what is alive at the same time.

That can fail; :mod:`compiler.memory.allocate` places kept maps first, which mostly succeeds where the schedule fits.
"""

from squeezelerator.compiler.fusion.group import Usage
from squeezelerator.compiler.memory.allocate import candidate_bases, port_conflict, sector_shares
from squeezelerator.spec.isa import LOAD

#: Items by which a buffer that is filled from DRAM is kept free in advance, so that the first transfer can come early.
_AHEAD = 6


def _usage(groups):
    """{buffer: Usage} with items counted through all groups."""
    found, offset = {}, 0
    for group in groups:
        for buffer, use in group.usage().items():
            whole = found.setdefault(buffer, Usage(offset + use.first))
            whole.last = offset + use.last
            whole.users |= use.users
        offset += len(group.steps)
    return found


class _JointAllocation:
    """Buffers placed so far, and what placing another one costs."""

    def __init__(self, cfg, usage, ahead):
        self.cfg, self.usage = cfg, usage
        self.bases, self.rank = {}, {}
        #: Buffer -> those that are alive at the same time, or still in use when transfers for the other may begin.
        self.near = {buffer: [] for buffer in usage}
        alive = []
        for begin, buffer in sorted(((use.first - ahead.get(b, 0), b) for b, use in usage.items()), key=lambda pair: pair[0]):
            alive = [other for other in alive if usage[other].last >= begin]
            self.near[buffer] += alive
            for other in alive:
                self.near[other].append(buffer)
            alive.append(buffer)

    def assign_bases(self, buffer, base):
        """Place a buffer."""
        self.rank.setdefault(buffer, len(self.rank))
        self.bases[buffer] = base

    def best(self, buffer, careful):
        """The base that costs least, or None. ``careful``: sharing sectors counts first, otherwise compactness does."""
        cfg, size, rows = self.cfg, self.cfg.sector_rows, buffer.rows
        # In the order in which they were placed: sums of costs must not depend on anything else.
        rivals = sorted((other for other in self.near[buffer] if other in self.bases), key=self.rank.get)
        taken = [(self.bases[other], self.bases[other] + other.rows) for other in rivals]
        use = self.usage[buffer]
        theirs = [(sector_shares(self.bases[other], other.rows, size), port_conflict(use, self.usage[other])) for other in rivals]
        theirs = [(other, weight) for other, weight in theirs if weight]
        found = []
        for base in candidate_bases(taken, rows, cfg):
            mine = sector_shares(base, rows, size)
            cost = sum(weight * mine[s] * other[s] for other, weight in theirs for s in mine if s in other)
            # Near an end, and against a neighbour: that keeps the free rows in one piece.
            edge = min(base, cfg.act_rows - base - rows)
            alone = not any(base in (start, end) or base + rows == start for start, end in taken)
            found.append(((cost, len(mine), edge, base) if careful else (alone and edge > 0, cost, edge, base), base))
        return min(found)[1] if found else None


def _attempt(order, usage, cfg, fixed):
    """({buffer: base}, None), or (None, a buffer that finds no place).

    Those in ``fixed`` {buffer: base} are placed; the others come in ``order``, each where it hurts least. If one then finds no
    place, it and what is alive with it are placed first and compactly; if that is not enough, transfers into them can no longer
    come early.
    """
    tight = set()
    order = [buffer for buffer in order if buffer not in fixed]
    ahead = {buffer: _AHEAD for buffer in order if (LOAD, "write") in usage[buffer].users}
    while True:
        placed, failed = _JointAllocation(cfg, usage, ahead), None
        for buffer, base in fixed.items():
            placed.assign_bases(buffer, base)
        for buffer in (*(b for b in order if b in tight), *(b for b in order if b not in tight)):
            base = placed.best(buffer, buffer not in tight)
            if base is None:
                failed = buffer
                break
            placed.assign_bases(buffer, base)
        if failed is None:
            break
        near = {b for b in (failed, *placed.near[failed]) if b not in fixed}
        hasty = {b for b in near if ahead.get(b)}
        if hasty:
            ahead.update(dict.fromkeys(hasty, 0))
        elif near <= tight:
            return None, failed
        tight |= near
    for _ in range(2):
        for buffer in (*fixed, *order):
            if buffer not in tight:
                placed.bases[buffer] = placed.best(buffer, True)
    return placed.bases, None


def joint_allocations(groups, cfg, live_across=None, most=None):
    """Different ways to place all buffers of ``groups``, at most ``most``.

    Parameters
    ----------
    groups : list of compiler.fusion.group.Group
    cfg : spec.machine.MachineConfig
    kept : dict or None
        Places for maps that several groups use, which leave room for each other: buffer to base.

    Returns
    -------
    tuple
        List of dicts from buffer to base, and a buffer that found no place in some way (or None).
    """
    usage, found, failed = _usage(groups), [], None
    keys = (
        lambda b: (-b.rows * (usage[b].last - usage[b].first + 1), usage[b].first),
        lambda b: (-b.rows, usage[b].first),
        lambda b: (usage[b].first, -b.rows),
    )
    for fixed in ({}, live_across) if live_across else ({},):
        for key in keys:
            bases, stuck = _attempt(sorted(usage, key=key), usage, cfg, fixed)
            failed = stuck or failed
            if bases is not None and bases not in found:
                found.append(bases)
                if len(found) == most:
                    return found, failed
    return found, failed


def assign_bases(bases):
    """Write an arrangement into the buffers."""
    for buffer, base in bases.items():
        buffer.base = base
