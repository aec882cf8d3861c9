"""Pass 4b, refining: the best ways to run a group are compiled by themselves and timed instruction by instruction.

What the closed formulas do not see (ports of sectors, the order of transfers, tickets) decides between choices that look alike.
Where room is left, rings get more lines than they need.
"""

from squeezelerator.compiler.memory.allocate import NoRoom
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.spec.isa import MODE_OS

#: A group that takes at most so many times what the array or the bus need is not worth a trial.
_GOOD = 1.015
#: Lines that rings get one by one, and what one must save at least.
_ROUNDS, _WORTH = 3, 0.998


class Refiner:
    """Tries choices; ``chooser`` is the :class:`~compiler.fusion.tiling.Chooser` that found them."""

    def __init__(self, cfg, chooser):
        self.cfg, self.chooser = cfg, chooser
        self.effort, self._known = chooser.strategy.effort, {}
        self._timed = 0 if chooser.thorough else self.effort.trials + 1

    def refine(self, situation, choice, room, site):
        """(choice, walk, rings) of the best way to run a group in ``room`` rows.

        Parameters
        ----------
        situation : compiler.fusion.tiling.Situation
        choice : compiler.fusion.tiling.Choice
            What the formulas find best.
        room : int
        site : compiler.search.realise.Alone or compiler.search.realise.Beside
            Where trials place the group's buffers.
        """
        key = situation.signature(), room, site.key
        for again in (False, True):
            if again or key not in self._known:
                self._known[key] = self._search(situation, choice, room, site)
            found, lines = self._known[key]
            walk = self._walk(situation, found)
            rings = dict(zip(walk.rings(found.slack), lines, strict=True))
            # Operations that look alike may have other zeros, and then walk in another order that wants more lines.
            if all(rings[root] >= least for root, least in walk.rings(0).items()):
                break
        return found, walk, rings

    @property
    def spent(self):
        """Whether there is nothing left for trials."""
        return self._timed > self.effort.trials

    def timed(self, trial):
        """Cycles of a :class:`~compiler.search.trial.Trial`, or None if the weights do not fit."""
        found = trial.time()
        if not found:
            return None
        self._timed += found[1]
        return found[0]

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

    def _search(self, situation, choice, room, site):
        """(choice, lines of every ring in the walk's order)."""
        plain = self._walk(situation, choice).rings(choice.slack)
        if self.spent or choice.cycles < _GOOD * self.chooser.bound(situation):
            return choice, tuple(plain.values())
        best, seen = None, set()
        for candidate in (choice, *self.chooser.several(situation, room, self.effort.tried)):
            walk, cycles = self._walk(situation, candidate), None
            for more in (0,) if walk.slots else (0, 1, 2):
                if cycles is not None and cycles > self.effort.near * best[0]:
                    break
                rings = self._wider(walk.rings(candidate.slack), more, room)
                key = tuple(walk.items), tuple(rings.items())
                if key in seen:
                    continue
                seen.add(key)
                cycles = self._time(situation, candidate, walk, rings, site)
                if cycles is not None and (best is None or cycles < best[0]):
                    best = cycles, candidate, walk, rings
        if best is None:
            return choice, tuple(plain.values())
        cycles, candidate, walk, rings = best if best[2].slots else self._climb(situation, room, site, *best)
        return candidate, tuple(rings.values())

    def _climb(self, situation, room, site, cycles, candidate, walk, rings):
        """Give single rings another line, each time where it helps most."""
        for _ in range(_ROUNDS):
            found = []
            for root in rings:
                wider = rings | {root: rings[root] + 1}
                if rings[root] < root.h and self.chooser.rows(wider) <= room:
                    time = self._time(situation, candidate, walk, wider, site)
                    if time is not None and time < _WORTH * cycles:
                        found.append((time, len(found), wider))
            if not found:
                break
            cycles, _, rings = min(found)[:3]
        return cycles, candidate, walk, rings

    def _time(self, situation, choice, walk, rings, site):
        """Cycles of the group and what the site puts before it, or None if it cannot be placed."""
        if self.spent:
            return None
        try:
            groups = site.around(site.group(situation, choice, walk, rings))
        except NoRoom:
            return None
        cycles = self.timed(Trial(groups, self.cfg, self.chooser.strategy.haste))
        if cycles is None:
            return None
        # Alone, a group need not empty the array for others; most of what stands around it runs in OS.
        convs = [item.what for item in walk.items if item.kind == "step" and item.what.is_conv]
        switches = sum(walk.pace[op].mode != MODE_OS for op in (*convs[:1], *convs[-1:]))
        return cycles + switches * walk.switch
