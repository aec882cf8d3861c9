"""Command-line options that describe a machine, the same for every command that takes one."""

import argparse
from collections.abc import Mapping
from types import MappingProxyType

from squeezelerator.spec.machine import MachineConfig

__all__ = ["add_machine_options", "machine_from"]

#: Parameters of MachineConfig that have an option of the same name: type, placeholder, help.
_OPTIONS = {
    "buffer_kib": (float, "KIB", "global buffer (default N*N/2 KiB)"),
    "rf": (int, "K", "partial sums in a register-file bank, 4 to 64 (default 32)"),
    "bus_bits": (int, "BITS", "width of the memory port: 64, 128 or 256 (default 128)"),
    "sectors": (int, "S", "parts of the activation buffer, 2 to 32 (default: 4 up to N=8, else 8)"),
    "acc_bits": (int, "BITS", "width of a partial sum, 34 to 48 (default 40)"),
    "burst_beats": (int, "BEATS", "longest AXI burst, 1 to 256 and at most 4 KiB (default 64; an AXI3 port takes 16)"),
    "outstanding": (int, "BURSTS", "bursts that LOAD, and that STORE, keeps in flight, 2 to 32 (default 4)"),
    "queue_depth": (int, "D", "instructions that wait in front of a unit, 2 to 255 (default 16)"),
}


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a machine to ``parser``."""
    parser.add_argument("--pe", type=int, default=16, metavar="N", help="PEs a side, 2 to 32 (default 16)")
    for name, (kind, placeholder, text) in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=placeholder, help=text)
    parser.add_argument("--functions", action="store_true", help="with products of maps and function tables (sigmoid, SiLU, ...) in POOL")


def machine_from(options: argparse.Namespace, usual: Mapping[str, int] = MappingProxyType({})) -> MachineConfig:
    """The machine that parsed ``options`` describe; ``usual``: parameters in place of the defaults. Raises ConfigError."""
    chosen = {name: getattr(options, name) for name in _OPTIONS if getattr(options, name) is not None}
    return MachineConfig(n=options.pe, functions=options.functions, **{**usual, **chosen})
