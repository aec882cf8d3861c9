"""Properties of units that compute: the requantiser, the skewed banks."""

import types

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, signed

from squeezelerator.spec.machine import MachineConfig

__all__ = ["requantiser", "skewed_banks"]


def delay(m: Module, value: Signal, cycles: int) -> Signal:
    """``value`` as it was so many cycles ago."""
    for stage in range(cycles):
        register = Signal(value.shape(), name=f"{value.name}_{stage}")
        m.d.sync += register.eq(value)
        value = register
    return value


def requantiser(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """The result is ``sat16((value + round) >> shift)``, computed at full width, for every value of 34 bits and every shift from 0 to
    63."""
    m = Module()
    width = 34
    m.submodules.dut = dut = module.Requantiser(width=width)
    value, shift, cycle = Signal(signed(width)), Signal(6), Signal(3)
    # Three cycles later; the unit's registers forget everything older.
    old_value, old_shift = delay(m, value, 3), delay(m, shift, 3)
    half = Signal(64)
    whole, shifted = Signal(signed(66)), Signal(signed(66))
    m.d.comb += [
        dut.value.eq(value), dut.coarse.eq(shift[3:]), dut.fine.eq(delay(m, shift, 1)[:3]),
        half.eq(Mux(old_shift == 0, 0, 1 << (old_shift - 1)[:6])),
        whole.eq(old_value + half), shifted.eq(whole >> old_shift),
    ]
    expected = Signal(signed(16))
    m.d.comb += expected.eq(Mux(shifted > 32767, 32767, Mux(shifted < -32768, -32768, shifted)))
    with m.If(cycle < 3):
        m.d.sync += cycle.eq(cycle + 1)
    with m.Else():
        m.d.comb += Assert(dut.result == expected)
    return m, [value, shift]


def skewed_banks(module: types.ModuleType, n: int = 3) -> tuple[Module, list[Signal]]:
    """No two positions of an access lie in one bank, and each lies in the bank and at the address that the skew says."""
    m = Module()
    cfg = MachineConfig(n=n, sectors=2)
    m.submodules.dut = dut = module.BankAccess(cfg=cfg, columns=True)
    en, row, col, lane, mask = Signal(), Signal(16), Signal(), Signal(5), Signal(n)
    m.d.comb += [dut.en.eq(en), dut.row.eq(row), dut.col.eq(col), dut.lane.eq(lane), dut.mask.eq(mask)]
    legal, known = Signal(), Signal()
    rows = cfg.act_rows
    was_row, was_col, was_lane, was_mask = delay(m, row, 1), delay(m, col, 1), delay(m, lane, 1), Signal(n)
    # Rows that exist, and a lane that a program may name.
    m.d.sync += [was_mask.eq(Mux(en, mask, 0)), known.eq(1), legal.eq((row + n <= rows) & (lane < n))]
    banks = Signal(n)
    m.d.comb += banks.eq(dut.hit[0] | dut.hit[1])
    with m.If(known & legal):
        m.d.comb += [
            Assert(sum(banks[b] for b in range(n)) == sum(was_mask[j] for j in range(n))),
            Assert((dut.hit[0] & dut.hit[1]) == 0), Assert(~dut.fault),
        ]
        for j in range(n):
            place = Signal(17, name=f"place{j}")
            bank = Signal(range(n), name=f"bank{j}")
            m.d.comb += [place.eq(was_row + Mux(was_col, j, 0)), bank.eq((was_row + Mux(was_col, was_lane, 0) + j) % n)]
            for b in range(n):
                with m.If(was_mask[j] & (bank == b)):
                    sector = place >= cfg.sector_rows
                    m.d.comb += [
                        Assert(Cat(dut.hit[0][b], dut.hit[1][b]) == Mux(sector, 2, 1)),
                        Assert(dut.addr[b] == place - Mux(sector, cfg.sector_rows, 0)),
                    ]
    return m, [en, row, col, lane, mask]
