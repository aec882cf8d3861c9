"""Runs jobs on Dask: on workers of this machine, or those of a scheduler that the user has started.

What is distributed is :func:`~explore.evaluation.job.evaluate`, which needs nothing but the job. Dask starts a job of a worker that died on
another one; outcomes go to the cache of the process that explores, as soon as they arrive.
"""

import contextlib
import itertools
import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster, as_completed
from distributed.scheduler import KilledWorker

import squeezelerator
from squeezelerator.common.errors import UserError
from squeezelerator.explore.evaluation.job import Job, Outcome, evaluate

__all__ = ["Executor", "SchedulerError"]

#: Jobs that a worker has before it, so that it never waits; more would only fill the scheduler's memory.
_AHEAD = 8
#: Seconds in which a scheduler must answer.
_ANSWER_S = 15
#: Seconds in which workers of this machine end by themselves.
_END_S = 10


class SchedulerError(UserError, RuntimeError):
    """A scheduler that does not answer; the message is one line."""


def _quieten() -> None:
    """Keep Dask from telling of lost connections: what a worker's death costs is told by rows, a scheduler's by one line."""
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "distributed"]:
        logging.getLogger(name).setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _own_workers(count: int) -> Iterator[str]:
    """Workers of this machine for the time of a ``with`` block; the address of their scheduler."""
    root = Path(next(iter(squeezelerator.__path__))).resolve().parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-m", "squeezelerator.explore.running.cluster", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          env=environment, start_new_session=True) as process:  # fmt: skip
        try:
            address = process.stdout.readline().strip() if process.stdout else ""
            if not address:
                raise SchedulerError(f"{count} workers could not be started on this machine")
            yield address
        finally:
            if process.stdin:
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            process.kill()


class Executor:
    """Does jobs, in whatever order they come to their ends.

    Parameters
    ----------
    scheduler : str
        Address of a Dask scheduler (``tcp://HOST:PORT``); empty: workers of this machine are started, and ended with the ``with`` block.
    workers : int
        Of this machine; 0: one for each processor. With 1 jobs run in a thread of this process.
    """

    def __init__(self, scheduler: str = "", workers: int = 0) -> None:
        self.scheduler, self.workers = scheduler, workers or os.cpu_count() or 1
        self._stack = contextlib.ExitStack()
        self._client: Client | None = None

    def __enter__(self) -> "Executor":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _connected(self) -> Client:
        """The client; workers are not started before there is work."""
        if self._client is None:
            _quieten()
            if self.scheduler or self.workers > 1:
                self._client = self._client_of(self.scheduler or self._stack.enter_context(_own_workers(self.workers)))
            else:
                cluster = self._stack.enter_context(LocalCluster(
                    n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"))
                self._client = self._stack.enter_context(Client(cluster))
        return self._client

    def _client_of(self, address: str) -> Client:
        try:
            return self._stack.enter_context(Client(address, timeout=_ANSWER_S))
        except (OSError, ValueError) as error:
            raise SchedulerError(f"the scheduler at {address} does not answer: {str(error) or type(error).__name__}") from None

    def done(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """(job, outcome) of jobs with different keys, as they are done.

        Raises
        ------
        SchedulerError
            If the scheduler is lost.
        """
        jobs = iter(jobs)
        first = next(jobs, None)
        if first is None:
            return
        client, waiting = self._connected(), dict[str, Job]()
        running = as_completed(with_results=True, raise_errors=False)

        def submit(more: Iterable[Job]) -> None:
            for job in more:
                waiting[job.key] = job
                running.add(client.submit(evaluate, job, key=job.key, pure=True))

        workers = self.workers if not self.scheduler else max(1, len(client.scheduler_info()["workers"]))
        submit(itertools.chain([first], itertools.islice(jobs, _AHEAD * workers - 1)))
        for future, result in running:
            job = waiting.pop(future.key)
            if future.status in ("cancelled", "lost"):
                raise SchedulerError("the scheduler is gone; what was done is kept, and the same command goes on from there")
            yield job, _outcome(result)
            submit(itertools.islice(jobs, 1))


def _outcome(result: Any) -> Outcome:
    """What became of a job whose future has ``result``: an outcome, or the exception with which Dask gave it up."""
    if isinstance(result, Outcome):
        return result
    error = result[1] if isinstance(result, tuple) else result
    text = "its workers died, one after the other" if isinstance(error, KilledWorker) else f"{type(error).__name__}: {error}"
    return Outcome({}, reason=text, lasting=False)
