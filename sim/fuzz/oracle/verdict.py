"""What must come of a program that may be anything: the functional model's outputs, or the errors that the machine may report.

A program's units run beside each other, so that of several faults the first in time is reported, and which this is depends on the memory.
So the verdict is a set: every fault that an instruction can reach that does not wait for one that faults. Mostly it has one element.
A program that its tickets do not order, or whose instruction contradicts itself in a way that the hardware does not look for (the
compiler's verifier does), has no defined outcome; of it is only asked what is asked of all: that it ends, and leaves everything else alone.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from squeezelerator.sim.engines.batch import BatchJob
from squeezelerator.sim.engines.functional import FunctionalError, refuse_program
from squeezelerator.sim.engines.model import time_program
from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.oracle.order import check_order, conflicts
from squeezelerator.sim.fuzz.oracle.outcome import ANY, Outcome, UndefinedError, Verdict
from squeezelerator.sim.fuzz.oracle.progress import PAUSES, Progress
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.isa import BY_NAME, INSTRUCTION_BYTES, STORE, WRITTEN, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.registers import LIMIT_UNIT, STUCK_CYCLES
from squeezelerator.spec.verification.footprint import Transfer

__all__ = ["verdict_of"]


@dataclasses.dataclass
class _Program:
    """As much of a program as the cycle model needs."""

    cfg: MachineConfig
    instructions: list[Instruction]
    prog_offset: int
    mem_bytes: int

    @property
    def layer_of(self) -> list[None]:
        return [None] * len(self.instructions)


def _in_order(program: _Program) -> bool:
    """Whether no instruction waits for one behind it: the cycle model executes a program in its order."""
    try:
        refuse_program(program)  # pyright: ignore[reportArgumentType] - all that it uses
    except FunctionalError:
        return False
    return True


def _stored(progress: Progress) -> np.ndarray:
    """The bytes that the program's STOREs say that they write."""
    marked = np.zeros(len(progress.memory), bool)
    code = progress.code
    for at in range(0, len(code) - INSTRUCTION_BYTES + 1, INSTRUCTION_BYTES):
        if code[at] != BY_NAME["STORE"].code:
            continue
        f = Instruction.decode(code[at : at + INSTRUCTION_BYTES]).fields
        for line in range(f["lines"]):
            start = f["dram"] + line * f["dram_pitch"] & 0xFFFFFFFF
            marked[start : start + f["rows"] * progress.cfg.row_bytes] = True
    return marked


def _unions(masks: Sequence[int]) -> set[int]:
    found = {0}
    for mask in masks:
        found |= {mask | other for other in found}
    return found - {0}


def _bus_errors(job: BatchJob) -> set[RtlError]:
    errors = set()
    if job.read_error is not None:
        errors |= {RtlError("READ", "fetch", ANY), RtlError("READ", "load", ANY)}
    if job.write_error is not None:
        errors.add(RtlError("WRITE", "store", ANY))
    return errors


def _reached(progress: Progress) -> Verdict:
    """The verdict on a program that reaches END without a fault of its own."""
    job = progress.job
    stored = _stored(progress)
    if any(progress.queues) or sum(map(len, progress.started)) != len(progress.fetch.dispatched) - 1:
        raise UndefinedError("ends before all units are done")
    last = len(progress.fetch.dispatched) == job.count
    _check_end(progress)
    if job.check and (not last or program_check(progress.code) != job.check):
        detail = program_check(progress.code) if last else ANY
        return Verdict(Outcome.ERROR, stored, frozenset({RtlError("CHECKSUM", "fetch", detail), *progress.limit(0)}))
    if progress.loose:
        raise UndefinedError(progress.loose)
    cycles = _cycles(progress) if last else None
    if cycles is None and progress.limit(0):
        raise UndefinedError("longer than the limit of cycles")
    return Verdict(Outcome.DONE, stored, memory=bytes(progress.memory), cycles=cycles)


def _check_end(progress: Progress) -> None:
    """Raise UndefinedError if END does not wait for all that every unit does."""
    end = progress.fetch.dispatched[-1]
    for unit, started in enumerate(progress.started):
        counter = WRITTEN if unit == STORE else unit
        if started and progress.counts[counter] != end.tickets.get(unit, 0):
            raise UndefinedError("ends before all units are done")


def _check_code(progress: Progress) -> None:
    """Raise UndefinedError if a STORE may change the program."""
    code = Transfer(progress.job.offset, INSTRUCTION_BYTES * progress.job.count, 1, 0)
    if any(transfer.start < code.end and code.start < transfer.end for transfer in progress.transfers):
        raise UndefinedError("stores where the instructions are")


def _cycles(progress: Progress) -> int | None:
    """Cycles on the reference memory; None where the model does not say."""
    job = progress.job
    program = _Program(progress.cfg, progress.fetch.dispatched, job.offset, len(progress.memory))
    if not _in_order(program):
        return None
    memory = DramProfile("reference", latency=job.latency)
    result = time_program(program, job.memory(), dram=memory)  # pyright: ignore[reportArgumentType] - all that it uses
    if result.memory != bytes(progress.memory):
        raise RuntimeError("the functional model depends on the order of instructions that the tickets leave open")
    if job.cycle_limit and result.cycles > job.cycle_limit * LIMIT_UNIT // (PAUSES if job.stall else 1):
        raise UndefinedError("longer than the limit of cycles")
    return result.cycles


def verdict_of(job: BatchJob, cfg: MachineConfig) -> Verdict:
    """The verdict on ``job``, whose memory may answer a burst with an error."""
    progress = Progress(job, cfg)
    try:
        progress.run()
        started = [item for unit in progress.started for item in unit]
        _check_code(progress)
        check_order(started)
        errors = set(progress.errors) | {RtlError("ROW", "buffer", mask) for mask in _unions(sorted(progress.ports))}
        errors |= conflicts(started)
        if progress.ended and errors:
            raise UndefinedError("ends before all units are done")
        if progress.ended:
            verdict = _reached(progress)
        else:
            if not errors:
                errors.add(RtlError("STUCK", "watchdog", progress.waiting()))
            errors.update(progress.limit(STUCK_CYCLES))
            verdict = Verdict(Outcome.ERROR, _stored(progress), frozenset(errors))
    except UndefinedError as error:
        return Verdict(Outcome.UNDEFINED, np.ones(len(job.image), bool), reason=str(error))
    if job.read_error is None and job.write_error is None:
        return verdict
    return dataclasses.replace(verdict, errors=verdict.errors | _bus_errors(job))
