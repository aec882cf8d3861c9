"""What a point needs: one job for the whole network, or jobs for windows of it whose counters are added up.

With effort ``composed`` a network of segments s1 .. sn costs

    C(s1 .. sk) + sum over i > k of C(s(i-k+1) .. si) - C(s(i-k+1) .. s(i-1))

where C is what a window of consecutive segments costs when it is compiled with normal effort, and k the ``context``: a segment costs what it
adds to the k - 1 before it. Windows repeat within a network and between the networks of a space, so that thousands of points need dozens of
jobs. It is an estimate: ``--compare`` measures its error against whole networks.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from squeezelerator.compiler.compile_options import Effort
from squeezelerator.explore.evaluation.job import Job, Outcome
from squeezelerator.explore.evaluation.segments import bounds, window
from squeezelerator.explore.space.space import COMPOSED
from squeezelerator.spec.network.layer_table import LayerTable

__all__ = ["Recipe", "Recipes", "combined", "composed"]

#: Jobs with the factors of their counters.
Recipe = tuple[tuple[Job, int], ...]


@dataclass(frozen=True)
class _Cut:
    """Layers of a window, with the factor of its cost."""

    first: int
    last: int
    factor: int


def _cuts(places: tuple[int, ...], context: int) -> list[_Cut]:
    segments = len(places) - 1
    if segments <= context:
        return [_Cut(places[0], places[-1], 1)]
    found = [_Cut(places[first], places[first + context], 1) for first in range(segments - context + 1)]
    return found + [_Cut(places[first], places[first + context - 1], -1) for first in range(1, segments - context + 1)]


def composed(table: LayerTable, context: int) -> tuple[tuple[LayerTable, int], ...]:
    """The windows of a network, with the factors of their costs."""
    count = Counter[LayerTable]()
    for cut in _cuts(bounds(table), context):
        count[window(table, cut.first, cut.last)] += cut.factor
    return tuple((part, factor) for part, factor in count.items() if factor)


class Recipes:
    """Makes recipes, and remembers what points share: the windows of the last network, and every job."""

    def __init__(self) -> None:
        self._windows: tuple[LayerTable | None, int, tuple[tuple[LayerTable, int], ...]] = None, 0, ()
        self._jobs: dict[tuple[int, Job], Job] = {}

    def recipe(self, job: Job, context: int) -> Recipe:
        """The recipe of a point whose job is ``job``, the effort of which may be ``composed``."""
        if job.effort != COMPOSED or job.table is None:
            return ((job, 1),)
        if self._windows[0] is not job.table or self._windows[1] != context:
            self._windows = job.table, context, composed(job.table, context)
        frame = replace(job, table=None, effort=Effort.NORMAL.value)
        return tuple((self._part(frame, part), factor) for part, factor in self._windows[2])

    def _part(self, frame: Job, part: LayerTable) -> Job:
        """The job of a window, one object for equal ones: its key is worked out once. Windows are interned and stay."""
        known = self._jobs.get((id(part), frame))
        if known is None:
            known = self._jobs[id(part), frame] = replace(frame, table=part)
        return known


def combined(recipe: Recipe, outcomes: Mapping[str, Outcome]) -> Outcome:
    """The outcome of a point from those of its jobs, {key: outcome}: the first failure, or all counters added up."""
    counters: Counter[str] = Counter()
    instructions = 0
    for job, factor in recipe:
        outcome = outcomes[job.key]
        if outcome.reason:
            return outcome
        instructions += factor * outcome.instructions
        for name, count in outcome.counters.items():
            counters[name] += factor * count
    return Outcome(dict(counters), instructions)
