"""Damages files of every kind that a user can give and hands them to their readers: each ends in one line, in time, or is read.

``python -m sim.fuzz.files``; ``make fuzz`` runs it, too. Each reader works in a process of its own with a limit of memory and of time.
"""

import argparse
import collections
import multiprocessing
import random
import resource
import signal
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.errors import UserError
from squeezelerator.common.progress import progress
from squeezelerator.sim.fuzz.file_damage import damaged
from squeezelerator.sim.fuzz.file_kinds import KINDS, seeds

__all__ = ["Outcome", "main", "try_files"]

#: Memory of a reader's process, beyond what it begins with, and its time for one file.
MEMORY_BYTES = 3 << 30
SECONDS = 20
class Outcome(str):
    """``read``, ``refused``, or what went wrong: the last line of a traceback, several lines, ``too slow``, ``died``."""

    @property
    def good(self) -> bool:
        """Whether the reader did one of the two things that it may."""
        return self in ("read", "refused")


def _too_slow(_number: int, _frame: object) -> NoReturn:
    raise _TimeOutError


class _TimeOutError(BaseException):
    """The time for a file is over."""


def _read(kind: str, path: Path) -> str:
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(SECONDS)
    try:
        KINDS[kind][2](path)
    except UserError as error:
        text = str(error)
        return "refused" if text and "\n" not in text and len(text) < 2000 else f"not one line: {text[:200]!r}"
    except _TimeOutError:
        return "too slow"
    except BaseException:
        return traceback.format_exc().strip().splitlines()[-1]
    finally:
        signal.alarm(0)
    return "read"


def _work(pipe: Connection) -> None:
    """A process that reads files until there are no more, with a limit of memory."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
    while True:
        task = pipe.recv()
        if task is None:
            return
        pipe.send(_read(*task))


def try_files(seed: int, numbers: Sequence[int], folder: Path) -> Iterator[tuple[int, str, Outcome]]:
    """(number, kind, what came of it) of damaged files by number; files that go wrong stay in ``folder``."""
    good = seeds(folder)
    context = multiprocessing.get_context("fork")
    ours = worker = None
    try:
        for number in numbers:
            rng = random.Random(f"{seed} {number}")
            kind = rng.choice(sorted(KINDS))
            path = folder / f"{number}-{KINDS[kind][0]}"
            path.write_bytes(damaged(good[kind], rng))
            if worker is None or ours is None:
                ours, theirs = context.Pipe()
                worker = context.Process(target=_work, args=(theirs,), daemon=True)
                worker.start()
                theirs.close()
            try:
                ours.send((kind, path))
                outcome = Outcome(ours.recv() if ours.poll(2 * SECONDS) else "too slow, and deaf")
            except (EOFError, OSError):
                outcome = Outcome("died")
            if outcome in ("died", "too slow, and deaf"):
                worker.kill()
                worker.join()
                worker = None
            if outcome.good:
                path.unlink()
            yield number, kind, outcome
    finally:
        if worker is not None:
            worker.kill()
            worker.join()


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog=program_name("sim.fuzz.files"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="which files (%(default)s)")
    parser.add_argument("--files", type=int, default=2000, help="how many (%(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (%(default)s)")
    parser.add_argument("--keep", help="folder for the files that go wrong")
    options = parser.parse_args(argv)
    if options.files < 1 or options.first < 0:
        raise OptionError(f"--files must be at least 1 and --first at least 0, not {options.files} and {options.first}")
    return options


@command("sim.fuzz.files")
def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _options(argv)
    counts: dict[str, collections.Counter] = {kind: collections.Counter() for kind in KINDS}
    wrong = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = range(options.first, options.first + options.files)
        for number, kind, outcome in progress(try_files(options.seed, numbers, folder), "damaged files", total=options.files):
            counts[kind]["read" if outcome == "read" else "refused" if outcome == "refused" else "wrong"] += 1
            if not outcome.good:
                wrong.append((number, kind, outcome))
    print(f"{'kind':12s} {'files':>6s} {'read':>6s} {'refused':>8s} {'wrong':>6s}")
    for kind, found in [*counts.items(), ("all", sum(counts.values(), collections.Counter()))]:
        print(f"{kind:12s} {sum(found.values()):6,d} {found['read']:6,d} {found['refused']:8,d} {found['wrong']:6,d}")
    for number, kind, outcome in wrong:
        print(f"{kind}: {outcome}: python -m sim.fuzz.files --seed {options.seed} --first {number} --files 1 --keep FOLDER")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
