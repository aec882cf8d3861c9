"""WS: how many weights of the tile in the array are not zero, for the counter of multiplications."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.machine import MachineConfig

__all__ = ["WeightCount"]


class WeightCount(wiring.Component):
    """Counts the weights of a tile that are not zero while its rows go into the array.

    A multiplier whose stationary operand is zero has a product of zero whatever streams by: nothing in it switches. So these
    multiplications are no events, although the pixels take their cycles.

    Members
    -------
    row : N weights; pop : they go into the array; last : they complete a tile.
    swapped : the last array row takes the weights of the tile that was completed last, three cycles after they came or later.
    current : from the cycle after ``swapped`` on: weights of that tile that are not zero.
    """

    row: Signal
    pop: Signal
    last: Signal
    swapped: Signal
    current: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("WeightCount", cfg)
        n = cfg.n
        super().__init__({
            "row": In(16 * n), "pop": In(1), "last": In(1), "swapped": In(1), "current": Out(range(n * n + 1)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.cfg.n
        # A step a cycle: which words, how many in the row, how many in the tile so far. A row more takes a cycle at least.
        some = Signal(n)
        count = Signal(range(n + 1))
        total = Signal.like(self.current)
        whole = Signal.like(self.current)
        counted = Signal.like(self.current)
        m.d.comb += counted.eq(total + count)
        m.d.sync += [
            some.eq(Cat(self.pop & self.row.word_select(i, 16).any() for i in range(n))),
            count.eq(sum(some[i] for i in range(n))),
            total.eq(counted),
        ]
        with m.If(delayed(m, self.pop & self.last, 2, "tile_end")):
            m.d.sync += [whole.eq(counted), total.eq(0)]
        with m.If(self.swapped):
            m.d.sync += self.current.eq(whole)
        return m
