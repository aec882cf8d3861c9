"""How the search looks at a network: no single view is best for all, so several are tried and the fastest program wins."""

import dataclasses
import math
from typing import NamedTuple

from squeezelerator.compiler.codegen.prefetch import Haste

VERSION = 2
"""Counted up when the compiler's schedules change: results that are kept say with which they were made."""

OBJECTIVES = ("cycles", "energy")
"""What ``--objective`` accepts."""



class Effort(NamedTuple):
    """How much is searched. All of it counts work, not seconds, so that the result does not depend on the computer.

    ``walks``: steps of walks after which a view only looks at the likeliest choices; ``trials``: instructions that its trials may time;
    ``tried``: choices that are tried for a group; ``near``: how many times the best time so far a choice may take for its rings to be
    tried with more lines, too; ``placings``: ways to place all buffers that are tried; ``all_views``: whether every view that may win is
    followed to the end, or only the most promising of those that look alike.
    """

    walks: int
    trials: int
    tried: int
    near: float
    placings: int | None
    all_views: bool


EFFORTS = {
    "normal": Effort(walks=45_000, trials=180_000, tried=3, near=1.03, placings=3, all_views=False),
    "high": Effort(walks=500_000, trials=180_000, tried=5, near=math.inf, placings=None, all_views=True),
}
"""What ``--effort`` accepts."""

#: Units of energy (multiplications) that a beat of eight words costs, by the costs of ``spec.energy``.
_BEAT_ENERGY = 1600
#: What a beat on the DRAM bus counts beside the cycles that it takes. Cycles: between equals, less traffic wins. Energy: a cycle counts as
#: much as 67 multiplications, a quarter of what the array does in it.
_BEAT = {"cycles": 0.02, "energy": 24.0}
#: For energy some views look with another weight, this one or that of cycles, because the search is no better than its bounds: these find
#: shorter ways, which sometimes take less energy, too.
_MILD = 8.0


@dataclasses.dataclass(frozen=True)
class Strategy:
    """One view.

    ``lines``: heights, in lines of the tallest map, of steps of whole lines; ``wait``: as in :class:`~compiler.fusion.line_schedule.Walk`;
    ``hasty``: a group's last stores are taken to hide behind the next group, and loads and stores to share the bus; ``together``:
    buffers are placed all at once if that succeeds, otherwise kept maps first; ``beat``: what a beat on the bus counts beside its cycles;
    ``unit``: what a unit of energy on chip counts; ``reuse``: as in ``Situation``; ``effort``: how much is searched;
    ``haste``: how early transfers are asked for; ``fine``: work begins with a convolution's first channel block before it has the
    others, even where several passes have computed them; ``longest``: most operations in a group.
    """

    lines: tuple[int, ...]
    wait: int
    hasty: bool
    together: bool
    beat: float
    unit: float
    reuse: bool
    effort: Effort
    haste: Haste
    fine: bool
    longest: int


def strategies(objective, effort="normal"):
    """The strategies to try: the first suits narrow networks with many short lines, the last two wide ones and small buffers."""
    heights = 1, 2, 3, 4, 5, 7, 8, 14
    common = {"effort": EFFORTS[effort], "longest": 9, **weights(objective)}
    wide = {"wait": 110, "hasty": True, "haste": Haste(12), "fine": False, **common}
    views = (
        Strategy((1, 2), wait=0, hasty=False, together=True, reuse=True, haste=Haste(12, 500), fine=True, **common),
        Strategy((1, 2), together=False, reuse=True, **wide),
        Strategy(heights, together=False, reuse=True, **wide),
        Strategy(heights, together=True, reuse=False, **wide),
    )
    if objective == "cycles":
        return views
    mild, quick = weights(objective, _MILD), weights("cycles")
    return (
        dataclasses.replace(views[0], **mild), dataclasses.replace(views[1], longest=16), dataclasses.replace(views[2], longest=16),
        dataclasses.replace(views[3], longest=16, **mild), dataclasses.replace(views[2], **quick), dataclasses.replace(views[3], **quick),
    )  # fmt: skip


def weights(objective, beat=None):
    """``beat`` and ``unit`` of an objective; ``beat``: another weight than the objective's."""
    beat = beat or _BEAT[objective]
    return {"beat": beat, "unit": beat / _BEAT_ENERGY if objective == "energy" else 0.0}
