"""The host's side: AXI4-Lite registers, start and stop, interrupt."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.control.axi_lite import AxiLiteSignature
from squeezelerator.rtl.control.faults import FaultPort
from squeezelerator.spec.machine import ISA_VERSION
from squeezelerator.spec.registers import ADDRESS_BITS, COUNTER_BASE, COUNTER_BITS, COUNTERS, FAULT_UNITS, REGISTERS, config_values

__all__ = ["Control"]

RESP_OKAY, RESP_SLVERR = 0, 2


class Control(wiring.Component):
    """Implements the table in ``spec.registers`` and runs the machine.

    A start is remembered until no AXI transaction is outstanding; then the core is reset for one cycle (``core_reset``), and ``run``
    rises in the next. The core is also reset while the host's side is, and for one cycle more. ``run`` falls in the cycle after
    ``finish`` or a fault. Writes take one, reads two cycles after both halves of the request are there; one transaction at a time in each
    direction.

    Members
    -------
    bus : AXI4-Lite.
    irq : interrupt, level.
    idle : no AXI transaction is outstanding.
    core_reset, run : to the core.
    finish, fault, fault_unit : from the core.
    mem_base, mem_size, prog_offset, prog_count : registers.
    counter_index, counter_value : the counter bank; the value follows the index by one cycle.
    """

    def __init__(self, cfg):
        self.cfg = cfg
        super().__init__({
            "bus": Out(AxiLiteSignature(ADDRESS_BITS)),
            "irq": Out(1),
            "idle": In(1),
            "core_reset": Out(1, init=1), "run": Out(1),
            "finish": In(1), "fault": In(FaultPort()), "fault_unit": In(range(len(FAULT_UNITS))),
            "mem_base": Out(52), "mem_size": Out(32), "prog_offset": Out(32), "prog_count": Out(24),
            "counter_index": Out(range(len(COUNTERS))), "counter_value": In(COUNTER_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        table = {r.name: r for r in REGISTERS}
        base_low = Signal(32)
        irq_enable, irq_status = Signal(2), Signal(2)
        error_detail = Signal(32)
        done, error, waiting = Signal(), Signal(), Signal()
        code, unit = Signal.like(self.fault.code), Signal.like(self.fault_unit)

        start = Signal()
        self._sequence(m, start=start, waiting=waiting, done=done, error=error)
        ended = self.run & (self.finish | self.fault.valid)
        with m.If(ended & self.fault.valid):
            m.d.sync += [code.eq(self.fault.code), unit.eq(self.fault_unit), error_detail.eq(self.fault.detail)]
        with m.If(start):
            m.d.sync += [code.eq(0), unit.eq(0), error_detail.eq(0)]

        busy = self.run | waiting
        parts = {"busy": busy, "done": done, "error": error, "code": code, "unit": unit}
        status = sum((Const(0, 32) | parts[f.name]) << f.lsb for f in table["STATUS"].fields)
        m.d.comb += self.irq.eq((irq_status & irq_enable).any())
        storage = {
            "IRQ_ENABLE": irq_enable, "MEM_BASE_LO": base_low[12:], "MEM_BASE_HI": Signal(32, name="mem_base_hi"),
            "MEM_SIZE": self.mem_size, "PROG_OFFSET": self.prog_offset, "PROG_COUNT": self.prog_count,
        }
        m.d.comb += self.mem_base.eq(Cat(base_low[12:], storage["MEM_BASE_HI"]))
        readable = {
            **config_values(self.cfg, ISA_VERSION), **storage, "STATUS": status, "ERROR_DETAIL": error_detail,
            "IRQ_STATUS": irq_status, "CTRL": 0, "MEM_BASE_LO": base_low,
        }

        cleared = Signal(2)
        raised = Cat(ended & ~self.fault.valid, ended & self.fault.valid)
        m.d.sync += irq_status.eq((irq_status & ~cleared) | raised)

        self._writes(m, table, storage, start=start, busy=busy, cleared=cleared)
        self._reads(m, table, readable)
        return m

    def _sequence(self, m, *, start, waiting, done, error):
        """Start, reset, run, stop."""
        with m.If(start):
            m.d.sync += [waiting.eq(1), done.eq(0), error.eq(0)]
        with m.If(waiting & self.idle & ~self.core_reset):
            m.d.sync += self.core_reset.eq(1)
        with m.If(self.core_reset):
            m.d.sync += [self.core_reset.eq(0), waiting.eq(0), self.run.eq(waiting)]
        with m.If(self.run & (self.finish | self.fault.valid)):
            m.d.sync += [self.run.eq(0), done.eq(~self.fault.valid), error.eq(self.fault.valid)]

    def _writes(self, m, table, storage, *, start, busy, cleared):
        """The write half of the bus: address and data may come in either order."""
        bus = self.bus
        address, word, strobe = Signal(ADDRESS_BITS), Signal(32), Signal(4)
        have_address, have_word = Signal(), Signal()
        m.d.comb += [
            bus.awready.eq(~have_address & ~bus.bvalid),
            bus.wready.eq(~have_word & ~bus.bvalid),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [have_address.eq(1), address.eq(bus.awaddr)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [have_word.eq(1), word.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(have_address & have_word):
            m.d.sync += [have_address.eq(0), have_word.eq(0), bus.bvalid.eq(1), bus.bresp.eq(RESP_SLVERR)]
            with m.Switch(address[2:]):
                for register in table.values():
                    if register.access == "ro":
                        continue
                    with m.Case(register.offset >> 2):
                        m.d.sync += bus.bresp.eq(RESP_OKAY)
                        if register.name == "CTRL":
                            m.d.comb += start.eq(word[0] & strobe[0] & ~busy)
                        elif register.name == "IRQ_STATUS":
                            m.d.comb += cleared.eq(Mux(strobe[0], word, 0))
                        else:
                            # Only MEM_BASE_LO has bits that are not kept: the low twelve.
                            skip = 12 if register.name == "MEM_BASE_LO" else 0
                            target = storage[register.name]
                            for i in range(len(target)):
                                with m.If(strobe[(i + skip) // 8]):
                                    m.d.sync += target[i].eq(word[i + skip])

    def _reads(self, m, table, readable):
        """The read half: the address is registered, so that the counter bank has a cycle to answer."""
        bus = self.bus
        address, pending, wait = Signal(ADDRESS_BITS), Signal(), Signal()
        m.d.comb += [
            bus.arready.eq(~pending & ~bus.rvalid),
            self.counter_index.eq((address - COUNTER_BASE)[3:]),
        ]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [pending.eq(1), wait.eq(1), address.eq(bus.araddr)]
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(pending & wait):
            m.d.sync += wait.eq(0)
        with m.Elif(pending):
            m.d.sync += [pending.eq(0), bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(RESP_OKAY)]
            with m.Switch(address[2:]):
                for register in table.values():
                    with m.Case(register.offset >> 2):
                        m.d.sync += bus.rdata.eq(readable[register.name])
                with m.Default():
                    is_counter = (address >= COUNTER_BASE) & (address < COUNTER_BASE + 8 * len(COUNTERS))
                    with m.If(is_counter):
                        m.d.sync += bus.rdata.eq(Mux(address[2], self.counter_value[32:], self.counter_value[:32]))
                    with m.Else():
                        m.d.sync += bus.rresp.eq(RESP_SLVERR)
