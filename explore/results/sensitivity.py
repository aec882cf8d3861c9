"""Sensitivity: how much of what an objective varies is due to each parameter by itself.

The share of variance of a parameter is the variance of the means at its values (weighted by how many rows have them) over the variance of
all rows: the first-order index of Sobol where all points were looked at, an estimate of it for a sample. Shares that add up to less than
one leave the rest to parameters acting together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from squeezelerator.explore.evaluation.point import Row
from squeezelerator.explore.space.axes import Value
from squeezelerator.explore.space.space import Space

__all__ = ["Effect", "effects"]


@dataclass(frozen=True)
class Effect:
    """What a parameter does to an objective.

    Parameters
    ----------
    parameter, objective : str
    share : float
        Share of variance, 0 to 1.
    best, worst : Value
        Its values with the least and the greatest mean.
    ratio : float
        The greatest mean over the least.
    """

    parameter: str
    objective: str
    share: float
    best: Value
    worst: Value
    ratio: float


def effects(space: Space, rows: Sequence[Row]) -> list[Effect]:
    """The effects of all parameters that vary, for each objective the largest first; rows that failed do not count."""
    rows, found = [row for row in rows if row.ok], []
    for objective in space.objectives:
        numbers = np.array([row.metrics[objective] for row in rows], float)
        spread = float(numbers.var()) if len(rows) else 0.0
        here = []
        for one in space.varied:
            groups: dict[Value, list[float]] = {}
            for row, number in zip(rows, numbers, strict=True):
                groups.setdefault(row.values[one.name], []).append(float(number))
            if len(groups) < 2:
                continue
            means = {value: float(np.mean(group)) for value, group in groups.items()}
            between = sum(len(group) * (means[value] - float(numbers.mean())) ** 2 for value, group in groups.items()) / len(rows)
            best, worst = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
            ratio = means[worst] / means[best] if means[best] else 1.0
            here.append(Effect(one.name, objective, between / spread if spread else 0.0, best, worst, ratio))
        found += sorted(here, key=lambda effect: -effect.share)
    return found
