"""What all commands share: options, names, exit codes, errors in one line, interrupts that leave nothing behind.

Exit codes: 0; 1 where results differ or a wanted figure is not reached; 2 for the user's mistake; 130 after SIGINT and 143 after SIGTERM
(128 and the signal's number, as shells have it).
"""

import argparse
import contextlib
import errno
import functools
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn, Protocol, TextIO

import psutil

from squeezelerator.common.errors import UserError
from squeezelerator.common.extras import missing_extra

__all__ = ["USER_ERROR", "Command", "OneLineParser", "OptionError", "command", "end_children", "program_name", "run_as"]

#: Exit code for the user's mistake.
USER_ERROR = 2
#: Seconds that child processes have to end by themselves.
_GRACE_S = 3.0


class Command(Protocol):
    """A command's ``main``: takes the words of its command line (None: those of the process), returns the exit code."""

    def __call__(self, argv: Sequence[str] | None = None, /) -> int: ...


_console: list[str] = []


class OptionError(UserError, ValueError):
    """Options that make no sense; the message is one line."""


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM; children have been ended."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USER_ERROR, f"{self.prog}: {message}\n")


def program_name(module: str) -> str:
    """How the command in ``module`` was called: ``python -m MODULE``, or the console command that stands for it."""
    return _console[-1] if _console else f"python -m {module}"


@contextlib.contextmanager
def run_as(name: str) -> Iterator[None]:
    """Let commands call themselves ``name`` (of the console command) for the time of a ``with`` block."""
    _console.append(name)
    try:
        yield
    finally:
        _console.pop()


def end_children() -> None:
    """End all processes that this one has started, and theirs: politely, then by force."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    for child in psutil.wait_procs(children, timeout=_GRACE_S)[1]:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM end the children and raise :class:`Interrupted`, once: a second signal must not disturb the clearing up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers can be set by the main thread only
        return
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end(number: int, _frame: object) -> NoReturn:
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        end_children()
        raise Interrupted(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _position(stream: TextIO) -> int | None:
    """Where standard output stands if it is a regular file, else None."""
    try:
        number = stream.fileno()
        return os.lseek(number, 0, os.SEEK_CUR) if stat.S_ISREG(os.fstat(number).st_mode) else None
    except (OSError, ValueError):
        return None  # no file at all, as in a test


def _is_output(error: OSError) -> bool:
    """Whether it was standard output that could not be written: errors of files have their names."""
    return error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _discard_output(begin: int | None) -> None:
    """Nothing more reaches standard output, not even when Python flushes at exit; a file loses the half that was written."""
    number = sys.stdout.fileno()
    if begin is not None:
        with contextlib.suppress(OSError):
            os.ftruncate(number, begin)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, number)
    os.close(sink)


def _one_line(error: UserError) -> str:
    """The message. From a worker process of torch it comes with the whole traceback as text, the last line of which is the message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0] if len(lines) == 1 else lines[-1].removeprefix(f"{type(error).__module__}.{type(error).__qualname__}: ")


def _text(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def command(module: str) -> Callable[[Callable[[Sequence[str] | None], int | None]], Command]:
    """Decorator of a command's ``main(argv)``: adds what all commands have in common; the function returned gives the exit code.

    Parameters
    ----------
    module : str
        The module that ``python -m`` runs.
    """

    def decorate(body: Callable[[Sequence[str] | None], int | None]) -> Command:
        @functools.wraps(body)
        def main(argv: Sequence[str] | None = None, /) -> int:
            begin = _position(sys.stdout)
            failure = None
            try:
                with _interruptible():
                    code = body(argv) or 0
                    sys.stdout.flush()
                return code
            except BrokenPipeError:
                _discard_output(None)  # the reader (head, a pager) has seen enough
                return 0
            except Interrupted as interrupt:
                failure, code = "interrupted", 128 + interrupt.number
            except UserError as error:
                failure, code = _one_line(error), USER_ERROR
            except ModuleNotFoundError as error:
                text = missing_extra(error)
                if text is None:
                    raise
                failure, code = text, USER_ERROR
            except MemoryError:
                failure, code = "not enough memory", USER_ERROR
            except OSError as error:
                failure, code = _text(error), USER_ERROR
                if _is_output(error):
                    failure = f"cannot write the output: {failure}"
                    _discard_output(begin)
            print(f"{program_name(module)}: {failure}", file=sys.stderr)
            return code

        return main

    return decorate
