"""A generator that runs in a forked worker process, with one exchange of messages on the way.

Half of the portfolio is searched there while this process searches the other half. Forking lends the worker everything that exists
already; only messages are pickled, and objects that both processes had before the fork travel as numbers.
"""

import contextlib
import os
import pickle
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, BinaryIO


class _Pickler(pickle.Pickler):
    """Writes the number of an object that both processes have had since before the fork instead of its contents."""

    def __init__(self, file: BinaryIO, known: Iterable[object]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.numbers = {id(thing): number for number, thing in enumerate(known)}

    def persistent_id(self, obj: object) -> int | None:
        return self.numbers.get(id(obj))


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, known: Sequence[object]) -> None:
        super().__init__(file)
        self.known = known

    def persistent_load(self, pid: int) -> object:
        return self.known[pid]


def send_and_finish(generator: Generator[Any, Any, Any], message: object) -> Any:
    """What a generator that stands at its only ``yield`` returns if that gives it ``message``."""
    try:
        generator.send(message)
    except StopIteration as end:
        return end.value
    raise AssertionError("a second yield")


class WorkerProcess:
    """Runs ``generator()``, which yields a message once, gets one in return, and then returns its result.

    ``exchange`` has to be called before ``result``. Where the system cannot fork, has one processor, this process has several threads,
    or the worker dies, the generator runs in this process instead: the result never depends on it.

    Parameters
    ----------
    generator : callable
        What it yields and returns must be picklable.
    known : sequence
        Large objects that may occur in that: they come back as themselves, not as copies.
    """

    def __init__(self, generator: Callable[[], Generator[Any, Any, Any]], known: Sequence[object] = ()) -> None:
        self.generator, self.known, self.pid = generator, known, 0
        self.local: Generator[Any, Any, Any] | None = None
        self.message: object = None
        # A process of several threads is not forked: another thread may hold a lock that nobody would release in the child.
        if not hasattr(os, "fork") or (os.cpu_count() or 1) < 2 or threading.active_count() > 1:
            return
        (to_worker_end, to_worker), (from_worker, from_worker_end) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(to_worker)
                os.close(from_worker)
                with os.fdopen(to_worker_end, "rb") as source, os.fdopen(from_worker_end, "wb") as sink:
                    running = generator()
                    self._send(sink, next(running))
                    self._send(sink, send_and_finish(running, _Unpickler(source, known).load()))
            finally:
                os._exit(0)  # nothing of the parent's is flushed or closed twice
        os.close(to_worker_end)
        os.close(from_worker_end)
        self.source, self.sink = os.fdopen(from_worker, "rb"), os.fdopen(to_worker, "wb")

    def _send(self, sink: BinaryIO, message: object) -> None:
        _Pickler(sink, self.known).dump(message)
        sink.flush()

    def _receive(self) -> Any:
        """The worker's next message. EOFError or UnpicklingError if it was killed or ended by an error."""
        return _Unpickler(self.source, self.known).load()

    def _end(self) -> None:
        for pipe in (self.source, self.sink):
            with contextlib.suppress(OSError):  # nobody reads what was left in it
                pipe.close()
        with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored, as a caller may have left it, the system takes it away
            os.waitpid(self.pid, 0)
        self.pid = 0

    def exchange(self, message: object) -> Any:
        """The message that the generator yields, for ``message``."""
        self.message = message
        if self.pid:
            try:
                theirs = self._receive()
                self._send(self.sink, message)
                return theirs
            except (EOFError, pickle.UnpicklingError, OSError):
                self._end()
        self.local = self.generator()
        return next(self.local)

    def result(self) -> Any:
        """What the generator returns; computed here and now if the worker came to nothing."""
        if self.pid:
            try:
                return self._receive()
            except (EOFError, pickle.UnpicklingError):
                pass  # what went wrong there comes up again here
            finally:
                self._end()
        if self.local is None:
            self.local = self.generator()
            next(self.local)
        return send_and_finish(self.local, self.message)
