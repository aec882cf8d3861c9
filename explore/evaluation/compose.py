"""What a point needs: one job for the whole network, or jobs for windows of it whose counters are added up.

With effort ``composed`` a network of segments s1 .. sn costs

    C(s1 .. sk) + sum over k = k0, k0 + step, ... of C(s(k-context+1) .. s(k+step)) - C(s(k-context+1) .. sk),   k0 = context + step

where C is what a window of consecutive segments costs when it is compiled with normal effort: ``step`` segments cost what they add to the
``context`` before them. Windows repeat within a network and between the networks of a space, so that thousands of points need a hundred
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


def _cuts(places: tuple[int, ...], context: int, step: int) -> list[_Cut]:
    segments, end = len(places) - 1, context + step
    found = [_Cut(0, places[min(end, segments)], 1)]
    while end < segments:
        first, last = places[end - context], places[min(end + step, segments)]
        found += [_Cut(first, last, 1), _Cut(first, places[end], -1)]
        end += step
    return found


def composed(table: LayerTable, context: int, step: int) -> tuple[tuple[LayerTable, int], ...]:
    """The windows of a network, with the factors of their costs."""
    count = Counter[LayerTable]()
    for cut in _cuts(bounds(table), context, step):
        count[window(table, cut.first, cut.last)] += cut.factor
    return tuple((part, factor) for part, factor in count.items() if factor)


class Recipes:
    """Makes recipes, and remembers what points share: the windows of the last network, and every job."""

    def __init__(self) -> None:
        self._windows: tuple[tuple[object, ...], tuple[tuple[LayerTable, int], ...]] = (), ()
        self._jobs: dict[tuple[int, Job], Job] = {}

    def recipe(self, job: Job, context: int, step: int) -> Recipe:
        """The recipe of a point whose job is ``job``, the effort of which may be ``composed``."""
        if job.effort != COMPOSED or job.table is None:
            return ((job, 1),)
        asked, (known, _) = (job.table, context, step), self._windows
        if len(known) != len(asked) or known[0] is not job.table or known[1:] != asked[1:]:
            self._windows = asked, composed(job.table, context, step)
        frame = replace(job, table=None, effort=Effort.NORMAL.value)
        return tuple((self._part(frame, part), factor) for part, factor in self._windows[1])

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
