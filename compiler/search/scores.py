"""What a schedule takes, and the measures by which schedules are compared."""

import dataclasses
import math
from collections.abc import Iterable
from typing import NamedTuple

from squeezelerator.compiler.search_config import CostWeights

__all__ = ["Bounds", "Measure", "Scores", "front"]


class Scores(NamedTuple):
    """What a schedule takes: less is better in each.

    ``cycles``: exact. ``words``: DRAM words, exact. ``onchip``: energy on chip of the convolutions' arithmetic and reads, estimated; pools
    and writes of buffers are left out. ``energy``: the same and the DRAM bus, so it is some percent too low.
    """

    cycles: int
    words: int
    onchip: float
    energy: float

    @property
    def edp(self) -> float:
        """Energy times cycles."""
        return self.energy * self.cycles


@dataclasses.dataclass(frozen=True)
class Bounds:
    """What a schedule may take at most; None: anything."""

    cycles: int | None = None
    words: int | None = None

    def __bool__(self) -> bool:
        return self.cycles is not None or self.words is not None

    def excess(self, scores: Scores) -> float:
        """By how much the worst of the bounds is missed: 0 if none is, 0.1 for a tenth."""
        pairs = ((scores.cycles, self.cycles), (scores.words, self.words))
        return max((taken / most - 1 for taken, most in pairs if most is not None and taken > most), default=0.0)

    def __str__(self) -> str:
        return " and ".join(f"{most:,} {name}" for name, most in (("cycles", self.cycles), ("DRAM words", self.words)) if most is not None)


@dataclasses.dataclass(frozen=True)
class Measure:
    """By what schedules are compared: a sum with ``weights``, or energy times cycles where there are none.

    Parameters
    ----------
    weights : CostWeights or None
        What is added to cycles, for a beat of the bus and for a unit of energy on chip.
    bus_words : int
        Words of a beat.
    bounds : Bounds
        Whatever does not keep them costs infinitely much.
    """

    weights: CostWeights | None
    bus_words: int
    bounds: Bounds = Bounds()

    def cost(self, scores: Scores) -> float:
        """The cost, in cycles where there are weights."""
        if self.bounds.excess(scores):
            return math.inf
        if self.weights is None:
            return scores.edp
        cost: float = scores.cycles
        cost += self.weights.beat * (scores.words // self.bus_words)
        return cost + self.weights.energy * scores.onchip if self.weights.energy else cost


def front(found: Iterable[Scores]) -> list[Scores]:
    """Those that no other beats in cycles and energy, the fastest first."""
    kept: list[Scores] = []
    for scores in sorted(found, key=lambda one: (one.cycles, one.energy, one.words)):
        if not kept or scores.energy < kept[-1].energy:
            kept.append(scores)
    return kept
