"""Which layer a cycle belongs to, from the trace of a run (RTL or cycle model).

The array is what a program waits for, so its instructions divide the time: a cycle belongs to the layer whose array instruction is under
way, or else to the layer of the next one; but while the array has nothing to do and POOL works, to POOL's layer. What comes
after the last array or pool instruction belongs to the last layer. Every cycle belongs to exactly one layer, so the sum
is the total.
"""

from collections.abc import Sequence

from squeezelerator.spec import isa
from squeezelerator.spec.isa import Instruction

__all__ = ["layer_cycles"]


def layer_cycles(instructions: Sequence[Instruction], layer_of: Sequence[str | None],
                 starts: Sequence[Sequence[int]], retires: Sequence[Sequence[int]], total: int) -> dict[str | None, int]:
    """Cycles of each layer.

    Parameters
    ----------
    instructions : list of Instruction
    layer_of : list of str or None
        The layer of each instruction.
    starts, retires : list of list of int
        For each unit the cycles in which its instructions were accepted and retired.
    total : int
        Cycles of the run.

    Returns
    -------
    dict of str to int
    """
    work = {unit: [] for unit in range(len(isa.UNITS))}
    for instr, layer in zip(instructions, layer_of, strict=False):
        if instr.unit is not None:
            work[instr.unit].append(layer)
    pools = [(s, r + 1, layer) for s, r, layer in zip(starts[isa.POOL], retires[isa.POOL], work[isa.POOL], strict=False)]
    cycles, at, pool = {}, 0, 0

    def give(layer: str | None, begin: int, end: int) -> None:
        if end > begin:
            cycles[layer] = cycles.get(layer, 0) + end - begin

    def gap(begin: int, end: int, layer: str | None) -> None:
        """Share out [begin, end), in which the array has nothing to do."""
        nonlocal pool
        while pool < len(pools) and pools[pool][1] <= begin:
            pool += 1
        i = pool
        while begin < end and i < len(pools) and pools[i][0] < end:
            give(layer, begin, pools[i][0])
            begin = max(begin, pools[i][0])
            stop = min(end, max(begin, pools[i][1]))
            give(pools[i][2], begin, stop)
            begin = stop
            i += 1
        give(layer, begin, end)

    layer = None
    for start, retire, layer in zip(starts[isa.ARRAY], retires[isa.ARRAY], work[isa.ARRAY], strict=False):
        gap(at, start, layer)
        at = max(at, start)
        give(layer, at, retire + 1)
        at = max(at, retire + 1)
    last = pools[-1][2] if pools and (not retires[isa.ARRAY] or pools[-1][1] > retires[isa.ARRAY][-1]) else layer
    gap(at, total, last if last is not None else next((x for x in reversed(layer_of) if x), None))
    return cycles
