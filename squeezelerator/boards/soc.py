"""The system on chip: no CPU; UARTbone as bus master, LiteDRAM, the machine. For a board's pins, or for simulation."""

import dataclasses
import importlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litedram.modules
from litedram.common import PhySettings, get_default_cl, get_default_cl_cwl, get_sys_latency, get_sys_phase
from litedram.init import get_sdram_phy_init_sequence
from litedram.phy import ECP5DDRPHY, HalfRateGENSDRPHY
from litedram.phy.model import SDRAMPHYModel
from litex.build.generic_platform import IOStandard, Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.soc.cores.uart import UARTPHY, RS232PHYModel, UARTBone
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from migen import ClockDomain, If, Module, Signal

from squeezelerator.litex.peripheral import add_squeezelerator
from squeezelerator.litex.unpacker import ImageUnpacker
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.boards import BoardRecord, MemoryKind
from squeezelerator.spec.platform.unpacker import UNPACKER_BYTES

__all__ = ["BAUD", "IMAGES_BASE", "MACHINE_BASE", "MEMORY_BASE", "System", "board_system", "describe", "simulated_system", "write_verilog"]

#: Where memory, registers of LiteX and registers of the machine lie.
MEMORY_BASE, CSR_BASE, MACHINE_BASE = 0x4000_0000, 0xF000_0000, 0x8000_0000
#: The image unpacker's window.
IMAGES_BASE = 0x9000_0000
#: Baud rate of the UART.
BAUD = 2_000_000
#: Stands for the clock where the UARTbone measures time in a simulation, a second of which has far fewer cycles.
_SIMULATED_FORGET_HZ = 1e6
#: Flags of LiteDRAM's software port to the memory, from bit 0 on.
_CONTROL, _CONTROL_FLAGS = "DFII_CONTROL_", ("SEL", "CKE", "ODT", "RESET_N")
_COMMAND, _COMMAND_FLAGS = "DFII_COMMAND_", ("CS", "WE", "CAS", "RAS")


def chip_of(board: BoardRecord, hertz: float) -> Any:
    """The board's memory chip at a system clock of ``hertz``, with its own refresh time."""
    module = getattr(litedram.modules, board.chip)(hertz, "1:2")
    if board.refresh_ns is not None:
        module.timing_settings.tRFC = math.ceil(board.refresh_ns * 1e-9 * hertz) + 1
    return module


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """What differs between a board and its simulation.

    Parameters
    ----------
    platform : object
    clocks : Module
        With the clock domain ``sys``.
    memory_phy : callable
        Given the memory chip, the module between controller and chip.
    serial : callable
        The serial port's module.
    forget_hz : float
        The UARTbone forgets half a command after a tenth of so many cycles.
    images : bool
        With an image unpacker.
    """

    platform: Any
    clocks: Module
    memory_phy: Callable[[Any], Module]
    serial: Callable[[], Module]
    forget_hz: float
    images: bool


class System(SoCCore):
    """The system for a board's record; what differs between pins and simulation comes in."""

    def __init__(self, board: BoardRecord, cfg: MachineConfig, hertz: float, around: Surroundings, folder: Path) -> None:
        self.crg = around.clocks
        SoCCore.__init__(self, around.platform, int(hertz), cpu_type=None, with_uart=False, with_timer=False, ident="",
                         ident_version=False, integrated_sram_size=0)
        self.mem_map.update(csr=CSR_BASE, main_ram=MEMORY_BASE)
        chip = chip_of(board, hertz)
        self.memory_phy = around.memory_phy(chip)
        # Without a cache: the machine writes to the memory beside it.
        self.add_sdram("sdram", phy=self.memory_phy, module=chip, l2_cache_size=0)
        self.serial_phy = around.serial()
        self.uartbone = UARTBone(self.serial_phy, int(around.forget_hz))
        self.bus.add_master(name="uartbone", master=self.uartbone.wishbone)
        add_squeezelerator(self, cfg=cfg, origin=MACHINE_BASE, folder=folder)
        self.has_images = around.images
        if around.images:
            self.images = ImageUnpacker(self.sdram.crossbar.get_port(mode="write"), cfg.row_bytes)
            self.bus.add_slave("images", self.images.bus, SoCRegion(origin=IMAGES_BASE, size=UNPACKER_BYTES, cached=False))


