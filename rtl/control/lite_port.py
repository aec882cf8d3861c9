"""The AXI4-Lite handshakes of the register port: one write and one read at a time, turned into single-cycle accesses."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.control.axi_lite import AxiLiteInterface, AxiLiteSignature
from squeezelerator.spec.registers import ADDRESS_BITS

__all__ = ["LitePort"]

RESP_OKAY, RESP_SLVERR = 0, 2


class LitePort(wiring.Component):
    """Accepts AXI4-Lite transactions and answers each of them.

    Writes take one, reads two cycles after both halves of the request are there. A reset of the registers must not leave a transaction
    unanswered, so this part stands in the clock domain of the bus.

    Members
    -------
    bus : AXI4-Lite; address and data of a write may come in either order.
    write : in this cycle ``word`` is written at ``write_address`` where ``strobe`` says so; ``write_error`` says in the same cycle
        that there is no such register.
    read_address : the register to read; ``read_data`` and ``read_error`` are looked at from the second cycle on.
    """

    bus: AxiLiteInterface
    write: Signal
    write_address: Signal
    word: Signal
    strobe: Signal
    write_error: Signal
    read: Signal
    read_address: Signal
    read_data: Signal
    read_error: Signal

    def __init__(self) -> None:
        super().__init__({
            "bus": Out(AxiLiteSignature(ADDRESS_BITS)),
            "write": Out(1), "write_address": Out(ADDRESS_BITS), "word": Out(32), "strobe": Out(4), "write_error": In(1),
            "read": Out(1), "read_address": Out(ADDRESS_BITS), "read_data": In(32), "read_error": In(1),
        })

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus = self.bus
        have_address = Signal()
        have_word = Signal()
        m.d.comb += [
            bus.awready.eq(~have_address & ~bus.bvalid),
            bus.wready.eq(~have_word & ~bus.bvalid),
            self.write.eq(have_address & have_word),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [have_address.eq(1), self.write_address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [have_word.eq(1), self.word.eq(bus.wdata), self.strobe.eq(bus.wstrb)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(self.write):
            m.d.sync += [
                have_address.eq(0), have_word.eq(0), bus.bvalid.eq(1), bus.bresp.eq(Mux(self.write_error, RESP_SLVERR, RESP_OKAY)),
            ]

        # The address is registered, so that the counters have a cycle to answer.
        pending = Signal()
        wait = Signal()
        m.d.comb += [bus.arready.eq(~pending & ~bus.rvalid), self.read.eq(pending & ~wait)]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [pending.eq(1), wait.eq(1), self.read_address.eq(bus.araddr)]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(pending):
            m.d.sync += wait.eq(0)
        with m.If(self.read):
            m.d.sync += [
                pending.eq(0), bus.rvalid.eq(1), bus.rdata.eq(self.read_data), bus.rresp.eq(Mux(self.read_error, RESP_SLVERR, RESP_OKAY)),
            ]
        return m
