"""Writes the machine's Verilog, a JSON that describes it and a C header of its registers.

``python -m rtl.verilog --pe 16 -o build/verilog``
"""

import gc
import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.rtl.axi_top import AXI_TOP, Port, axi_ports, axi_top
from squeezelerator.rtl.ip_xact import component_xml
from squeezelerator.rtl.verilog_text import check_prefix, prefixed, simulated_alike, without_empty_vectors
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.machine_options import add_machine_options, machine_from
from squeezelerator.spec.registers import c_header, register_map

if TYPE_CHECKING:
    from amaranth.hdl import Value
    from amaranth.lib import wiring

__all__ = ["generate", "write_files"]


def _ports(component: "wiring.Component") -> dict[str, tuple["Value", str]]:
    """{Verilog name: (signal, direction)}: the members of bundles are joined with one underscore."""
    from amaranth.hdl import Value
    from amaranth.lib.wiring import In
    ports = {}
    for path, member, value in component.signature.flatten(component):
        direction = "input" if member.flow == In else "output"
        ports["_".join(str(part) for part in path)] = (Value.cast(value), direction)
    return ports


def _convert(component: "wiring.Component", name: str) -> tuple[str, list[Port]]:
    """Verilog of one component as module ``name``, and the list of its ports."""
    from amaranth.back import verilog
    ports = _ports(component)
    text = verilog.convert(component, name=name, ports={port: (value, None) for port, (value, _) in ports.items()},
                           emit_src=False, strip_internal_attrs=True)
    listing: list[Port] = [{"name": port, "direction": direction, "width": len(value)}
               for port, (value, direction) in ports.items()]
    return without_empty_vectors(simulated_alike(text)), listing


def _convert_pe(cfg: MachineConfig) -> str:
    """Verilog of a PE."""
    from squeezelerator.rtl.array.pe import PE, PE_MODULE
    return _convert(PE(cfg=cfg), PE_MODULE)[0]


def generate(cfg: MachineConfig) -> tuple[str, list[Port]]:
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


def write_files(cfg: MachineConfig, folder: str | os.PathLike[str], *, prefix: str = "", aresetn: bool = False) -> list[Path]:
    """Write ``squeezelerator_peN.v``, ``.json`` and ``.h`` into ``folder``; returns the paths.

    Parameters
    ----------
    prefix : str
        Put in front of every module's and file's name, so that several machines can stand in one design.
    aresetn : bool
        Also the module ``squeezelerator_axi`` with the ports ``aclk`` and ``aresetn``, and ``component.xml``, which describes it.

    Raises
    ------
    PrefixError
        ``prefix`` is no beginning of a name.
    """
    check_prefix(prefix)
    verilog, ports = generate(cfg)
    if aresetn:
        verilog += "\n" + axi_top(ports)
    name = f"{prefix}squeezelerator_pe{cfg.n}"
    description = {
        "module": prefix + "squeezelerator", "configuration": cfg.as_dict(), "fingerprint": cfg.fingerprint,
        "buffer": {"weight_rows": cfg.weight_rows, "bias_rows": cfg.bias_rows, "sector_rows": cfg.sector_rows},
        "clock": "clk", "reset": "rst, active high, synchronous, for two cycles or more; with bus_rst when the interconnect is reset, too",
        "ports": ports, "register_map": register_map(),
    }
    texts = {f"{name}.v": prefixed(verilog, prefix), f"{name}.json": json.dumps(description, indent=1) + "\n", f"{name}.h": c_header()}
    if aresetn:
        texts["component.xml"] = component_xml(prefix + AXI_TOP, axi_ports(ports), f"{name}.v")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for file, text in texts.items():
        path = folder / file
        part = path.with_name(file + ".part")
        part.write_text(text)
        part.replace(path)
        paths.append(path)
    return paths


@command("rtl.verilog")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("rtl.verilog"), description="Write the machine's Verilog.")
    add_machine_options(parser)
    parser.add_argument("-o", "--output", default="build/verilog", metavar="DIR", help="folder (default build/verilog)")
    parser.add_argument("--prefix", default="", help="in front of every module's and file's name, for several machines in one design")
    parser.add_argument("--aresetn", action="store_true", help="also a top with aclk and aresetn, and component.xml (IP-XACT) for it")
    options = parser.parse_args(arguments)
    for path in write_files(machine_from(options), options.output, prefix=options.prefix, aresetn=options.aresetn):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
