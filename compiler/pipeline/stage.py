"""What a stage is, what the stages of one compilation hand to each other, and how they run."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from squeezelerator.compiler.codegen.emit import Emitter
from squeezelerator.compiler.codegen.memory_map import MemoryMap
from squeezelerator.compiler.codegen.transfers import Step
from squeezelerator.compiler.compile_options import CompileOptions, Effort
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.compiler.ir.graph import Graph, Op
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.search.configuration import SearchPlan
from squeezelerator.compiler.search.portfolio import Outcome
from squeezelerator.compiler.search.scores import Scores
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import Program

__all__ = ["Alternative", "Compilation", "Repair", "Stage", "run"]


@dataclasses.dataclass
class Alternative:
    """One way through the stages up to the search; the best one's result goes on. High effort has its own and the normal one; and both are
    there with and without splits for pools where that choice is close.

    ``error``: why it came to nothing. ``outcome``: of its search.
    """

    effort: Effort
    plan: SearchPlan
    plan_cache: PlanCache
    graph: Graph
    outcome: Outcome | None = None
    error: CompileError | None = None


@dataclasses.dataclass
class Compilation:
    """A network on its way to a program: each stage reads what those before it have set, and sets its own result."""

    qnet: QuantNetwork
    cfg: MachineConfig
    options: CompileOptions
    alternatives: list[Alternative] = dataclasses.field(default_factory=list)
    chosen: Alternative | None = None
    #: What the programs take that no other one beats in cycles and energy; empty where there was nothing to compare.
    front: list[Scores] = dataclasses.field(default_factory=list)
    #: Operation -> how much more often than planned its weights are fetched, because the buffer has no room for them.
    refetched: dict[Op, int] = dataclasses.field(default_factory=dict)
    #: What later stages set; reading one too early raises AttributeError.
    schedule: NetworkSchedule = dataclasses.field(init=False)
    graph: Graph = dataclasses.field(init=False)
    memory_map: MemoryMap = dataclasses.field(init=False)
    emitter: Emitter = dataclasses.field(init=False)
    steps: list[Step] = dataclasses.field(init=False)
    instructions: list[Instruction] = dataclasses.field(init=False)
    program: Program = dataclasses.field(init=False)


@dataclasses.dataclass(frozen=True)
class Repair:
    """What happens if a stage cannot do its work with what it was given: ``change`` the compilation, then go on at ``back_to``.

    ``change`` raises the error again if there is nothing left to change.
    """

    error: type[CompileError]
    change: Callable[[Compilation, Any], None]
    back_to: str
    doc: str


@dataclasses.dataclass(frozen=True)
class Stage:
    """A named step of the compilation: ``run`` sets its result, ``form`` shows it as text."""

    name: str
    doc: str
    run: Callable[[Compilation], None]
    form: Callable[[Compilation], str]
    repair: Repair | None = None


def run(stages: Sequence[Stage], compilation: Compilation, after: Callable[[Stage, Compilation], None] | None = None) -> None:
    """Run the stages in order; ``after`` is called behind each.

    Raises
    ------
    CompileError
        If a stage cannot do its work and nothing repairs it.
    """
    place = {stage.name: number for number, stage in enumerate(stages)}
    number = 0
    while number < len(stages):
        stage = stages[number]
        try:
            stage.run(compilation)
        except CompileError as error:
            if stage.repair is None or not isinstance(error, stage.repair.error):
                raise
            stage.repair.change(compilation, error)
            number = place[stage.repair.back_to]
            continue
        if after is not None:
            after(stage, compilation)
        number += 1
