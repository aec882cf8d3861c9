"""What must come of a program that may be anything: the functional model's outputs, or the errors that the machine may report.

A program's units run beside each other, so that of several faults the first in time is reported, and which this is depends on the memory.
So the verdict is a set: every fault that an instruction can reach that does not wait for one that faults. Mostly it has one element.
A program that its tickets do not order, or whose instruction contradicts itself in a way that the hardware does not look for (the
compiler's verifier does), has no defined outcome; of it is only asked what is asked of all: that it ends, and leaves everything else alone.
"""

import dataclasses
import enum
import itertools
from collections.abc import Sequence

import numpy as np

from squeezelerator.sim.engines.batch import BatchJob
from squeezelerator.sim.engines.functional import Fault, FunctionalError, Machine, refuse_program
from squeezelerator.sim.engines.model import time_program
from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.instructions import contradiction, first_bad_burst, refused, work
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.constants.dma import FETCH_DEPTH, fetch_burst_beats, instruction_beats
from squeezelerator.spec.isa import (
    ARRAY,
    BY_CODE,
    BY_NAME,
    DRAIN,
    INSTRUCTION_BYTES,
    LOAD,
    POOL,
    STORE,
    UNITS,
    WRITTEN,
    Instruction,
)
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.registers import LIMIT_UNIT, STUCK_CYCLES
from squeezelerator.spec.verification.footprint import Footprint, FootprintError, Footprints, Transfer

__all__ = ["ANY", "Outcome", "Verdict", "verdict_of"]

#: A detail that depends on when a fault is found.
ANY = -1
_HALF = 1 << 15
#: Positions, words and pixels of an instruction above which it is not executed here: the cycle limit ends it.
MOST_WORK = 200_000


#: How many times longer a program may take on a memory that pauses.
_PAUSES = 8