def board_system(board: BoardRecord, cfg: MachineConfig, hertz: float, folder: Path) -> System:
    """The system for the pins of ``board``."""
    target = importlib.import_module(f"litex_boards.targets.{board.target}")
    platform = importlib.import_module(f"litex_boards.platforms.{board.target}").Platform(
        toolchain="trellis", **dict(board.platform_options))
    sdr = board.memory is MemoryKind.SDR
    generator = getattr(target, board.clocks)
    clocks = generator(platform, hertz, sdram_rate="1:2") if sdr else generator(platform, hertz)
    if board.serial_pins is not None:
        tx, rx = board.serial_pins
        platform.add_extension([("serial", 0, Subsignal("tx", Pins(tx)), Subsignal("rx", Pins(rx)), IOStandard("LVCMOS33"))])

    def phy(_chip: object) -> Module:
        pins = platform.request(board.memory_pins)
        if sdr:
            return HalfRateGENSDRPHY(pins, hertz)
        result = ECP5DDRPHY(pins, sys_clk_freq=hertz, **({"dm_remapping": {0: 1, 1: 0}} if board.swapped_masks else {}))
        clocks.comb += [clocks.stop.eq(result.init.stop), clocks.reset.eq(result.init.reset)]
        # Pins beside the memory's that strengthen its supply.
        clocks.comb += [getattr(pins, name).eq(value) for name, value in (("vccio", ~0), ("gnd", 0)) if hasattr(pins, name)]
        return result

    around = Surroundings(platform, clocks, phy, lambda: UARTPHY(platform.request("serial"), int(hertz), BAUD), hertz,
                          board.has_images(cfg.n))
    return System(board, cfg, hertz, around, folder)


class _SimulatedClocks(Module):
    """The clock from outside, and a reset in its first cycles."""

    def __init__(self, platform: Any) -> None:
        self.rst = Signal()
        clock = platform.request("sys_clk")
        self.clock_domains.cd_sys = ClockDomain()
        self.clock_domains.cd_por = ClockDomain(reset_less=True)
        left = Signal(3, reset=7)
        self.comb += [self.cd_sys.clk.eq(clock), self.cd_por.clk.eq(clock), self.cd_sys.rst.eq((left != 0) | self.rst)]
        self.sync.por += If(left != 0, left.eq(left - 1))


