"""Pass 4c, settling: the chosen groups get their buffers, and each its best way to run.

Buffers are placed all together if that succeeds, which shares the fewest sectors; otherwise the maps that are kept first, and the
rings of each group in what they leave.
"""

import dataclasses

from squeezelerator.compiler.fusion.group import Buffer, Schedule, make_group
from squeezelerator.compiler.memory.allocate import NoRoom, allocate, place_kept, ways
from squeezelerator.compiler.memory.joint_allocate import arrangements, put
from squeezelerator.compiler.memory.ring_rotation import turn_rings
from squeezelerator.compiler.search.local_search import Refiner
from squeezelerator.compiler.search.trial import Trial

#: Items of the group before that a trial beside others begins with.
_BEFORE = 10
#: Groups with so many rings are worth other placements, so many of them, if they take so many times what they need at least.
_RINGS, _WAYS, _WAITS = 3, 6, 1.06
#: How often groups get less room until their buffers can be placed together.
_SQUEEZES = 6


class Alone:
    """A group placed by itself; of the buffers of other groups it uses copies."""

    key = None

    def __init__(self, settler, fixed):
        self.settler, self.fixed = settler, fixed

    def group(self, situation, choice, walk, rings):
        """The :class:`~compiler.fusion.group.Group`, its buffers placed; raises NoRoom."""
        settler = self.settler
        copies = {id(b): Buffer([], b.blocks, b.lines, b.pitch) for b in self.fixed.values()}
        fixed = {t: copies[id(b)] for t, b in self.fixed.items()}
        group = make_group(situation, choice, walk, rings, fixed, settler.chooser, settler.cfg.n)
        found, _ = arrangements([group], settler.cfg, most=1)
        if not found:
            raise NoRoom(f"layer {situation.ops[0].layers[0]}: its buffers do not fit the activation buffer")
        put(found[0])
        return group

    def around(self, group):
        """What a trial runs."""
        return [group]


class Beside:
    """A group placed beside ``fixed`` buffers, of which ``live`` are all that are in use, and after the group ``previous``."""

    def __init__(self, settler, fixed, live, previous):
        self.settler, self.fixed, self.live, self.previous = settler, fixed, live, previous
        self.key = previous and (previous.choice, tuple((b.base, b.rows) for b in previous.own))

    def group(self, situation, choice, walk, rings):
        """As :meth:`Alone.group`."""
        settler = self.settler
        before = [(b.base, b.base + b.rows) for b in self.previous.own] if self.previous else []
        group = make_group(situation, choice, walk, rings, self.fixed, settler.chooser, settler.cfg.n)
        allocate([b for b in group.own if b.base < 0], group.usage(), self.live, before, settler.cfg)
        return group

    def around(self, group):
        """What a trial runs: the end of the group before, too, because transfers may come early."""
        if self.previous is None:
            return [group]
        return [dataclasses.replace(self.previous, items=self.previous.items[-_BEFORE:]), group]


