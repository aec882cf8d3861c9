"""Writes one page with the line and branch coverage of the Python sources by the default tests, and of the lines and bits of the generated
hardware by a network and random programs, and names what is not covered.

All of it takes about as long as two runs of the default tests. What a folder of tests covered is kept in build/coverage until a source
changes: a run that was interrupted goes on where it was.
"""

import argparse
import shutil
import time
from pathlib import Path

from squeezelerator.sim.fuzz.machines import MACHINES
from tests.coverage_report.page import page, summary
from tests.coverage_report.python import ROOT, FolderRun, files_covered, folders, run_folder
from tests.coverage_report.rtl import measure_machine

FOLDER = ROOT / "build/coverage"


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.coverage_report", description=__doc__)
    parser.add_argument("-o", dest="page", type=Path, default=FOLDER / "coverage.html", help="the page (build/coverage/coverage.html)")
    parser.add_argument("--tests", nargs="*", default=folders(), metavar="PATH", help="folders and files of tests (all); none: no Python")
    parser.add_argument("--pe", nargs="*", type=int, default=[2, 3], choices=sorted(MACHINES), help="machines (2 and 3); none: no RTL")
    parser.add_argument("--networks", nargs="*", default=["tiny_all"], help="that the machines run (tiny_all)")
    parser.add_argument("--programs", type=int, default=6, help="random programs a machine, each damaged in eight ways (%(default)s)")
    parser.add_argument("--workers", default="auto", help="processes of pytest, 0: in its own (a processor each)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no further folder of tests after so many seconds")
    parser.add_argument("--fresh", action="store_true", help="measure again what is known")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where measurements are kept (build/coverage)")
    return parser.parse_args(argv)


def _python(options: argparse.Namespace) -> tuple[list[FolderRun], list[Path]]:
    """The runs of the tests, and where each is kept."""
    runs, targets, end = [], [], time.monotonic() + options.seconds
    for word in options.tests:
        if time.monotonic() > end:
            print(f"not measured: {word}", flush=True)
            continue
        targets.append(options.folder / "python" / word.replace("/", "."))
        runs.append(run_folder([word], targets[-1], workers=options.workers, fresh=options.fresh))
        print(f"{word}: {runs[-1].summary}, {runs[-1].seconds:.0f} s", flush=True)
    return runs, targets


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code: 1 if a test failed."""
    options = _options(argv)
    runs, targets = _python(options)
    files = []
    if runs:
        scratch = options.folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        files = files_covered(targets, scratch)
    machines = [measure_machine(MACHINES[n], options.networks, options.programs) for n in options.pe]
    seconds = sum(part.seconds for part in [*runs, *machines])
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(page(files, runs, machines, seconds), encoding="utf-8")
    print("\n".join(summary(files, machines)))
    print(f"{options.page}: measured in {seconds / 60:.1f} minutes")
    return 1 if any(run.failed for run in runs) else 0


if __name__ == "__main__":
    raise SystemExit(main())