def _simulated_settings(board: BoardRecord, hertz: float) -> PhySettings:
    if board.memory is MemoryKind.DDR3:
        # As of ECP5DDRPHY: two phases of a burst's half; LiteDRAM's own settings of the model have four.
        tck = 1 / (2 * hertz)
        cl, cwl = get_default_cl_cwl("DDR3", tck)
        read, write = get_sys_latency(2, cl), get_sys_latency(2, cwl)
        return PhySettings(phytype="SDRAMPHYModel", memtype="DDR3", databits=board.chip_bits, dfi_databits=4 * board.chip_bits, nphases=2,
                           rdphase=get_sys_phase(2, read, cl), wrphase=get_sys_phase(2, write, cwl), cl=cl, cwl=cwl,
                           read_latency=read + 10, write_latency=write)
    # As of HalfRateGENSDRPHY.
    cl = get_default_cl(memtype="SDR", tck=1 / hertz)
    return PhySettings(phytype="SDRAMPHYModel", memtype="SDR", databits=board.chip_bits, dfi_databits=board.chip_bits, nphases=2,
                       rdphase=0, wrphase=0, cl=cl, read_latency=(cl + 1) // 2 + 1, write_latency=0)


def simulated_system(board: BoardRecord, cfg: MachineConfig, hertz: float, folder: Path) -> System:
    """The same system with LiteDRAM's model of the memory, and bytes instead of the UART's bits; clock and bytes are the top's ports."""
    signals = [Subsignal(f"{side}_{name}", Pins(width)) for side in ("source", "sink")
               for name, width in (("valid", 1), ("ready", 1), ("data", 8))]
    bits = [("sys_clk", 0, Pins(1)), ("serial", 0, *signals)]
    platform = SimPlatform("SIM", bits)
    around = Surroundings(
        platform, _SimulatedClocks(platform),
        lambda chip: SDRAMPHYModel(chip, settings=_simulated_settings(board, hertz), clk_freq=hertz),
        lambda: RS232PHYModel(platform.request("serial")), _SIMULATED_FORGET_HZ, board.has_images(cfg.n))
    return System(board, cfg, hertz, around, folder)


def write_verilog(soc: System, folder: Path) -> tuple[list[str], Any]:
    """Write the finalised system's Verilog as ``top.v`` into ``folder``; returns (names of all its files there, LiteX's names of signals).

    The date that LiteX writes into the head is left out: the same system makes the same file.
    """
    # Gives the board's own clock its frequency, from which place and route derives those of the PLL.
    fragment = soc.get_fragment()
    if not isinstance(soc.platform, SimPlatform):
        soc.platform.finalize(fragment)
    # A form of Verilog without loops between combinational blocks, which Icarus does not end on.
    output = soc.platform.get_verilog(fragment, name="top", regular_comb=False)
    path = folder / "top.v"
    output.write(str(path))
    path.write_text(re.sub(r"^// Date .*\n", "", path.read_text(), flags=re.M))
    return ["top.v", *(Path(name).name for name, *_ in soc.platform.sources if Path(name).parent == folder)], output.ns


def _bits(names: str, prefix: str, order: tuple[str, ...]) -> int:
    """The bits that LiteDRAM's names of flags, joined with |, stand for."""
    return sum(1 << order.index(name.removeprefix(prefix)) for name in names.split("|"))


def _step(what: str, address: int, bank: int, command: str, cycles: int) -> dict[str, Any]:
    """A step of the memory's initialisation: flags for the control register, or a command with address and bank; then waiting."""
    control = command.startswith(_CONTROL)
    value = _bits(command, _CONTROL, _CONTROL_FLAGS) if control else _bits(command, _COMMAND, _COMMAND_FLAGS)
    return {"what": what, "control" if control else "command": value, "address": address, "bank": bank, "cycles": cycles}


def describe(soc: System, board: BoardRecord, cfg: MachineConfig, hertz: float) -> dict[str, Any]:
    """What the host driver has to know about a finalised system, for JSON."""
    sequence, _ = get_sdram_phy_init_sequence(soc.memory_phy.settings, soc.sdram.controller.settings.timing)
    steps = [_step(*entry) for entry in sequence]
    csrs = {}
    for name, region in soc.csr.regions.items():
        offset = region.origin
        for csr in region.obj if isinstance(region.obj, list) else []:
            csrs[f"{name}_{csr.name}"] = offset
            offset += 4 * -(-csr.size // 32)
    return {
        "board": board.name, "title": board.title, "machine": cfg.as_dict(), "fingerprint": cfg.fingerprint,
        "clock_hz": hertz, "baud": BAUD,
        "memory": {"base": MEMORY_BASE, "bytes": soc.bus.regions["main_ram"].size, "kind": board.memory.value, "chip": board.chip,
                   "port_bytes": soc.sdram.crossbar.controller.data_width // 8},
        "images": IMAGES_BASE if soc.has_images else None, "registers": MACHINE_BASE, "csrs": csrs, "initialisation": steps,
        "timings": {name: value for name, value in vars(soc.sdram.controller.settings.timing).items() if isinstance(value, int)},
    }
