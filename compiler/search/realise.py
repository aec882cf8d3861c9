"""Realisation of a partition: every group gets its best schedule and its buffers their rows.

Buffers are allocated all together if that succeeds, which shares the fewest sectors; otherwise the maps that are live across groups first,
and the ring buffers of each group in what they leave.
"""

import contextlib
from collections.abc import Hashable, Mapping, Sequence

from squeezelerator.compiler.fusion.group import Group, NetworkSchedule, build_group
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling import Tiling
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.memory.allocate import AllocationError, Bases, assign_bases, low_conflict_allocations
from squeezelerator.compiler.memory.joint_allocate import joint_allocations
from squeezelerator.compiler.memory.live_across import allocate_live_across
from squeezelerator.compiler.memory.ring_rotation import rotate_rings
from squeezelerator.compiler.search.live_ranges import LiveRanges
from squeezelerator.compiler.search.local_search import LocalSearch
from squeezelerator.compiler.search.partition import Partition
from squeezelerator.compiler.search.sites import IsolatedSite, NeighbourSite
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.compiler.tuning import LOCAL_SEARCH


class _Realisation:
    """Makes the schedule of a partition in ``capacity`` rows."""

    def __init__(self, partition: Partition, tiling_search: TilingSearch, capacity: int) -> None:
        self.partition, self.tiling_search, self.capacity = partition, tiling_search, capacity
        self.cfg, self.config = tiling_search.cfg, tiling_search.config
        self.local_search = LocalSearch(tiling_search)
        self.lives = LiveRanges(partition, self.cfg.n)

    def run(self) -> NetworkSchedule:
        """The schedule, all buffers allocated; raises AllocationError."""
        groups: list[Group] = []
        if self.config.joint_allocation:
            with contextlib.suppress(AllocationError):  # not all at once: one group after the other
                groups = self._jointly()
        groups = groups or self._in_order()
        if self.tiling_search.thorough:
            self._move_ring_buffers(groups)
            rotate_rings(groups, self._time)
        buffers = list({id(b): b for group in groups for b in group.own}.values())
        return NetworkSchedule(groups, buffers, self.config.prefetch)

    def _trial(self, groups: Sequence[Group]) -> Trial:
        return Trial(groups, self.cfg, self.config.prefetch, self.tiling_search.schedule_cache.trials)

    def _time(self, groups: Sequence[Group]) -> int | None:
        """Cycles of groups, or None if their weights do not fit or nothing is left of the budget."""
        return None if self.local_search.spent else self.local_search.timed(self._trial(groups))

    def _around(self, index: int, buffers: Mapping[Tensor, Buffer]) -> tuple[int, dict[Tensor, Buffer], list[Buffer]]:
        """At a group: rows that are free for it, {tensor: buffer} of maps live across groups, and all their buffers.

        ``buffers``: {root tensor: buffer} of the whole partition.
        """
        live = self.lives.live_in_group(index)
        fixed = {t: buffers[root] for t, root in self.lives.root_of.items() if root in live} | {root: buffers[root] for root in live}
        room = self.capacity - sum(buffers[root].rows for root in live if self.lives.ranges[root].first < index)
        return room, fixed, [buffers[root] for root in live]

    # -- allocation -------------------------------------------------------------------------------------------

    def _jointly(self) -> list[Group]:
        """Groups with all buffers allocated together; those that lie around one that finds no room get less."""
        spare: dict[int, int] = {}
        bases = allocate_live_across(self.lives.ranges, self.cfg)
        most = self.config.effort.joint_allocations if self.tiling_search.thorough else 1
        for _ in range(LOCAL_SEARCH.squeezes):
            buffers = self.lives.buffers()
            groups = [self._group(index, context, tiling, buffers, spare.get(index, 0))
                      for index, (context, tiling) in enumerate(self.partition)]  # fmt: skip
            found, failed = joint_allocations(groups, self.cfg, {buffers[root]: base for root, base in bases.items()}, most)
            if found:
                self._assign_fastest(groups, found)
                return groups
            index = next(i for i, group in enumerate(groups) if any(b is failed for b in group.own))
            spare[index] = spare.get(index, 0) + self.cfg.act_rows // LOCAL_SEARCH.squeeze_part
        raise AllocationError("no room")

    def _group(self, index: int, context: GroupContext, tiling: Tiling, buffers: Mapping[Tensor, Buffer], spare: int) -> Group:
        """A group that leaves ``spare`` of the rows that are free for it; raises AllocationError."""
        room, fixed, _ = self._around(index, buffers)
        if spare:
            room -= spare
            other = self.tiling_search.best(context, room) if room > 0 else None
            if other is None:
                raise AllocationError("no room")
            tiling = other
        plan = self.local_search.improve(context, tiling, room, IsolatedSite(self.tiling_search, fixed))
        return build_group(plan, fixed, self.tiling_search)

    def _assign_fastest(self, groups: Sequence[Group], allocations: Sequence[Bases]) -> None:
        """Write the fastest of the allocations into the buffers."""
        best, least, trial = allocations[0], None, self._trial(groups)
        for bases in allocations if len(allocations) > 1 else ():
            assign_bases(bases)
            found = trial.time()
            if found and (least is None or found.cycles < least):
                best, least = bases, found.cycles
        assign_bases(best)

    def _in_order(self) -> list[Group]:
        """Groups with maps that are live across groups allocated first, and ring buffers where they leave room."""
        buffers = self.lives.buffers(allocate_live_across(self.lives.ranges, self.cfg))
        groups: list[Group] = []
        for index, (context, tiling) in enumerate(self.partition):
            room, fixed, live = self._around(index, buffers)
            site = NeighbourSite(self.tiling_search, fixed, live, groups[-1] if groups else None)
            groups.append(self._squeezed_group(context, tiling, room, site))
        return groups

    def _squeezed_group(self, context: GroupContext, tiling: Tiling | None, room: int, site: NeighbourSite) -> Group:
        """A group in as many of ``room`` rows as its buffers can be allocated in; raises AllocationError."""
        while tiling is not None:
            try:
                return site.group(self.local_search.improve(context, tiling, room, site))
            except AllocationError:
                room -= self.cfg.act_rows // LOCAL_SEARCH.squeeze_part
                tiling = self.tiling_search.best(context, room) if room > 0 else None
        raise AllocationError(f"layer {context.ops[0].layers[0]}: its buffers find no place beside what is kept")

    # -- other places for ring buffers ------------------------------------------------------------------------

    def _move_ring_buffers(self, groups: Sequence[Group]) -> None:
        """Move the ring buffers of groups that wait a lot; each group is timed with the end of the one before it."""
        known: dict[Hashable, tuple[int, ...]] = {}
        for index, group in enumerate(groups):
            live = [buffer for root in self.lives.live_in_group(index) for buffer in self._buffer_of(groups, root)]
            rings = [b for b in group.own if not any(b is other for other in live)]
            if len(rings) < LOCAL_SEARCH.move_buffers or self.local_search.spent:
                continue
            key = self._surroundings(index, group, live)
            if key not in known:
                best = self._fastest_place(groups, index, rings, live)
                known[key] = tuple(best[b] for b in rings)
            assign_bases(dict(zip(rings, known[key], strict=True)))

    def _surroundings(self, index: int, group: Group, live: Sequence[Buffer]) -> Hashable:
        """Equal for groups whose ring buffers lie best in the same rows."""
        return (self.partition[index][0].signature(), tuple(sorted((b.base, b.rows) for b in live)), tuple(b.rows for b in group.own),
                tuple(b.base for b in live if b in group.own))  # fmt: skip

    def _fastest_place(self, groups: Sequence[Group], index: int, rings: Sequence[Buffer], live: Sequence[Buffer]) -> Bases:
        """Where the ring buffers of a group lie best: where they are, unless the group waits a lot there and less elsewhere."""
        group = groups[index]
        trial = self._trial([*(before.tail(LOCAL_SEARCH.lead_in_steps) for before in groups[:index][-1:]), group])
        now = {b: b.base for b in rings}
        least = self.local_search.timed(trial)
        if least is None or least < LOCAL_SEARCH.move_waits * self.tiling_search.lower_bound(self.partition[index][0]):
            return now
        best = now
        for bases in low_conflict_allocations(rings, group.usage(), live, self.cfg, LOCAL_SEARCH.move_allocations):
            assign_bases(bases)
            time = self.local_search.timed(trial)
            if time is not None and time < least:
                best, least = bases, time
        return best

    @staticmethod
    def _buffer_of(groups: Sequence[Group], root: Tensor) -> list[Buffer]:
        """The buffer of a map that is live across groups, if it has one."""
        return next(([group.buffers[root]] for group in groups if root in group.buffers), [])


def realise(partition: Partition, tiling_search: TilingSearch, capacity: int) -> NetworkSchedule:
    """The schedule of a partition, all buffers allocated.

    Raises
    ------
    AllocationError
        If the buffers do not fit together; those of a partition for a smaller ``capacity`` may.
    """
    return _Realisation(partition, tiling_search, capacity).run()
