"""The units in the oracle: everything that they can do, in any order that the tickets allow."""

from squeezelerator.sim.engines.batch import BatchJob
from squeezelerator.sim.engines.functional import Fault, FunctionalError, Machine
from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.instructions import contradiction, work
from squeezelerator.sim.fuzz.oracle.fetch import HALF, Fetch
from squeezelerator.sim.fuzz.oracle.order import Started
from squeezelerator.sim.fuzz.oracle.outcome import ANY, UndefinedError
from squeezelerator.sim.fuzz.oracle.transfers import row_fault, transfer_fault, transfer_of
from squeezelerator.spec.isa import ARRAY, INSTRUCTION_BYTES, LOAD, STORE, UNITS, WRITTEN, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import LIMIT_UNIT
from squeezelerator.spec.verification.footprint import Footprint, FootprintError, Footprints, Transfer
from squeezelerator.spec.verification.sums import Sums

__all__ = ["MOST_WORK", "PAUSES", "Progress"]

#: Positions, words and pixels of an instruction above which it is not executed here: the cycle limit ends it.
MOST_WORK = 200_000
#: How many times longer a program may take on a memory that pauses.
PAUSES = 8


class _Probe(Machine):
    """A machine that notes rows which do not exist instead of refusing the instruction at the first of them."""

    def __init__(self, cfg: MachineConfig, memory: bytearray) -> None:
        super().__init__(cfg, memory)
        self.faults: list[Fault] = []

    def refuse(self, message: str, fault: Fault) -> None:
        self.faults.append(fault)


