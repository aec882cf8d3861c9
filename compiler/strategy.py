"""How the search looks at a network: no single view is best for all, so several are tried and the fastest program wins."""

import dataclasses

from compiler.haste import Haste

OBJECTIVES = ("cycles", "energy")
"""What ``--objective`` accepts."""

#: What ``--effort`` accepts: steps of walks after which the search only looks at the likeliest choices. This bounds the time that
#: compiling takes, and counts work, not seconds, so that the result does not depend on the computer.
EFFORTS = {"normal": 68_000, "high": 500_000}

#: What a beat on the DRAM bus counts beside the cycles that it takes. Cycles: between equals, less traffic wins. Energy: a beat of
#: eight words costs as much as 1,600 multiplications, six cycles of the whole array; but of 1, 3 and 6, the programs of 1.0-SqNxt-23v5 take
#: least energy with 3, half of that.
_BEAT = {"cycles": 0.02, "energy": 3.0}


@dataclasses.dataclass(frozen=True)
class Strategy:
    """One view.

    ``lines``: heights, in lines of the tallest map, of steps of whole lines; ``wait``: as in :class:`~compiler.walk.Walk`;
    ``hasty``: a group's last stores are taken to hide behind the next group, and loads and stores to share the bus; ``together``:
    buffers are placed all at once if that succeeds, otherwise kept maps first; ``beat``: see ``_BEAT``; ``reuse``: as in
    :class:`~compiler.choice.Situation`; ``budget``: see ``EFFORTS``; ``haste``: how early transfers are asked for; ``fine``: work begins
    with a convolution's first channel block before it has the others, even where several passes have computed them.
    """

    lines: tuple[int, ...]
    wait: int
    hasty: bool
    together: bool
    beat: float
    reuse: bool
    budget: int
    haste: Haste
    fine: bool


def strategies(objective, effort="normal"):
    """The strategies to try: the first suits narrow networks with many short lines, the last two wide ones and small buffers."""
    common, heights = {"beat": _BEAT[objective], "budget": EFFORTS[effort]}, (1, 2, 3, 4, 5, 7, 8, 14)
    wide = {"wait": 110, "hasty": True, "haste": Haste(12), "fine": False, **common}
    return (
        Strategy((1, 2), wait=0, hasty=False, together=True, reuse=True, haste=Haste(12, 500), fine=True, **common),
        Strategy((1, 2), together=False, reuse=True, **wide),
        Strategy(heights, together=False, reuse=True, **wide),
        Strategy(heights, together=True, reuse=False, **wide),
    )
