"""The machine as a module of Migen, and its place in a LiteX system: registers on the bus, memory port on LiteDRAM."""

from pathlib import Path
from typing import Any

from litedram.frontend.axi import LiteDRAMAXI2Native
from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi, stream
from migen import ClockSignal, Instance, ResetSignal, Signal

from squeezelerator.litex.narrow import AxiNarrow
from squeezelerator.rtl.verilog import write_files
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import ADDRESS_BITS

__all__ = ["INSTANCE", "MachineModule", "add_squeezelerator"]

#: Name of the instance of the machine in the system.
INSTANCE = "machine"
#: Bits of an address in the system.
ADDRESS_WIDTH = 32


class MachineModule(LiteXModule):
    """The machine: ``registers`` (AXI4-Lite slave), ``memory`` (AXI4 master), ``irq``."""

    def __init__(self, cfg: MachineConfig) -> None:
        self.registers = axi.AXILiteInterface(data_width=32, address_width=ADDRESS_WIDTH)
        self.memory = axi.AXIInterface(data_width=cfg.bus_bits, address_width=ADDRESS_WIDTH, id_width=1)
        self.irq = Signal()
        ports: dict[str, Any] = {
            "i_clk": ClockSignal("sys"), "i_rst": ResetSignal("sys"), "i_bus_rst": ResetSignal("sys"), "o_irq": self.irq,
            "i_s_axi_awaddr": self.registers.aw.addr[:ADDRESS_BITS], "i_s_axi_araddr": self.registers.ar.addr[:ADDRESS_BITS],
            "i_s_axi_awprot": 0, "i_s_axi_arprot": 0, "o_m_axi_awaddr": self.memory.aw.addr, "o_m_axi_araddr": self.memory.ar.addr,
            "i_s_axi_wdata": self.registers.w.data, "i_s_axi_wstrb": self.registers.w.strb, "o_s_axi_bresp": self.registers.b.resp,
            "o_s_axi_rdata": self.registers.r.data, "o_s_axi_rresp": self.registers.r.resp,
            "o_m_axi_wdata": self.memory.w.data, "o_m_axi_wstrb": self.memory.w.strb, "o_m_axi_wlast": self.memory.w.last,
            "i_m_axi_bid": self.memory.b.id, "i_m_axi_bresp": self.memory.b.resp, "i_m_axi_rid": self.memory.r.id,
            "i_m_axi_rdata": self.memory.r.data, "i_m_axi_rresp": self.memory.r.resp, "i_m_axi_rlast": self.memory.r.last,
        }
        for channel in ("aw", "ar"):
            for name in ("id", "len", "size", "burst"):
                ports[f"o_m_axi_{channel}{name}"] = getattr(getattr(self.memory, channel), name)
        for bus, interface, to_machine in (("s_axi", self.registers, ("aw", "w", "ar")), ("m_axi", self.memory, ("b", "r"))):
            for channel in ("aw", "w", "b", "ar", "r"):
                valid, ready = ("i", "o") if channel in to_machine else ("o", "i")
                endpoint = getattr(interface, channel)
                ports[f"{valid}_{bus}_{channel}valid"] = endpoint.valid
                ports[f"{ready}_{bus}_{channel}ready"] = endpoint.ready
        self.specials += Instance("squeezelerator", name=INSTANCE, **ports)


class RequestRegisters(LiteXModule):
    """Registers in the way of ``ready`` between a master's requests and a slave: from the memory's controller through the machine's burst
    generators it would be a system's longest path. A request that is not held up passes in the cycle in which it comes."""

    def __init__(self, master: axi.AXIInterface, slave: axi.AXIInterface) -> None:
        for name in ("aw", "ar"):
            source, sink = getattr(master, name), getattr(slave, name)
            registers = stream.PipeReady(source.description)
            self.add_module(name=name, module=registers)
            self.comb += [source.connect(registers.sink), registers.source.connect(sink)]
        self.comb += [master.w.connect(slave.w), slave.b.connect(master.b), slave.r.connect(master.r)]


def add_squeezelerator(soc: Any, pe: int = 8, *, cfg: MachineConfig | None = None, name: str = "squeezelerator",
                       origin: int | None = None, folder: str | Path = "build/litex") -> MachineModule:
    """Add the machine to ``soc``, a LiteX system with LiteDRAM (``add_sdram`` has been called); returns its module.

    Parameters
    ----------
    soc : litex.soc.integration.soc.LiteXSoC
    pe : int
        PEs a side; ignored if ``cfg`` is given.
    cfg : MachineConfig or None
        The machine; None: the default one with ``pe`` PEs a side.
    name : str
        Name of the module and of the region with the registers.
    origin : int or None
        Address of the registers; None: LiteX looks for a place.
    folder : path
        Where the Verilog is written.
    """
    cfg = cfg or MachineConfig(n=pe)
    verilog = write_files(cfg, folder)[0]
    soc.platform.add_source(str(verilog.resolve()))
    machine = MachineModule(cfg)
    soc.add_module(name=name, module=machine)
    soc.bus.add_slave(name, machine.registers, SoCRegion(origin=origin, size=1 << ADDRESS_BITS, mode="rw", cached=False))
    port = soc.sdram.crossbar.get_port()
    memory = axi.AXIInterface(data_width=cfg.bus_bits, address_width=ADDRESS_WIDTH, id_width=1)
    soc.add_module(name=f"{name}_requests", module=RequestRegisters(machine.memory, memory))
    if port.data_width < memory.data_width:
        narrow = axi.AXIInterface(data_width=port.data_width, address_width=ADDRESS_WIDTH, id_width=1)
        soc.add_module(name=f"{name}_narrow", module=AxiNarrow(memory, narrow))
        memory = narrow
    elif port.data_width > memory.data_width:
        port = soc.sdram.crossbar.get_port(data_width=memory.data_width)
    soc.add_module(name=f"{name}_port", module=LiteDRAMAXI2Native(memory, port, base_address=soc.bus.regions["main_ram"].origin))
    if soc.irq.enabled:
        soc.irq.add(name)
        soc.comb += soc.cpu.interrupt[soc.irq.locs[name]].eq(machine.irq)
    return machine
