"""Pass 4c, settling: the chosen groups get their buffers, and each its best way to run.

Buffers are placed all together if that succeeds, which shares the fewest sectors; otherwise the maps that are kept first, and the
rings of each group in what they leave.
"""

import dataclasses

from squeezelerator.compiler.fusion.group import Buffer, NetworkSchedule, build_group
from squeezelerator.compiler.memory.allocate import AllocationError, allocate_group, allocate_live_across, low_conflict_allocations
from squeezelerator.compiler.memory.joint_allocate import assign_bases, joint_allocations
from squeezelerator.compiler.memory.ring_rotation import rotate_rings
from squeezelerator.compiler.search.local_search import LocalSearch
from squeezelerator.compiler.search.trial import Trial

#: Items of the group before that a trial beside others begins with.
_BEFORE = 10
#: Groups with so many rings are worth other placements, so many of them, if they take so many times what they need at least.
_RINGS, _WAYS, _WAITS = 3, 6, 1.06
#: How often groups get less room until their buffers can be placed together.
_SQUEEZES = 6


class IsolatedSite:
    """A group placed by itself; of the buffers of other groups it uses copies."""

    key = None

    def __init__(self, realisation, fixed):
        self.realisation, self.fixed = realisation, fixed

    def group(self, context, tiling, schedule, ring_lines):
        """The :class:`~compiler.fusion.group.Group`, its buffers placed; raises AllocationError."""
        realisation = self.realisation
        copies = {id(b): Buffer([], b.blocks, b.lines, b.pitch) for b in self.fixed.values()}
        fixed = {t: copies[id(b)] for t, b in self.fixed.items()}
        group = build_group(context, tiling, schedule, ring_lines, fixed, realisation.tiling_search, realisation.cfg.n)
        found, _ = joint_allocations([group], realisation.cfg, most=1)
        if not found:
            raise AllocationError(f"layer {context.ops[0].layers[0]}: its buffers do not fit the activation buffer")
        assign_bases(found[0])
        return group

    def around(self, group):
        """What a trial runs."""
        return [group]


class NeighbourSite:
    """A group placed beside ``fixed`` buffers, of which ``live`` are all that are in use, and after the group ``previous``."""

    def __init__(self, realisation, fixed, live, previous):
        self.realisation, self.fixed, self.live, self.previous = realisation, fixed, live, previous
        self.key = previous and (previous.tiling, tuple((b.base, b.rows) for b in previous.own))

    def group(self, context, tiling, schedule, ring_lines):
        """As :meth:`IsolatedSite.group`."""
        realisation = self.realisation
        before = [(b.base, b.base + b.rows) for b in self.previous.own] if self.previous else []
        group = build_group(context, tiling, schedule, ring_lines, self.fixed, realisation.tiling_search, realisation.cfg.n)
        allocate_group([b for b in group.own if b.base < 0], group.usage(), self.live, before, realisation.cfg)
        return group

    def around(self, group):
        """What a trial runs: the end of the group before, too, because transfers may come early."""
        if self.previous is None:
            return [group]
        return [dataclasses.replace(self.previous, steps=self.previous.steps[-_BEFORE:]), group]


