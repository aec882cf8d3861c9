"""Runs many programs on the generated Verilog, without Python in the loop: a C++ host (``bench/batch.cpp``) on the simulator of
:mod:`sim.engines.rtl`, a new process for each program, so that none sees what another has left.

The bench watches the rules of AXI and the end of the memory in every cycle, whatever the program does.
"""

import dataclasses
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from squeezelerator.sim.engines.rtl import BENCH, MEMORY_BASE, RtlError, SimulationError, build_rtl, error_of
from squeezelerator.spec.isa import UNITS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import offset_of

__all__ = ["BatchJob", "BatchResult", "run_batch"]

#: Registers that the C++ host uses.
_REGISTERS = ("MEM_BASE_LO", "MEM_BASE_HI", "MEM_SIZE", "PROG_OFFSET", "PROG_COUNT", "PROG_CHECK", "CYCLE_LIMIT", "IRQ_ENABLE",
              "IRQ_STATUS", "CTRL", "STATUS", "ERROR_DETAIL", "BUS", "RETIRED_LOAD", "JOB_CYCLES_LO", "JOB_CYCLES_HI")
_NO_ERROR = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchJob:
    """A program as the host hands it to the machine, and how the memory behaves.

    Parameters
    ----------
    image : bytes
        The program's memory at the start.
    patches : sequence of (int, bytes)
        What differs from ``image``: offset and bytes. Jobs that follow each other with the same ``image`` object share it.
    mem_size, offset, count, check : int
        MEM_SIZE, PROG_OFFSET, PROG_COUNT, PROG_CHECK.
    watched : int or None
        Bytes beyond which a request breaks a rule; None: as ``mem_size``.
    cycle_limit : int
        CYCLE_LIMIT, in units of 1,024 cycles.
    hang_limit : int
        Cycles after which the machine counts as hanging.
    latency, stall, seed : int
        The memory: cycles to an answer, withheld handshakes out of 256, the seed of its noise.
    read_error, write_error : int or None
        The burst that is answered with an error.
    """

    image: bytes
    patches: Sequence[tuple[int, bytes]] = ()
    mem_size: int
    offset: int
    count: int
    check: int = 0
    watched: int | None = None
    cycle_limit: int = 0
    hang_limit: int = 1_000_000
    latency: int = 100
    stall: int = 0
    seed: int = 0
    read_error: int | None = None
    write_error: int | None = None

    def memory(self) -> bytearray:
        """The memory at the start, patches in place."""
        found = bytearray(self.image)
        for at, data in self.patches:
            found[at : at + len(data)] = data
        return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What a program left behind.

    ``hang``, ``crash``, ``busy``, ``not_aborted``: no interrupt came in time; the simulator's process died; transactions were open after
    the interrupt; an abort did not end a hanging program. ``rule``: number of the first AXI rule broken (``bench/axi_check.v``), 0: none;
    ``rule_cycle``: when. ``retired``: the registers RETIRED_*. ``blocks``: the parts of the memory that changed, {offset: 64 bytes}.
    """

    hang: bool
    crash: bool
    busy: bool
    not_aborted: bool
    rule: int
    rule_cycle: int
    status: int
    detail: int
    irq: int
    retired: tuple[int, ...]
    cycles: int
    blocks: dict[int, bytes]

    _HEAD: ClassVar[struct.Struct] = struct.Struct("<8I5I3I")

    @property
    def error(self) -> RtlError | None:
        """Why the machine halted, None if it reached END."""
        return error_of(self.status, self.detail) if self.status & 4 else None


def _record(number: int, job: BatchJob, *, with_image: bool) -> bytes:
    patches = b"".join(struct.pack("<2I", at, len(data)) + data for at, data in job.patches)
    errors = [_NO_ERROR if k is None else k for k in (job.read_error, job.write_error)]
    watched = job.mem_size if job.watched is None else job.watched
    head = struct.pack("<15I", number, job.mem_size, watched, job.offset, job.count, job.check, job.cycle_limit, job.hang_limit,
                       job.latency, job.stall, job.seed, *errors, len(job.image) if with_image else 0, len(job.patches))
    return head + (job.image if with_image else b"") + patches


def _read_results(data: bytes) -> dict[int, BatchResult]:
    found, at, head = {}, 0, BatchResult._HEAD
    while at < len(data):
        number, flags, rule, rule_cycle, status, detail, irq, bus, *rest = head.unpack_from(data, at)
        retired, (low, high, count) = rest[: len(UNITS)], rest[len(UNITS) :]
        at += head.size
        blocks = {}
        for _ in range(count):
            blocks[int.from_bytes(data[at : at + 4], "little")] = data[at + 4 : at + 68]
            at += 68
        found[number] = BatchResult(
            hang=bool(flags & 1), crash=bool(flags & 2), busy=bool(flags & 4 or bus), not_aborted=bool(flags & 8), rule=rule,
            rule_cycle=rule_cycle, status=status, detail=detail, irq=irq, retired=tuple(retired), cycles=high << 32 | low, blocks=blocks)
    return found


def run_batch(cfg: MachineConfig, jobs: Iterable[BatchJob], *, coverage: str | Path | None = None,
              build_dir: str | Path = "build/verilator") -> list[BatchResult]:
    """Run ``jobs`` on the Verilog of machine ``cfg``, in order; one result each.

    ``coverage`` : folder for Verilator's counts of lines and of bits that change, a file ``coverage-NUMBER`` for each job.

    Raises
    ------
    SimulationError
        The simulator could not be built or did not come to its end.
    """
    build = build_rtl(cfg, coverage=coverage is not None, build_dir=build_dir)
    defines = {f"REG_{name}": offset_of(name) for name in _REGISTERS} | {"BATCH_MEMORY_BASE": MEMORY_BASE}
    host = build.link(BENCH / "batch.cpp", defines)
    jobs = list(jobs)
    with tempfile.TemporaryDirectory(prefix="batch-", dir=build.folder) as name:
        folder = Path(name)
        before = None
        with open(folder / "jobs", "wb") as file:
            for number, job in enumerate(jobs):
                file.write(_record(number, job, with_image=job.image is not before))
                before = job.image
        done = subprocess.run([str(host), "jobs", "results"], cwd=folder, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SimulationError(f"the simulator of many programs ended with {done.returncode}: {reason}")
        found = _read_results((folder / "results").read_bytes())
        if coverage is not None:
            for path in folder.glob("coverage-*"):
                shutil.move(path, coverage)
    return [found[number] for number in range(len(jobs))]
