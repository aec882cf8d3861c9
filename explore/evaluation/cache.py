"""The cache of outcomes: one small file for each job, named by the hash of the job's contents.

Files are there whole or not at all, and nothing is ever changed in one, so that any number of explorations may use a cache at the same time
and be killed at any time. The code's version is part of the hash; files of other versions are left behind and can be deleted.
"""

import json
from pathlib import Path

from squeezelerator.common.files import write_whole
from squeezelerator.explore.evaluation.job import Job, Outcome

__all__ = ["Cache"]


class Cache:
    """Outcomes of jobs in ``folder``, which is made when there is something to keep."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._known: dict[str, Outcome] = {}

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, job: Job) -> Outcome | None:
        """What is known of a job; None if nothing is, or its file is damaged."""
        if job.key not in self._known:
            try:
                data = json.loads(self._path(job.key).read_text())
                self._known[job.key] = Outcome(data["counters"], int(data["instructions"]), str(data["reason"]))
            except (OSError, ValueError, KeyError, TypeError):
                return None  # not there yet: the job is done anew and its file written
        return self._known[job.key]

    def put(self, job: Job, outcome: Outcome) -> None:
        """Remember an outcome, and keep it unless another try may come to something else; raises OSError if it cannot be kept."""
        self._known[job.key] = outcome
        if outcome.lasting:
            path = self._path(job.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lambda file: file.write(json.dumps(outcome.as_dict()).encode()))
