"""Pass 5, allocation: where in the activation buffer every buffer of the schedule lies.

Buffers that are alive at the same time must not overlap, and should lie in different sectors: two units that use one
sector's port at the same time have to wait for each other.
"""

from compiler.errors import CompileError
from rtl.isa import ARRAY, DRAIN, LOAD, POOL, STORE

#: Items by which a buffer that is filled from DRAM is kept free in advance, so that the first transfer can come early.
_AHEAD = 6
#: Share of a buffer that an instruction touches, roughly.
_REACH = 0.3
#: How much it hurts if a unit has to wait, relative to the others.
_WEIGHT = {ARRAY: 8, DRAIN: 4, LOAD: 2, POOL: 2, STORE: 2}


class NoRoom(CompileError):
    """The buffers do not fit as they are; a schedule for a smaller buffer may. ``buffer``: one that found no place."""

    def __init__(self, message, buffer):
        super().__init__(message)
        self.buffer = buffer


def _shares(base, rows, size):
    """{sector: how likely an access to a buffer touches it}."""
    return {
        sector: min(1.0, (min(base + rows, (sector + 1) * size) - max(base, sector * size)) / rows + _REACH)
        for sector in range(base // size, (base + rows - 1) // size + 1)
    }


def _rivalry(a, b):
    """How much it hurts if two buffers lie in one sector: pairs of different units that want the same kind of port."""
    return sum(_WEIGHT[unit] * _WEIGHT[other] for unit, how in a.users for other, kind in b.users
               if how == kind and unit != other)  # fmt: skip


class _Placement:
    """Buffers placed so far, and what placing another one costs."""

    def __init__(self, cfg, ahead):
        self.cfg, self.ahead = cfg, ahead
        self.bases = {}

    def together(self, a, b):
        """Whether two buffers are alive at the same time, or one is still in use when transfers for the other may begin."""
        return a.first - self.ahead.get(a, 0) <= b.last and b.first - self.ahead.get(b, 0) <= a.last

    def _rivals(self, buffer):
        """Buffers that are alive at the same time, with their rivalry."""
        return [(other, _rivalry(buffer, other)) for other in self.bases
                if other is not buffer and self.together(buffer, other)]  # fmt: skip

    def best(self, buffer, careful):
        """The base that costs least, or None. ``careful``: sharing sectors counts first, otherwise compactness does."""
        cfg, size = self.cfg, self.cfg.sector_rows
        rivals = self._rivals(buffer)
        taken = sorted((self.bases[other], self.bases[other] + other.rows) for other, _ in rivals)
        shares = [(_shares(self.bases[other], other.rows, size), weight) for other, weight in rivals]
        candidates = {0, *(end for _, end in taken), *(start - buffer.rows for start, _ in taken),
                      *range(0, cfg.act_rows, size), *range(size - buffer.rows, cfg.act_rows - buffer.rows + 1, size),
                      cfg.act_rows - buffer.rows}  # fmt: skip
        found = []
        for base in sorted(candidates):
            if base < 0 or base + buffer.rows > cfg.act_rows:
                continue
            if any(base < end and start < base + buffer.rows for start, end in taken):
                continue
            mine = _shares(base, buffer.rows, size)
            cost = sum(weight * mine[s] * theirs[s] for theirs, weight in shares for s in mine if s in theirs)
            # Near an end, and against a neighbour: that keeps the free rows in one piece.
            edge = min(base, cfg.act_rows - base - buffer.rows)
            alone = not any(base in (start, end) or base + buffer.rows == start for start, end in taken)
            found.append(((cost, len(mine), edge, base) if careful else (alone and edge > 0, cost, edge, base), base))
        return min(found)[1] if found else None


def _place(order, cfg):
    """{buffer: base}, or a buffer that finds no place.

    Buffers are placed in ``order``, each where it hurts least. If one then finds no place, it and what is alive with it are
    placed first and compactly; if that is not enough, transfers into them can no longer come early.
    """
    tight = set()
    ahead = {buffer: _AHEAD for buffer in order if buffer.streamed}
    while True:
        placement, failed = _Placement(cfg, ahead), None
        for buffer in (*(b for b in order if b in tight), *(b for b in order if b not in tight)):
            base = placement.best(buffer, buffer not in tight)
            if base is None:
                failed = buffer
                break
            placement.bases[buffer] = base
        if failed is None:
            break
        near = {b for b in order if placement.together(failed, b)}
        hasty = {b for b in near if ahead.get(b)}
        if hasty:
            ahead.update(dict.fromkeys(hasty, 0))
        elif near <= tight:
            return failed
        tight |= near
    for _ in range(2):
        for buffer in order:
            if buffer not in tight:
                placement.bases[buffer] = placement.best(buffer, True)
    return placement.bases


def allocate(buffers, cfg):
    """Set ``base`` of every :class:`~compiler.group.Buffer`.

    Raises
    ------
    NoRoom
        If they cannot all be placed.
    """
    orders = (
        lambda b: (-b.rows * (b.last - b.first + 1), b.first),
        lambda b: (-b.rows, b.first),
        lambda b: (b.first, -b.rows),
    )
    for key in orders:
        bases = _place(sorted(buffers, key=key), cfg)
        if isinstance(bases, dict):
            for buffer, base in bases.items():
                buffer.base = base
            return
    raise NoRoom(f"layer {bases.tensors[0].home}: its {bases.rows} rows and what is alive beside them do not fit the "
                 f"{cfg.act_rows} rows of the activation buffer", bases)  # fmt: skip
