"""Energy from event counts: counts times unit costs.

The costs lie in ``energy_costs.csv`` (columns event, cost, source), relative to one 16-bit multiply-accumulate; the events are the
hardware's counters. A user's own file of the same form replaces it.
"""

import csv
from pathlib import Path

__all__ = ["DEFAULT_COSTS", "EnergyError", "energy", "read_costs"]

DEFAULT_COSTS = Path(__file__).with_name("energy_costs.csv")


class EnergyError(ValueError):
    """A cost file that cannot be used; the message is one line."""


def read_costs(path=DEFAULT_COSTS):
    """{event: cost} from a CSV file. Raises EnergyError for a missing column, an unknown event or a cost that is no number."""
    known = {row["event"] for row in _rows(DEFAULT_COSTS)}
    costs = {}
    for row in _rows(path):
        event, cost = row["event"], row["cost"]
        if event not in known:
            raise EnergyError(f"{path}: there is no event {event!r}; the events are {', '.join(sorted(known))}")
        try:
            costs[event] = float(cost)
        except (TypeError, ValueError):
            raise EnergyError(f"{path}: the cost of {event} must be a number, not {cost!r}") from None
    missing = sorted(known - costs.keys())
    if missing:
        raise EnergyError(f"{path}: no cost for {', '.join(missing)}")
    return costs


def _rows(path):
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except OSError as error:
        raise EnergyError(f"cannot read {path}: {error.strerror}") from None
    for column in ("event", "cost"):
        if column not in (reader.fieldnames or ()):
            raise EnergyError(f"{path}: column {column!r} is missing; columns are event, cost, source")
    return rows


def energy(counters, costs):
    """Energy of the events in ``counters`` ({name: count}), in units of one MAC."""
    return sum(cost * counters.get(event, 0) for event, cost in costs.items())