class Settler:
    """Makes the :class:`~compiler.fusion.group.Schedule` of a path of (situation, choice) pairs."""

    def __init__(self, cfg, chooser, capacity):
        self.cfg, self.chooser, self.capacity = cfg, chooser, capacity
        self.refiner = Refiner(cfg, chooser)

    def settle(self, path):
        """The schedule, every buffer in its place.

        Raises
        ------
        NoRoom
            If the buffers find no place.
        """
        root_of, lives = self._lives(path)
        groups = None
        if self.chooser.strategy.together:
            try:
                groups = self._together(path, root_of, lives)
            except NoRoom:
                pass
        groups = groups or self._kept_first(path, root_of, lives)
        if self.chooser.thorough:
            self._polish(path, groups, root_of, lives)
            turn_rings(groups, lambda around: Trial(around, self.cfg, self.chooser.strategy.haste), self.refiner)
        buffers = list({id(b): b for group in groups for b in group.own}.values())
        return Schedule(groups, buffers, self.chooser.strategy.haste)

    def _around(self, index, root_of, lives, kept):
        """(rows that kept maps leave, {tensor: Buffer} of those in use, their buffers) at a group."""
        live = [root for root, (_, first, last) in lives.items() if first <= index <= last]
        fixed = {t: kept[root] for t, root in root_of.items() if root in live} | {root: kept[root] for root in live}
        room = self.capacity - sum(kept[root].rows for root in live if lives[root][1] < index)
        return room, fixed, [kept[root] for root in live]

    def _together(self, path, root_of, lives):
        """Groups with all buffers placed at once; those that come to lie around one that finds no place get less room."""
        spare, bases = {}, place_kept(lives, self.cfg)
        for _ in range(_SQUEEZES):
            kept = {root: Buffer([], root.blocks(self.cfg.n), root.h, root.w) for root in lives}
            groups = []
            for index, (situation, choice) in enumerate(path):
                room, fixed, _ = self._around(index, root_of, lives, kept)
                if index in spare:
                    room -= spare[index]
                    choice = self.chooser.best(situation, room) if room > 0 else None
                    if choice is None:
                        raise NoRoom("no room")
                choice, walk, rings = self.refiner.refine(situation, choice, room, Alone(self, fixed))
                groups.append(make_group(situation, choice, walk, rings, fixed, self.chooser, self.cfg.n))
            most = self.chooser.strategy.effort.placings if self.chooser.thorough else 1
            found, failed = arrangements(groups, self.cfg, {kept[root]: base for root, base in bases.items()}, most)
            if found:
                self._best(groups, found)
                return groups
            index = next(i for i, group in enumerate(groups) if any(b is failed for b in group.own))
            spare[index] = spare.get(index, 0) + self.cfg.act_rows // 16
        raise NoRoom("no room")

    def _best(self, groups, arranged):
        """Put the buffers where that is fastest."""
        best, timed = None, Trial(groups, self.cfg, self.chooser.strategy.haste)
        for way in arranged if len(arranged) > 1 else ():
            put(way)
            found = timed.time()
            if found and (best is None or found[0] < best[0]):
                best = found[0], way
        put(best[1] if best else arranged[0])

    def _kept_first(self, path, root_of, lives):
        """Groups with kept maps placed first, and rings where they leave room."""
        bases, groups = place_kept(lives, self.cfg), []
        kept = {root: Buffer([], root.blocks(self.cfg.n), root.h, root.w, base=base) for root, base in bases.items()}
        for index, (situation, choice) in enumerate(path):
            room, fixed, live = self._around(index, root_of, lives, kept)
            site = Beside(self, fixed, live, groups[-1] if groups else None)
            while True:
                if choice is None:
                    raise NoRoom(f"layer {situation.ops[0].layers[0]}: its buffers find no place beside what is kept")
                try:
                    groups.append(site.group(situation, *self.refiner.refine(situation, choice, room, site)))
                    break
                except NoRoom:
                    room -= self.cfg.act_rows // 16
                    choice = self.chooser.best(situation, room) if room > 0 else None
        return groups

    def _polish(self, path, groups, root_of, lives):
        """Move the rings of groups that wait a lot; each is timed with the end of the group before it."""
        known = {}
        for index, group in enumerate(groups):
            kept = [b for root, (_, first, last) in lives.items() if first <= index <= last for b in self._buffers(groups, root)]
            rings = [b for b in group.own if not any(b is other for other in kept)]
            if len(rings) < _RINGS or self.refiner.spent:
                continue
            place = tuple(sorted((b.base, b.rows) for b in kept))
            key = path[index][0].signature(), place, tuple(b.rows for b in group.own), tuple(b.base for b in kept if b in group.own)
            if key in known:
                put(dict(zip(rings, known[key], strict=True)))
                continue
            before = [dataclasses.replace(groups[index - 1], items=groups[index - 1].items[-_BEFORE:])] if index else []
            best, timed = None, Trial([*before, group], self.cfg, self.chooser.strategy.haste)
            now = {b: b.base for b in rings}
            for way in (now, *ways(rings, group.usage(), kept, self.cfg, _WAYS)):
                put(way)
                time = self.refiner.timed(timed)
                if best is None and (time is None or time < _WAITS * self.chooser.bound(path[index][0])):
                    best = 0, now
                    break
                if time is not None and (best is None or time < best[0]):
                    best = time, way
            put(best[1])
            known[key] = tuple(best[1][b] for b in rings)

    @staticmethod
    def _buffers(groups, root):
        """The buffer of a kept map."""
        return next(([group.buffers[root]] for group in groups if root in group.buffers), [])

    def _lives(self, path):
        """{kept tensor: tensor whose buffer it uses} and {the latter: (rows, first group, last group)}."""
        root_of, lives = {}, {}
        for index, (situation, choice) in enumerate(path):
            for tensor in situation.readers:
                if tensor in situation.resident:
                    rows, first, _ = lives[root_of[tensor]]
                    lives[root_of[tensor]] = rows, first, index
            roots = situation.roots(self.cfg.n, choice.share)
            for op in situation.ops:
                # In place: also results that are not kept may lie in the buffer of a kept map.
                old = roots.get(op.out, op.out)
                root = root_of.get(old, old)
                if op.out in situation.kept or root in lives:
                    root_of[op.out] = root
                    lives.setdefault(root, (root.rows(self.cfg.n), index, index))
        return root_of, lives
