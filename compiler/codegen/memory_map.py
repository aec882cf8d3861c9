"""Where feature maps and constants lie in DRAM."""

import dataclasses

from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.compiler.ir.graph import Graph
from squeezelerator.compiler.ir.group_schedule import StepKind
from squeezelerator.spec.machine import MachineConfig

__all__ = ["ALIGN", "MemoryMap", "memory_map"]

#: Everything in DRAM begins at a multiple of this many bytes: whole bursts.
ALIGN = 256


@dataclasses.dataclass(frozen=True)
class MemoryMap:
    """Where maps lie in DRAM.

    Attributes
    ----------
    offsets : dict
        {map: byte offset}.
    constants : int
        Byte offset of the constants, behind all maps.
    shapes : dict
        {map: (channels, lines, columns, channels of its pieces)}; each piece begins a new channel block.
    """

    offsets: dict[str, int]
    constants: int
    shapes: dict[str, tuple[int, int, int, tuple[int, ...]]]


def memory_map(graph: Graph, sched: NetworkSchedule, cfg: MachineConfig) -> MemoryMap:
    """Places for all maps that a schedule loads or stores, and for the network's input."""
    used = {graph.input.home}
    for group in sched.groups:
        used |= {step.what.home for step in group.steps if step.kind is not StepKind.COMPUTE}
    shapes: dict[str, tuple[int, int, int, tuple[int, ...]]] = {}
    offsets, at = {}, 0
    for tensor in sorted((graph.input, *(op.out for op in graph.ops)), key=lambda t: t.home_block):
        # Of strips side by side the first stands for all.
        if tensor.home in used and not tensor.home_column:
            c, h, w, pieces = shapes.get(tensor.home, (0, tensor.h, tensor.dram_w, ()))
            shapes[tensor.home] = (c + tensor.c, h, w, (*pieces, tensor.c))
    for name, (_, h, w, pieces) in shapes.items():
        offsets[name] = at
        size = sum(-(-piece // cfg.n) for piece in pieces) * h * w * cfg.row_bytes
        at += -(-size // ALIGN) * ALIGN
    return MemoryMap(offsets, at, shapes)
