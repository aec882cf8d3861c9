"""Replays of points on the RTL: outputs, cycles and counters of the generated Verilog against cycle model and golden model.

A point of effort ``composed`` has no program; it is compiled whole with normal effort, and how far the estimate was from that is said.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from squeezelerator.compiler.compile_options import Effort
from squeezelerator.explore.evaluation.job import Outcome, compiled, weights_of
from squeezelerator.explore.evaluation.point import Points, Row
from squeezelerator.explore.results.pareto import by_machine
from squeezelerator.explore.space.space import COMPOSED, Space
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.sim.engines.run import run_golden_engine, run_program_engine
from squeezelerator.sim.results.compare import differences

__all__ = ["Replay", "chosen", "replay"]


@dataclass(frozen=True)
class Replay:
    """What a replay found.

    Parameters
    ----------
    row : Row
    cycles : int
        On the RTL.
    faults : tuple of str
        What differed; empty if the point holds.
    estimate_error : float or None
        By how many % the row's cycles are more than the program's, where the row is an estimate.
    """

    row: Row
    cycles: int
    faults: tuple[str, ...]
    estimate_error: float | None


def chosen(space: Space, rows: Sequence[Row], count: int, each_machine: bool) -> list[Row]:
    """The ``count`` best rows by the first objective and as many random others, of all rows or of each machine; each once."""
    rows = [row for row in rows if row.ok]
    found: list[Row] = []
    for group in by_machine(rows).values() if each_machine else [rows]:
        ranked = sorted(group, key=lambda row: (row.metrics[space.objectives[0]], row.number))
        rest = ranked[count:]
        found += ranked[:count] + random.Random(space.search.seed).sample(rest, min(count, len(rest)))
    return found


def _faults(timed: Mapping[str, Mapping[str, int]], wrong: Sequence[object], row: Row,
            metrics: Mapping[str, float] | None) -> Iterator[str]:  # fmt: skip
    """Differences between the counters of the engines, their outputs, and the row's figures."""
    if wrong:
        yield f"outputs of {len(wrong)} layers"
    for name, count in timed["model"].items():
        if timed["rtl"].get(name) != count:
            yield f"{name} {timed['rtl'].get(name)} on the RTL, {count} by the model"
    for name, number in (metrics or {}).items():
        if row.metrics[name] != number:
            yield f"{name} {row.metrics[name]:.10g} in the row, {number:.10g} by the model"


def replay(points: Points, row: Row) -> Replay:
    """Compile a row's point again and run it on the RTL, the cycle model and the golden model.

    Raises
    ------
    UserError
        If it cannot be simulated.
    """
    job = points.point(row.number).job
    assert job is not None
    estimated = job.effort == COMPOSED
    job = replace(job, effort=Effort.NORMAL.value) if estimated else job
    net = weights_of(job)
    program, x = compiled(job, net), synthetic_input(net.table)
    runs = {engine: run_program_engine(engine, program, x, memory=job.memory) for engine in ("rtl", "model")}
    wrong = differences({**{engine: run.outputs for engine, run in runs.items()}, "golden": run_golden_engine(net, x).outputs})
    counters = {engine: run.result.counters for engine, run in runs.items()}
    metrics = points.metrics(Outcome(counters["model"], len(program.instructions)))
    faults = tuple(_faults(counters, wrong, row, None if estimated else metrics))
    cycles = counters["rtl"]["cycles"]
    return Replay(row, cycles, faults, 100 * (row.metrics["cycles"] / cycles - 1) if estimated else None)
