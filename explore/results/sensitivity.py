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
        here = [_effect(one.name, objective, _groups(rows, one.name, numbers), spread) for one in space.varied]
        found += sorted((effect for effect in here if effect is not None), key=lambda effect: -effect.share)
    return found


def _groups(rows: Sequence[Row], parameter: str, numbers: np.ndarray) -> dict[Value, list[float]]:
    """``numbers``, one a row, by the rows' values of a parameter."""
    groups: dict[Value, list[float]] = {}
    for row, number in zip(rows, numbers, strict=True):
        groups.setdefault(row.values[parameter], []).append(float(number))
    return groups


def _effect(parameter: str, objective: str, groups: dict[Value, list[float]], spread: float) -> Effect | None:
    """The effect by the objective's numbers at each value and their variance over all rows; None where there is one value only."""
    if len(groups) < 2:
        return None
    means = {value: float(np.mean(group)) for value, group in groups.items()}
    everything = [number for group in groups.values() for number in group]
    middle = float(np.mean(everything))
    between = sum(len(group) * (means[value] - middle) ** 2 for value, group in groups.items()) / len(everything)
    best, worst = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    ratio = means[worst] / means[best] if means[best] else 1.0
    return Effect(parameter, objective, between / spread if spread else 0.0, best, worst, ratio)
