"""A job: one compilation and its exact timing, known by its contents. It is what a worker does and what the cache keeps.

A job gives the counters of the whole program (:mod:`spec.events`: cycles, words, multiplications). Whatever else a row has follows from
them and from tables, so other energy costs or objectives need no new job as long as the compiler does not use them.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import squeezelerator
from squeezelerator.common.errors import UserError
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.sources import load_source
from squeezelerator.sim.engines.model import count_program
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.spec.program import Program

__all__ = ["Job", "Outcome", "code_version", "compiled", "evaluate", "weights_of"]

#: What decides about a job's result, below the package: folders and files.
_SOURCES = ("compiler", "spec", "timing", "models/arithmetic", "models/importers", "models/quantisation", "models/sources.py",
            "sim/engines/functional.py", "sim/engines/model.py", "explore/evaluation/job.py")  # fmt: skip


@functools.cache
def code_version() -> str:
    """Hash of the project's code that decides about a job's result: what was kept by other code is not used."""
    found = hashlib.sha256()
    root = Path(next(iter(squeezelerator.__path__)))
    for name in _SOURCES:
        place = root / name
        for path in [place] if place.is_file() else sorted(place.rglob("*.py")):
            found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A network on a machine, compiled with options and timed.

    Parameters
    ----------
    table : LayerTable or None
        None: the network is that of ``file``.
    file, digest : str
        An ONNX file and the SHA-256 of its contents.
    cfg : MachineConfig
    memory : DramProfile
        What is behind the machine's port: the compiler plans for it, and the cycle model counts with it.
    sparsity, seed : float, int
        Of the synthetic weights of ``table``.
    dataflow, objective, effort : str
        As in :class:`~compiler.compile_options.CompileOptions`.
    costs : tuple of (str, float)
        Energy costs of events, for the objective energy; empty: those of the table of events.
    """

    table: LayerTable | None
    file: str = ""
    digest: str = ""
    cfg: MachineConfig
    memory: DramProfile = REFERENCE
    sparsity: float = 0.4
    seed: int = 0
    dataflow: str = "auto"
    objective: str = "cycles"
    effort: str = "normal"
    costs: tuple[tuple[str, float], ...] = ()

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 of all that the result depends on: contents, not names of files."""
        table = None if self.table is None else [self.table.name, self.table.input_shape, [asdict(layer) for layer in self.table.layers]]
        memory = {name: value for name, value in asdict(self.memory).items() if name != "name"}
        text = json.dumps([code_version(), table, self.digest, self.cfg.as_dict(), memory, self.sparsity, self.seed, self.dataflow,
                           self.objective, self.effort, self.costs], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Outcome:
    """What became of a job: the program's ``counters`` {event: count} and number of ``instructions``, or the ``reason`` why there is none.

    ``lasting``: whether another try would come to the same; memory that ran out or a worker that died would not.
    """

    counters: Mapping[str, int]
    instructions: int = 0
    reason: str = ""
    lasting: bool = True

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"counters": dict(self.counters), "instructions": self.instructions, "reason": self.reason}


def weights_of(job: Job) -> QuantNetwork:
    """The network with its weights: synthetic ones, or those of the file."""
    if job.table is None:
        return load_source(job.file).quantised
    return synthetic(job.table, job.seed, job.sparsity)


def compiled(job: Job, net: QuantNetwork) -> Program:
    """The program of a job; raises CompileError."""
    options: dict[str, Any] = {"dataflow": job.dataflow, "objective": job.objective, "effort": job.effort, "memory": job.memory}
    if job.costs:
        options["energy_costs"] = dict(job.costs)
    return compile_network(net, job.cfg, CompileOptions(**options))


def evaluate(job: Job) -> Outcome:
    """Do a job. What goes wrong is its outcome: one point that cannot be compiled must not end an exploration of thousands."""
    try:
        program = compiled(job, weights_of(job))
        counters = count_program(program, dram=job.memory)
    except UserError as error:
        return Outcome({}, reason=str(error) or type(error).__name__)
    except MemoryError:
        return Outcome({}, reason="not enough memory", lasting=False)
    except Exception as error:
        return Outcome({}, reason=f"internal error, please report it: {type(error).__name__}: {error}", lasting=False)
    return Outcome(counters, len(program.instructions))

