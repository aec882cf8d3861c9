"""The host's side: registers, and the sequencer behind them."""

from typing import Any

from amaranth.hdl import Cat, Const, DomainRenamer, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.control.axi_lite import AxiLiteInterface, AxiLiteSignature
from squeezelerator.rtl.control.faults import FaultPort, FaultReport
from squeezelerator.rtl.control.jobs import OPEN_BITS, Job
from squeezelerator.rtl.control.lite_port import LitePort
from squeezelerator.rtl.control.sequencer import Sequencer
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.machine import ISA_VERSION, MachineConfig
from squeezelerator.spec.registers import (
    ADDRESS_BITS,
    AXI_ATTR_RESET,
    COUNTER_BASE,
    COUNTER_BITS,
    COUNTERS,
    FAULT_UNITS,
    JOB_PLACES,
    REGISTERS,
    config_values,
)

__all__ = ["Control"]

TABLE = {register.name: register for register in REGISTERS}


def pack_fields(name: str, **values: Value) -> Value:
    """The register ``name`` from the values of its fields."""
    return sum(((Const(0, 32) | values[f.name]) << f.lsb for f in TABLE[name].fields), Const(0, 32))


class Control(wiring.Component):
    """Implements the table in ``spec.registers``; what CTRL starts is done by the :class:`Sequencer`.

    Two clock domains: ``sync`` (registers) is reset by the host's reset, ``bus`` (the AXI4-Lite handshakes and the core's reset) only
    together with the bus.

    Members
    -------
    bus : AXI4-Lite.
    irq : interrupt, level.
    soft_reset : pulse, CTRL.reset was written: ``sync`` is to be reset.
    reads, writes : open AXI transactions; bus_idle : none.
    core_reset, run, job : to the core; clear : the counters begin anew.
    finish, fault, fault_unit, present, retired : from the core.
    counter_index, counter_value : the counter bank; the value follows the index by one cycle.
    """

    bus: AxiLiteInterface
    irq: Signal
    soft_reset: Signal
    reads: Signal
    writes: Signal
    bus_idle: Signal
    core_reset: Signal
    run: Signal
    clear: Signal
    job: data.View
    finish: Signal
    fault: FaultReport
    fault_unit: Signal
    present: Signal
    retired: list[Signal]
    counter_index: Signal
    counter_value: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("Control", cfg)
        super().__init__({
            "bus": Out(AxiLiteSignature(ADDRESS_BITS)),
            "irq": Out(1), "soft_reset": Out(1),
            "reads": In(OPEN_BITS), "writes": In(OPEN_BITS), "bus_idle": In(1),
            "core_reset": Out(1, init=1),  # pyright: ignore[reportCallIssue] - the stubs have its old name
            "run": Out(1), "clear": Out(1), "job": Out(Job()),
            "finish": In(1), "fault": In(FaultPort()), "fault_unit": In(range(len(FAULT_UNITS))), "present": In(len(isa.UNITS)),
            "retired": In(16).array(len(isa.UNITS)),
            "counter_index": Out(range(len(COUNTERS))), "counter_value": In(COUNTER_BITS),
        })

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.sequencer = sequencer = Sequencer()
        m.submodules.port = port = DomainRenamer("bus")(LitePort())
        wiring.connect(m, wiring.flipped(self.bus), port.bus)
        for name in ("finish", "fault_unit", "present", "bus_idle"):
            m.d.comb += getattr(sequencer, name).eq(getattr(self, name))
        wiring.connect(m, wiring.flipped(self.fault), sequencer.fault)
        m.d.comb += [self.run.eq(sequencer.run), self.clear.eq(sequencer.clear), self.job.eq(sequencer.active)]
        m.d.bus += self.core_reset.eq(sequencer.reset_next)

        irq_enable = Signal(3)
        irq_status = Signal(3)
        cleared = Signal(3)
        m.d.comb += self.irq.eq((irq_status & irq_enable).any())
        m.d.sync += irq_status.eq((irq_status & ~cleared) | sequencer.raised)
        base_low = Signal(32)
        job = sequencer.job
        storage = {
            "IRQ_ENABLE": irq_enable, "MEM_BASE_LO": base_low[12:], "MEM_BASE_HI": Signal(32, name="mem_base_hi"),
            "MEM_SIZE": Signal(32, name="mem_size"), "PROG_OFFSET": Signal(32, name="prog_offset"),
            "PROG_COUNT": Signal(24, name="prog_count"),
            "CYCLE_LIMIT": Signal(32, name="cycle_limit"), "PROG_CHECK": Signal(32, name="prog_check"),
            "AXI_ATTR": Signal(11, name="axi_attr", init=AXI_ATTR_RESET),
        }
        m.d.comb += [
            job.mem_base.eq(Cat(base_low[12:], storage["MEM_BASE_HI"])), job.mem_size.eq(storage["MEM_SIZE"]),
            job.prog_offset.eq(storage["PROG_OFFSET"]), job.prog_count.eq(storage["PROG_COUNT"]),
            job.cycle_limit.eq(storage["CYCLE_LIMIT"]), job.prog_check.eq(storage["PROG_CHECK"]),
            job.attributes.eq(storage["AXI_ATTR"]),
        ]
        readable = {
            **config_values(self.cfg, ISA_VERSION), **storage, **self._states(sequencer), "IRQ_STATUS": irq_status, "CTRL": 0,
            "MEM_BASE_LO": base_low,
        }
        ctrl = Signal(3)
        m.d.comb += [
            sequencer.start.eq(ctrl[0] & ~ctrl[1]), sequencer.abort.eq(ctrl[1]),
        ]
        m.d.bus += self.soft_reset.eq(ctrl[2])
        self._writes(m, port, storage, ctrl=ctrl, cleared=cleared)
        self._reads(m, port, readable)
        return m

    def _states(self, sequencer: Sequencer) -> dict[str, Value]:
        """The registers that show what the machine does and did."""
        status = {f.name: getattr(sequencer, f.name) for f in TABLE["STATUS"].fields if f.name != "busy"}
        return {
            "STATUS": pack_fields("STATUS", busy=~sequencer.idle, **status),
            "ERROR_DETAIL": sequencer.detail, "ERROR_JOB": sequencer.failed,
            "JOBS": pack_fields("JOBS", ended=sequencer.ended, waiting=sequencer.waiting, places=Const(JOB_PLACES)),
            "BUS": pack_fields("BUS", reads=self.reads, writes=self.writes),
            "JOB_CYCLES_LO": sequencer.cycles[:32], "JOB_CYCLES_HI": sequencer.cycles[32:],
            **{f"RETIRED_{unit.upper()}": self.retired[number] for number, unit in enumerate(isa.UNITS)},
        }

    def _writes(self, m: Module, port: LitePort, storage: dict[str, Value], *, ctrl: Signal, cleared: Signal) -> None:
        """Writes to registers; ``ctrl`` and ``cleared`` are what is written to CTRL and IRQ_STATUS in this cycle."""
        word, strobe = port.word, port.strobe
        known = Signal()
        m.d.comb += port.write_error.eq(~known)
        with m.Switch(port.write_address[2:]):
            for register in REGISTERS:
                if register.access == "ro":
                    continue
                with m.Case(register.offset >> 2):
                    m.d.comb += known.eq(1)
                    if register.name == "CTRL":
                        m.d.comb += ctrl.eq(Mux(port.write & strobe[0], word[:3], 0))
                    elif register.name == "IRQ_STATUS":
                        m.d.comb += cleared.eq(Mux(port.write & strobe[0], word[:3], 0))
                    else:
                        # Only MEM_BASE_LO has bits that are not kept: the low twelve.
                        skip = 12 if register.name == "MEM_BASE_LO" else 0
                        target = storage[register.name]
                        for i in range(len(target)):
                            with m.If(port.write & strobe[(i + skip) // 8]):
                                m.d.sync += target[i].eq(word[i + skip])

    def _reads(self, m: Module, port: LitePort, readable: dict[str, Value | int]) -> None:
        """Reads of registers and counters. A counter's high half is kept when its low half is read, so that the two belong together."""
        address = port.read_address
        high = Signal(COUNTER_BITS - 32)
        m.d.comb += self.counter_index.eq((address - COUNTER_BASE)[3:])
        with m.Switch(address[2:]):
            for register in REGISTERS:
                with m.Case(register.offset >> 2):
                    m.d.comb += port.read_data.eq(readable[register.name])
            with m.Default():
                is_counter = (address >= COUNTER_BASE) & (address < COUNTER_BASE + 8 * len(COUNTERS))
                with m.If(is_counter):
                    m.d.comb += port.read_data.eq(Mux(address[2], high, self.counter_value[:32]))
                    with m.If(port.read & ~address[2]):
                        m.d.sync += high.eq(self.counter_value[32:])
                with m.Else():
                    m.d.comb += port.read_error.eq(1)
