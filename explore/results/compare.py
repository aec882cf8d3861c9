"""How far estimates are from whole networks: points of effort ``composed`` compiled whole with normal effort."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from squeezelerator.compiler.compile_options import Effort
from squeezelerator.explore.evaluation.point import Point, Points, Row
from squeezelerator.explore.results.pareto import by_machine
from squeezelerator.explore.running.explore import Exploration
from squeezelerator.explore.space.space import COMPOSED

__all__ = ["COMPARED", "Errors", "Pair", "compare", "errors"]

COMPARED = ("cycles", "energy", "dram_words")


@dataclass(frozen=True)
class Pair:
    """A row that is an estimate, and the row of the same point compiled whole."""

    estimate: Row
    whole: Row

    def error(self, metric: str) -> float:
        """By how many % the estimate is more."""
        return 100 * (self.estimate.metrics[metric] / self.whole.metrics[metric] - 1)


@dataclass(frozen=True)
class Errors:
    """Of a metric over some points, in %: mean of the errors, mean of their sizes, the largest size; and Spearman's rank correlation."""

    metric: str
    points: int
    mean: float
    mean_size: float
    worst: float
    rank_correlation: float


def _whole(point: Point) -> Point:
    assert point.job is not None
    return replace(point, recipe=((replace(point.job, effort=Effort.NORMAL.value), 1),))


def compare(points: Points, rows: Sequence[Row], count: int, exploration: Exploration) -> list[Pair]:
    """Compile ``count`` random estimates of each machine whole, and those of marks; rows that are none are left out."""
    wanted: dict[int, Row] = {}
    rows = [row for row in rows if row.ok and row.values["compile.effort"] == COMPOSED]
    for group in by_machine(rows).values():
        for row in random.Random(points.space.search.seed).sample(group, min(count, len(group))):
            wanted[row.number] = row
    whole = exploration.rows([_whole(points.point(number)) for number in wanted])
    return [Pair(wanted[row.number], row) for row in whole if row.ok]


def _ranks(numbers: Sequence[float]) -> np.ndarray:
    """Ranks from 0; equal numbers share the mean of theirs."""
    values = np.asarray(numbers)
    return np.array([(values < value).sum() + ((values == value).sum() - 1) / 2 for value in values], float)


def errors(pairs: Sequence[Pair]) -> list[Errors]:
    """The errors of each metric; empty without pairs."""
    found = []
    for metric in COMPARED if pairs else ():
        wrong = np.array([pair.error(metric) for pair in pairs])
        ranks = [_ranks([getattr(pair, side).metrics[metric] for pair in pairs]) for side in ("estimate", "whole")]
        flat = any(one.std() == 0 for one in ranks)
        correlation = 1.0 if flat else float(np.corrcoef(ranks[0], ranks[1])[0, 1])
        found.append(Errors(metric, len(pairs), float(wrong.mean()), float(np.abs(wrong).mean()), float(np.abs(wrong).max()), correlation))
    return found
