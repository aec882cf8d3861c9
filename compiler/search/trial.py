"""A trial: groups whose buffers have their rows, compiled without the weights' contents and timed instruction by instruction."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from squeezelerator.compiler.codegen.assemble import emit_in_order
from squeezelerator.compiler.codegen.emit import Emitter
from squeezelerator.compiler.codegen.memory_map import MemoryMap
from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.codegen.transfers import Step, order
from squeezelerator.compiler.cost.program_estimate import estimate_program
from squeezelerator.compiler.errors import StreamError
from squeezelerator.compiler.fusion.group import Group, NetworkSchedule
from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.spec.isa import BY_NAME
from squeezelerator.spec.machine import MachineConfig


@dataclasses.dataclass(slots=True)
class _Instruction:
    """What :func:`~compiler.cost.program_estimate.estimate` needs of an instruction."""

    op: str
    fields: dict[str, int]
    tickets: dict[int, int]

    @property
    def unit(self) -> int | None:
        return BY_NAME[self.op].unit


class TrialResult(NamedTuple):
    """Cycles of a trial, its number of instructions, and beats on the bus."""

    cycles: int
    instructions: int
    beats: int


class Trial:
    """Groups one after the other, to be timed each time that their buffers have got other rows."""

    def __init__(self, groups: Sequence[Group], cfg: MachineConfig, prefetch: PrefetchPolicy) -> None:
        self.groups, self.cfg, self.prefetch = groups, cfg, prefetch
        self._emitter: Emitter | None = None

    def time(self) -> TrialResult | None:
        """The estimate of the groups' program, or None if their weights do not fit."""
        try:
            steps = self._steps()
        except StreamError:
            return None
        program = synchronise(steps, self.cfg, _Instruction)
        found = estimate_program(program, self.cfg, lambda i: steps[i].records, self.prefetch.memory)
        return TrialResult(found.cycles, len(program), self._beats(program))

    def _beats(self, program: Sequence[_Instruction]) -> int:
        return sum(i.fields["lines"] * i.fields["rows"] for i in program if i.op in ("LOAD", "STORE")) * self.cfg.row_beats

    def _steps(self) -> list[Step]:
        cfg = self.cfg
        if self._emitter:
            self._emitter.move()
            return order(self._emitter.events, cfg, self._emitter.constants + self._emitter.image.size, self.prefetch)
        tensors = {t for group in self.groups for t in group.buffers}
        homes: dict[str, int] = {}
        at = 0
        for home in sorted({t.home for t in tensors}):
            homes[home] = at
            at += max((t.home_block + t.blocks(cfg.n)) * t.h * t.dram_w for t in tensors if t.home == home) * cfg.row_bytes
        schedule, places = NetworkSchedule(list(self.groups), [], self.prefetch), MemoryMap(homes, at, {})
        self._emitter, steps = emit_in_order(schedule, cfg, places, cfg.bus_bytes, contents=False)
        return steps
