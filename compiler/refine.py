"""Pass 4b, refining: the best ways to run a group are compiled by themselves and timed instruction by instruction.

What the closed formulas do not see (ports of sectors, the order of transfers, tickets) decides between choices that look alike.
Where room is left, rings get more lines than they need.
"""

import dataclasses

from compiler.allocate import NoRoom, allocate
from compiler.group import make_group
from compiler.trial import trial

#: Choices that are tried.
_TRIED = 5
#: Instructions that all trials together may time: bounds the time that compiling takes, without a look at the clock.
_BUDGET = 120_000
#: A group that takes at most so many times what the array or the bus need is not worth a trial.
_GOOD = 1.015
#: Items of the group before that a trial begins with.
_BEFORE = 10
#: Lines that rings get one by one, and what one must save at least.
_ROUNDS, _WORTH = 3, 0.998


class Refiner:
    """Tries choices; ``chooser`` is the :class:`~compiler.choice.Chooser` that found them."""

    def __init__(self, cfg, chooser):
        self.cfg, self.chooser = cfg, chooser
        self._known, self._timed = {}, 0

    def refine(self, situation, choice, room, fixed, beside, previous):
        """The group in the best way to run it in ``room`` rows after ``previous``, its buffers placed.

        Parameters
        ----------
        situation : compiler.choice.Situation
        choice : compiler.choice.Choice
            What the formulas find best.
        room : int
        fixed : dict
            Tensor -> buffer, for maps that earlier groups have left or later ones need.
        beside : list
            All buffers that are alive and placed.
        previous : compiler.group.Group or None
            The group before.

        Raises
        ------
        NoRoom
            If the buffers find no place.
        """
        beside = beside, previous
        key = situation.signature(), room, previous and (previous.choice, tuple((b.base, b.rows) for b in previous.own))
        if key not in self._known:
            self._known[key] = self._search(situation, choice, room, fixed, beside)
        choice, lines = self._known[key]
        walk = self._walk(situation, choice)
        rings = dict(zip(walk.rings(choice.slack), lines, strict=True))
        return self._placed(situation, choice, walk, rings, fixed, beside)

    def _placed(self, situation, choice, walk, rings, fixed, beside):
        """The :class:`~compiler.group.Group` with all its buffers in their places."""
        beside, previous = beside
        before = [(b.base, b.base + b.rows) for b in previous.own] if previous else []
        group = make_group(situation, choice, walk, rings, fixed, self.chooser, self.cfg.n)
        allocate([b for b in group.own if b.base < 0], group.usage(), beside, before, self.cfg)
        return group

    def _walk(self, situation, choice):
        return self.chooser.walk(situation, choice.parts, choice.ahead, choice.early, choice.share)

    def _wider(self, rings, more, room):
        """Rings with ``more`` lines each, as far as there is room, the smallest first."""
        rings = dict(rings)
        for root in sorted(rings, key=lambda t: t.blocks(self.cfg.n) * t.w):
            for _ in range(more):
                wider = rings | {root: min(root.h, rings[root] + 1)}
                if self.chooser.rows(wider) <= room:
                    rings = wider
        return rings

    def _search(self, situation, choice, room, fixed, beside):
        """(choice, lines of every ring in the walk's order)."""
        plain = self._walk(situation, choice).rings(choice.slack)
        if self._timed > _BUDGET or choice.cycles < _GOOD * self.chooser.bound(situation):
            return choice, tuple(plain.values())
        best, seen = None, set()
        for candidate in (choice, *self.chooser.several(situation, room, _TRIED)):
            walk = self._walk(situation, candidate)
            for more in (0, 1, 2):
                rings = self._wider(walk.rings(candidate.slack), more, room)
                key = tuple(walk.items), tuple(rings.items())
                if key in seen:
                    continue
                seen.add(key)
                cycles = self._time(situation, candidate, walk, rings, fixed, beside)
                if cycles is not None and (best is None or cycles < best[0]):
                    best = cycles, candidate, walk, rings
        if best is None:
            return choice, tuple(plain.values())
        cycles, candidate, walk, rings = self._climb(situation, room, fixed, beside, *best)
        return candidate, tuple(rings.values())

    def _climb(self, situation, room, fixed, beside, cycles, candidate, walk, rings):
        """Give single rings another line, each time where it helps most."""
        for _ in range(_ROUNDS):
            found = []
            for root in rings:
                wider = rings | {root: rings[root] + 1}
                if rings[root] < root.h and self.chooser.rows(wider) <= room:
                    time = self._time(situation, candidate, walk, wider, fixed, beside)
                    if time is not None and time < _WORTH * cycles:
                        found.append((time, len(found), wider))
            if not found:
                break
            cycles, _, rings = min(found)[:3]
        return cycles, candidate, walk, rings

    def _time(self, situation, choice, walk, rings, fixed, beside):
        """Cycles of the end of the group before and of this group, or None if it cannot be placed."""
        cfg = self.cfg
        if self._timed > _BUDGET:
            return None
        try:
            groups = [self._placed(situation, choice, walk, rings, fixed, beside)]
        except NoRoom:
            return None
        if beside[1]:
            groups.insert(0, dataclasses.replace(beside[1], items=beside[1].items[-_BEFORE:]))
        found = trial(groups, cfg)
        self._timed += found[1] if found else 0
        return found and found[0]
