"""Pass 4b, refining: the best ways to run a group are compiled by themselves and timed instruction by instruction.

What the closed formulas do not see (ports of sectors, the order of transfers, tickets) decides between choices that look alike.
Where room is left, rings get more lines than they need.
"""

from squeezelerator.compiler.memory.allocate import AllocationError
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.spec.isa import MODE_OS

#: A group that takes at most so many times what the array or the bus need is not worth a trial.
_GOOD = 1.015
#: Lines that rings get one by one, and what one must save at least.
_ROUNDS, _WORTH = 3, 0.998


class LocalSearch:
    """Tries choices; ``chooser`` is the :class:`~compiler.fusion.tiling.TilingSearch` that found them."""

    def __init__(self, cfg, tiling_search):
        self.cfg, self.tiling_search = cfg, tiling_search
        self.effort, self._known = tiling_search.config.effort, {}
        self._timed = 0 if tiling_search.thorough else self.effort.trial_instructions + 1

    def improve(self, context, tiling, room, site):
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
        key = context.signature(), room, site.key
        for again in (False, True):
            if again or key not in self._known:
                self._known[key] = self._search(context, tiling, room, site)
            found, lines = self._known[key]
            schedule = self._schedule_of(context, found)
            ring_lines = dict(zip(schedule.ring_lines(found.slack), lines, strict=True))
            # Operations that look alike may have other zeros, and then walk in another order that wants more lines.
            if all(ring_lines[root] >= least for root, least in schedule.ring_lines(0).items()):
                break
        return found, schedule, ring_lines

    @property
    def spent(self):
        """Whether there is nothing left for trials."""
        return self._timed > self.effort.trial_instructions

    def timed(self, trial):
        """Cycles of a :class:`~compiler.search.trial.Trial`, or None if the weights do not fit."""
        found = trial.time()
        if not found:
            return None
        self._timed += found[1]
        return found[0]

    def _schedule_of(self, context, tiling):
        return self.tiling_search.schedule(context, tiling.parts, tiling.run_ahead, tiling.short_first_step, tiling.overwrite_streamed)

    def _wider(self, ring_lines, more, room):
        """Rings with ``more`` lines each, as far as there is room, the smallest first."""
        ring_lines = dict(ring_lines)
        for root in sorted(ring_lines, key=lambda t: t.blocks(self.cfg.n) * t.w):
            for _ in range(more):
                wider = ring_lines | {root: min(root.h, ring_lines[root] + 1)}
                if self.tiling_search.rows(wider) <= room:
                    ring_lines = wider
        return ring_lines

    def _search(self, context, tiling, room, site):
        """(choice, lines of every ring in the walk's order)."""
        plain = self._schedule_of(context, tiling).ring_lines(tiling.slack)
        if self.spent or tiling.cycles < _GOOD * self.tiling_search.lower_bound(context):
            return tiling, tuple(plain.values())
        best, seen = None, set()
        for candidate in (tiling, *self.tiling_search.best_several(context, room, self.effort.tilings_tried)):
            schedule, cycles = self._schedule_of(context, candidate), None
            for more in (0,) if schedule.slots else (0, 1, 2):
                if cycles is not None and cycles > self.effort.widen_within * best[0]:
                    break
                ring_lines = self._wider(schedule.ring_lines(candidate.slack), more, room)
                key = tuple(schedule.steps), tuple(ring_lines.items())
                if key in seen:
                    continue
                seen.add(key)
                cycles = self._time(context, candidate, schedule, ring_lines, site)
                if cycles is not None and (best is None or cycles < best[0]):
                    best = cycles, candidate, schedule, ring_lines
        if best is None:
            return tiling, tuple(plain.values())
        cycles, candidate, schedule, ring_lines = best if best[2].slots else self._climb(context, room, site, *best)
        return candidate, tuple(ring_lines.values())

    def _climb(self, context, room, site, cycles, candidate, schedule, ring_lines):
        """Give single rings another line, each time where it helps most."""
        for _ in range(_ROUNDS):
            found = []
            for root in ring_lines:
                wider = ring_lines | {root: ring_lines[root] + 1}
                if ring_lines[root] < root.h and self.tiling_search.rows(wider) <= room:
                    time = self._time(context, candidate, schedule, wider, site)
                    if time is not None and time < _WORTH * cycles:
                        found.append((time, len(found), wider))
            if not found:
                break
            cycles, _, ring_lines = min(found)[:3]
        return cycles, candidate, schedule, ring_lines

    def _time(self, context, tiling, schedule, ring_lines, site):
        """Cycles of the group and what the site puts before it, or None if it cannot be placed."""
        if self.spent:
            return None
        try:
            groups = site.around(site.group(context, tiling, schedule, ring_lines))
        except AllocationError:
            return None
        cycles = self.timed(Trial(groups, self.cfg, self.tiling_search.config.prefetch))
        if cycles is None:
            return None
        # Alone, a group need not empty the array for others; most of what stands around it runs in OS.
        convs = [step.what for step in schedule.steps if step.kind == "step" and step.what.is_conv]
        switches = sum(schedule.rates[op].mode != MODE_OS for op in (*convs[:1], *convs[-1:]))
        return cycles + switches * schedule.switch
