"""Line and branch coverage of the Python sources by the tests, folder by folder.

Every Python process below pytest measures itself, as coverage.py's start file in the virtual environment makes it, so that workers,
simulators with cocotb in them and commands that tests start count, too. What a folder of tests covered is kept until a source or the folder
changes, so that a run can be interrupted and taken up again.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import coverage

__all__ = ["PACKAGES", "FileCoverage", "FolderRun", "files_covered", "folders", "run_folder"]

ROOT = Path(__file__).parents[2]
#: Tests that limit what a process may write: it could not write what it measured, either.
UNMEASURED = ("tests/common/test_command_line.py::test_a_file_that_cannot_be_finished_is_left_empty",)
PACKAGES = ("squeezelerator", "compiler", "explore", "models", "rtl", "sim")
_CONFIG = """[run]
branch = true
parallel = true
data_file = {folder}/data
source = {sources}
patch = _exit
disable_warnings = no-data-collected, module-not-imported, module-not-measured, module-not-python, couldnt-parse
"""


@dataclasses.dataclass(frozen=True)
class FolderRun:
    """A run of pytest: its words, its seconds, and its summary (``3 passed in 2.10s``)."""

    words: str
    seconds: float
    summary: str
    failed: bool


@dataclasses.dataclass(frozen=True)
class FileCoverage:
    """Coverage of one source file: numbers of statements and of branches, lines that did not run, and branches (from, to) not taken from
    lines that did; a negative line is the end of what begins there."""

    path: str
    statements: int
    branches: int
    missing: Sequence[int]
    untaken: Sequence[tuple[int, int]]
    branches_missing: int


def folders() -> list[str]:
    """What pytest is called with, one after another: the folders of tests, and the files beside them."""
    tests = ROOT / "tests"
    found = [path for path in sorted(tests.iterdir()) if path.is_dir() and any(path.rglob("test_*.py"))]
    return [path.relative_to(ROOT).as_posix() for path in [*found, *sorted(tests.glob("test_*.py"))]]


def _digest(words: Sequence[str]) -> str:
    """Of all sources, and of the tests that the words name."""
    chosen = [ROOT / word.split("::")[0] for word in words if (ROOT / word.split("::")[0]).exists()]
    tests = [path for place in chosen for path in ([place] if place.is_file() else sorted(place.rglob("*.py")))]
    sources = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    total = hashlib.sha256(" ".join(words).encode())
    for path in [*sources, *tests]:
        total.update(path.read_bytes())
    return total.hexdigest()


def _config(folder: Path) -> Path:
    """The file by which processes know what to measure, and where to write it: they may run anywhere."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "coveragerc"
    sources = "".join(f"\n    {ROOT / package}" for package in PACKAGES)
    path.write_text(_CONFIG.format(folder=folder.resolve(), sources=sources))
    return path


def run_folder(words: Sequence[str], target: Path, *, workers: str = "auto", fresh: bool = False) -> FolderRun:
    """Run pytest with ``words`` and keep what it covered in ``target``; or what is known of that, unless ``fresh``."""
    known, digest = target / "run.json", _digest(words)
    if known.exists() and not fresh:
        found = json.loads(known.read_text())
        if found.pop("digest") == digest:
            return FolderRun(**found)
    shutil.rmtree(target, ignore_errors=True)
    environment = {**os.environ, "COVERAGE_PROCESS_START": str(_config(target))}
    spread = [] if workers == "0" else ["-n", workers, "--dist", "worksteal"]
    left_out = [word for test in UNMEASURED for word in ("--deselect", test)]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *spread, *left_out, *words], cwd=ROOT, env=environment,
                          capture_output=True, text=True, check=False)
    lines = done.stdout.split("\n")[:-1]
    # pytest ends with 5 where there is no test.
    run = FolderRun(" ".join(words), round(time.monotonic() - began, 1), lines[-1].strip("= ") if lines else f"exit code {done.returncode}",
                    done.returncode not in (0, 5))
    (target / "log.txt").write_text(done.stdout + done.stderr)
    known.write_text(json.dumps({**dataclasses.asdict(run), "digest": digest}, indent=1))
    return run


def files_covered(targets: Sequence[Path], scratch: Path) -> list[FileCoverage]:
    """Coverage of every source file by all that is kept in ``targets``; files that nothing imported are in it."""
    measured = coverage.Coverage(data_file=str(scratch / "combined"), config_file=str(_config(scratch)))
    measured.combine([str(path) for target in targets for path in sorted(target.glob("data.*"))], keep=True)
    listing = scratch / "coverage.json"
    measured.json_report(outfile=str(listing))
    found = []
    for name, content in json.loads(listing.read_text())["files"].items():
        summary, missing = content["summary"], content["missing_lines"]
        untaken = [(begin, end) for begin, end in content["missing_branches"] if abs(begin) not in missing]
        path = Path(os.path.relpath(ROOT / name, ROOT)).as_posix()
        found.append(FileCoverage(path, summary["num_statements"], summary["num_branches"], missing, untaken, summary["missing_branches"]))
    return found
