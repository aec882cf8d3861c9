"""The compiler as a function: runs the stages of :mod:`compiler.pipeline.stages`."""

import contextlib
import dataclasses
import gc
from collections.abc import Callable, Iterator
from typing import Any

from squeezelerator.compiler.codegen.transfers import Step
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.compiler.ir.graph import Graph
from squeezelerator.compiler.pipeline.stage import Compilation, Stage, run
from squeezelerator.compiler.pipeline.stages import STAGES
from squeezelerator.compiler.search.scores import Scores
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import Program

__all__ = ["Compiled", "compile_full", "compile_network"]


@dataclasses.dataclass
class Compiled:
    """A program and the forms that led to it, for reports and tests; ``front`` as in :class:`~compiler.pipeline.stage.Compilation`."""

    program: Program
    graph: Graph
    schedule: NetworkSchedule
    steps: list[Step]
    front: list[Scores] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python from looking for cycles among the many small objects of trials: there are next to none, and it takes half the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def compile_full(qnet: QuantNetwork, cfg: MachineConfig, options: CompileOptions | None = None, *,
                 after: Callable[[Stage, Compilation], None] | None = None, **choices: Any) -> Compiled:  # fmt: skip
    """Compile and keep the intermediate forms; see :func:`compile_network`. ``after`` is called behind each stage."""
    if options is None:
        options = CompileOptions(**choices)
    elif choices:
        options = dataclasses.replace(options, **choices)
    compilation = Compilation(qnet, cfg, options)
    with _uncollected():
        run(STAGES, compilation, after)
    return Compiled(compilation.program, compilation.graph, compilation.schedule, compilation.steps, compilation.front)


def compile_network(qnet: QuantNetwork, cfg: MachineConfig, options: CompileOptions | None = None, **choices: Any) -> Program:
    """Compile a quantised network for a machine.

    Parameters
    ----------
    qnet : models.arithmetic.quantised_network.QuantNetwork
    cfg : spec.machine.MachineConfig
    options : CompileOptions or None
        None: the defaults.
    choices
        Single fields of the options, in place of what ``options`` has: ``compile_network(qnet, cfg, dataflow="os")``.

    Returns
    -------
    spec.program.Program

    Raises
    ------
    CompileError
        If the machine cannot run the network, or a choice is none; one line.
    """
    return compile_full(qnet, cfg, options, **choices).program
