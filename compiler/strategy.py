"""How the search looks at a network: no single view is best for all, so several are tried and the fastest program wins."""

import dataclasses

from compiler.haste import Haste

OBJECTIVES = ("cycles", "energy")
"""What ``--objective`` accepts."""

#: What ``--effort`` accepts: steps of walks after which the search only looks at the likeliest choices. This bounds the time that
#: compiling takes, and counts work, not seconds, so that the result does not depend on the computer.
EFFORTS = {"normal": 68_000, "high": 500_000}

#: What a beat on the DRAM bus counts beside the cycles that it takes, and what an operation's energy on chip counts, a unit of one MAC.
#: Cycles: between equals, less traffic wins. Energy: a beat of eight words costs 1,600 units.
_BEAT = {"cycles": 0.02, "energy": float(__import__("os").environ.get("BEAT","3"))}
_UNIT = {"cycles": 0.0, "energy": _BEAT["energy"] / 1600}


@dataclasses.dataclass(frozen=True)
class Strategy:
    """One view.

    ``lines``: heights, in lines of the tallest map, of steps of whole lines; ``wait``: as in :class:`~compiler.walk.Walk`;
    ``hasty``: a group's last stores are taken to hide behind the next group, and loads and stores to share the bus; ``together``:
    buffers are placed all at once if that succeeds, otherwise kept maps first; ``beat``, ``unit``: see ``_BEAT``; ``reuse``: as in
    :class:`~compiler.choice.Situation`; ``budget``: see ``EFFORTS``; ``haste``: how early transfers are asked for; ``fine``: work begins
    with a convolution's first channel block before it has the others, even where several passes have computed them; ``longest``: most
    operations in a group.
    """

    lines: tuple[int, ...]
    wait: int
    hasty: bool
    together: bool
    beat: float
    unit: float
    reuse: bool
    budget: int
    haste: Haste
    fine: bool
    longest: int


def strategies(objective, effort="normal"):
    """The strategies to try: the first suits narrow networks with many short lines, the last two wide ones and small buffers."""
    common, heights = {"beat": _BEAT[objective], "unit": _UNIT[objective], "budget": EFFORTS[effort]}, (1, 2, 3, 4, 5, 7, 8, 14)
    wide = {"wait": 110, "hasty": True, "haste": Haste(12), "fine": False, **common}
    import os
    A,B,C,D=map(int,os.environ.get("LONGEST","9,9,9,9").split(","))
    return (
        Strategy((1, 2), wait=0, hasty=False, together=True, reuse=True, haste=Haste(12, 500), fine=True, longest=A, **common),
        Strategy((1, 2), together=False, reuse=True, longest=B, **wide),
        Strategy(heights, together=False, reuse=True, longest=C, **wide),
        Strategy(heights, together=True, reuse=False, longest=D, **wide),
    )