class Outcome(enum.Enum):
    """How a program ends."""

    DONE = "done"
    ERROR = "error"
    UNDEFINED = "undefined"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is allowed.

    ``errors``: of ERROR, those of which one must be reported. ``memory``: of DONE, afterwards. ``cycles``: of DONE, on the reference
    memory; None where the model does not say. ``reason``: of UNDEFINED, why. ``stored``: bytes that STOREs may write (bool).
    """

    outcome: Outcome
    stored: np.ndarray
    errors: frozenset[RtlError] = frozenset()
    memory: bytes | None = None
    cycles: int | None = None
    reason: str = ""


class _UndefinedError(Exception):
    """The program has no defined outcome."""


class _Probe(Machine):
    """A machine that notes rows which do not exist instead of refusing the instruction at the first of them."""

    def __init__(self, cfg: MachineConfig, memory: bytearray) -> None:
        super().__init__(cfg, memory)
        self.faults: list[Fault] = []

    def refuse(self, message: str, fault: Fault) -> None:
        self.faults.append(fault)


@dataclasses.dataclass
class _Started:
    """An instruction that a unit has accepted: its number in its unit, from 1 on, what is known to have retired, what it touches."""

    instruction: Instruction
    number: int
    known: list[int]
    touched: Footprint | None
    faults: bool


class _Progress:
    """Lets the units do all that they can, in any order, without those instructions that fault ever being done."""

    def __init__(self, job: BatchJob, cfg: MachineConfig) -> None:
        self.job, self.cfg = job, cfg
        self.memory = job.memory()
        self.code = bytes(self.memory[job.offset : job.offset + INSTRUCTION_BYTES * job.count])
        self.machine = _Probe(cfg, self.memory)
        self.footprints = Footprints(cfg, self.memory, (0, len(self.memory)))
        self.errors: set[RtlError] = set()
        self.ports: set[int] = set()
        self.queues: list[list[Instruction]] = [[] for _ in UNITS]
        self.started: list[list[_Started]] = [[] for _ in UNITS]
        self.counts = [0] * (len(UNITS) + 1)  # retired, as tickets count: of STORE the reads, then the writes
        self.faulted = [False] * len(UNITS)
        self.dispatched: list[Instruction] = []
        self.halted = self.ended = False
        self.short = False  # a weight stream has fewer values than its headers announce
        self.transfers: list[Transfer] = []
        self.work = 0

    # -- FETCH ------------------------------------------------------------------------------------------------

    def fetch_faults(self) -> None:
        """What the program's place says before anything runs, and at which instruction a prefetch leaves the memory."""
        job, cfg = self.job, self.cfg
        self.bad_from, self.bad_offset = None, None
        if job.offset % INSTRUCTION_BYTES:
            self._halt(RtlError("ADDRESS", "fetch", job.offset))
        elif job.count == 0:
            self._halt(RtlError("PROGRAM", "fetch", 0))
        else:
            beats = instruction_beats(cfg)
            bad = first_bad_burst(cfg, Transfer(job.offset, job.count * beats * cfg.bus_bytes, 1, 0), job.mem_size, fetch_burst_beats(cfg))
            if bad is not None:
                self.bad_from, self.bad_offset = max(0, (bad - job.offset) // INSTRUCTION_BYTES - FETCH_DEPTH), bad
        self._prefetch()

    def _halt(self, error: RtlError) -> None:
        self.errors.add(error)
        self.halted = True

    def _prefetch(self) -> None:
        if self.bad_from is not None and len(self.dispatched) >= self.bad_from:
            self.errors.add(RtlError("ADDRESS", "fetch", self.bad_offset or 0))

    def _dispatch(self) -> bool:
        moved = False
        while not self.halted and not self.ended:
            number = len(self.dispatched)
            if number == self.job.count:
                self._halt(RtlError("PROGRAM", "fetch", number))
                break
            word = self.code[number * INSTRUCTION_BYTES : (number + 1) * INSTRUCTION_BYTES]
            if len(word) < INSTRUCTION_BYTES:
                break  # the prefetch has left the memory
            op = BY_CODE.get(word[0])
            if op is None or not op.exists(self.cfg):
                self._halt(RtlError("OPCODE", "fetch", number))
                break
            instruction = Instruction.decode(word)
            if refused(instruction, self.cfg):
                self._halt(RtlError("OPERAND", "fetch", number))
                break
            for count in instruction.tickets.values():
                if _HALF < count <= _HALF + 1 + self.job.count:
                    raise _UndefinedError("a ticket half the range of counts away")
            if instruction.unit is None:
                if not self._satisfied(instruction):
                    break
                self.ended = True
            elif len(self.queues[instruction.unit]) == self.cfg.queue_depth:
                break
            else:
                self.queues[instruction.unit].append(instruction)
            self.dispatched.append(instruction)
            self._prefetch()
            moved = True
        return moved

    # -- units ------------------------------------------------------------------------------------------------

    def _counter(self, i: Instruction, unit: int) -> int:
        return WRITTEN if unit == STORE and (i.unit is None or (i.unit == LOAD and i["written"])) else unit

    def _satisfied(self, i: Instruction) -> bool:
        return all((self.counts[self._counter(i, unit)] - count) & 0xFFFF < _HALF for unit, count in i.tickets.items())

    def _known(self, i: Instruction, unit: int) -> list[int]:
        known = list(self.started[unit][-1].known) if self.started[unit] else [0] * len(self.counts)
        for other, count in i.tickets.items():
            if 0 < count < _HALF:
                known = list(map(max, known, self.started[other][count - 1].known))
                known[other] = max(known[other], count)
                if self._counter(i, other) == WRITTEN:
                    known[WRITTEN] = max(known[WRITTEN], count)
        return known

    def _accept(self, unit: int) -> bool:
        queue = self.queues[unit]
        if not queue or not self._satisfied(queue[0]):
            return False
        i = queue.pop(0)
        known = self._known(i, unit)
        number = len(self.started[unit]) + 1
        self.work += work(i, self.cfg)
        if self.work > MOST_WORK:
            raise _UndefinedError("longer than the limit of cycles")
        touched, before = None, len(self.errors) + len(self.ports)
        reason = contradiction(i, self.cfg)
        if reason:
            raise _UndefinedError(reason)
        if self._faults(i, number):
            self.faulted[unit] = True
            self.counts[unit] += unit == STORE  # its rows may have been read before its place in DRAM is refused
        else:
            touched = self._execute(i)
            if not self.faulted[unit]:
                self.counts[unit] += 1
                self.counts[WRITTEN] += unit == STORE
        faults = touched is None or (i.op == "OS" and len(self.errors) + len(self.ports) > before)
        self.started[unit].append(_Started(i, number, known, touched, faults))
        return True

    def _faults(self, i: Instruction, number: int) -> bool:
        """Note the faults of an instruction, and say whether it has any."""
        cfg, f = self.cfg, i.fields
        if i.unit not in (LOAD, STORE):
            return False
        found = False
        transfer = Transfer(f["dram"], f["rows"] * cfg.row_bytes, f["lines"], f["dram_pitch"])
        bad = first_bad_burst(cfg, transfer, self.job.mem_size, cfg.burst_beats)
        if bad is not None:
            self.errors.add(RtlError("ADDRESS", UNITS[i.unit], bad))
            found = True
        if i.unit == STORE:
            self.transfers.append(transfer)
        if i.unit == STORE or f["mem"] != 3:
            rows = cfg.act_rows if i.unit == STORE else (cfg.act_rows, cfg.weight_rows, cfg.bias_rows)[f["mem"]]
            # Rows are counted modulo 65536.
            last = (f["row"] + np.arange(f["lines"]) * f["row_pitch"]) % 65536 + f["rows"] - 1
            if int(last.max()) >= rows:
                found = True
                if i.unit == STORE:
                    self.ports.add(1 << STORE)
                else:
                    self.errors.add(RtlError("ROW", "load", number - 1))
            elif f["row"] + (f["lines"] - 1) * f["row_pitch"] >= 65536:
                raise _UndefinedError("a transfer's rows begin anew at row 0")
        return found

    def _execute(self, i: Instruction) -> Footprint | None:
        """What an instruction touches, None if it faults on the way."""
        unit = i.unit
        assert unit is not None
        if self.short and unit == ARRAY:
            raise _UndefinedError("a weight stream goes on in the next one")
        self.machine.faults.clear()
        refused = None
        try:
            touched = self.footprints.of(i)
        except FootprintError as error:
            refused, touched = str(error), None
        try:
            self.machine.execute(i)
        except FunctionalError as error:
            if error.fault is None:
                raise _UndefinedError(str(error)) from None
            if error.fault.code == "ROW" and unit == LOAD:
                self.errors.add(RtlError("ROW", "load", len(self.started[LOAD])))
                self.faulted[LOAD] = True
                return None
            if error.fault.code == "STUCK":
                self.errors.add(RtlError("STUCK", "watchdog", ANY))
                self.errors.add(RtlError("ROW", "buffer", 1 << ARRAY))  # pixels are read ahead of the weights
                self.faulted[unit] = self.short = True
                return self._weights(i)
            self.machine.faults.append(error.fault)
            if unit == ARRAY:
                # Its headers announce what they like, so that it may wait for values that never come before it comes to the end.
                self.errors.add(RtlError("STUCK", "watchdog", ANY))
        if self.machine.faults:
            self.ports.update(fault.ports for fault in self.machine.faults)
            self.faulted[unit] = True
            return self._weights(i) if i.op == "OS" else None
        if refused is not None:
            raise _UndefinedError(refused)
        return touched

    def _weights(self, i: Instruction) -> Footprint:
        """The weight rows on whose contents it depends whether an OS instruction faults."""
        first, end = self.footprints.first_weight, self.footprints.first_weight + self.cfg.weight_rows
        rows = 0
        for row, words in ((i["hdr_row"], i["records"] * self.cfg.header_words), (i["val_row"], i["values"])):
            for number in range(first + row, min(end, first + row + -(-words // self.cfg.n))):
                rows |= 1 << number
        return Footprint(rows, 0)

    # -- together ---------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything that can happen."""
        self.fetch_faults()
        moved = True
        while moved:
            moved = self._dispatch()
            for unit in range(len(UNITS)):
                moved |= self._accept(unit)

    def waiting(self) -> int:
        """Bit i: an instruction waits in front of unit i."""
        return sum(1 << unit for unit, queue in enumerate(self.queues) if queue)

    def limit(self, more: int) -> set[RtlError]:
        """The error LIMIT, if the program may well run so long and ``more`` cycles."""
        job = self.job
        slow = (self.work + 400 * (len(self.dispatched) + 1)) * (_PAUSES if job.stall else 2) + more
        return {RtlError("LIMIT", "control", ANY)} if job.cycle_limit and slow > job.cycle_limit * LIMIT_UNIT else set()

    def conflicts(self) -> set[RtlError]:
        """The error CONFLICT, if an instruction that faults may be beside another unit's: of its ports is known only that it uses some."""
        everything = [item for unit in self.started for item in unit]
        for one, other in itertools.permutations(everything, 2):
            if one.faults and one.instruction.unit != other.instruction.unit and not (_knows(one, other) or _knows(other, one)):
                return {RtlError("CONFLICT", "buffer", ANY)}
        return set()

    def check_order(self) -> None:
        """Raise _UndefinedError if two instructions that must not may meet."""
        everything = [item for unit in self.started for item in unit if item.touched is not None]
        code = Transfer(self.job.offset, INSTRUCTION_BYTES * self.job.count, 1, 0)
        for transfer in self.transfers:
            if transfer.start < code.end and code.start < transfer.end:
                raise _UndefinedError("stores where the instructions are")
        for one, other in itertools.combinations(everything, 2):
            if not (_knows(one, other) or _knows(other, one)) and _meet(one, other):
                raise _UndefinedError("not ordered")


def _knows(one: _Started, other: _Started) -> bool:
    """Whether ``other`` has retired when ``one`` starts."""
    unit = other.instruction.unit
    assert unit is not None
    if unit == STORE and one.instruction.unit == LOAD and one.touched and other.touched and _overlap(one.touched, other.touched):
        return one.known[WRITTEN] >= other.number
    return one.known[unit] >= other.number


def _overlap(one: Footprint, other: Footprint) -> bool:
    a, b = one.transfer, other.transfer
    return a is not None and b is not None and a.start < b.end and b.start < a.end


def _meet(one: _Started, other: _Started) -> bool:
    a, b = one.touched, other.touched
    assert a is not None and b is not None
    unit = one.instruction.unit
    if unit == other.instruction.unit:
        return unit in (DRAIN, POOL) and bool(a.written & b.read)  # one comes first
    if {unit, other.instruction.unit} == {LOAD, STORE} and _overlap(a, b):
        return True
    return bool((a.read | a.written) & b.written or a.written & b.read)


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


def _stored(progress: _Progress) -> np.ndarray:
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


def _reached(progress: _Progress) -> Verdict:
    """The verdict on a program that reaches END without a fault of its own."""
    job = progress.job
    stored = _stored(progress)
    if any(progress.queues) or sum(map(len, progress.started)) != len(progress.dispatched) - 1:
        raise _UndefinedError("ends before all units are done")
    last = len(progress.dispatched) == job.count
    _check_end(progress)
    if job.check and (not last or program_check(progress.code) != job.check):
        detail = program_check(progress.code) if last else ANY
        return Verdict(Outcome.ERROR, stored, frozenset({RtlError("CHECKSUM", "fetch", detail), *progress.limit(0)}))
    cycles = _cycles(progress) if last else None
    if cycles is None and progress.limit(0):
        raise _UndefinedError("longer than the limit of cycles")
    return Verdict(Outcome.DONE, stored, memory=bytes(progress.memory), cycles=cycles)


def _check_end(progress: _Progress) -> None:
    """Raise _UndefinedError if END does not wait for all that every unit does."""
    end = progress.dispatched[-1]
    for unit, started in enumerate(progress.started):
        counter = WRITTEN if unit == STORE else unit
        if started and progress.counts[counter] != end.tickets.get(unit, 0):
            raise _UndefinedError("ends before all units are done")


def _cycles(progress: _Progress) -> int | None:
    """Cycles on the reference memory; None where the model does not say."""
    job = progress.job
    program = _Program(progress.cfg, progress.dispatched, job.offset, len(progress.memory))
    if not _in_order(program):
        return None
    memory = DramProfile("reference", latency=job.latency)
    result = time_program(program, job.memory(), dram=memory)  # pyright: ignore[reportArgumentType] - all that it uses
    if result.memory != bytes(progress.memory):
        raise RuntimeError("the functional model depends on the order of instructions that the tickets leave open")
    if job.cycle_limit and result.cycles > job.cycle_limit * LIMIT_UNIT // (_PAUSES if job.stall else 1):
        raise _UndefinedError("longer than the limit of cycles")
    return result.cycles


def verdict_of(job: BatchJob, cfg: MachineConfig) -> Verdict:
    """The verdict on ``job``, whose memory may answer a burst with an error."""
    progress = _Progress(job, cfg)
    try:
        progress.run()
        progress.check_order()
        errors = set(progress.errors) | {RtlError("ROW", "buffer", mask) for mask in _unions(sorted(progress.ports))}
        errors |= progress.conflicts()
        if progress.ended and errors:
            raise _UndefinedError("ends before all units are done")
        if progress.ended:
            verdict = _reached(progress)
        else:
            if not errors:
                errors.add(RtlError("STUCK", "watchdog", progress.waiting()))
            errors.update(progress.limit(STUCK_CYCLES))
            verdict = Verdict(Outcome.ERROR, _stored(progress), frozenset(errors))
    except _UndefinedError as error:
        return Verdict(Outcome.UNDEFINED, np.ones(len(job.image), bool), reason=str(error))
    if job.read_error is None and job.write_error is None:
        return verdict
    return dataclasses.replace(verdict, errors=verdict.errors | _bus_errors(job))
