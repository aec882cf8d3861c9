"""What place and route says of a system: parts taken, clocks, paths from clock to clock."""

import dataclasses
import json
import re
from pathlib import Path

from squeezelerator.boards.steps import BuildError

__all__ = ["Clock", "Crossing", "TimingReport", "clock_ratio", "read_timing"]

#: What is printed: label, resource.
RESOURCES = (("LUTs", "TRELLIS_COMB"), ("flip-flops", "TRELLIS_FF"), ("block RAMs", "DP16KD"), ("multipliers", "MULT18X18D"),
             ("LUT RAMs", "TRELLIS_RAMW"), ("clock buffers", "DCCA"), ("pins", "TRELLIS_IO"), ("PLLs", "EHXPLLL"))  # fmt: skip
_CROSSING = re.compile(r"^Info: Max delay (?:posedge|negedge) (\S+)\s+-> (?:posedge|negedge) (\S+)\s*: ([0-9.]+) ns", re.M)
#: By how much the frequency of a PLL may be off.
TOLERANCE = 0.02


def clock_ratio(wanted: float, mhz: float) -> int | None:
    """How many times faster than the system's clock of ``mhz`` a clock is of which ``wanted`` MHz are wanted; None for any other source.

    Synthesis names clock nets as it likes, so that only the frequency that place and route derived from the PLL tells which is which.
    """
    return next((ratio for ratio in (1, 2) if abs(wanted - ratio * mhz) <= TOLERANCE * ratio * mhz), None)


@dataclasses.dataclass(frozen=True)
class Clock:
    """A clock: MHz ``reached``, MHz ``wanted``."""

    reached: float
    wanted: float


@dataclasses.dataclass(frozen=True)
class Crossing:
    """The slowest path from one clock to another, in nanoseconds."""

    source: str
    target: str
    ns: float


@dataclasses.dataclass(frozen=True)
class TimingReport:
    """What a build for a system clock of ``mhz`` reached.

    ``used`` {resource: (used, available)}, ``clocks`` {net: Clock}, ``crossings``, ``paths`` the longest path of each clock or crossing.
    """

    mhz: float
    used: dict[str, tuple[int, int]]
    clocks: dict[str, Clock]
    crossings: tuple[Crossing, ...]
    paths: dict[str, str]

    def _ratio(self, name: str) -> int | None:
        clock = self.clocks.get(name)
        return clock_ratio(clock.wanted, self.mhz) if clock is not None else None

    def allowed(self, crossing: Crossing) -> float | None:
        """Nanoseconds that there are: a period of the faster of the two clocks; None if they have no fixed relation."""
        ratios = self._ratio(crossing.source), self._ratio(crossing.target)
        faster = max((ratio for ratio in ratios if ratio is not None), default=0)
        return 1000 / (self.mhz * faster) if None not in ratios else None

    def misses(self) -> list[str]:
        """What is too slow, with the path."""
        found = []
        if all(self._ratio(name) != 1 for name in self.clocks):
            found.append(f"the report of place and route names no clock of {self.mhz:g} MHz")
        for name, clock in self.clocks.items():
            if clock.reached < clock.wanted:
                path = self.paths.get(name, "path unknown")
                found.append(f"clock {name} reaches {clock.reached:.1f} MHz of {clock.wanted:g}: {path}")
        for crossing in self.crossings:
            allowed = self.allowed(crossing)
            if allowed is not None and crossing.ns > allowed:
                path = self.paths.get(f"{crossing.source}>{crossing.target}", "path unknown")
                found.append(f"{crossing.source} to {crossing.target} takes {crossing.ns:.2f} ns of {allowed:.2f}: {path}")
        return found

    def highest_mhz(self) -> float:
        """The highest system clock at which all clocks and crossings of the system's PLL are met."""
        limits = [clock.reached / ratio for name, clock in self.clocks.items() if (ratio := self._ratio(name))]
        limits += [self.mhz * allowed / crossing.ns for crossing in self.crossings if (allowed := self.allowed(crossing)) is not None]
        if not limits:
            raise BuildError("the report names no clock of the system")
        return min(limits)

    def lines(self) -> list[str]:
        """The report for people."""
        lines = [f"{label:14s} {used:>7,} of {available:>7,}  {100 * used / available:3.0f}%" for label, name in RESOURCES
                 for used, available in [self.used.get(name, (0, 0))] if available]
        lines += [f"{name}: {clock.reached:.1f} MHz, {clock.wanted:g} wanted" for name, clock in self.clocks.items()]
        for crossing in self.crossings:
            allowed = self.allowed(crossing)
            wanted = f"of {allowed:.2f}" if allowed is not None else "(no fixed relation, not limited)"
            lines.append(f"{crossing.source} to {crossing.target}: {crossing.ns:.2f} ns {wanted}")
        return [*lines, f"highest system clock that is met: {self.highest_mhz():.1f} MHz"]


def _clock(edge: str) -> str:
    return edge.split(" ")[-1]


def read_timing(report: Path, log: Path, mhz: float) -> TimingReport:
    """The times in nextpnr's report and log, for a system clock of ``mhz``. Raises BuildError if they are no such files."""
    try:
        found = json.loads(report.read_text())
        used = {name: (int(entry["used"]), int(entry["available"])) for name, entry in found["utilization"].items()}
        clocks = {name: Clock(float(entry["achieved"]), float(entry["constraint"])) for name, entry in found["fmax"].items()}
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
    return TimingReport(mhz, used, clocks, crossings, paths)
