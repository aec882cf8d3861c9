"""Runs random and damaged programs on the RTL for a time, against the verdicts of the models.

Every program has a number; with ``--number`` one is run again and shown. What is checked: the program ends (done, an error, or the cycle
limit), no request leaves its memory, the rules of AXI hold, nothing is written but what a STORE says, and results, cycles (on an even
memory) and errors are what the models say. Exit code 1 if something of this fails.
"""

import argparse
import collections
import dataclasses
import re
import time
from collections.abc import Iterator, Sequence

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.progress import progress
from squeezelerator.sim.engines.batch import run_batch
from squeezelerator.sim.fuzz.campaign import MUTANTS, Finding, complaint_of, job_of, run_numbers
from squeezelerator.sim.fuzz.machines import FUZZED, MACHINES
from squeezelerator.sim.fuzz.oracle.outcome import ANY, Outcome
from squeezelerator.sim.fuzz.oracle.verdict import verdict_of
from squeezelerator.spec.isa import INSTRUCTION_BYTES, Instruction, IsaError

__all__ = ["main"]

#: Random programs in one process of the simulator.
CHUNK = 20


@dataclasses.dataclass
class _Tally:
    """What came of one machine's programs."""

    outcomes: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    reasons: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    hangs: int = 0
    outside: int = 0
    rules: int = 0

    def add(self, finding: Finding) -> None:
        """Count a program."""
        kind = "refused" if finding.verdict.outcome is Outcome.UNDEFINED else "done" if finding.outcome == "done" else "error"
        self.outcomes[kind] += 1
        if kind == "refused":
            self.reasons[re.sub(r"\d+", "N", finding.verdict.reason)] += 1
        self.hangs += finding.result.hang or finding.result.crash
        self.outside += finding.result.rule == 4
        self.rules += finding.result.rule not in (0, 4)
        if finding.complaint:
            self.findings.append(finding)


def _chunks(sizes: Sequence[int], first: int, programs: int | None, seconds: float | None) -> Iterator[tuple[int, range]]:
    """(N, numbers of random programs), N by N, until there are enough or the time is over."""
    began, at, left = time.monotonic(), first, programs
    while True:
        for n in sizes:
            size = CHUNK if left is None else min(CHUNK, -(-left // MUTANTS))
            if size <= 0 or (seconds is not None and time.monotonic() - began >= seconds):
                return
            yield n, range(at, at + size)
            left = None if left is None else left - size * MUTANTS
        at += CHUNK


def _table(tallies: dict[int, _Tally]) -> str:
    names = ("done", "error", "refused")
    lines = [f"{'N':>3s} {'programs':>9s} " + " ".join(f"{name:>8s}" for name in (*names, "hangs", "outside", "AXI", "differ"))]
    rows = [(str(n), [sum(t.outcomes.values()), *(t.outcomes[name] for name in names), t.hangs, t.outside, t.rules, len(t.findings)])
            for n, t in tallies.items()]
    rows.append(("all", [sum(column) for column in zip(*(values for _, values in rows), strict=True)]))
    for name, (total, *values) in rows:
        lines.append(f"{name:>3s} {total:9,d} " + " ".join(f"{value:8,d}" for value in values))
    return "\n".join(lines)


def _errors(verdict_errors: frozenset) -> str:
    return ", ".join(sorted(f"{e.code}/{e.unit}/{'any' if e.detail == ANY else e.detail}" for e in verdict_errors))


def _show(n: int, seed: int, number: int) -> int:
    """Run one program again and print all that is known of it."""
    cfg = MACHINES[n]
    job = job_of(cfg, seed, number)
    verdict, result = verdict_of(job, cfg), run_batch(cfg, [job])[0]
    print(cfg)
    print(", ".join(f"{f.name}={getattr(job, f.name)}" for f in dataclasses.fields(job) if f.name not in ("image", "patches")))
    memory = job.memory()
    for at in range(min(job.count, 64)):
        word = bytes(memory[job.offset + at * INSTRUCTION_BYTES : job.offset + (at + 1) * INSTRUCTION_BYTES])
        try:
            print(f"{at:3d} {Instruction.decode(word)}")
        except IsaError as error:
            print(f"{at:3d} {error}")
    expected = {Outcome.DONE: "done", Outcome.ERROR: _errors(verdict.errors), Outcome.UNDEFINED: f"refused: {verdict.reason}"}
    print(f"model  {expected[verdict.outcome]}" + (f", {verdict.cycles} cycles" if verdict.cycles is not None else ""))
    error = result.error
    found = "done" if error is None else f"{error.code}/{error.unit}/{error.detail}"
    print(f"RTL    {found}, {result.cycles} cycles, retired {result.retired}")
    complaint = complaint_of(job, verdict, result)
    print(complaint or "as it should be")
    return 1 if complaint else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = OneLineParser(prog=program_name("sim.fuzz"), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pe", default=",".join(map(str, FUZZED)), help="PEs a side, comma-separated (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which random programs (%(default)s)")
    parser.add_argument("--seconds", type=float, help="how long; else --programs are run")
    parser.add_argument("--programs", type=int, help="how many in all (10,000 without --seconds)")
    parser.add_argument("--first", type=int, default=0, help="number of the first random program (%(default)s)")
    parser.add_argument("--number", type=int, help="run this one again, on the one machine of --pe, and show it")
    options = parser.parse_args(argv)
    try:
        options.sizes = [int(word) for word in options.pe.split(",")]
    except ValueError:
        raise OptionError(f"--pe takes numbers with commas between them, not {options.pe!r}") from None
    for n in options.sizes:
        if n not in MACHINES:
            raise OptionError(f"--pe takes {', '.join(map(str, MACHINES))}, not {n}")
    for name in ("programs", "number", "first", "seconds"):
        value = getattr(options, name)
        if value is not None and value < 0:
            raise OptionError(f"--{name} must not be negative, not {value}")
    if options.number is not None and len(options.sizes) != 1:
        raise OptionError("--number wants --pe with one machine")
    if options.programs is None and options.seconds is None:
        options.programs = 10_000
    return options


@command("sim.fuzz")
def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    options = _options(argv)
    if options.number is not None:
        return _show(options.sizes[0], options.seed, options.number)
    tallies = {n: _Tally() for n in options.sizes}
    chunks = _chunks(options.sizes, options.first, options.programs, options.seconds)
    for n, numbers in progress(chunks, "random programs", unit=f"x{CHUNK * MUTANTS}"):
        for finding in run_numbers(MACHINES[n], options.seed, numbers):
            tallies[n].add(finding)
    print(_table(tallies))
    for reason, count in sum((tally.reasons for tally in tallies.values()), collections.Counter()).most_common():
        print(f"refused: {count:6,d} {reason}")
    for n, tally in tallies.items():
        for finding in tally.findings:
            print(f"{finding.complaint}: python -m sim.fuzz --pe {n} --seed {options.seed} --number {finding.number}")
    return 1 if any(tally.findings for tally in tallies.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
