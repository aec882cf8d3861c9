"""``python -m explore SPACE.toml``: explore a space of networks and machines; ``docs/explore.md`` is the manual."""

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.files import check_folder
from squeezelerator.common.output import write_file
from squeezelerator.explore.evaluation.cache import Cache
from squeezelerator.explore.evaluation.point import METRICS, Points, Row
from squeezelerator.explore.results.compare import COMPARED, Pair, compare, errors
from squeezelerator.explore.results.pareto import front
from squeezelerator.explore.results.report import Findings, mark_head, mark_lines, page
from squeezelerator.explore.results.rows import FORMATS, text_of, write_rows
from squeezelerator.explore.results.verify import chosen, replay
from squeezelerator.explore.running.executor import Executor
from squeezelerator.explore.running.explore import Exploration
from squeezelerator.explore.space.space import Space, read_space
from squeezelerator.spec.energy import EnergyError, read_costs

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog=program_name("explore"), description="Explore a space of networks and machines.")
    parser.add_argument("space", metavar="SPACE.toml", help="what is explored, see docs/explore.md")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of rows, front and report (build/explore/NAME)")
    parser.add_argument("--format", choices=FORMATS, default="csv", help="of the rows (csv)")
    parser.add_argument("--cache", metavar="DIR", default="build/explore/cache", help="folder of what is known already")
    parser.add_argument("--scheduler", metavar="ADDRESS", default="", help="a Dask scheduler, tcp://HOST:PORT (workers of this machine)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="of this machine (one for each processor)")
    parser.add_argument("--where", action="append", default=[], metavar="EXPR", help="a constraint more, such as \"machine.n == 16\"")
    parser.add_argument("--point", type=int, metavar="N", help="work out this point only, and print it")
    parser.add_argument("--compare", type=int, default=0, metavar="K", help="compile K composed points of each machine whole, too")
    parser.add_argument("--verify", type=int, default=0, metavar="K", help="replay the K best and K random points on the RTL")
    parser.add_argument("--each-machine", action="store_true", help="--verify K of each machine")
    parser.add_argument("--energy", metavar="FILE", help="unit costs of events (CSV: event, cost, source)")
    parser.add_argument("--known", action="store_true", help="only points all of whose jobs are done, as of a run that was stopped")
    parser.add_argument("--count", action="store_true", help="say how many points and jobs there are, and how many of them are known")
    return parser


def _points(args: argparse.Namespace, space: Space) -> Points:
    try:
        return Points(space, read_costs(args.energy), args.energy is None)
    except EnergyError as error:
        raise OptionError(str(error)) from None


def _packages(args: argparse.Namespace, space: Space) -> None:
    """Import what will be needed in the end: long work should not end with the news that it is missing."""
    for name, needed in (("distributed", True), ("plotly", args.point is None), ("pyarrow", args.format == "parquet"),
                         ("optuna", space.search.method == "optuna")):  # fmt: skip
        if needed:
            importlib.import_module(name)


def _checked(args: argparse.Namespace) -> tuple[Space, Path]:
    """(space, folder of the results), when all options make sense."""
    for name in ("workers", "compare", "verify"):
        if getattr(args, name) < 0:
            raise OptionError(f"--{name} takes a number of at least 0, not {getattr(args, name)}")
    space = read_space(args.space, args.where)
    if args.point is not None and not 0 <= args.point < space.size:
        raise OptionError(f"--point: the space has points 0 to {space.size - 1}, not {args.point}")
    _packages(args, space)
    folder = Path(args.output or f"build/explore/{Path(args.space).stem}")
    for path in (folder, args.cache):
        check_folder(path)
    return space, folder


def _print_row(space: Space, row: Row) -> None:
    for one in space.axes:
        print(f"{one.name:30s} {text_of(row.values[one.name])}")
    for name in METRICS:
        if name in row.metrics:
            print(f"{name:30s} {text_of(row.metrics[name])}")
    if row.reason:
        print(f"{'failed':30s} {row.reason}")


def _verify(args: argparse.Namespace, points: Points, rows: Sequence[Row]) -> int:
    """Replay points; returns the number of those that do not hold."""
    wrong, wanted = 0, chosen(points.space, rows, args.verify, args.each_machine)
    for number, row in enumerate(wanted, 1):
        found = replay(points, row)
        about = "" if found.estimate_error is None else f", estimated {found.estimate_error:+.2f}%"
        print(f"{number:3d}/{len(wanted)} point {row.number}: {found.cycles:,} cycles on the RTL{about}, "
              f"{'differs: ' + '; '.join(found.faults) if found.faults else 'equal'}", flush=True)
        wrong += bool(found.faults)
    return wrong


def _summary(findings: Findings, exploration: Exploration, seconds: float) -> None:
    space, rows, pairs = findings.space, findings.rows, findings.pairs
    failed = sum(not row.ok for row in rows)
    print(f"{len(rows):,} points, {failed:,} failed; {exploration.done:,} jobs done, {exploration.reused:,} known before; {seconds:.1f} s "
          f"({len(rows) / seconds:.1f} points a second)")
    for row in front(rows, space.objectives)[:10]:
        values = ", ".join(f"{one.name.split('.')[1]} {text_of(row.values[one.name])}" for one in space.varied)
        print(f"front: point {row.number}: {values}: {', '.join(f'{name} {text_of(row.metrics[name])}' for name in space.objectives)}")
    if space.marks:
        print(" | ".join(mark_head(space)))
        for cells in mark_lines(findings):
            print(" | ".join(cells))
    for pair in pairs:
        values = ", ".join(f"{one.name.split('.')[1]} {text_of(pair.whole.values[one.name])}" for one in space.varied)
        print(f"point {pair.whole.number}: {values}: whole " + ", ".join(
            f"{metric} {text_of(pair.whole.metrics[metric])} (estimate {pair.error(metric):+.2f}%)" for metric in COMPARED))
    for one in errors(pairs):
        print(f"error of {one.metric} against {one.points} whole networks: mean {one.mean:+.2f}%, mean size {one.mean_size:.2f}%, "
              f"worst {one.worst:.2f}%, rank correlation {one.rank_correlation:.3f}")


def _count(points: Points, exploration: Exploration) -> None:
    """Print how much there is to do."""
    jobs, number = {}, 0
    for place in range(points.space.size):
        point = points.allowed(place)
        if point is not None:
            number += 1
            jobs.update((job.key, job) for job, _ in point.recipe)
    known = sum(exploration.cache.get(job) is not None for job in jobs.values())
    print(f"{points.space.size:,} points, {number:,} of them within the constraints; {len(jobs):,} jobs, {known:,} known")


def _write(findings: Findings, folder: Path, kind: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / f"rows.{kind}", findings.space, findings.rows)
    write_rows(folder / f"front.{kind}", findings.space, front(findings.rows, findings.space.objectives))
    write_file(folder / "report.html", page(findings).encode())


def _explore(args: argparse.Namespace, space: Space, folder: Path) -> int:
    points, begin = _points(args, space), time.perf_counter()
    pairs: list[Pair] = []
    with Executor(args.scheduler, args.workers) as executor:
        exploration = Exploration(points, Cache(args.cache), executor, known_only=args.known)
        if args.count:
            _count(points, exploration)
            return 0
        rows = exploration.run() if args.point is None else exploration.rows([points.point(args.point)])
        seconds = time.perf_counter() - begin
        if args.compare:
            pairs = compare(points, rows, args.compare, exploration)
    if args.point is not None:
        _print_row(space, rows[0])
    else:
        findings = Findings(space, rows, pairs, f"{program_name('explore')} {args.space}")
        _write(findings, folder, args.format)
        _summary(findings, exploration, seconds)
        print(f"rows, front and report are in {folder}")
    return 1 if args.verify and _verify(args, points, rows) else 0


@command("explore")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 if a replay differs, 2 for an error of the user's."""
    args = _parser().parse_args(argv)
    space, folder = _checked(args)
    return _explore(args, space, folder)


if __name__ == "__main__":
    sys.exit(main())
