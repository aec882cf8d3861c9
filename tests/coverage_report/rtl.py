"""Coverage of the generated hardware: a whole network, and legal and damaged random programs, on a simulator that counts."""

import collections
import dataclasses
import functools
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.sim.engines.batch import run_batch
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, job_registers, run_rtl, simulate
from squeezelerator.sim.engines.run import load_memory
from squeezelerator.sim.fuzz.campaign import jobs_of
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import COUNTERS, REGISTERS
from tests.coverage_report.verilator_data import Module, counts_in, modules

__all__ = ["MachineCoverage", "measure_machine"]


@dataclasses.dataclass(frozen=True)
class MachineCoverage:
    """What ran on a machine, the seconds that this took with building it, and its modules."""

    title: str
    seconds: float
    modules: Sequence[Module]


#: Memory of jobs that read nothing but zeros.
_BYTES = 4096


def _network(cfg: MachineConfig, name: str, target: Path) -> None:
    net = synthetic(zoo.get(name))
    program = compile_network(net, cfg)
    run_rtl(cfg, RtlProgram.of(program, load_memory(program, synthetic_input(net.table))), RtlOptions(coverage=target))


def _host(cfg: MachineConfig, target: Path) -> None:
    """Every register written and read, with ones and zeros; a queue of jobs that has no place left, an abort, a reset, a limit."""
    start, abort, reset = 1, 2, 4
    written = [register.name for register in REGISTERS if register.access == "rw"]
    script = [["read", register.name] for register in REGISTERS if register.access != "wo"]
    for value in (0xFFFFFFFF, 0):
        script += [["write", name, value] for name in written] + [["read", name] for name in written]
    script += [["counter", counter.name] for counter in COUNTERS]
    script += [["write", name, value] for name, value in job_registers(0, 1, _BYTES).items()]
    jobs = [["write", "CTRL", start]] * 4
    script += [["write", "IRQ_ENABLE", 7], *jobs, ["irq", 3000], ["read", "STATUS"], ["write", "IRQ_STATUS", 7],
               *jobs, ["write", "CTRL", abort], ["irq", 3000], ["read", "STATUS"], ["read", "ERROR_JOB"], ["write", "IRQ_STATUS", 7],
               ["write", "CYCLE_LIMIT", 1], *jobs, ["write", "CTRL", reset], ["cycles", 300], ["read", "STATUS"]]
    simulate(cfg, bytes(_BYTES), _BYTES, {"script": script}, RtlOptions(coverage=target))


def measure_machine(cfg: MachineConfig, networks: Sequence[str], programs: int) -> MachineCoverage:
    """Run a host's doings with the registers, ``networks`` and the damaged forms of ``programs`` random programs on machine ``cfg``."""
    began, counts = time.monotonic(), collections.Counter[str]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for run in [_host, *(functools.partial(_network, name=network) for network in networks)]:
            run(cfg, target=folder / "coverage.dat")
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
    title = f"N = {cfg.n}: {', '.join(['registers', *networks])}" + (f" and {jobs} random programs, most of them damaged" if jobs else "")
    return MachineCoverage(title, time.monotonic() - began, modules(counts))
