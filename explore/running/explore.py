"""The exploration: points from a sampler, their jobs from the cache or the executor, rows as soon as all jobs of a point are done."""

from collections.abc import Iterator, Sequence

from squeezelerator.common.progress import progress
from squeezelerator.explore.evaluation.cache import Cache
from squeezelerator.explore.evaluation.job import Job, Outcome
from squeezelerator.explore.evaluation.point import Point, Points, Row
from squeezelerator.explore.running.executor import Executor
from squeezelerator.explore.running.sampling import sampler_of

__all__ = ["Exploration"]


class Exploration:
    """Explores the points of a space.

    Parameters
    ----------
    points : Points
    cache : Cache
    executor : Executor
    known_only : bool
        Leave out points that would need a job that is not in the cache.

    Attributes
    ----------
    done, reused : int
        Jobs that were done, and jobs whose outcomes were in the cache.
    """

    def __init__(self, points: Points, cache: Cache, executor: Executor, *, known_only: bool = False) -> None:
        self.points, self.cache, self.executor, self.known_only = points, cache, executor, known_only
        self.done = self.reused = 0

    def run(self) -> list[Row]:
        """All rows that the space's sampler asks for, each point once, by their numbers."""
        rows: dict[int, Row] = {}
        sampler = sampler_of(self.points.space, self._point)
        for batch in sampler.batches():
            found = self.rows([point for point in batch if point.number not in rows])
            rows.update((row.number, row) for row in found)
            sampler.tell([rows[point.number] for point in batch])
        return [rows[number] for number in sorted(rows)]

    def _point(self, number: int) -> Point | None:
        point = self.points.allowed(number)
        if point is not None and self.known_only and any(self.cache.get(job) is None for job, _ in point.recipe):
            return None
        return point

    def rows(self, points: Sequence[Point]) -> list[Row]:
        """The rows of points, in their order."""
        unique = list({point.number: point for point in points}.values())
        outcomes = self.outcomes({job.key: job for point in unique for job, _ in point.recipe})
        found = {point.number: self.points.row(point, outcomes) for point in unique}
        return [found[point.number] for point in points]

    def outcomes(self, jobs: dict[str, Job]) -> dict[str, Outcome]:
        """{key: outcome} of jobs, {key: job}."""
        found, missing = {}, []
        for key, job in jobs.items():
            outcome = self.cache.get(job)
            if outcome is None:
                missing.append(job)
            else:
                found[key] = outcome
        self.reused += len(found)
        found.update((job.key, outcome) for job, outcome in self._worked(missing))
        return found

    def _worked(self, missing: Sequence[Job]) -> Iterator[tuple[Job, Outcome]]:
        """(job, outcome) of jobs that are not in the cache; each is kept there before the next is asked for."""
        for job, outcome in progress(self.executor.done(missing), "compiling", unit="job", total=len(missing)):
            self.cache.put(job, outcome)
            self.done += 1
            yield job, outcome


