"""Measurements of this machine for the comparison: the JSON reports that ``python -m sim ... --json FILE`` writes.

A file holds one report or a list of them. Of a report these keys are read: ``network``, ``pe`` (8 or 16 to appear in
the tables), ``dataflow`` (``auto``, ``os`` or ``ws``; ``auto`` where missing), ``totals`` with ``cycles`` (a number,
or by engine: ``rtl`` before ``model``), ``energy`` and ``dram_words`` (both may be missing), and ``layers`` with
``name`` and ``cycles``.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from squeezelerator.common.errors import UserError
from squeezelerator.models.networks import zoo


class ReportError(UserError, ValueError):
    """A report cannot be used; the message is one line."""


@dataclass(frozen=True)
class Measurement:
    """A network on this machine: cycles in total and by layer, energy in units of one MAC, DRAM words."""

    cycles: float
    energy: float | None = None
    dram_words: int | None = None
    layers: dict[str, int] = field(default_factory=dict)


Measurements = dict[tuple[str, str, str], Measurement]
"""By network, configuration and dataflow."""


def _cycles(value: Any) -> Any:
    """Cycles of the RTL where it ran, else of the cycle model; ``None`` where neither stands there."""
    if isinstance(value, dict):
        value = value.get("rtl") if value.get("rtl") is not None else value.get("model")
    return value


def _measurement(path: Path, report: dict[str, Any]) -> tuple[tuple[str, str, str], Measurement]:
    try:
        key = (zoo.canonical(report["network"]), f"{report['pe']}x{report['pe']}", report.get("dataflow", "auto"))
        totals = report["totals"]
        layers = {layer["name"]: _cycles(layer["cycles"]) for layer in report.get("layers", ())}
        cycles, energy = _cycles(totals["cycles"]), totals.get("energy")
    except (KeyError, TypeError, AttributeError) as error:
        raise ReportError(f"{path}: is no report of a simulation: {type(error).__name__} {error}") from None
    if not isinstance(cycles, int | float) or cycles <= 0:
        raise ReportError(f"{path}: {key[0]} must have a positive number of cycles, not {cycles!r}")
    if energy is not None and (not isinstance(energy, int | float) or energy <= 0):
        raise ReportError(f"{path}: {key[0]} must have a positive energy, not {energy!r}")
    return key, Measurement(cycles, energy, totals.get("dram_words"), layers)


def load_reports(paths: Iterable[str | Path]) -> Measurements:
    """:class:`Measurement` by (network, configuration, dataflow) from report files.

    Raises
    ------
    ReportError
        If a file cannot be read or is no such report.
    """
    found = {}
    for path in map(Path, paths):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ReportError(f"{path}: cannot be read: {error}") from None
        found |= dict(_measurement(path, report) for report in (content if isinstance(content, list) else [content]))
    return found
