"""A trial: groups whose buffers have their places, compiled without the weights' contents and timed instruction by instruction."""

import dataclasses

from compiler.emit import Emitter, Image
from compiler.errors import StreamError
from compiler.estimate import estimate
from compiler.group import Schedule
from compiler.order import order
from compiler.sync import synchronise
from rtl.isa import BY_NAME


@dataclasses.dataclass(slots=True)
class _Instruction:
    """What :func:`~compiler.estimate.estimate` needs of an instruction."""

    op: str
    fields: dict
    tickets: dict

    @property
    def unit(self):
        return BY_NAME[self.op].unit


def trial(groups, cfg):
    """(cycles, instructions) of groups one after the other, or None if their weights do not fit beside each other."""
    tensors = {t for group in groups for t in group.buffers}
    homes, at = {}, 0
    for home in sorted({t.home for t in tensors}):
        homes[home] = at
        at += max((t.home_block + t.blocks(cfg.n)) * t.h * t.w for t in tensors if t.home == home) * cfg.row_bytes
    image = Image(cfg, cfg.bus_bytes)
    try:
        events = Emitter(Schedule(groups, []), cfg, image, at, homes, {}, trial=True).run()
        steps = order(events, cfg, at + image.size)
    except StreamError:
        return None
    program = synchronise(steps, cfg, at + image.size, _Instruction)
    return estimate(program, cfg, lambda i: steps[i].nnz).cycles, len(program)
