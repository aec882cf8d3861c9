"""A proof that a program's tickets order everything that must be ordered, from its instructions and constants alone.

Two instructions of different units must be ordered if one writes rows, register-file banks or bytes that the other reads or writes,
or if both use the read (or write) port of a sector; so must a DRAIN or POOL and an earlier one of its own unit whose results it reads,
because a unit begins to read while its last results are on their way. A STORE is over for the others when it has read its rows, for
a LOAD of what it has stored when that is in DRAM.

What is known to have retired when an instruction starts are vector clocks: for each unit a count, and one for STORE's data in DRAM.
An instruction is safe if none of another unit's instructions behind that count touches what it touches. These form a window over the
other unit's instructions that only moves forward, so the union of what they touch is kept as in a queue of two stacks: every
instruction enters and leaves once, and the proof takes linear time.

It is independent of the compiler: :mod:`spec.verification.footprint` works addresses out from the encoded fields.
"""

from typing import Protocol

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.spec.encoding import check_fields
from squeezelerator.spec.isa import DRAIN, INSTRUCTION_BYTES, LOAD, POOL, STORE, UNITS, WRITTEN, Instruction, IsaError
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import Footprint, FootprintError, Footprints, Transfer
from squeezelerator.spec.verification.sums import Sums

__all__ = ["VerifiableProgram", "VerifyError", "verify"]

#: Counts of tickets compare modulo 65536 with a sign: one that is so far behind counts as being still to come.
_HALF = 1 << 15


class VerifyError(UserError, ValueError):
    """A program that its tickets do not order, or that leaves a memory; the message is one line that names the instruction."""


class VerifiableProgram(Protocol):
    """What :func:`verify` needs to know of a program; :class:`spec.program.Program` is one."""

    cfg: MachineConfig
    instructions: list[Instruction]
    constants_offset: int
    constants: bytes
    prog_offset: int

    @property
    def mem_bytes(self) -> int: ...


class _Window:
    """Union of what a unit's instructions touch, from a number that only grows up to its latest.

    ``log``: (read, written) of the unit's instructions; others append to it.
    """

    def __init__(self, log: list[tuple[int, int]]) -> None:
        self.log = log
        self.front: list[tuple[int, int]] = []  # unions of log[k:split], for k from split - 1 down to the window's first
        self.split = self.seen = 0
        self.back = (0, 0)  # union of log[split:seen]

    def since(self, known: int) -> tuple[int, int]:
        """(read, written) by the unit's instructions after number ``known``."""
        log, last = self.log, len(self.log)
        if known >= last:
            return 0, 0
        if known >= self.split:
            read = written = 0
            self.front.clear()
            for more_read, more_written in reversed(log[known:]):
                read, written = read | more_read, written | more_written
                self.front.append((read, written))
            self.split = self.seen = last
            self.back = 0, 0
            return read, written
        del self.front[self.split - known :]
        read, written = self.back
        for more_read, more_written in log[self.seen :]:
            read, written = read | more_read, written | more_written
        self.back, self.seen = (read, written), last
        front_read, front_written = self.front[-1]
        return front_read | read, front_written | written


class _Clocks:
    """What each unit knows to have retired: counts by unit, and behind them STORE's instructions whose data is in DRAM."""

    def __init__(self) -> None:
        self.now: list[list[int]] = [[0] * (len(UNITS) + 1) for _ in UNITS]
        self.at_start: list[list[list[int]]] = [[] for _ in UNITS]
        self.old: list[tuple[int, int, int, int, int]] = []

    def lift(self, instruction: Instruction) -> dict[int, int]:
        """Tickets' counts without the reduction modulo 65536."""
        lifted = {}
        for unit, count in instruction.tickets.items():
            issued = len(self.at_start[unit])
            distance = (issued - count) % (2 * _HALF)
            if distance >= _HALF or distance > issued:
                later = issued + (count - issued) % (2 * _HALF)
                raise VerifyError(f"waits for {UNITS[unit]} number {later}, and only {issued} come before it")
            lifted[unit] = issued - distance
        return lifted

    def start(self, number: int, instruction: Instruction, tickets: dict[int, int]) -> list[int]:
        """What is known when the instruction starts."""
        unit = instruction.unit
        assert unit is not None
        now = self.now[unit]
        for other, count in tickets.items():
            if count:
                now = list(map(max, now, self.at_start[other][count - 1]))
                now[other] = max(now[other], count)
                if other == STORE and instruction.fields.get("written"):
                    now[WRITTEN] = max(now[WRITTEN], count)
            self.old.append((number, unit, len(self.at_start[unit]) + 1, other, count))
        self.now[unit] = now
        self.at_start[unit].append(now)
        return now

    def check_age(self) -> None:
        """Raise VerifyError if a unit could come so far while an instruction waits that its ticket counts as one still to come."""
        for number, unit, own, other, count in self.old:
            started = self.at_start[other]
            late = count + _HALF
            if late <= len(started) and (other != unit and started[late - 1][unit] < own):
                raise VerifyError(f"instruction {number}: may still wait for {UNITS[other]} number {count} when number {late} has retired")


