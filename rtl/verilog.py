"""Writes the machine's Verilog, a JSON that describes it and a C header of its registers.

``python -m rtl.verilog --pe 16 -o build/verilog``
"""

import argparse
import gc
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from squeezelerator.spec.machine import ConfigError, MachineConfig
from squeezelerator.spec.registers import c_header, register_map

if TYPE_CHECKING:
    from amaranth.hdl import Value
    from amaranth.lib import wiring

__all__ = ["add_machine_options", "generate", "machine_from", "write_files"]


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that describe a machine to an argparse ``parser``."""
    parser.add_argument("--pe", type=int, default=16, metavar="N", help="PEs a side, 2 to 32 (default 16)")
    parser.add_argument("--buffer-kib", type=float, metavar="KIB", help="global buffer (default N*N/2 KiB)")
    parser.add_argument("--rf", type=int, metavar="K", help="partial sums in a register-file bank (default 32)")
    parser.add_argument("--bus-bits", type=int, metavar="BITS", help="width of the memory port: 64, 128 or 256 (default 128)")
    parser.add_argument("--sectors", type=int, metavar="S", help="parts of the activation buffer, 2 to 32 (default: 4 up to N=8, else 8)")
    parser.add_argument("--acc-bits", type=int, metavar="BITS", help="width of a partial sum, 34 to 48 (default 40)")


def machine_from(options: argparse.Namespace) -> MachineConfig:
    """The MachineConfig that parsed ``options`` describe. Raises ConfigError."""
    names = ("buffer_kib", "rf", "bus_bits", "sectors", "acc_bits")
    chosen = {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
    return MachineConfig(n=options.pe, **chosen)


def _ports(component: "wiring.Component") -> dict[str, tuple["Value", str]]:
    """{Verilog name: (signal, direction)}: the members of bundles are joined with one underscore."""
    from amaranth.hdl import Value
    from amaranth.lib.wiring import In
    ports = {}
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow == In else "output"
        ports["_".join(str(part) for part in path)] = (Value.cast(value), direction)
    return ports


def _convert(component: "wiring.Component", name: str) -> tuple[str, list[dict[str, object]]]:
    """Verilog of one component as module ``name``, and the list of its ports."""
    from amaranth.back import verilog
    ports = _ports(component)
    text = verilog.convert(component, name=name, ports={port: (value, None) for port, (value, _) in ports.items()},
                           emit_src=False, strip_internal_attrs=True)
    listing = [{"name": port, "direction": direction, "width": len(value)}
               for port, (value, direction) in ports.items()]
    return text, listing


def _convert_pe(cfg: MachineConfig) -> str:
    """Verilog of a PE."""
    from squeezelerator.rtl.array.pe import PE, PE_MODULE
    return _convert(PE(cfg=cfg), PE_MODULE)[0]


def generate(cfg: MachineConfig) -> tuple[str, list[dict[str, object]]]:
    """The machine as Verilog text and the list of its ports (``name``, ``direction``, ``width``).

    The PE is converted once and placed N * N times; the memories of the buffer are instances of one module.
    """
    # Reproducible output, whatever Yosys the machine has.
    os.environ["AMARANTH_USE_YOSYS"] = "builtin"
    from squeezelerator.rtl.array.pe import BANK_VERILOG, MULTIPLIER_VERILOG, SUM_VERILOG
    from squeezelerator.rtl.array.pe_array import MERGE_VERILOG
    from squeezelerator.rtl.buffer.buffer_memory import BUFFER_MEMORY_VERILOG
    from squeezelerator.rtl.primitives.broadcast import BROADCAST_VERILOG
    from squeezelerator.rtl.top import Squeezelerator
    # Conversion builds millions of small objects and drops none: looking for garbage takes a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        with ProcessPoolExecutor(1) as beside:
            pe = beside.submit(_convert_pe, cfg)
            top, ports = _convert(Squeezelerator(cfg), "squeezelerator")
            try:
                pe = pe.result()
            except BrokenExecutor:
                pe = _convert_pe(cfg)
    finally:
        if collecting:
            gc.enable()
    by_hand = MULTIPLIER_VERILOG, SUM_VERILOG, BANK_VERILOG, MERGE_VERILOG, BROADCAST_VERILOG, BUFFER_MEMORY_VERILOG
    return "\n".join((*by_hand, pe, top)), ports


def write_files(cfg: MachineConfig, folder: str | os.PathLike[str]) -> list[Path]:
    """Write ``squeezelerator_peN.v``, ``.json`` and ``.h`` into ``folder``; returns the three paths."""
    verilog, ports = generate(cfg)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "module": "squeezelerator", "configuration": cfg.as_dict(), "fingerprint": cfg.fingerprint,
        "buffer": {"weight_rows": cfg.weight_rows, "bias_rows": cfg.bias_rows, "sector_rows": cfg.sector_rows},
        "clock": "clk", "reset": "rst, active high, synchronous, for two cycles or more", "ports": ports, "register_map": register_map(),
    }
    texts = {".v": verilog, ".json": json.dumps(description, indent=1) + "\n", ".h": c_header()}
    paths = []
    for suffix, text in texts.items():
        path = folder / f"squeezelerator_pe{cfg.n}{suffix}"
        part = path.with_suffix(suffix + ".part")
        part.write_text(text)
        part.replace(path)
        paths.append(path)
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rtl.verilog", description="Write the machine's Verilog.")
    add_machine_options(parser)
    parser.add_argument("-o", "--output", default="build/verilog", metavar="DIR", help="folder (default build/verilog)")
    options = parser.parse_args(arguments)
    try:
        for path in write_files(machine_from(options), options.output):
            print(path)
    except (ConfigError, OSError) as error:
        print(f"rtl.verilog: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
