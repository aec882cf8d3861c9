"""Mutation score: applies each mutation of the tables to a copy of the checkout and runs the tests that are to notice it.

A mutation is killed if a test fails or does not end in time. Results are kept in build/mutation/results.json until the mutated file or one
of its tests changes, so that a run can be interrupted and taken up again.
"""

import argparse
import collections
import contextlib
import fcntl
import hashlib
import importlib
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

import pytest

from tests.mutation.mutation import ROOT, Mutation
from tests.mutation.tables import MUTATIONS

FOLDER = ROOT / "build/mutation"
RESULTS = FOLDER / "results.json"
TREE = FOLDER / "tree"
LIMIT_S = 120
#: Tests may take so many times their processor time, on a machine that does other things too.
PATIENCE = 8
#: Others' packages that take long to import.
PACKAGES = ("numpy", "hypothesis", "amaranth.sim", "amaranth.back.rtlil", "PIL.Image", "torch", "onnx", "onnx.reference", "onnxruntime")
#: What pytest ends with if tests fail, and if they cannot even be imported.
FAILED = (1, 2)


def copy_tree() -> None:
    """A copy of what git knows, with the simulators of the checkout."""
    shutil.rmtree(TREE, ignore_errors=True)
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
    for name in names.stdout.decode().split("\0"):
        source, target = ROOT / name, TREE / name
        if not name or not (source.exists() or source.is_symlink()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        else:
            shutil.copy2(source, target)
    (ROOT / "build/verilator").mkdir(parents=True, exist_ok=True)
    (TREE / "build").mkdir()
    (TREE / "build/verilator").symlink_to(ROOT / "build/verilator")


def preload() -> None:
    """Import what tests import of others' packages, so that each process that is forked for a mutation begins with it."""
    for name in PACKAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _test(tests: str, limit_s: float) -> NoReturn:
    """Run the tests in the copy, in this process, and end it."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s) + 1, int(limit_s) + 1))
    os.chdir(TREE)
    sink = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(sink, number)
    # Nothing of the checkout itself: neither its packages nor these tables.
    for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
        del sys.modules[name]
    sys.path[:] = [str(TREE), *(path for path in sys.path if Path(path or ".").resolve() not in (ROOT, TREE))]
    sys.dont_write_bytecode = True
    code = 3
    with contextlib.suppress(BaseException):
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-c", str(TREE / "pyproject.toml"), *shlex.split(tests)]))
    os._exit(code)


def run(tests: str, limit_s: float) -> tuple[str, float]:
    """(``passed``, ``failed``, ``timeout`` or ``error``, seconds) of the tests in the copy.

    ``limit_s`` : processor time of a process.
    """
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _test(tests, limit_s)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - began
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code in (-signal.SIGKILL, -signal.SIGXCPU):
                return "timeout", seconds
            return "passed" if code == 0 else "failed" if code in FAILED else "error", seconds
        if seconds > PATIENCE * limit_s:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "timeout", seconds
        time.sleep(0.05)


def key_of(mutation: Mutation | None, tests: str, file: str, root: Path) -> str:
    """What a result depends on: the mutation, the file that it is in, and the test files, as they are below ``root``."""
    parts = [(root / file).read_text(), "" if mutation is None else mutation.name, tests]
    parts += [Path(root / word.split("::")[0]).read_text() for word in shlex.split(tests) if (root / word.split("::")[0]).is_file()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


class Results:
    """Outcomes by key, kept in a file; ``root`` has the sources without a mutation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            self.known = json.loads(RESULTS.read_text())
        except (OSError, ValueError):
            self.known = {}
        self._sound: set[str] = set()

    def of(self, mutation: Mutation | None, tests: str, file: str, limit_s: float) -> str:
        """The outcome, from the file or from a run. Tests that passed once without a mutation do so for other files, too."""
        key = key_of(mutation, tests, file, self.root)
        if key not in self.known and mutation is None and tests in self._sound:
            self._keep(key, "passed", 0.0, file, tests, "")
        if key not in self.known:
            path = TREE / file
            before = path.read_text()
            try:
                if mutation is not None:
                    path.write_text(mutation.apply(before))
                outcome, seconds = run(tests, limit_s)
            finally:
                path.write_text(before)
            self._keep(key, outcome, seconds, file, tests, "" if mutation is None else mutation.name)
            if mutation is None and outcome == "passed":
                self._sound.add(tests)
        return self.known[key]["outcome"]

    def _keep(self, key: str, outcome: str, seconds: float, file: str, tests: str, name: str) -> None:
        self.known[key] = {"outcome": outcome, "seconds": round(seconds, 1), "name": name, "file": file, "tests": tests}
        part = RESULTS.with_suffix(".part")
        part.write_text(json.dumps(self.known, indent=1))
        part.replace(RESULTS)


def verdict(results: Results, mutation: Mutation, limit_s: float) -> str:
    """``killed``, ``survived``, ``equivalent``, or ``broken`` where the tests fail without the mutation."""
    if mutation.equivalent:
        return "equivalent"
    outcome = results.of(mutation, mutation.tests, mutation.file, limit_s)
    if outcome == "passed":
        return "survived"
    # What fails must pass without the mutation.
    return "killed" if results.of(None, mutation.tests, mutation.file, limit_s) == "passed" else "broken"


def show(mutation: Mutation, found: str) -> None:
    """A line for one mutation."""
    print(f"{found:10s} {mutation.name}\n           {mutation.old.strip()!r} -> {mutation.new.strip()!r}"
          + (f"\n           {mutation.equivalent}" if mutation.equivalent else ""), flush=True)


def main() -> int:
    """The command; returns its exit code: 1 if a mutation survives or cannot be judged."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[""], help="mutations with one of these in their file, text, name or tests")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="processor time for the tests of one mutation, in s (%(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin with no further mutation after so many seconds")
    parser.add_argument("--known", action="store_true", help="show what is known, run nothing")
    parser.add_argument("--all", action="store_true", help="show those that are killed, too")
    options = parser.parse_args()
    chosen = [m for m in MUTATIONS if any(word in text for word in options.only for text in (m.old, m.name, m.tests))]
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = (FOLDER / "lock").open("w")
    if not options.known:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            parser.error("another run has the copy of the checkout")
    results = Results(ROOT if options.known else TREE)
    if options.known:
        chosen = [m for m in chosen if m.equivalent or key_of(m, m.tests, m.file, ROOT) in results.known]
    else:
        copy_tree()
        preload()
    counts: collections.Counter[str] = collections.Counter()
    end = time.monotonic() + options.seconds
    for mutation in chosen:
        if time.monotonic() > end:
            break
        found = verdict(results, mutation, options.limit)
        counts[found] += 1
        if found != "killed" or options.all:
            show(mutation, found)
    judged = counts["killed"] + counts["survived"]
    print(f"{sum(counts.values())} of {len(MUTATIONS)} mutations: " + ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts)))
    if judged:
        print(f"score {100 * counts['killed'] / judged:.1f}% of {judged} that are not equivalent")
    return 1 if counts["survived"] or counts["broken"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
