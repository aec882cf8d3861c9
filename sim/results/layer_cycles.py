"""Which layer a cycle belongs to, from the trace of a run (RTL or cycle model).

The array is what a program waits for, so its instructions divide the time: a cycle belongs to the layer whose array instruction is under
way, or else to the layer of the next one; but while the array has nothing to do and POOL works, to POOL's layer. What comes
after the last array or pool instruction belongs to the last layer. Every cycle belongs to exactly one layer, so the sum
is the total.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from squeezelerator.sim.engines.array_shares import array_shares
from squeezelerator.spec import isa
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["Share", "layer_cycles", "layer_shares"]

#: (first cycle, first cycle no more, layer) of an instruction of POOL.
_Pool = tuple[int, int, str | None]


@dataclass(frozen=True)
class Share:
    """Consecutive cycles ``begin`` to ``end`` (exclusive) of a layer. ``number``: of the array instruction to which they belong, or of the
    next one where the array has none (``empty``); the number of array instructions where no more follows."""

    layer: str | None
    begin: int
    end: int
    number: int
    empty: bool


class _Gaps:
    """Shares out the cycles in which the array has nothing to do; they must come in order."""

    def __init__(self, pools: Sequence[_Pool]) -> None:
        self.pools = pools
        self.next = 0

    def split(self, begin: int, end: int, layer: str | None, number: int) -> Iterator[Share]:
        """[begin, end): POOL's layers while it works, otherwise ``layer``, that of the next array instruction."""
        while self.next < len(self.pools) and self.pools[self.next][1] <= begin:
            self.next += 1
        for number_of_pool in range(self.next, len(self.pools)):
            first, last, pooled = self.pools[number_of_pool]
            if begin >= end or first >= end:
                break
            if first > begin:
                yield Share(layer, begin, first, number, empty=True)
                begin = first
            stop = min(end, last)
            if stop > begin:
                yield Share(pooled, begin, stop, number, empty=True)
                begin = stop
        if end > begin:
            yield Share(layer, begin, end, number, empty=True)


def _work_by_unit(instructions: Sequence[Instruction], layer_of: Sequence[str | None]) -> list[list[tuple[str, str | None]]]:
    """For each unit the instructions (operation, layer) that it gets."""
    work: list[list[tuple[str, str | None]]] = [[] for _ in isa.UNITS]
    for instr, layer in zip(instructions, layer_of, strict=True):
        if instr.unit is not None:
            work[instr.unit].append((instr.op, layer))
    return work


def layer_shares(cfg: MachineConfig, instructions: Sequence[Instruction], layer_of: Sequence[str | None],
                 times: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]], total: int) -> list[Share]:
    """The shares of all layers, in the order of time and without gaps.

    Parameters
    ----------
    cfg : MachineConfig
    instructions : list of Instruction
    layer_of : list of str or None
        The layer of each instruction.
    times : tuple of list of list of int
        For each unit the cycles in which its instructions were accepted, and those in which they retired.
    total : int
        Cycles of the run.
    """
    starts, retires = times
    work = _work_by_unit(instructions, layer_of)
    pools = [(s, r + 1, layer) for s, r, (_, layer) in zip(starts[isa.POOL], retires[isa.POOL], work[isa.POOL], strict=True)]
    array = array_shares(cfg, [op for op, _ in work[isa.ARRAY]], starts[isa.ARRAY], retires[isa.ARRAY])
    shares: list[Share] = []
    gaps, at, layer = _Gaps(pools), 0, None
    for number, ((begin, end), (_, layer)) in enumerate(zip(array, work[isa.ARRAY], strict=True)):
        shares += gaps.split(at, begin, layer, number)
        if end > begin:
            shares.append(Share(layer, begin, end, number, empty=False))
        at = max(at, end)
    # What comes last belongs to a layer even where the last instruction does not.
    last = pools[-1][2] if pools and (not array or pools[-1][1] > array[-1][1]) else layer
    shares += gaps.split(at, total, _last_layer(layer_of) if last is None else last, len(array))
    return shares


def _last_layer(layer_of: Sequence[str | None]) -> str | None:
    return next((layer for layer in reversed(layer_of) if layer), None)


def layer_cycles(cfg: MachineConfig, instructions: Sequence[Instruction], layer_of: Sequence[str | None],
                 times: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]], total: int) -> dict[str | None, int]:
    """Cycles of each layer; parameters as of :func:`layer_shares`."""
    cycles: dict[str | None, int] = {}
    for share in layer_shares(cfg, instructions, layer_of, times, total):
        cycles[share.layer] = cycles.get(share.layer, 0) + share.end - share.begin
    return cycles
