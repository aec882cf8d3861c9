"""Constants of the memory side that the hardware and its timing model share. Plain Python."""

from squeezelerator.spec.machine import MachineConfig

__all__ = ["FETCH_BURST", "FETCH_DEPTH", "PAGE_BYTES", "UNPACK_CYCLES",
           "fetch_burst_beats", "instruction_beats", "load_cycles", "store_fifo_rows"]

#: No AXI burst crosses a multiple of this.
PAGE_BYTES = 4096
#: Instructions that FETCH asks for in one burst, at most.
FETCH_BURST = 4
#: Instructions that FETCH holds or has asked for; a power of two.
FETCH_DEPTH = 16
#: Cycles that a row needs to get through the unpacker.
UNPACK_CYCLES = 4


def load_cycles(cfg: MachineConfig) -> int:
    """Cycles from the last beat of a row to its write by LOAD."""
    return 1 + UNPACK_CYCLES * cfg.unpacks


def instruction_beats(cfg: MachineConfig) -> int:
    """Beats of an instruction."""
    return 64 // cfg.bus_bytes


def fetch_burst_beats(cfg: MachineConfig) -> int:
    """Beats of FETCH's longest burst."""
    return min(FETCH_BURST * instruction_beats(cfg), cfg.burst_beats)


def store_fifo_rows(cfg: MachineConfig) -> int:
    """Rows that STORE holds or has asked the activation buffer for, at most: 8N, but no more than 4 KiB of them, and at least 16."""
    return max(16, min(8 * cfg.n, 4096 // (2 * cfg.n)))
