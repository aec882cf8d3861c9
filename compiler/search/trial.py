"""A trial: groups whose buffers have their places, compiled without the weights' contents and timed instruction by instruction."""

import dataclasses

from squeezelerator.compiler.codegen.emit import Emitter, Image
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


def emit_in_order(sched, cfg, align, constants, offsets, contents=True):
    """(emitter, steps) of a schedule: weights that find no place beside others are fetched more often until they do.

    Parameters
    ----------
    sched : compiler.fusion.group.Schedule
    cfg : spec.machine.MachineConfig
    align : int
        Weight streams begin at multiples of so many bytes.
    constants : int
        Byte offset of the constants in memory.
    offsets : dict
        Name of a map in DRAM -> byte offset.
    contents : bool
        Whether the image holds the streams; False: only room for them.

    Raises
    ------
    StreamError
        If weights do not fit even when they are fetched anew for every pass.
    """
    again = {}
    while True:
        image = Image(cfg, align)
        emitter = Emitter(sched, cfg, image, constants, offsets, again, trial=not contents)
        try:
            return emitter, order(emitter.run(), cfg, constants + image.size, sched.prefetch)
        except StreamError as error:
            if again.get(error.op) == 2:
                others = [op for group in sched.groups for op in group.plans if error.op in group.plans and again.get(op) != 2]
                if not others:
                    raise
                again.update(dict.fromkeys(others, 2))
            again[error.op] = min(2, again.get(error.op, 0) + 1)


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
        self._emitter, steps = emit_in_order(NetworkSchedule(self.groups, [], self.prefetch), cfg, cfg.bus_bytes, at, homes, contents=False)
        return steps
