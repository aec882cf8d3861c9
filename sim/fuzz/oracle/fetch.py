"""FETCH in the oracle: which instructions reach the units' queues, and the faults that it finds itself."""

from squeezelerator.sim.engines.batch import BatchJob
from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.instructions import first_bad_burst, refused
from squeezelerator.sim.fuzz.oracle.outcome import UndefinedError
from squeezelerator.spec.constants.dma import FETCH_DEPTH, fetch_burst_beats, instruction_beats
from squeezelerator.spec.isa import BY_CODE, INSTRUCTION_BYTES, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import Transfer

__all__ = ["HALF", "Fetch"]

#: Tickets are compared modulo 65536: a count up to this far ahead is one to come.
HALF = 1 << 15


class Fetch:
    """The instructions of a job's program in order, each decoded and checked as FETCH does it.

    Parameters
    ----------
    job : BatchJob
    cfg : MachineConfig
    code : bytes
        What memory holds at the program's place.

    Attributes
    ----------
    errors : set of RtlError
        What FETCH reports.
    halted : bool
        It takes no further instruction.
    dispatched : list of Instruction
        Those that it has handed on, END included.
    """

    def __init__(self, job: BatchJob, cfg: MachineConfig, code: bytes) -> None:
        self._job, self._cfg, self._code = job, cfg, code
        self.errors: set[RtlError] = set()
        self.dispatched: list[Instruction] = []
        self.halted = False
        #: The instruction from which on a prefetch leaves the memory, and where.
        self._bad_from: int | None = None
        self._bad_offset = 0
        self._check_place()
        self._prefetch()

    def _halt(self, error: RtlError) -> None:
        self.errors.add(error)
        self.halted = True

    def _check_place(self) -> None:
        job, cfg = self._job, self._cfg
        if job.offset % INSTRUCTION_BYTES:
            self._halt(RtlError("ADDRESS", "fetch", job.offset))
            return
        if job.count == 0:
            self._halt(RtlError("PROGRAM", "fetch", 0))
            return
        program = Transfer(job.offset, job.count * instruction_beats(cfg) * cfg.bus_bytes, 1, 0)
        bad = first_bad_burst(cfg, program, job.mem_size, fetch_burst_beats(cfg))
        if bad is not None:
            self._bad_from, self._bad_offset = max(0, (bad - job.offset) // INSTRUCTION_BYTES - FETCH_DEPTH), bad

    def _prefetch(self) -> None:
        if self._bad_from is not None and len(self.dispatched) >= self._bad_from:
            self.errors.add(RtlError("ADDRESS", "fetch", self._bad_offset))

    def next(self) -> Instruction | None:
        """The instruction to be handed on, None if there is none; ``halted`` then says whether for ever."""
        if self.halted:
            return None
        number = len(self.dispatched)
        if number == self._job.count:
            self._halt(RtlError("PROGRAM", "fetch", number))
            return None
        word = self._code[number * INSTRUCTION_BYTES : (number + 1) * INSTRUCTION_BYTES]
        if len(word) < INSTRUCTION_BYTES:
            return None  # the prefetch has left the memory
        op = BY_CODE.get(word[0])
        if op is None or not op.exists(self._cfg):
            self._halt(RtlError("OPCODE", "fetch", number))
            return None
        instruction = Instruction.decode(word)
        if refused(instruction, self._cfg):
            self._halt(RtlError("OPERAND", "fetch", number))
            return None
        if any(HALF < count <= HALF + 1 + self._job.count for count in instruction.tickets.values()):
            raise UndefinedError("a ticket half the range of counts away")
        return instruction

    def accept(self, instruction: Instruction) -> None:
        """``instruction``, the next, has been handed on."""
        self.dispatched.append(instruction)
        self._prefetch()
