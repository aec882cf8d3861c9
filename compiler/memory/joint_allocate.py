"""Joint allocation: all buffers of a schedule together, each where it shares the fewest sectors with what is alive at the same time.

That can fail; :mod:`compiler.memory.allocate` places maps that are live across groups first, which mostly succeeds where the schedule
fits.
"""

from collections.abc import Iterable, Mapping, Sequence

from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.ir.buffer import Buffer, Usage
from squeezelerator.compiler.memory.allocate import Bases
from squeezelerator.compiler.memory.sectors import Rival, candidate_bases, port_conflict, rank, sector_shares, shared_cost
from squeezelerator.compiler.tuning import ALLOCATION
from squeezelerator.spec.isa import LOAD
from squeezelerator.spec.machine import MachineConfig


def _usage(groups: Iterable[Group]) -> dict[Buffer, Usage]:
    """{buffer: Usage} with steps counted through all groups."""
    found: dict[Buffer, Usage] = {}
    offset = 0
    for group in groups:
        for buffer, use in group.usage().items():
            whole = found.setdefault(buffer, Usage(offset + use.first))
            whole.last = offset + use.last
            whole.users |= use.users
        offset += len(group.steps)
    return found


class _JointAllocation:
    """Buffers placed so far, and what placing another one costs.

    ``free_ahead``: {buffer: steps by which it is kept free before it is used, so that the first transfer can come early}.
    """

    def __init__(self, cfg: MachineConfig, usage: Mapping[Buffer, Usage], free_ahead: Mapping[Buffer, int]) -> None:
        self.cfg, self.usage = cfg, usage
        self.bases: Bases = {}
        self.order: dict[Buffer, int] = {}
        #: Buffer -> those that are alive at the same time, or still in use when transfers for the other may begin.
        self.near: dict[Buffer, list[Buffer]] = {buffer: [] for buffer in usage}
        alive: list[Buffer] = []
        for begin, buffer in sorted(((use.first - free_ahead.get(b, 0), b) for b, use in usage.items()), key=lambda pair: pair[0]):
            alive = [other for other in alive if usage[other].last >= begin]
            self.near[buffer] += alive
            for other in alive:
                self.near[other].append(buffer)
            alive.append(buffer)

    def place(self, buffer: Buffer, base: int) -> None:
        """Place a buffer."""
        self.order.setdefault(buffer, len(self.order))
        self.bases[buffer] = base

    def best(self, buffer: Buffer, careful: bool) -> int | None:
        """The base that costs least, or None. ``careful``: sharing sectors counts first, otherwise compactness does."""
        cfg, size, rows, use = self.cfg, self.cfg.sector_rows, buffer.rows, self.usage[buffer]
        # In the order in which they were placed: sums of costs must not depend on anything else.
        near = sorted((other for other in self.near[buffer] if other in self.bases), key=self.order.__getitem__)
        taken = [(self.bases[other], self.bases[other] + other.rows) for other in near]
        rivals: list[Rival] = [(sector_shares(self.bases[other], other.rows, size), weight) for other in near
                               if (weight := port_conflict(use, self.usage[other]))]  # fmt: skip
        found = []
        for base in candidate_bases(taken, rows, cfg):
            mine = sector_shares(base, rows, size)
            found.append((rank(base, rows, taken, shared_cost(mine, rivals), len(mine), cfg.act_rows, careful), base))
        return min(found)[1] if found else None


class _Attempt:
    """One way to place all buffers: those of ``fixed`` {buffer: base} where they are, the others in ``order``, each where it costs least.

    If one then finds no room, it and what is alive with it are placed first and compactly; if that is not enough, transfers into them can
    no longer come early.
    """

    def __init__(self, order: Iterable[Buffer], usage: Mapping[Buffer, Usage], cfg: MachineConfig, fixed: Bases) -> None:
        self.usage, self.cfg, self.fixed = usage, cfg, fixed
        self.order = [buffer for buffer in order if buffer not in fixed]
        #: Buffers that are placed first and compactly.
        self.tight: set[Buffer] = set()
        self.free_ahead = {buffer: ALLOCATION.free_ahead for buffer in self.order if (LOAD, "write") in usage[buffer].users}

    def run(self) -> tuple[Bases | None, Buffer | None]:
        """({buffer: base}, None), or (None, a buffer that finds no room)."""
        placed, failed = self._place()
        while failed is not None:
            if not self._tighten({b for b in (failed, *placed.near[failed]) if b not in self.fixed}):
                return None, failed
            placed, failed = self._place()
        for _ in range(ALLOCATION.improvements):
            for buffer in (*self.fixed, *self.order):
                if buffer not in self.tight:
                    base = placed.best(buffer, True)
                    if base is None:
                        raise AssertionError("the rows that a buffer has are free for it")
                    placed.bases[buffer] = base
        return placed.bases, None

    def _tighten(self, near: set[Buffer]) -> bool:
        """Change how these buffers are placed; False if nothing is left to change."""
        early = {b for b in near if self.free_ahead.get(b)}
        if early:
            self.free_ahead.update(dict.fromkeys(early, 0))
        elif near <= self.tight:
            return False
        self.tight |= near
        return True

    def _place(self) -> tuple[_JointAllocation, Buffer | None]:
        placed = _JointAllocation(self.cfg, self.usage, self.free_ahead)
        for buffer, base in self.fixed.items():
            placed.place(buffer, base)
        for buffer in (*(b for b in self.order if b in self.tight), *(b for b in self.order if b not in self.tight)):
            base = placed.best(buffer, buffer not in self.tight)
            if base is None:
                return placed, buffer
            placed.place(buffer, base)
        return placed, None


def joint_allocations(groups: Sequence[Group], cfg: MachineConfig, live_across: Bases | None = None,
                      most: int | None = None) -> tuple[list[Bases], Buffer | None]:  # fmt: skip
    """Different ways to place all buffers of ``groups``, at most ``most``.

    Parameters
    ----------
    groups : sequence of Group
    cfg : spec.machine.MachineConfig
    live_across : dict or None
        Bases of maps that are live across groups, which leave room for each other.
    most : int or None

    Returns
    -------
    tuple
        List of dicts from buffer to base, and a buffer that found no room in some way (or None).
    """
    usage, found, failed = _usage(groups), [], None
    keys = (
        lambda b: (-b.rows * (usage[b].last - usage[b].first + 1), usage[b].first),
        lambda b: (-b.rows, usage[b].first),
        lambda b: (usage[b].first, -b.rows),
    )
    for fixed in ({}, live_across) if live_across else ({},):
        for key in keys:
            bases, stuck = _Attempt(sorted(usage, key=key), usage, cfg, fixed).run()
            failed = stuck or failed
            if bases is not None and bases not in found:
                found.append(bases)
                if len(found) == most:
                    return found, failed
    return found, failed
