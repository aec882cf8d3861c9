"""A trial: groups whose buffers have their places, compiled without the weights' contents and timed instruction by instruction."""

import dataclasses

from squeezelerator.compiler.codegen.assemble import emit_in_order
from squeezelerator.compiler.codegen.memory_map import MemoryMap
from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.codegen.transfers import order
from squeezelerator.compiler.cost.program_estimate import estimate_program
from squeezelerator.compiler.errors import StreamError
from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.spec.isa import BY_NAME


@dataclasses.dataclass(slots=True)
class _Instruction:
    """What :func:`~compiler.cost.program_estimate.estimate` needs of an instruction."""

    op: str
    fields: dict
    tickets: dict

    @property
    def unit(self):
        return BY_NAME[self.op].unit


class Trial:
    """Groups one after the other, to be timed each time that their buffers have got other places."""

    def __init__(self, groups, cfg, prefetch):
        self.groups, self.cfg, self.prefetch = groups, cfg, prefetch
        self._emitter = None

    def time(self):
        """(cycles, instructions, beats on the bus), or None if their weights do not fit."""
        try:
            steps = self._steps()
        except StreamError:
            return None
        program = synchronise(steps, self.cfg, _Instruction)
        found = estimate_program(program, self.cfg, lambda i: steps[i].records)
        return found.cycles, len(program), found.busy["load"] + found.busy["store"]

    def _steps(self):
        cfg = self.cfg
        if self._emitter:
            self._emitter.move()
            return order(self._emitter.events, cfg, self._emitter.constants + self._emitter.image.size, self.prefetch)
        tensors = {t for group in self.groups for t in group.buffers}
        homes, at = {}, 0
        for home in sorted({t.home for t in tensors}):
            homes[home] = at
            at += max((t.home_block + t.blocks(cfg.n)) * t.h * t.w for t in tensors if t.home == home) * cfg.row_bytes
        schedule, places = NetworkSchedule(self.groups, [], self.prefetch), MemoryMap(homes, at, {})
        self._emitter, steps = emit_in_order(schedule, cfg, places, cfg.bus_bytes, contents=False)
        return steps
