"""Which points are looked at: all, a random sample, or those that Optuna's samplers choose in the light of those before.

A sampler proposes points in batches and is told their rows. It must propose the same points for the same rows, so that an exploration that
was stopped goes through the same points again, with outcomes from the cache, and then on.
"""

import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from squeezelerator.explore.evaluation.point import Point, Row
from squeezelerator.explore.space.space import Space

__all__ = ["Sampler", "sampler_of"]

#: Points that are drawn for each that is wanted, at most, where constraints rule points out.
_TRIES = 20


class Sampler(Protocol):
    """Chooses points."""

    def batches(self) -> Iterator[Sequence[Point]]:
        """Points to look at next; before the next batch, :meth:`tell` is called with the rows of this one."""
        ...

    def tell(self, rows: Sequence[Row]) -> None:
        """The rows of the last batch, in its order."""
        ...


class _Fixed:
    """Numbers that are known beforehand; those that the constraints rule out are left out."""

    def __init__(self, numbers: Iterator[int], most: int, make: Callable[[int], Point | None]) -> None:
        self.numbers, self.most, self.make = numbers, most, make

    def batches(self) -> Iterator[Sequence[Point]]:
        found: list[Point] = []
        for number in self.numbers:
            if len(found) == self.most:
                break
            point = self.make(number)
            if point is not None:
                found.append(point)
        yield sorted(found, key=lambda point: point.number)

    def tell(self, rows: Sequence[Row]) -> None:
        """Nothing depends on them."""


def _drawn(size: int, seed: int) -> Iterator[int]:
    """All numbers below ``size`` in a random order, each once."""
    draw, seen = random.Random(seed), set[int]()
    if size <= 1_000_000:
        yield from draw.sample(range(size), size)
        return
    while len(seen) < size:
        number = draw.randrange(size)
        if number not in seen:
            seen.add(number)
            yield number


class _Optuna:
    """A study of Optuna in memory: each axis that varies is a parameter, by the places of its values."""

    def __init__(self, space: Space, make: Callable[[int], Point | None]) -> None:
        # Imported late: the other methods do without.
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        samplers = optuna.samplers
        seed = space.search.seed
        chosen: dict[str, Callable[[], Any]] = {
            "nsga2": lambda: samplers.NSGAIISampler(seed=seed, population_size=max(2, space.search.batch)),
            "nsga3": lambda: samplers.NSGAIIISampler(seed=seed, population_size=max(2, space.search.batch)),
            "tpe": lambda: samplers.TPESampler(seed=seed, multivariate=True),
            "random": lambda: samplers.RandomSampler(seed=seed),
        }
        self.space, self.make, self.failed = space, make, optuna.trial.TrialState.FAIL
        directions = [optuna.study.StudyDirection.MINIMIZE] * len(space.objectives)
        self.study = optuna.create_study(directions=directions, sampler=chosen[space.search.sampler]())
        self.trials: list[Any] = []

    def _ask(self) -> tuple[Any, Point | None]:
        trial = self.study.ask()
        places = {}
        for one in self.space.varied:
            last = len(one.values) - 1
            places[one.name] = (trial.suggest_int(one.name, 0, last) if one.ordered
                                else trial.suggest_categorical(one.name, list(range(last + 1))))  # fmt: skip
        return trial, self.make(self.space.number(places))

    def batches(self) -> Iterator[Sequence[Point]]:
        search, asked, found = self.space.search, 0, 0
        while found < search.points and asked < _TRIES * search.points:
            batch: list[Point] = []
            self.trials = []
            while len(batch) < min(search.batch, search.points - found) and asked < _TRIES * search.points:
                trial, point = self._ask()
                asked += 1
                if point is None:
                    self.study.tell(trial, state=self.failed)
                else:
                    self.trials.append(trial)
                    batch.append(point)
            found += len(batch)
            if batch:
                yield batch

    def tell(self, rows: Sequence[Row]) -> None:
        for trial, row in zip(self.trials, rows, strict=True):
            if row.ok:
                self.study.tell(trial, [float(row.metrics[name]) for name in self.space.objectives])
            else:
                self.study.tell(trial, state=self.failed)


def sampler_of(space: Space, make: Callable[[int], Point | None]) -> Sampler:
    """The sampler that a space names; ``make`` gives the point of a number, None if constraints rule it out."""
    search = space.search
    if search.method == "optuna":
        return _Optuna(space, make)
    if search.method == "random":
        return _Fixed(_drawn(space.size, search.seed), search.points, make)
    return _Fixed(iter(range(space.size)), space.size, make)