class Realisation:
    """Makes the :class:`~compiler.fusion.group.NetworkSchedule` of a path of (situation, choice) pairs."""

    def __init__(self, cfg, tiling_search, capacity):
        self.cfg, self.tiling_search, self.capacity = cfg, tiling_search, capacity
        self.local_search = LocalSearch(cfg, tiling_search)

    def realise(self, path):
        """The schedule, every buffer in its place.

        Raises
        ------
        AllocationError
            If the buffers find no place.
        """
        root_of, lives = self._lives(path)
        groups = None
        if self.tiling_search.config.joint_allocation:
            try:
                groups = self._together(path, root_of, lives)
            except AllocationError:
                pass
        groups = groups or self._kept_first(path, root_of, lives)
        if self.tiling_search.thorough:
            self._polish(path, groups, root_of, lives)
            rotate_rings(groups, lambda around: Trial(around, self.cfg, self.tiling_search.config.prefetch), self.local_search)
        buffers = list({id(b): b for group in groups for b in group.own}.values())
        return NetworkSchedule(groups, buffers, self.tiling_search.config.prefetch)

    def _around(self, index, root_of, lives, live_across):
        """(rows that kept maps leave, {tensor: Buffer} of those in use, their buffers) at a group."""
        live = [root for root, (_, first, last) in lives.items() if first <= index <= last]
        fixed = {t: live_across[root] for t, root in root_of.items() if root in live} | {root: live_across[root] for root in live}
        room = self.capacity - sum(live_across[root].rows for root in live if lives[root][1] < index)
        return room, fixed, [live_across[root] for root in live]

    def _together(self, path, root_of, lives):
        """Groups with all buffers placed at once; those that come to lie around one that finds no place get less room."""
        spare, bases = {}, allocate_live_across(lives, self.cfg)
        for _ in range(_SQUEEZES):
            live_across = {root: Buffer([], root.blocks(self.cfg.n), root.h, root.w) for root in lives}
            groups = []
            for index, (context, tiling) in enumerate(path):
                room, fixed, _ = self._around(index, root_of, lives, live_across)
                if index in spare:
                    room -= spare[index]
                    tiling = self.tiling_search.best(context, room) if room > 0 else None
                    if tiling is None:
                        raise AllocationError("no room")
                tiling, schedule, ring_lines = self.local_search.improve(context, tiling, room, IsolatedSite(self, fixed))
                groups.append(build_group(context, tiling, schedule, ring_lines, fixed, self.tiling_search, self.cfg.n))
            most = self.tiling_search.config.effort.joint_allocations if self.tiling_search.thorough else 1
            found, failed = joint_allocations(groups, self.cfg, {live_across[root]: base for root, base in bases.items()}, most)
            if found:
                self._best(groups, found)
                return groups
            index = next(i for i, group in enumerate(groups) if any(b is failed for b in group.own))
            spare[index] = spare.get(index, 0) + self.cfg.act_rows // 16
        raise AllocationError("no room")

    def _best(self, groups, arranged):
        """Put the buffers where that is fastest."""
        best, timed = None, Trial(groups, self.cfg, self.tiling_search.config.prefetch)
        for way in arranged if len(arranged) > 1 else ():
            assign_bases(way)
            found = timed.time()
            if found and (best is None or found[0] < best[0]):
                best = found[0], way
        assign_bases(best[1] if best else arranged[0])

    def _kept_first(self, path, root_of, lives):
        """Groups with kept maps placed first, and rings where they leave room."""
        bases, groups = allocate_live_across(lives, self.cfg), []
        live_across = {root: Buffer([], root.blocks(self.cfg.n), root.h, root.w, base=base) for root, base in bases.items()}
        for index, (context, tiling) in enumerate(path):
            room, fixed, live = self._around(index, root_of, lives, live_across)
            site = NeighbourSite(self, fixed, live, groups[-1] if groups else None)
            while True:
                if tiling is None:
                    raise AllocationError(f"layer {context.ops[0].layers[0]}: its buffers find no place beside what is kept")
                try:
                    groups.append(site.group(context, *self.local_search.improve(context, tiling, room, site)))
                    break
                except AllocationError:
                    room -= self.cfg.act_rows // 16
                    tiling = self.tiling_search.best(context, room) if room > 0 else None
        return groups

    def _polish(self, path, groups, root_of, lives):
        """Move the rings of groups that wait a lot; each is timed with the end of the group before it."""
        known = {}
        for index, group in enumerate(groups):
            live_across = [b for root, (_, first, last) in lives.items() if first <= index <= last for b in self._buffers(groups, root)]
            ring_lines = [b for b in group.own if not any(b is other for other in live_across)]
            if len(ring_lines) < _RINGS or self.local_search.spent:
                continue
            place = tuple(sorted((b.base, b.rows) for b in live_across))
            key = path[index][0].signature(), place, tuple(b.rows for b in group.own), tuple(b.base for b in live_across if b in group.own)
            if key in known:
                assign_bases(dict(zip(ring_lines, known[key], strict=True)))
                continue
            before = [dataclasses.replace(groups[index - 1], steps=groups[index - 1].steps[-_BEFORE:])] if index else []
            best, timed = None, Trial([*before, group], self.cfg, self.tiling_search.config.prefetch)
            now = {b: b.base for b in ring_lines}
            for way in (now, *low_conflict_allocations(ring_lines, group.usage(), live_across, self.cfg, _WAYS)):
                assign_bases(way)
                time = self.local_search.timed(timed)
                if best is None and (time is None or time < _WAITS * self.tiling_search.lower_bound(path[index][0])):
                    best = 0, now
                    break
                if time is not None and (best is None or time < best[0]):
                    best = time, way
            assign_bases(best[1])
            known[key] = tuple(best[1][b] for b in ring_lines)

    @staticmethod
    def _buffers(groups, root):
        """The buffer of a kept map."""
        return next(([group.buffers[root]] for group in groups if root in group.buffers), [])

    def _lives(self, path):
        """{kept tensor: tensor whose buffer it uses} and {the latter: (rows, first group, last group)}."""
        root_of, lives = {}, {}
        for index, (context, tiling) in enumerate(path):
            for tensor in context.readers:
                if tensor in context.live_in:
                    rows, first, _ = lives[root_of[tensor]]
                    lives[root_of[tensor]] = rows, first, index
            roots = context.roots(self.cfg.n, tiling.overwrite_streamed)
            for op in context.ops:
                # In place: also results that are not kept may lie in the buffer of a kept map.
                old = roots.get(op.out, op.out)
                root = root_of.get(old, old)
                if op.out in context.live_out or root in lives:
                    root_of[op.out] = root
                    lives.setdefault(root, (root.rows(self.cfg.n), index, index))
        return root_of, lives


def realise(path, cfg, tiling_search, capacity):
    """The :class:`~compiler.fusion.group.NetworkSchedule` of a path through the network, all buffers allocated.

    Raises
    ------
    AllocationError
        If the buffers do not fit together; those of a path for a smaller ``capacity`` may.
    """
    return Realisation(cfg, tiling_search, capacity).realise(path)
