"""The estimate of a program: one pass over its instructions, a few closed formulas each.

Good for comparing the trials of local search and for the report; :mod:`compiler.cost.exact` is exact and slower. LOAD and STORE share the
bus in the order of the program; the instruction fetch does not appear on it, and ports of the activation buffer are always free.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from squeezelerator.compiler.cost.bus import Bus
from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.compiler.mapping.weight_plan import Records
from squeezelerator.compiler.tuning import COST
from squeezelerator.spec.constants.dma import load_cycles, store_fifo_rows
from squeezelerator.spec.constants.units import pool_positions
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE, UNITS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile


class Operation(Protocol):
    """An instruction, or an event that will be one."""

    @property
    def op(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, int]: ...


class Synchronised(Operation, Protocol):
    """An instruction with its dependence tokens, {unit: retired count, not reduced}."""

    @property
    def tickets(self) -> Mapping[int, int]: ...
    @property
    def unit(self) -> int | None: ...


@dataclasses.dataclass
class ProgramEstimate:
    """``cycles`` in all; ``start`` and ``end`` of every instruction; busy cycles of every unit by name."""

    cycles: int
    start: IntArray
    end: IntArray
    busy: dict[str, int]


def unit_cycles(instruction: Operation, cfg: MachineConfig, records: Records | None, memory: DramProfile = REFERENCE) -> int:
    """Cycles in which an instruction (or event) keeps its unit busy; ``records``: those of an OS stream."""
    f, name = instruction.fields, instruction.op
    if name in ("LOAD", "STORE"):
        return f["lines"] * memory.line_cycles(cfg, f["rows"])
    if records is not None:
        return records.cycles(f["nrows"], f["segs"], f["windows"])
    if name == "WS":
        return f["tiles"] * max(cfg.ws_tile_cycles, f["out_w"] * f["out_h"])
    if name == "DRAIN":
        return f["channels"] * f["nrows"] if f["mode"] == Dataflow.OS else f["out_w"] * f["out_h"]
    return pool_positions(f)


class _Machine:
    """The machine's units after the instructions so far; times in cycles."""

    def __init__(self, cfg: MachineConfig, memory: DramProfile) -> None:
        self.cfg, self.bus = cfg, Bus()
        self.latency, self.row_cycles = memory.latency + COST.bus_way, memory.row_cycles(cfg)
        #: Retirement of every instruction of each unit; number 0 is before the program.
        self.retired: list[list[int]] = [[0] for _ in UNITS]
        #: What dependence tokens stand for: of STORE, that the rows are read.
        self.done = [*self.retired[:STORE], [0]]
        self.accepted: list[list[int]] = [[] for _ in UNITS]
        self.free, self.busy = [0] * len(UNITS), [0] * len(UNITS)
        self.dispatched, self.dataflow = self.latency, ""
        self.held = store_fifo_rows(cfg) * self.row_cycles
        self.tail = [0] * len(UNITS)
        self.tail[LOAD], self.tail[STORE] = COST.load_tail + load_cycles(cfg), COST.store_tail
        self.tail[ARRAY], self.tail[DRAIN], self.tail[POOL] = COST.array_tail, COST.drain_tail, COST.pool_tail

    def waited(self, instruction: Synchronised) -> int:
        """When an instruction's dependence tokens are there."""
        begin = 0
        counted = self.retired if instruction.unit is None or instruction.fields.get("written") else self.done
        for other, needed in instruction.tickets.items():
            begin = max(begin, counted[other][needed] + 1)
        return begin

    def _dispatch(self, unit: int) -> None:
        self.dispatched += COST.dispatch
        waiting = self.accepted[unit]
        if len(waiting) >= self.cfg.queue_depth:
            self.dispatched = max(self.dispatched, waiting[-self.cfg.queue_depth])

    def run(self, instruction: Synchronised, unit: int, work: int) -> tuple[int, int]:
        """Start and end of an instruction that keeps its unit busy for ``work`` cycles."""
        begin = self.waited(instruction)
        self._dispatch(unit)
        begin = max(begin, self.dispatched + 2, self.free[unit])
        if unit == ARRAY and self.dataflow != instruction.op:
            begin, self.dataflow = max(begin, self.retired[ARRAY][-1] + 1), instruction.op
        self.accepted[unit].append(begin)
        if unit in (LOAD, STORE):
            finish = self._transfer(unit, begin, work)
        else:
            finish = self.free[unit] = begin + work
        end = finish + self.tail[unit]
        self.retired[unit].append(end)
        self.busy[unit] += work
        return begin, end

    def _transfer(self, unit: int, begin: int, beats: int) -> int:
        finish = self.bus.reserve(max(begin + self.latency, self.retired[unit][-1]), beats)
        # The next transfer asks for its data while this one's is on its way.
        self.free[unit] = max(begin + 1, finish - self.latency - 1)
        if unit == STORE:
            # The last row is read when that before it whose place it takes has left.
            left = (finish if beats > self.held else self.retired[STORE][-1] - COST.store_tail + beats) - self.held
            self.done[STORE].append(max(begin + beats // self.row_cycles, left) + 2)
            self.free[STORE] = max(self.free[STORE], self.done[STORE][-1])  # it reads one instruction's rows after the other's
        return finish


def estimate_program(instructions: Sequence[Synchronised], cfg: MachineConfig, records: Callable[[int], Records | None],
                     memory: DramProfile = REFERENCE) -> ProgramEstimate:  # fmt: skip
    """The :class:`ProgramEstimate` of a program.

    Parameters
    ----------
    instructions : sequence of spec.isa.Instruction
        With dependence tokens that are not reduced.
    cfg : spec.machine.MachineConfig
    records : callable(int) -> Records
        The records of the OS instruction with this number.
    memory : spec.platform.memory.DramProfile
    """
    machine, count = _Machine(cfg, memory), len(instructions)
    start, end = [0] * count, [0] * count
    for i, instruction in enumerate(instructions):
        unit = instruction.unit
        if unit is None:
            start[i] = end[i] = max(machine.waited(instruction), machine.dispatched)
            continue
        work = unit_cycles(instruction, cfg, records(i) if instruction.op == "OS" else None, memory)
        start[i], end[i] = machine.run(instruction, unit, work)
    return ProgramEstimate(max(end, default=0), np.array(start), np.array(end), dict(zip(UNITS, machine.busy, strict=True)))
