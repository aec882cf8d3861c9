"""Random and damaged programs by number: what the RTL makes of each, against the verdict of the models."""

import dataclasses
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from squeezelerator.sim.engines.batch import BatchJob, BatchResult, run_batch
from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.choices import RandomChoices
from squeezelerator.sim.fuzz.mutations import mutant
from squeezelerator.sim.fuzz.oracle.outcome import ANY, Outcome, Verdict
from squeezelerator.sim.fuzz.oracle.verdict import verdict_of
from squeezelerator.sim.fuzz.programs import random_program
from squeezelerator.spec.machine import MachineConfig

__all__ = ["MUTANTS", "Finding", "job_of", "jobs_of", "run_numbers"]

#: Mutants made of one random program.
MUTANTS = 8


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came of one program. ``outcome``: as the RTL has it. ``complaint``: what is wrong, empty if nothing is."""

    number: int
    verdict: Verdict
    result: BatchResult
    complaint: str

    @property
    def outcome(self) -> str:
        """``done``, or the name of the error."""
        error = self.result.error
        return "done" if error is None else error.code


def jobs_of(cfg: MachineConfig, seed: int, number: int) -> list[BatchJob]:
    """The mutants of random program ``number``: the jobs MUTANTS * number and those behind it."""
    rng = random.Random(f"{seed} {cfg.n} {number}")
    program = random_program(RandomChoices(rng), {cfg.n: cfg})
    return [mutant(program, rng) for _ in range(MUTANTS)]


def job_of(cfg: MachineConfig, seed: int, number: int) -> BatchJob:
    """Job ``number``."""
    return jobs_of(cfg, seed, number // MUTANTS)[number % MUTANTS]


def _allowed(error: RtlError, allowed: frozenset[RtlError]) -> bool:
    return error in allowed or dataclasses.replace(error, detail=ANY) in allowed


def _safety(job: BatchJob, verdict: Verdict, result: BatchResult) -> str:
    """What no program may cause."""
    if result.crash:
        return "the simulator died"
    if result.rule:
        return f"AXI rule {result.rule} broken in cycle {result.rule_cycle}"
    if result.hang:
        return "hangs, and an abort does not end it" if result.not_aborted else "hangs"
    if result.busy:
        return "transactions are open after the interrupt"
    before = job.image if not job.patches else bytes(job.memory())
    for at, block in result.blocks.items():
        size = min(len(block), len(before) - at)
        changed = np.frombuffer(block, np.uint8, size) != np.frombuffer(before, np.uint8, size, at)
        if (changed & ~verdict.stored[at : at + size]).any():
            return f"byte {at + int(np.argmax(changed & ~verdict.stored[at : at + size]))} changed, which no STORE writes"
    return ""


def complaint_of(job: BatchJob, verdict: Verdict, result: BatchResult) -> str:
    """What the RTL did that it must not, empty if nothing."""
    unsafe = _safety(job, verdict, result)
    if unsafe or verdict.outcome is Outcome.UNDEFINED:
        return unsafe
    error = result.error
    if error is not None:
        if _allowed(error, verdict.errors):
            return ""
        return f"error {error.code}/{error.unit}/{error.detail} instead of {_expected(verdict) or 'done'}"
    return f"done instead of {_expected(verdict)}" if verdict.outcome is Outcome.ERROR else _results(job, verdict, result)


def _expected(verdict: Verdict) -> str:
    """The errors of which one is allowed."""
    return ", ".join(sorted(f"{e.code}/{e.unit}/{'any' if e.detail == ANY else e.detail}" for e in verdict.errors))


def _results(job: BatchJob, verdict: Verdict, result: BatchResult) -> str:
    """What is wrong with the memory and the cycles of a program that was to end, empty if nothing."""
    memory = job.memory()
    for at, block in result.blocks.items():
        memory[at : at + len(block)] = block[: len(memory) - at]
    if bytes(memory) != verdict.memory:
        at = int(np.argmax(np.frombuffer(memory, np.uint8) != np.frombuffer(verdict.memory or b"", np.uint8)))
        return f"other results, the first in byte {at}"
    if verdict.cycles is not None and not job.stall and result.cycles != verdict.cycles:
        return f"{result.cycles} cycles instead of {verdict.cycles}"
    return ""


def run_numbers(cfg: MachineConfig, seed: int, programs: Sequence[int], *, build_dir: str | Path = "build/verilator") -> Iterator[Finding]:
    """Run all mutants of random ``programs``, in one process of the simulator."""
    numbers = [MUTANTS * program + i for program in programs for i in range(MUTANTS)]
    jobs = [job for program in programs for job in jobs_of(cfg, seed, program)]
    for number, job, result in zip(numbers, jobs, run_batch(cfg, jobs, build_dir=build_dir), strict=True):
        verdict = verdict_of(job, cfg)
        yield Finding(number, verdict, result, complaint_of(job, verdict, result))
