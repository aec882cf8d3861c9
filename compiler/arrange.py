"""Pass 5b: all buffers of the schedule placed once more, this time together.

:mod:`compiler.allocate` places kept maps first, which always succeeds where the schedule fits. Here every buffer goes where it
shares the fewest sectors with what is alive at the same time. That can fail; where it does not, it is often the better
arrangement.
"""

from compiler.allocate import rivalry, shares
from compiler.group import Usage
from rtl.isa import LOAD

#: Items by which a buffer that is filled from DRAM is kept free in advance, so that the first transfer can come early.
_AHEAD = 6
#: How often every buffer is looked at.
_ROUNDS = 3


def _usage(groups):
    """{buffer: Usage} with items counted through all groups."""
    found, offset = {}, 0
    for group in groups:
        for buffer, use in group.usage().items():
            whole = found.setdefault(buffer, Usage(offset + use.first))
            whole.last = offset + use.last
            whole.users |= use.users
        offset += len(group.items)
    return found


class _Arrangement:
    """Buffers placed so far, and what placing another one costs."""

    def __init__(self, cfg, usage, ahead):
        self.cfg, self.usage, self.ahead = cfg, usage, ahead
        self.bases = {}

    def together(self, a, b):
        """Whether two buffers are alive at the same time, or one is still in use when transfers for the other may begin."""
        one, other = self.usage[a], self.usage[b]
        return one.first - self.ahead.get(a, 0) <= other.last and other.first - self.ahead.get(b, 0) <= one.last

    def best(self, buffer, careful):
        """The base that costs least, or None. ``careful``: sharing sectors counts first, otherwise compactness does."""
        cfg, size, rows = self.cfg, self.cfg.sector_rows, buffer.rows
        rivals = [other for other in self.bases if other is not buffer and self.together(buffer, other)]
        taken = sorted((self.bases[other], self.bases[other] + other.rows) for other in rivals)
        theirs = [(shares(self.bases[other], other.rows, size), rivalry(self.usage[buffer], self.usage[other])) for other in rivals]
        candidates = {0, *(end for _, end in taken), *(start - rows for start, _ in taken), *range(0, cfg.act_rows, size),
                      *range(size - rows, cfg.act_rows - rows + 1, size), cfg.act_rows - rows}  # fmt: skip
        found = []
        for base in sorted(candidates):
            if base < 0 or base + rows > cfg.act_rows or any(base < end and start < base + rows for start, end in taken):
                continue
            mine = shares(base, rows, size)
            cost = sum(weight * mine[s] * other[s] for other, weight in theirs for s in mine if s in other)
            # Near an end, and against a neighbour: that keeps the free rows in one piece.
            edge = min(base, cfg.act_rows - base - rows)
            alone = not any(base in (start, end) or base + rows == start for start, end in taken)
            found.append(((cost, len(mine), edge, base) if careful else (alone and edge > 0, cost, edge, base), base))
        return min(found)[1] if found else None


def _attempt(order, usage, cfg):
    """{buffer: base}, or None.

    Buffers are placed in ``order``, each where it hurts least. If one then finds no place, it and what is alive with it are
    placed first and compactly; if that is not enough, transfers into them can no longer come early.
    """
    tight = set()
    ahead = {buffer: _AHEAD for buffer in order if (LOAD, "write") in usage[buffer].users}
    while True:
        placed, failed = _Arrangement(cfg, usage, ahead), None
        for buffer in (*(b for b in order if b in tight), *(b for b in order if b not in tight)):
            base = placed.best(buffer, buffer not in tight)
            if base is None:
                failed = buffer
                break
            placed.bases[buffer] = base
        if failed is None:
            break
        near = {b for b in order if placed.together(failed, b)}
        hasty = {b for b in near if ahead.get(b)}
        if hasty:
            ahead.update(dict.fromkeys(hasty, 0))
        elif near <= tight:
            return None
        tight |= near
    for _ in range(2):
        for buffer in order:
            if buffer not in tight:
                placed.bases[buffer] = placed.best(buffer, True)
    return placed.bases


def _improve(bases, usage, cfg, early):
    """Move single buffers from where they are, as long as that helps; ``early``: transfers may begin before their turn."""
    ahead = {buffer: _AHEAD for buffer in bases if early and (LOAD, "write") in usage[buffer].users}
    placed = _Arrangement(cfg, usage, ahead)
    placed.bases = dict(bases)
    order = sorted(bases, key=lambda b: (-b.rows * (usage[b].last - usage[b].first + 1), usage[b].first))
    for _ in range(_ROUNDS):
        for buffer in order:
            base = placed.best(buffer, True)
            if base is not None:
                placed.bases[buffer] = base
    return placed.bases


def arrangements(groups, cfg):
    """Different ways to place all buffers of ``groups``, which have places already: dicts from buffer to base."""
    usage = _usage(groups)
    keys = (
        lambda b: (-b.rows * (usage[b].last - usage[b].first + 1), usage[b].first),
        lambda b: (-b.rows, usage[b].first),
        lambda b: (usage[b].first, -b.rows),
    )
    for key in keys:
        bases = _attempt(sorted(usage, key=key), usage, cfg)
        if bases is not None:
            yield bases
    now = {buffer: buffer.base for buffer in usage}
    for early in (False, True):
        yield _improve(now, usage, cfg, early)