class Progress:
    """Lets the units do all that they can, in any order, without those instructions that fault ever being done."""

    def __init__(self, job: BatchJob, cfg: MachineConfig) -> None:
        self.job, self.cfg = job, cfg
        self.memory = job.memory()
        self.code = bytes(self.memory[job.offset : job.offset + INSTRUCTION_BYTES * job.count])
        self.fetch = Fetch(job, cfg, self.code)
        self.machine = _Probe(cfg, self.memory)
        self.footprints = Footprints(cfg, self.memory, (0, len(self.memory)))
        self.sums = Sums(cfg, fresh=True)
        self.loose = ""  # how results depend on sums that the program has not begun
        self.errors = self.fetch.errors
        self.ports: set[int] = set()
        self.queues: list[list[Instruction]] = [[] for _ in UNITS]
        self.started: list[list[Started]] = [[] for _ in UNITS]
        self.counts = [0] * (len(UNITS) + 1)  # retired, as tickets count: of STORE the reads, then the writes
        self.faulted = [False] * len(UNITS)
        self.ended = False
        self.short = False  # a weight stream has fewer values than its headers announce
        self.transfers: list[Transfer] = []
        self.work = 0

    def run(self) -> None:
        """Everything that can happen."""
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
        slow = (self.work + 400 * (len(self.fetch.dispatched) + 1)) * (PAUSES if job.stall else 2) + more
        return {RtlError("LIMIT", "control", ANY)} if job.cycle_limit and slow > job.cycle_limit * LIMIT_UNIT else set()

    # -- instructions reach units -----------------------------------------------------------------------------

    def _dispatch(self) -> bool:
        moved = False
        while not self.ended:
            instruction = self.fetch.next()
            if instruction is None:
                break
            if instruction.unit is None:
                if not self._satisfied(instruction):
                    break
                self.ended = True
            elif len(self.queues[instruction.unit]) == self.cfg.queue_depth:
                break
            else:
                self.queues[instruction.unit].append(instruction)
            self.fetch.accept(instruction)
            moved = True
        return moved

    def _counter(self, i: Instruction, unit: int) -> int:
        return WRITTEN if unit == STORE and (i.unit is None or (i.unit == LOAD and i["written"])) else unit

    def _satisfied(self, i: Instruction) -> bool:
        return all((self.counts[self._counter(i, unit)] - count) & 0xFFFF < HALF for unit, count in i.tickets.items())

    def _known(self, i: Instruction, unit: int) -> list[int]:
        known = list(self.started[unit][-1].known) if self.started[unit] else [0] * len(self.counts)
        for other, count in i.tickets.items():
            if 0 < count < HALF:
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
            raise UndefinedError("longer than the limit of cycles")
        touched, before = None, len(self.errors) + len(self.ports)
        reason = contradiction(i, self.cfg)
        if reason:
            raise UndefinedError(reason)
        if self._faults(i, number):
            self.faulted[unit] = True
            self.counts[unit] += unit == STORE  # its rows may have been read before its place in DRAM is refused
        else:
            touched = self._execute(i)
            if not self.faulted[unit]:
                self.counts[unit] += 1
                self.counts[WRITTEN] += unit == STORE
        faults = touched is None or (i.op == "OS" and len(self.errors) + len(self.ports) > before)
        self.started[unit].append(Started(i, number, known, touched, faults))
        return True

    # -- what they do -----------------------------------------------------------------------------------------

    def _faults(self, i: Instruction, number: int) -> bool:
        """Note the faults of a transfer, and say whether it has any; other units' are found when they execute."""
        if i.unit not in (LOAD, STORE):
            return False
        outside, bad_row = transfer_fault(i, self.cfg, self.job.mem_size), row_fault(i, self.cfg)
        if outside is not None:
            self.errors.add(outside)
        if i.unit == STORE:
            self.transfers.append(transfer_of(i, self.cfg))
            self.ports |= {1 << STORE} if bad_row else set()
        elif bad_row:
            self.errors.add(RtlError("ROW", "load", number - 1))
        return outside is not None or bad_row

    def _execute(self, i: Instruction) -> Footprint | None:
        """What an instruction touches, None if it faults on the way."""
        if self.short and i.unit == ARRAY:
            raise UndefinedError("a weight stream goes on in the next one")
        self.machine.faults.clear()
        refused = None
        try:
            touched = self.footprints.of(i)
        except FootprintError as error:
            refused, touched = str(error), None
        if self._ends_unit(i):
            return self._weights(i) if i.op == "OS" else None
        if self.machine.faults:
            self.ports.update(fault.ports for fault in self.machine.faults)
            self._stop(i)
            return self._weights(i) if i.op == "OS" else None
        if refused is not None:
            raise UndefinedError(refused)
        self._note_sums(i)
        return touched

    def _note_sums(self, i: Instruction) -> None:
        """Follow the sums: no error depends on their values, so that only a program that comes to its end is undefined by them."""
        try:
            self.sums.add(i, self.footprints.channels)
        except FootprintError as error:
            self.loose = self.loose or str(error)

    def _stop(self, i: Instruction) -> None:
        assert i.unit is not None
        self.faulted[i.unit] = True

    def _ends_unit(self, i: Instruction) -> bool:
        """Execute it, and say whether it meets a fault behind which its unit does nothing more; others are in ``machine.faults``."""
        try:
            self.machine.execute(i)
        except FunctionalError as error:
            if error.fault is None:
                raise UndefinedError(str(error)) from None
            if error.fault.code == "STUCK":
                self.errors.add(RtlError("STUCK", "watchdog", ANY))
                self.errors.add(RtlError("ROW", "buffer", 1 << ARRAY))  # pixels are read ahead of the weights
                self.short = True
            elif error.fault.code == "ROW" and i.unit == LOAD:
                self.errors.add(RtlError("ROW", "load", len(self.started[LOAD])))
            else:
                self.machine.faults.append(error.fault)
                if i.unit == ARRAY:
                    # Its headers announce what they like: it may wait for values that never come before it comes to the end.
                    self.errors.add(RtlError("STUCK", "watchdog", ANY))
                return False
            self._stop(i)
            return True
        return False

    def _weights(self, i: Instruction) -> Footprint:
        """The weight rows on whose contents it depends whether an OS instruction faults."""
        first, end = self.footprints.first_weight, self.footprints.first_weight + self.cfg.weight_rows
        rows = 0
        for row, words in ((i["hdr_row"], i["records"] * self.cfg.header_words), (i["val_row"], i["values"])):
            for number in range(first + row, min(end, first + row + -(-words // self.cfg.n))):
                rows |= 1 << number
        return Footprint(rows, 0)
