"""Coverage of the generated hardware: a whole network, and legal and damaged random programs, on a simulator that counts."""

import collections
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.sim.engines.batch import run_batch
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, run_rtl
from squeezelerator.sim.engines.run import load_memory
from squeezelerator.sim.fuzz.campaign import jobs_of
from squeezelerator.spec.machine import MachineConfig
from tests.coverage_report.verilator_data import Module, counts_in, modules

__all__ = ["MachineCoverage", "measure_machine"]


@dataclasses.dataclass(frozen=True)
class MachineCoverage:
    """What ran on a machine, the seconds that this took with building it, and its modules."""

    title: str
    seconds: float
    modules: Sequence[Module]


def _network(cfg: MachineConfig, name: str, target: Path) -> None:
    net = synthetic(zoo.get(name))
    program = compile_network(net, cfg)
    run_rtl(cfg, RtlProgram.of(program, load_memory(program, synthetic_input(net.table))), RtlOptions(coverage=target))


def measure_machine(cfg: MachineConfig, networks: Sequence[str], programs: int) -> MachineCoverage:
    """Run ``networks`` and the damaged forms of ``programs`` random programs on machine ``cfg``."""
    began, counts = time.monotonic(), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for network in networks:
            _network(cfg, network, folder / "coverage.dat")
            counts.update(counts_in([folder / "coverage.dat"]))
        jobs = 0
        for program in range(programs):
            damaged = jobs_of(cfg, 0, program)
            run_batch(cfg, damaged, coverage=folder)
            files = list(folder.glob("coverage-*"))
            counts.update(counts_in(files))
            jobs += len(damaged)
            for file in files:
                file.unlink()
    title = f"N = {cfg.n}: {', '.join(networks)}" + (f" and {jobs} random programs, most of them damaged" if jobs else "")
    return MachineCoverage(title, time.monotonic() - began, modules(counts))
