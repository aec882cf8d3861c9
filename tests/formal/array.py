"""Properties of the array's parts."""

import types

from amaranth.hdl import Assert, Assume, Module, Signal
from formal.buses import free_like
from formal.prover import opened

from squeezelerator.spec.constants.units import PREFETCH_ROWS

__all__ = ["weight_rows"]


def weight_rows(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """A row of a weight stream that is taken as soon as it is there is followed by the next row of the stream without a gap where the port
    of the weight buffer is the stream's in every cycle, as in WS: a tile is taken by the array with its first row, and the others must
    come in time."""
    m = Module()
    dut = module.RowPrefetch(n=2)
    m.submodules.dut, inside = opened(dut)
    free: list[Signal] = []
    for name in ("start", "row", "words", "mem_data", "pop"):
        free_like(m, getattr(dut, name), name, free)
    # Rows that are not yet taken: of the stream that was begun last, and of those before it.
    mine, before, asked, follows = Signal(24), Signal(range(PREFETCH_ROWS + 1)), Signal(), Signal()
    with m.If(dut.start):
        m.d.sync += [mine.eq((dut.words >> 1) + dut.words[0]), before.eq(before + mine - dut.pop), asked.eq(0)]
    with m.Else():
        with m.If(before != 0):
            m.d.sync += before.eq(before - dut.pop)
        with m.Else():
            m.d.sync += mine.eq(mine - dut.pop)
        with m.If(dut.mem_en):
            m.d.sync += asked.eq(1)
    m.d.sync += follows.eq(dut.pop & (before == 0) & (mine > 1))
    to_ask, stored, arriving = inside["left"], inside["stored"], inside["arriving"]
    m.d.comb += [
        dut.slot.eq(1), Assume(~dut.start | (dut.idle & (dut.words != 0))), Assume(~dut.pop | dut.valid),
        Assert(~follows | dut.valid),
        Assert(inside["free"] + stored + arriving == PREFETCH_ROWS), Assert(dut.valid == (stored != 0)),
        Assert(before + mine == stored + arriving + (to_ask >> 1) + to_ask[0]), Assert(asked | (before == stored + arriving)),
        Assert(~asked | (before <= stored + arriving)), Assert(~asked | (to_ask == 0) | arriving | (stored >= PREFETCH_ROWS - 1)),
    ]
    return m, free
