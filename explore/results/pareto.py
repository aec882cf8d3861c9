"""Fronts: the rows that no other row beats in every objective."""

from collections.abc import Callable, Hashable, Sequence

from squeezelerator.explore.evaluation.point import Row
from squeezelerator.explore.space.space import Mark, Space

__all__ = ["by_machine", "dominates", "front", "machine_of", "marked"]


def dominates(one: Row, other: Row, objectives: Sequence[str]) -> bool:
    """Whether ``one`` is nowhere worse and somewhere better; less is better."""
    pairs = [(one.metrics[name], other.metrics[name]) for name in objectives]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def front(rows: Sequence[Row], objectives: Sequence[str]) -> list[Row]:
    """The Pareto front of the rows that did not fail, by the first objective; of equal rows all stay."""
    key: Callable[[Row], tuple[float, ...]] = lambda row: tuple(row.metrics[name] for name in objectives)  # noqa: E731
    found: list[Row] = []
    # Whoever dominates a row stands before it in this order.
    for row in sorted((row for row in rows if row.ok), key=lambda row: (key(row), row.number)):
        if not any(dominates(other, row, objectives) for other in found):
            found.append(row)
    return found


def machine_of(row: Row) -> tuple[tuple[str, Hashable], ...]:
    """What rows of one machine have in common: the parameters of the sections ``machine`` and ``memory``."""
    return tuple((name, value) for name, value in row.values.items() if name.split(".")[0] in ("machine", "memory"))


def by_machine(rows: Sequence[Row]) -> dict[tuple[tuple[str, Hashable], ...], list[Row]]:
    """{machine: its rows}, failed ones too."""
    found: dict[tuple[tuple[str, Hashable], ...], list[Row]] = {}
    for row in rows:
        found.setdefault(machine_of(row), []).append(row)
    return found


def marked(space: Space, rows: Sequence[Row]) -> list[tuple[Mark, Row]]:
    """(mark, row) of every row that has the values of a mark."""
    return [(mark, row) for mark in space.marks for row in rows if all(row.values[name] == value for name, value in mark.values.items())]
