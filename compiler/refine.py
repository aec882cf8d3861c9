"""Pass 4b, refining: the best ways to run a group are compiled by themselves and timed instruction by instruction.

What the closed formulas do not see (ports of sectors, the order of transfers, tickets) decides between choices that look alike.
Where room is left, rings get more lines than they need.
"""

import dataclasses

from compiler.allocate import NoRoom, allocate
from compiler.emit import Emitter, Image
from compiler.errors import StreamError
from compiler.estimate import estimate
from compiler.group import Schedule, make_group
from compiler.order import order
from compiler.sync import synchronise
from rtl.isa import BY_NAME

#: Choices that are tried.
_TRIED = 5
#: Lines that rings get one by one, and what one must save at least.
_ROUNDS, _WORTH = 3, 0.998


@dataclasses.dataclass(slots=True)
class _Trial:
    """What :func:`~compiler.estimate.estimate` needs of an instruction."""

    op: str
    fields: dict
    tickets: dict

    @property
    def unit(self):
        return BY_NAME[self.op].unit


class Refiner:
    """Tries choices; ``chooser`` is the :class:`~compiler.choice.Chooser` that found them."""

    def __init__(self, cfg, chooser):
        self.cfg, self.chooser = cfg, chooser
        self._known = {}

    def refine(self, situation, choice, room, fixed, beside, before):
        """The group in the best way to run it in ``room`` rows, its buffers placed.

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
        before : list of (first row, row behind the last)
            What the group before uses.

        Raises
        ------
        NoRoom
            If the buffers find no place.
        """
        key = situation.signature(), room
        if key not in self._known:
            self._known[key] = self._search(situation, choice, room, fixed, beside)
        choice, lines = self._known[key]
        walk = self._walk(situation, choice)
        rings = dict(zip(walk.rings(choice.slack), lines, strict=True))
        return self._placed(situation, choice, walk, rings, fixed, beside, before)

    def _placed(self, situation, choice, walk, rings, fixed, beside, before):
        """The :class:`~compiler.group.Group` with all its buffers in their places."""
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
        if not choice.dram_rows and len(situation.ops) == 1:
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
        """Cycles of the group compiled by itself, or None if it cannot be placed."""
        cfg = self.cfg
        try:
            group = self._placed(situation, choice, walk, rings, fixed, beside, [])
        except NoRoom:
            return None
        homes, at = {}, 0
        for home in sorted({t.home for t in group.buffers}):
            homes[home] = at
            parts = [t for t in group.buffers if t.home == home]
            at += max((t.home_block + t.blocks(cfg.n)) * t.h * t.w for t in parts) * cfg.row_bytes
        image = Image(cfg, cfg.bus_bytes)
        try:
            events = Emitter(Schedule([group], group.own), cfg, image, at, homes, {}, trial=True).run()
            steps = order(events, cfg, at + image.size)
        except StreamError:
            return None
        program = synchronise(steps, cfg, at + image.size, _Trial)
        return estimate(program, cfg, lambda i: steps[i].nnz).cycles
