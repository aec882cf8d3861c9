"""Axes of a space: the values that one parameter takes."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from squeezelerator.common.errors import UserError

__all__ = ["Axis", "Kind", "SpaceError", "axis", "splits"]

#: A parameter's value: a number, a word, a truth value, or several whole numbers.
Value = int | float | str | bool | tuple[int, ...]


class SpaceError(UserError, ValueError):
    """A space file that cannot be used; the message is one line."""


@dataclass(frozen=True)
class Kind:
    """What the values of a parameter are: ``name`` for messages, ``types`` of a single value, ``several`` whole numbers together."""

    name: str
    types: tuple[type, ...]
    several: bool = False

    def read(self, value: object) -> Value | None:
        """The value as points have it, None if it is none of this kind."""
        if self.several:
            whole = isinstance(value, list) and value and all(type(item) is int for item in value)
            return tuple(value) if whole and isinstance(value, list) else None
        if type(value) is int and float in self.types:
            return value
        return value if type(value) in self.types else None  # pyright: ignore[reportReturnType] - one of the types of Value


INT = Kind("a whole number", (int,))
FLOAT = Kind("a number", (int, float))
WORD = Kind("a word", (str,))
TRUTH = Kind("true or false", (bool,))
INTS = Kind("a list of whole numbers", (), several=True)


@dataclass(frozen=True)
class Axis:
    """A parameter of the space and its values, at least one, each once.

    Parameters
    ----------
    name : str
        With its section: ``machine.n``.
    values : tuple
    """

    name: str
    values: tuple[Value, ...]

    @property
    def ordered(self) -> bool:
        """Whether neighbours in ``values`` are alike: numbers, and splits in the order of their first parts."""
        return all(isinstance(value, (int, float, tuple)) and not isinstance(value, bool) for value in self.values)


def splits(total: int, parts: int, least: int) -> Iterator[tuple[int, ...]]:
    """All ways to write ``total`` as ``parts`` summands in order, each at least ``least``."""
    if parts == 1:
        if total >= least:
            yield (total,)
        return
    for first in range(least, total - least * (parts - 1) + 1):
        for rest in splits(total - first, parts - 1, least):
            yield (first, *rest)


def _numbers(name: str, table: Mapping[str, Any], wanted: tuple[str, ...], usual: Mapping[str, int]) -> list[Any]:
    """The numbers of an inline table, in the order of ``wanted``."""
    unknown = sorted(table.keys() - set(wanted))
    missing = [key for key in wanted if key not in table and key not in usual]
    if unknown or missing:
        wrong = f"{'unknown' if unknown else 'missing'}: {', '.join(unknown or missing)}"
        raise SpaceError(f"{name}: a table takes {', '.join(wanted)}; {wrong}")
    found = [table.get(key, usual.get(key)) for key in wanted]
    for key, value in zip(wanted, found, strict=True):
        if type(value) not in (int, float):
            raise SpaceError(f"{name}: {key} must be a number, not {value!r}")
    return found


def _range(name: str, table: Mapping[str, Any]) -> list[int | float]:
    low, high, step = _numbers(name, table, ("from", "to", "step"), {"step": 1})
    if step <= 0 or high < low:
        raise SpaceError(f"{name}: a range needs from <= to and a step above 0, not from {low} to {high} by {step}")
    count = int((high - low) / step + 1e-9) + 1
    return [low + index * step for index in range(count)]


def _splits(name: str, table: Mapping[str, Any]) -> list[tuple[int, ...]]:
    total, parts, least = _numbers(name, table, ("total", "parts", "least"), {"least": 1})
    if not all(type(value) is int for value in (total, parts, least)) or parts < 1 or least < 0:
        raise SpaceError(f"{name}: total, parts and least of splits must be whole numbers, not {total!r}, {parts!r}, {least!r}")
    found = list(splits(total, parts, least))
    if not found:
        raise SpaceError(f"{name}: {total} cannot be split into {parts} parts of at least {least}")
    return found


def _items(name: str, given: object, kind: Kind) -> list[Any]:
    """The values as they are written, not yet read as values of ``kind``."""
    if isinstance(given, dict):
        if not {int, float} & set(kind.types):
            raise SpaceError(f"{name}: takes {kind.name}, not a range")
        return list(_range(name, given))
    if isinstance(given, list) and kind.read(given) is None:
        return given
    return [given]


def axis(name: str, given: object, kind: Kind) -> Axis:
    """The axis that a space file gives for a parameter.

    Parameters
    ----------
    given : object
        A value, a list of values, ``{from, to, step}``, or for whole numbers together ``{total, parts, least}``: all splits.

    Raises
    ------
    SpaceError
        If a value is not of the parameter's kind, twice there, or there is none.
    """
    if isinstance(given, dict) and kind.several:
        return Axis(name, tuple(_splits(name, given)))
    items = _items(name, given, kind)
    if not items:
        raise SpaceError(f"{name}: has no values")
    found = []
    for item in items:
        value = kind.read(item)
        if value is None:
            raise SpaceError(f"{name}: takes {kind.name} or a list of such values, not {item!r}")
        found.append(value)
    twice = next((value for value, other in itertools.combinations(found, 2) if value == other), None) if len(found) < 1000 else None
    if twice is not None:
        raise SpaceError(f"{name}: {twice!r} stands there twice")
    return Axis(name, tuple(found))
