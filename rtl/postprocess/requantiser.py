"""From a wide sum to a 16-bit word: shift with rounding, then saturation."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.parameters import check_range

__all__ = ["REQUANTISER_LATENCY", "Requantiser"]

REQUANTISER_LATENCY = 3
#: Bits that are kept after the coarse shift: the result, one bit of fraction and the seven places of the fine shift.
KEPT = 25


class Requantiser(wiring.Component):
    """``result = sat16((value + round) >> shift)`` with ``round = 1 << (shift - 1)``, or 0 if ``shift`` is 0.

    Halves are rounded up, towards plus infinity. The sum is not formed at full width: ``(2 * value >> shift)`` is the result
    with one bit of fraction, saturated to 17 bits, then 1 is added to it and the fraction dropped; this is the same number
    for every shift from 0 to 63.

    Latency: 3 cycles; throughput: one a cycle.

    Parameters
    ----------
    width : int
        Bits of the signed ``value``.

    Members
    -------
    value : the sum.
    coarse : bits 3 to 5 of ``shift``, with ``value``.
    fine : bits 0 to 2 of ``shift``, one cycle after ``value``.
    result : three cycles after ``value``.
    """

    value: Signal
    coarse: Signal
    fine: Signal
    result: Signal

    def __init__(self, *, width: int) -> None:
        self._width = check_range("Requantiser", "width", width, KEPT - 1, 128)
        super().__init__({"value": In(signed(width)), "coarse": In(3), "fine": In(3), "result": Out(signed(16))})

    @property
    def width(self) -> int:
        """Bits of ``value``."""
        return self._width

    def elaborate(self, platform: object) -> Module:
        m = Module()
        doubled = Cat(0, self.value).as_signed()
        shifted = Signal(signed(self._width + 1), reset_less=True)
        m.d.sync += shifted.eq(doubled >> Cat(0, 0, 0, self.coarse)[:6])

        # What does not fit KEPT bits cannot fit 17 after the fine shift of at most 7 places.
        negative = shifted[-1]
        top = shifted[KEPT - 1 :]
        fine = Signal(signed(KEPT))
        m.d.comb += fine.eq(shifted[:KEPT].as_signed() >> self.fine)
        fits = Signal()
        m.d.comb += fits.eq((top.all() | ~top.any()) & (fine[16:].all() | ~fine[16:].any()))
        half = Signal(signed(17), reset_less=True)
        m.d.sync += half.eq(Mux(fits, fine[:17], Cat((~negative).replicate(16), negative)))

        rounded = Signal(signed(17))
        m.d.comb += rounded.eq((half + 1) >> 1)
        # Of 17 bits with a fraction only the largest is rounded out of range.
        m.d.sync += self.result.eq(Mux(rounded == 32768, 32767, rounded))
        return m
