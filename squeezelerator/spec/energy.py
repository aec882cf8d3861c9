"""Energy from event counts: counts times unit costs.

The costs stand in the table of events, relative to one 16-bit multiply-accumulate. A user's own file (CSV: event, cost, source) replaces
them; ``python -m squeezelerator.spec.energy > FILE.csv`` writes the default costs as such a file, to begin with.
"""

import csv
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from squeezelerator.common.errors import UserError
from squeezelerator.common.reading import reading
from squeezelerator.spec.events import EVENTS

__all__ = ["EnergyError", "energy", "read_costs", "write_costs"]

_COLUMNS = ("event", "cost", "source")


class EnergyError(UserError, ValueError):
    """A cost file that cannot be used; the message is one line."""


def read_costs(path: str | Path | None = None) -> dict[str, float]:
    """{event: cost} from a CSV file, or from the table of events.

    Raises
    ------
    EnergyError
        If the file cannot be read, a column or an event is missing, an event is unknown or a cost is no number.
    """
    known = {event.name: float(event.cost) for event in EVENTS if event.cost is not None}
    if path is None:
        return known
    costs: dict[str, float] = {}
    for row in _rows(path):
        event, cost = row["event"], row["cost"]
        if event not in known:
            raise EnergyError(f"{path}: there is no event {event!r}; the events are {', '.join(sorted(known))}")
        try:
            number = float(cost)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf:
            raise EnergyError(f"{path}: the cost of {event} must be a number of at least 0, not {cost!r}")
        costs[event] = number
    missing = sorted(known.keys() - costs.keys())
    if missing:
        raise EnergyError(f"{path}: no cost for {', '.join(missing)}")
    return costs


def _rows(path: str | Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file, reading(path, "table of energy costs", EnergyError):
            reader = csv.DictReader(file)
            names, rows = reader.fieldnames or (), list(reader)
    except OSError as error:
        raise EnergyError(f"cannot read {path}: {error.strerror}") from None
    for column in ("event", "cost"):
        if column not in names:
            raise EnergyError(f"{path}: column {column!r} is missing; columns are {', '.join(_COLUMNS)}")
    return rows


def write_costs(file: TextIO) -> None:
    """Write the costs of the table of events as a file that :func:`read_costs` reads."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows((event.name, event.cost, event.source) for event in EVENTS if event.cost is not None)


def energy(counters: Mapping[str, float], costs: Mapping[str, float]) -> float:
    """Energy of the events in ``counters`` ({name: count}), in units of one MAC."""
    return sum(cost * counters.get(event, 0) for event, cost in costs.items())


if __name__ == "__main__":
    write_costs(sys.stdout)
