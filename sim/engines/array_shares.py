"""Which cycles belong to which instruction of ARRAY.

Instructions overlap in ARRAY's pipeline: while the last sums of one are on their way to the register files, the next one multiplies. A
cycle belongs to the earlier instruction until its multiplications are over, and until its retirement where the next has not yet been
accepted. So every cycle in which an instruction multiplies is its own.
"""

from collections.abc import Sequence

from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.array import pipeline_tail

__all__ = ["array_shares"]


def array_shares(cfg: MachineConfig, ops: Sequence[str], starts: Sequence[int], retires: Sequence[int]) -> list[tuple[int, int]]:
    """(first cycle, first cycle no more) of each instruction of ARRAY, in order and without overlaps.

    Parameters
    ----------
    cfg : MachineConfig
    ops : sequence of str
        "OS" or "WS" of each instruction.
    starts, retires : sequence of int
        Cycles in which they were accepted and retired.
    """
    begins = []
    free = 0  # first cycle after the multiplications before
    for op, start, retire in zip(ops, starts, retires, strict=True):
        begins.append(max(start, free))
        free = max(free, retire - pipeline_tail(cfg, op) + 1)
    ends = [min(begin, retire + 1) for begin, retire in zip(begins[1:], retires[:-1], strict=True)]
    if retires:
        ends.append(retires[-1] + 1)
    return list(zip(begins, ends, strict=True))
