"""What place and route says of a system: parts taken, clocks, paths from clock to clock."""

import dataclasses
import json
import re
from pathlib import Path

from squeezelerator.boards.steps import BuildError

__all__ = ["Crossing", "TimingReport", "clock_ratio", "read_timing"]

#: What is printed: label, resource.
RESOURCES = (("LUTs", "TRELLIS_COMB"), ("flip-flops", "TRELLIS_FF"), ("block RAMs", "DP16KD"), ("multipliers", "MULT18X18D"),
             ("LUT RAMs", "TRELLIS_RAMW"), ("clock buffers", "DCCA"), ("pins", "TRELLIS_IO"), ("PLLs", "EHXPLLL"))  # fmt: skip
_CROSSING = re.compile(r"^Info: Max delay (?:posedge|negedge) (\S+)\s+-> (?:posedge|negedge) (\S+)\s*: ([0-9.]+) ns", re.M)
_SYSTEM = ("sys",)


def clock_ratio(name: str) -> int | None:
    """How many times faster than the system's clock the clock net ``name`` is; None for one of another source (the board's own)."""
    plain = name.removeprefix("$glbnet$").split("$")[0]
    if re.fullmatch(r"(\w*_)?sys2x\w*clk|sys2x\w*", plain):
        return 2
    return 1 if re.fullmatch(r"(\w*_)?sys_clk|sys_ps\w*", plain) else None


@dataclasses.dataclass(frozen=True)
class Crossing:
    """The slowest path from one clock to another, in nanoseconds."""

    source: str
    target: str
    ns: float

    def allowed(self, mhz: float) -> float | None:
        """Nanoseconds that there are for it: a period of the faster of the two; None if they have no fixed relation."""
        ratios = clock_ratio(self.source), clock_ratio(self.target)
        if None in ratios:
            return None
        return 1000 / (mhz * max(ratios))


@dataclasses.dataclass(frozen=True)
class TimingReport:
    """``used`` {resource: (used, available)}, ``clocks`` {net: MHz reached}, ``crossings``, ``path`` the longest path of each clock."""

    used: dict[str, tuple[int, int]]
    clocks: dict[str, float]
    crossings: tuple[Crossing, ...]
    paths: dict[str, str]

    def misses(self, mhz: float) -> list[str]:
        """What is too slow for a system clock of ``mhz``, with the path."""
        found = []
        for name, reached in self.clocks.items():
            wanted = mhz * (clock_ratio(name) or 0)
            if reached < wanted:
                found.append(f"clock {name} reaches {reached:.1f} MHz of {wanted:g}: {self.paths.get(name, 'path unknown')}")
        for crossing in self.crossings:
            allowed = crossing.allowed(mhz)
            if allowed is not None and crossing.ns > allowed:
                path = self.paths.get(f"{crossing.source}>{crossing.target}", "path unknown")
                found.append(f"{crossing.source} to {crossing.target} takes {crossing.ns:.2f} ns of {allowed:.2f}: {path}")
        return found

    def highest_mhz(self) -> float:
        """The highest system clock at which all clocks and crossings are met."""
        limits = [reached / ratio for name, reached in self.clocks.items() if (ratio := clock_ratio(name))]
        limits += [1000 / crossing.ns / (1000 / allowed) for crossing in self.crossings if (allowed := crossing.allowed(1)) is not None]
        if not limits:
            raise BuildError("the report names no clock of the system")
        return min(limits)

    def lines(self, mhz: float) -> list[str]:
        """The report for people."""
        lines = [f"{label:14s} {used:>7,} of {available:>7,}  {100 * used / available:3.0f}%" for label, name in RESOURCES
                 for used, available in [self.used.get(name, (0, 0))] if available]
        for name, reached in self.clocks.items():
            ratio = clock_ratio(name)
            lines.append(f"{name}: {reached:.1f} MHz" + (f", {ratio * mhz:g} wanted" if ratio else ", not of the system's PLL"))
        for crossing in self.crossings:
            allowed = crossing.allowed(mhz)
            wanted = f"of {allowed:.2f}" if allowed is not None else "(no fixed relation, not limited)"
            lines.append(f"{crossing.source} to {crossing.target}: {crossing.ns:.2f} ns {wanted}")
        lines.append(f"highest system clock that is met: {self.highest_mhz():.1f} MHz")
        return lines


def _clock(edge: str) -> str:
    return edge.split(" ")[-1]


def read_timing(report: Path, log: Path) -> TimingReport:
    """The times in nextpnr's report and log. Raises BuildError if they are no such files."""
    try:
        found = json.loads(report.read_text())
        used = {name: (int(entry["used"]), int(entry["available"])) for name, entry in found["utilization"].items()}
        clocks = {name: float(entry["achieved"]) for name, entry in found["fmax"].items()}
        paths = {}
        for entry in found["critical_paths"]:
            source, target = _clock(entry["from"]), _clock(entry["to"])
            first, last = entry["path"][0]["from"]["cell"], entry["path"][-1]["to"]["cell"]
            paths[source if source == target else f"{source}>{target}"] = f"from {first} to {last}"
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise BuildError(f"{report} is not a report of nextpnr: {type(error).__name__}: {error}") from error
    # After routing the log repeats what it said after placement: the last word counts.
    last = {(source, target): float(ns) for source, target, ns in _CROSSING.findall(log.read_text(errors="replace"))}
    crossings = tuple(Crossing(source, target, ns) for (source, target), ns in last.items() if "<async>" not in (source, target))
    return TimingReport(used, clocks, crossings, paths)
