"""Runs yosys and nextpnr, and reads what they write."""

import json
import math
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from squeezelerator.common.errors import UserError
from squeezelerator.common.tools import TOOLS, complaint, run_logged
from squeezelerator.rtl.fpga.device import Device

__all__ = ["SynthError", "read_estimate", "read_report", "run_tool"]


class SynthError(UserError, RuntimeError):
    """A step that failed; the message is one line and names the log."""


def _show(line: str, progress: Callable[[str], object]) -> None:
    """Say what a line of a log says is done: the router has dozens of rounds and more, the first of which take minutes."""
    found = re.match(r"Info: +iter=(\d+) wires=\d+ overused=(\d+)", line)
    if found:
        progress(f"round {found[1]} of routing, wires used twice: {int(found[2]):,}")


def run_tool(name: str, command: Sequence[str], log: Path, progress: Callable[[str], object]) -> None:
    """Run a tool of the Python environment in the folder of ``log``, which takes its output.

    Raises
    ------
    SynthError
        It is not installed, or ends with an error.
    """
    tool = TOOLS / name
    if not tool.exists():
        raise SynthError(f"{name} is not installed; pip install '.[synth]' brings it")
    progress(f"{name} (takes minutes, writes {log})")
    started = time.monotonic()
    if run_logged(tool, command, log, lambda line: _show(line, progress)):
        raise SynthError(f"{name} failed{complaint(log)} (log: {log})")
    progress(f"{name} done after {time.monotonic() - started:.0f} s")


def read_report(path: str | Path, device: Device) -> tuple[dict[str, int], float]:
    """nextpnr's report as ``({resource: used}, MHz)``. Raises SynthError if it is not one."""
    try:
        report = json.loads(Path(path).read_text())
        used = {cell: int(report["utilization"][cell]["used"]) for _, cell in device.family.resources if cell in report["utilization"]}
        # Without a path between flip-flops nothing is timed.
        reached = min((float(clock["achieved"]) for clock in report["fmax"].values()), default=math.nan)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynthError(f"{path} is not a report of nextpnr: {type(error).__name__}: {error}") from error
    return used, reached


def read_estimate(path: str | Path) -> float:
    """MHz that nextpnr expects after placement, from its log; not a number if the log does not say."""
    found = re.findall(r"^Info: Max frequency for clock +'[^']*': ([0-9.]+) MHz", Path(path).read_text(errors="replace"), re.M)
    return min(map(float, found), default=math.nan)
