"""``python -m compiler.study.estimate_errors``: the compiler's estimates of time beside the exact cycles.

Estimates of groups are added up, although groups overlap a little. Networks have synthetic weights.
"""

import dataclasses
import sys
from collections.abc import Iterable, Sequence

from squeezelerator.common.command_line import OneLineParser
from squeezelerator.common.progress import progress
from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.codegen.prefetch import PrefetchClock
from squeezelerator.compiler.cost.exact import exact_cycles
from squeezelerator.compiler.cost.lower_bound import lower_bound
from squeezelerator.compiler.cost.program_estimate import estimate_program
from squeezelerator.compiler.mapping.array_tiles import ArrayCost
from squeezelerator.compiler.pipeline.stage import Compilation, Stage
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.machine import MachineConfig

#: (network, PEs a side) of the table in docs/compiler.md.
CASES = (("sqnxt23v5", 16), ("sqnxt23v5", 8), ("squeezenet1_1", 16), ("tiny_darknet", 16), ("mobilenet", 16))


@dataclasses.dataclass(frozen=True)
class Estimates:
    """Cycles of one program by every cost model, from the coarsest to the exact one."""

    array_cost: int
    lower_bound: int
    line_schedule: int
    group_timeline: int
    prefetch_clock: int
    program_estimate: int
    exact: int


def _prefetch_clock(c: Compilation) -> int:
    """The clock by which transfers were placed, when it has seen the whole program."""
    events = c.emitter.events
    clock = PrefetchClock(c.cfg, events, c.options.memory)
    # A transfer's step and the transfer share the list of what is read.
    first_event = {id(load.reads): load.first_event for event in events
                   for load in (*event.loads, *(load for load, _ in event.rows.values()))}  # fmt: skip
    number, late = 0, False
    for step in c.steps:
        if step.op == "LOAD":
            clock.transfer(step)  # pyright: ignore[reportArgumentType] - a placed transfer has the fields of the Load that it was
            late = late or first_event[id(step.sources[0])] == number
            continue
        if late:
            clock.wait()
        clock.event(events[number], number)
        number, late = number + 1, False
    return clock.now


def estimates(network: str, n: int) -> Estimates:
    """The estimates of a network's program on ``n`` x ``n`` PEs."""
    cfg, done = MachineConfig(n=n), []

    def after(stage: Stage, compilation: Compilation) -> None:
        if stage.name == "place-transfers":
            done.append(compilation)

    found = compile_full(synthetic(zoo.get(network)), cfg, after=after)
    groups, records = found.schedule.groups, [step.records for step in found.steps]
    costs = [[ArrayCost(cfg, plan) for plan in group.plans.values()] for group in groups]
    return Estimates(
        array_cost=sum(cost.whole for group in costs for cost in group),
        lower_bound=sum(lower_bound(cfg, cost, (*group.streamed, *group.stored)) for group, cost in zip(groups, costs, strict=True)),
        line_schedule=sum(group.tiling.compute_cycles for group in groups),
        group_timeline=sum(group.tiling.cycles for group in groups),
        prefetch_clock=_prefetch_clock(done[-1]),
        program_estimate=estimate_program(found.program.instructions, cfg, lambda i: records[i]).cycles,
        exact=exact_cycles(cfg, found.program.instructions, records, found.program.prog_offset),
    )  # fmt: skip


def table(rows: Iterable[tuple[str, Estimates]]) -> str:
    """The table: exact cycles, and the error of every other estimate in per cent."""
    names = [field.name for field in dataclasses.fields(Estimates)][:-1]
    lines = ["| network, PEs | exact cycles | " + " | ".join(name.replace("_", " ") for name in names) + " |",
             "|---|--:|" + "--:|" * len(names)]  # fmt: skip
    for name, found in rows:
        errors = (100 * (getattr(found, other) / found.exact - 1) for other in names)
        lines.append(f"| {name} | {found.exact} | " + " | ".join(f"{error:+.1f}%" for error in errors) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table of the networks that are named, by default those of docs/compiler.md."""
    parser = OneLineParser(prog="python -m compiler.study.estimate_errors", description=__doc__)
    parser.add_argument("networks", nargs="*", choices=[[], *zoo.names()], metavar="NETWORK", help="networks (those of docs/compiler.md)")
    parser.add_argument("--pe", type=int, default=16, metavar="N", help="PEs a side, for named networks (16)")
    args = parser.parse_args(argv)
    cases = [(name, args.pe) for name in args.networks] or CASES
    print(table((f"{name}, {n}x{n}", estimates(name, n)) for name, n in progress(cases, "estimates", unit="network")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
