"""How a machine is mapped to a device: which memories go to block RAMs, what lies at fixed places, the script of the synthesis."""

from squeezelerator.rtl.array.pe import RF_MEMORY
from squeezelerator.rtl.buffer.buffer_memory import BUFFER_MEMORY_MODULE
from squeezelerator.rtl.fpga.device import Device, Place
from squeezelerator.spec.constants.dma import store_fifo_rows
from squeezelerator.spec.machine import MachineConfig

__all__ = ["block_rams", "cells", "fixed_places", "planned", "rf_columns", "yosys_script"]

#: Registers behind a signal that is to be kept: copies, which would become one again. That only cells are kept from.
COPIES = "*/a:keep %ci1 */t:$dff %i"


def block_rams(cfg: MachineConfig, device: Device) -> tuple[int, int]:
    """Block RAMs that the buffers take, and those that the register files take if they lie in block RAMs."""
    def blocks(rows: int, bits: int) -> int:
        return min(-(-rows // depth) * -(-bits // width) for depth, width in device.family.block_ram_shapes)

    row = 16 * cfg.n
    banks = cfg.sectors * cfg.n * blocks(cfg.sector_rows, 16)
    buffers = banks + sum(blocks(rows, row) for rows in (cfg.weight_rows, cfg.bias_rows, store_fifo_rows(cfg)))
    return buffers, 2 * cfg.n * cfg.n


def rf_columns(cfg: MachineConfig, device: Device) -> int:
    """Columns of the array whose register files go to block RAMs; those of the others go to LUTs."""
    buffers, register_files = block_rams(cfg, device)
    return min(cfg.n, max(0, device.block_rams - buffers) // (register_files // cfg.n))


def planned(cfg: MachineConfig, device: Device) -> bool:
    """Whether the array and the activation buffer lie at fixed places."""
    plan = device.floor_plan
    if plan is None or not sum(block_rams(cfg, device)) > plan.crowded * device.block_rams:
        return False
    return plan.fits(cfg) and rf_columns(cfg, device) == cfg.n


def fixed_places(cfg: MachineConfig, device: Device) -> list[Place]:
    """What lies at fixed places; only the global buffers where the placer has room."""
    plan = device.floor_plan
    return [*device.global_buffers, *(plan.places(cfg) if plan is not None and planned(cfg, device) else [])]


def cells(cfg: MachineConfig, device: Device) -> str:
    """Verilog of the modules that are made of the device's cells."""
    plan = device.floor_plan
    return device.family.cells + (plan.cells if plan is not None and planned(cfg, device) else "")


def yosys_script(cfg: MachineConfig, device: Device, verilog: str, by_hand: str, netlist: str) -> str:
    """Commands that turn the file ``verilog``, with some of its modules from the file ``by_hand``, into the file ``netlist``.

    Yosys would keep all memories as small as the register files in LUTs, which are what the device has too few of; in block RAMs the two
    banks of a PE take two. Which PEs' is said where memories are mapped, when every PE has become part of the top level.
    """
    top = "squeezelerator"
    synth = f"{device.family.synth} -top {top}"
    files = " ".join(f"{top}/*.pe_*_{column}.{RF_MEMORY}" for column in range(rf_columns(cfg, device)))
    fixed = [f'setattr -set BEL "{place.bel}" {top}/{place.pattern} {top}/t:{place.cell} %i' for place in fixed_places(cfg, device)]
    return "; ".join([
        f"read_verilog {verilog}", f"read_verilog -overwrite {by_hand}", f"hierarchy -top {top}",
        f'setattr -set ram_style "block" *{BUFFER_MEMORY_MODULE}*/m:words',
        f"{synth} -run begin:coarse", "proc", f"setattr -set keep 1 {COPIES}",
        f"{synth} -run coarse:map_ram", *([f'setattr -set ram_style "block" {files}'] if files else []),
        f"{synth} -run map_ram:", *fixed, f"write_json {netlist}",
    ])
