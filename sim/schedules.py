"""``python -m sim.schedules``: the table of schedules, which shows every program that changes, for better or for worse.

One row of the table (``tests/schedules.csv``) is a network, a machine and options of the compiler, all as on the command line, with what
the compiler makes of them: the SHA-256 of the program file and, by the exact cycle model on the memory that the options name, cycles,
DRAM words and energy (units of one MAC, by the default costs). Weights and input are synthetic unless the options name others.
"""

import argparse
import csv
import dataclasses
import hashlib
import io
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.errors import UserError
from squeezelerator.common.output import write_file
from squeezelerator.common.progress import print_line, progress
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.options import add_network_options, compile_options_of, machine_of, source_of
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.sim.engines.run import run_program_engine
from squeezelerator.spec.energy import energy, read_costs
from squeezelerator.spec.events import DRAM_WORDS

__all__ = ["METRICS", "TABLE", "Schedule", "changes", "main", "measure", "read_table"]

TABLE = Path("tests/schedules.csv")
#: What must not get worse unnoticed; less is better in each.
METRICS = ("cycles", "dram_words", "energy")


class TableError(UserError, ValueError):
    """A table of schedules that cannot be read; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A row of the table.

    ``check``: "default" rows compile in seconds and are checked by the default tests, "slow" ones by the slow tests.
    """

    network: str
    machine: str
    options: str
    check: str
    sha256: str = ""
    instructions: int = 0
    cycles: int = 0
    dram_words: int = 0
    energy: int = 0

    @property
    def name(self) -> str:
        """The row as words of a command line."""
        return " ".join(part for part in (self.network, self.machine, self.options) if part)


_COLUMNS = tuple(field.name for field in dataclasses.fields(Schedule))
_NUMBERS = ("instructions", *METRICS)


def read_table(path: Path = TABLE) -> list[Schedule]:
    """The rows of a table.

    Raises
    ------
    TableError
        If there is no such file, or a row or column is not what it should be.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns, rows = tuple(reader.fieldnames or ()), list(reader)
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from None
    if columns != _COLUMNS:
        raise TableError(f"{path}: the columns must be {', '.join(_COLUMNS)}, not {', '.join(columns) or 'none'}")
    try:
        return [_schedule(row) for row in rows]
    except ValueError as error:
        raise TableError(f"{path}: {error}") from None


def _schedule(row: Mapping[str, str]) -> Schedule:
    values: dict[str, Any] = {name: int(value or 0) if name in _NUMBERS else value for name, value in row.items()}
    return Schedule(**values)


def _text(rows: Sequence[Schedule]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(dataclasses.astuple(row) for row in rows)
    return file.getvalue()


def measure(row: Schedule) -> Schedule:
    """The row with what the compiler makes of it today.

    Raises
    ------
    OptionError, CompileError
        If its words are no valid options, or the machine cannot run the network.
    """
    parser = OneLineParser(prog=program_name("sim.schedules"), add_help=False)
    add_network_options(parser)
    args = parser.parse_args(row.name.split())
    cfg, net = machine_of(args), source_of(args).quantised
    options = compile_options_of(args)
    program = compile_network(net, cfg, options)
    result = run_program_engine("model", program, synthetic_input(net.table), memory=options.memory).result
    return dataclasses.replace(
        row, sha256=hashlib.sha256(program.to_bytes()).hexdigest(), instructions=len(program.instructions), cycles=result.cycles,
        dram_words=sum(result.counters[name] for name in DRAM_WORDS), energy=round(energy(result.counters, read_costs())),
    )  # fmt: skip


def changes(before: Schedule, after: Schedule) -> Iterator[str]:
    """What changed in a row, a line each: "better" or "worse" with both numbers, or that only the program's bytes did."""
    if not before.sha256:
        yield "new"
        return
    for metric in METRICS:
        was, now = getattr(before, metric), getattr(after, metric)
        if was != now:
            yield f"{'better' if now < was else 'worse'}: {metric} {was:,} -> {now:,} ({100 * (now - was) / was:+.2f}%)"
    if before.sha256 != after.sha256 and all(getattr(before, metric) == getattr(after, metric) for metric in METRICS):
        yield "the program's bytes changed, its cycles, DRAM words and energy did not"


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog=program_name("sim.schedules"), description="Compile the table's rows and show what changed.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="rows of these networks only; default: all")
    parser.add_argument("--check", choices=("default", "slow", "all"), default="default", help="which rows (default)")
    parser.add_argument("--renew", action="store_true", help="write what was found into the table")
    parser.add_argument("--table", type=Path, default=TABLE, metavar="FILE", help=f"({TABLE})")
    return parser


def _measured(row: Schedule, number: str) -> tuple[Schedule, list[str]]:
    """The row with what the compiler makes of it today, and what changed; both are printed."""
    began = time.perf_counter()
    found = measure(row)
    lines = list(changes(row, found))
    print_line(f"{number}  {row.name:50s} {found.cycles:>12,} cycles {found.dram_words:>12,} DRAM words "
               f"energy {found.energy:>15,}  {'changed' if lines else 'equal'}  ({time.perf_counter() - began:.1f} s)")
    for line in lines:
        print_line(f"         {line}")
    return found, lines


def _is_wanted(row: Schedule, args: argparse.Namespace) -> bool:
    return args.check in ("all", row.check) and (not args.networks or row.network in args.networks)


@command("sim.schedules")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 nothing changed or it was renewed, 1 something changed, 2 an error of the user's."""
    args = _parser().parse_args(argv)
    rows, changed = read_table(args.table), 0
    wanted = [row for row in rows if _is_wanted(row, args)]
    for number, row in enumerate(progress(wanted, "schedules", unit="row"), 1):
        found, lines = _measured(row, f"{number:3d}/{len(wanted)}")
        changed += bool(lines)
        if args.renew:
            rows = [found if old == row else old for old in rows]
            write_file(args.table, _text(rows).encode())
    print(f"{len(wanted)} rows, {changed} changed{', the table is renewed' if args.renew and changed else ''}")
    return 1 if changed and not args.renew else 0


if __name__ == "__main__":
    sys.exit(main())