class _Memory:
    """The latest LOAD and STORE of every beat of DRAM, and what may not be stored to."""

    def __init__(self, program: VerifiableProgram) -> None:
        self.beat = program.cfg.bus_bytes
        beats = -(-program.mem_bytes // self.beat)
        self.loaded, self.stored = np.zeros(beats, np.int32), np.zeros(beats, np.int32)
        self.constants = program.constants_offset, program.constants_offset + len(program.constants)
        self.code = program.prog_offset, program.mem_bytes

    def _beats(self, transfer: Transfer) -> slice | np.ndarray:
        if transfer.lines == 1 or transfer.pitch == transfer.size:
            return slice(transfer.start // self.beat, transfer.end // self.beat)
        lines = (transfer.start + np.arange(transfer.lines) * transfer.pitch) // self.beat
        return (lines[:, None] + np.arange(transfer.size // self.beat)).ravel()

    def load(self, transfer: Transfer, number: int, known: list[int]) -> None:
        """LOAD number ``number`` reads this."""
        if transfer.start >= self.constants[0] and transfer.end <= self.constants[1]:
            return  # nothing is ever stored there
        beats = self._beats(transfer)
        latest = int(self.stored[beats].max())
        if latest > known[WRITTEN]:
            raise VerifyError(f"may run beside store number {latest}, which uses the same dram")
        self.loaded[beats] = number

    def store(self, transfer: Transfer, number: int, known: list[int]) -> None:
        """STORE number ``number`` writes this."""
        for name, (first, end) in (("constants", self.constants), ("instructions", self.code)):
            if transfer.start < end and first < transfer.end:
                raise VerifyError(f"stores to bytes {transfer.start} to {transfer.end}, where {name} are")
        beats = self._beats(transfer)
        latest = int(self.loaded[beats].max())
        if latest > known[LOAD]:
            raise VerifyError(f"may run beside load number {latest}, which uses the same dram")
        self.stored[beats] = number


class _Proof:
    """The state of the proof after some of a program's instructions."""

    def __init__(self, program: VerifiableProgram) -> None:
        memory = bytearray(program.mem_bytes)
        constants = program.constants_offset, program.constants_offset + len(program.constants)
        memory[constants[0] : constants[1]] = program.constants
        self.footprints = Footprints(program.cfg, memory, constants)
        self.sums = Sums(program.cfg, fresh=False)
        self.memory = _Memory(program)
        self.clocks = _Clocks()
        self.logs: list[list[tuple[int, int]]] = [[] for _ in UNITS]
        self.windows = [[_Window(log) for log in self.logs] for _ in UNITS]

    def add(self, number: int, instruction: Instruction) -> None:
        """Check the next instruction. Raises VerifyError, FootprintError."""
        tickets, unit = self.clocks.lift(instruction), instruction.unit
        if unit is None:
            if any(tickets.get(u, 0) != len(log) for u, log in enumerate(self.logs) if log):
                raise VerifyError("the program ends before all units are done")
            return
        known = self.clocks.start(number, instruction, tickets)
        touched = self.footprints.of(instruction)
        self.sums.add(instruction, self.footprints.channels)
        self._check_chip(unit, touched, known)
        self.logs[unit].append((touched.read, touched.written))
        if touched.transfer is not None:
            note = self.memory.load if unit == LOAD else self.memory.store
            note(touched.transfer, len(self.logs[unit]), known)

    def _check_chip(self, unit: int, touched: Footprint, known: list[int]) -> None:
        either = touched.read | touched.written
        for other, window in enumerate(self.windows[unit]):
            if other != unit:
                read, written = window.since(known[other])
                if either & written or touched.written & read:
                    self._report(other, touched, known[other], own=False)
            elif unit in (DRAIN, POOL) and touched.read & window.since(known[unit])[1]:
                self._report(unit, touched, known[unit], own=True)

    def _report(self, other: int, touched: Footprint, known: int, *, own: bool) -> None:
        """Raise VerifyError for the latest instruction of ``other`` that ``touched`` may meet."""
        for number in range(len(self.logs[other]), known, -1):
            read, written = self.logs[other][number - 1]
            both = touched.read & written if own else (touched.read | touched.written) & written | touched.written & read
            if both:
                raise VerifyError(f"may run beside {UNITS[other]} number {number}, which uses the same {self.footprints.name_of(both)}")


def verify(program: VerifiableProgram) -> None:
    """Check every instruction of a program, whatever the program was made from.

    Raises
    ------
    VerifyError
        At the first instruction with a field that the machine refuses, that could run before or beside one that it must follow, that waits
        for something that never comes, that leaves a memory, or that drains sums which were never begun.
    """
    instructions = program.instructions
    ends = [number for number, instruction in enumerate(instructions) if instruction.unit is None]
    if ends != [len(instructions) - 1]:
        raise VerifyError(f"has END as instruction {ends[0]} of {len(instructions)}" if ends else "has no END")
    if program.mem_bytes != program.prog_offset + INSTRUCTION_BYTES * len(instructions):
        raise VerifyError(f"its {len(instructions)} instructions do not end where its memory of {program.mem_bytes} bytes does")
    try:
        check_fields(instructions, program.cfg)
    except IsaError as error:
        raise VerifyError(str(error)) from None
    proof = _Proof(program)
    for number, instruction in enumerate(instructions):
        try:
            proof.add(number, instruction)
        except (VerifyError, FootprintError) as error:
            raise VerifyError(f"instruction {number} ({instruction.op}): {error}") from None
    proof.clocks.check_age()
