"""Pass 5, allocation: where in the activation buffer every buffer of the schedule lies.

Buffers that are alive at the same time must not overlap, and should lie in different sectors: two units that use one
sector's port at the same time have to wait for each other.
"""

from compiler.errors import CompileError

#: Items by which a buffer that is filled from DRAM is kept free in advance, so that the first transfer can come early.
_AHEAD = 6


class NoRoom(CompileError):
    """The buffers do not fit as they are; a schedule for a smaller buffer may."""


def _overlap_in_time(a, b, ahead):
    first_a = a.first - (ahead if a.streamed else 0)
    first_b = b.first - (ahead if b.streamed else 0)
    return first_a <= b.last and first_b <= a.last


def _sectors(base, rows, size):
    return set(range(base // size, (base + rows - 1) // size + 1))


def _place(order, cfg, ahead):
    """Bases of the buffers in ``order``, or None if one finds no place."""
    placed = []
    for buffer in order:
        rivals = [(other, base) for other, base in placed if _overlap_in_time(buffer, other, ahead)]
        taken = sorted((base, base + other.rows) for other, base in rivals)
        used = {}
        for other, base in rivals:
            for sector in _sectors(base, other.rows, cfg.sector_rows):
                used[sector] = used.get(sector, 0) + 1
        candidates = {0, *(end for _, end in taken), *(start - buffer.rows for start, _ in taken),
                      *range(0, cfg.act_rows, cfg.sector_rows), cfg.act_rows - buffer.rows}  # fmt: skip
        best = None
        for base in sorted(candidates):
            if base < 0 or base + buffer.rows > cfg.act_rows:
                continue
            if any(base < end and start < base + buffer.rows for start, end in taken):
                continue
            mine = _sectors(base, buffer.rows, cfg.sector_rows)
            # Fewest shared sectors, then fewest sectors, then nearest to an end: that keeps the middle in one piece.
            edge = min(base, cfg.act_rows - base - buffer.rows)
            score = (sum(used.get(s, 0) for s in mine), len(mine), edge, base)
            if best is None or score < best[0]:
                best = (score, base)
        if best is None:
            return None
        placed.append((buffer, best[1]))
    return placed


def allocate(buffers, cfg):
    """Set ``base`` of every :class:`~compiler.schedule.Buffer`.

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
    for ahead in (_AHEAD, 2, 0):
        for key in orders:
            placed = _place(sorted(buffers, key=key), cfg, ahead)
            if placed is not None:
                for buffer, base in placed:
                    buffer.base = base
                return
    worst = max(buffers, key=lambda b: b.rows)
    raise NoRoom(f"layer {worst.tensors[0].home}: its {worst.rows} rows and what is alive beside them do not fit the "
                 f"{cfg.act_rows} rows of the activation buffer")  # fmt: skip
