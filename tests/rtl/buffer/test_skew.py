"""Arithmetic of the skewed bank layout, against division."""

import itertools
import random

import pytest
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from squeezelerator.rtl.buffer.skew import residue_bits, rotate_left, rotate_right, sum_modulo


class Skew(wiring.Component):
    def __init__(self, n):
        self._n = n
        super().__init__({"row": In(signed(16)), "lane": In(5), "words": In(8 * n), "sum": Out(residue_bits(n)), "left": Out(8 * n),
                          "right": Out(8 * n)})

    def elaborate(self, platform):
        m, n = Module(), self._n
        amount = Signal(residue_bits(n))
        m.d.comb += [amount.eq(self.lane), self.sum.eq(sum_modulo(m, self.row, self.lane, n, "sum")),
                     self.left.eq(rotate_left(m, self.words, amount, n, "left")),
                     self.right.eq(rotate_right(m, self.words, amount, n, "right"))]
        return m


def rows(n, rng):
    """The ends, some between them, and those whose hexadecimal digits have the largest residues: their sum is taken apart the most."""
    digits = [max(range(16), key=lambda d, at=at: ((d - 16 if at == 3 and d > 7 else d) << 4 * at) % n) for at in range(4)]
    worst = sum(digit << 4 * at for at, digit in enumerate(digits))
    return [0, 0x7FFF, 0x8000, 0xFFFF, worst, *(rng.randrange(65536) for _ in range(40))]


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7, 11, 31])
def test_bank_of_a_row_and_rotations(n):
    dut, rng = Skew(n), random.Random(n)
    found = []

    async def bench(ctx):
        for row, lane in itertools.product(rows(n, rng), sorted({0, 1, n // 2, n - 1})):
            number = row - 65536 if row & 0x8000 else row
            data = [rng.randrange(256) for _ in range(n)]
            ctx.set(dut.row, number)
            ctx.set(dut.lane, lane)
            ctx.set(dut.words, sum(word << 8 * at for at, word in enumerate(data)))
            await ctx.delay(1e-9)
            assert ctx.get(dut.sum) == (number + lane) % n, (row, lane)
            left, right = ([ctx.get(port) >> 8 * at & 255 for at in range(n)] for port in (dut.left, dut.right))
            assert right == data[lane:] + data[:lane] and left == data[-lane:] + data[:-lane] if lane else left == right == data
            found.append(ctx.get(dut.sum))

    sim = Simulator(dut)
    sim.add_testbench(bench)
    sim.run()
    assert set(found) == set(range(n)) or n > 11
