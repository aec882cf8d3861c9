"""Names of classes, and the best scores by name."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from squeezelerator.common.errors import UserError


class ClassError(UserError, ValueError):
    """A file of class names that is none; the message is one line."""


def load_classes(path: str | Path) -> list[str]:
    """Names of the classes as a list: of a CSV with the columns ``index`` and ``name`` (others are ignored), or of a text with a name a
    line, in the order of the classes.

    Raises
    ------
    ClassError
        If the file cannot be read, or the indices are not 0, 1, 2 ...
    """
    lines = _text(path).splitlines() or [""]
    is_table = {"index", "name"} & {cell.strip() for cell in lines[0].split(",")}
    return _from_table(path, lines) if is_table else _from_lines(path, lines)


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ClassError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ClassError(f"{path}: is no text") from None


def _from_lines(path: str | Path, lines: Sequence[str]) -> list[str]:
    """A name a line; empty lines at the end are no classes."""
    found = [line.strip() for line in lines]
    while found and not found[-1]:
        found.pop()
    if not all(found):
        raise ClassError(f"{path}: line {found.index('') + 1} names no class")
    return found


def _from_table(path: str | Path, lines: Sequence[str]) -> list[str]:
    """The columns ``index`` and ``name`` of a CSV."""
    try:
        names = {int(row["index"]): row["name"] for row in csv.DictReader(lines)}
    except (KeyError, TypeError, ValueError, csv.Error):
        raise ClassError(f"{path}: must be a CSV with the columns index (a whole number) and name") from None
    if not names or sorted(names) != list(range(len(names))):
        raise ClassError(f"{path}: the indices of {len(names)} classes must be 0 to {len(names) - 1}, once each")
    return [names[index] for index in range(len(names))]


def top(scores: np.ndarray, count: int = 5) -> np.ndarray:
    """Indices of the ``count`` highest scores, best first; of equal scores the one with the lower index first."""
    return np.argsort(-np.asarray(scores).reshape(-1).astype(np.float64), kind="stable")[:count]


def top_lines(scores: np.ndarray, names: Sequence[str] | None = None, count: int = 5, frac: int = 0) -> list[str]:
    """Lines ``1. name (class 7)  score`` of the best classes; integer scores have ``frac`` fractional bits."""
    flat = np.asarray(scores).reshape(-1)
    lines = []
    for place, index in enumerate(top(flat, count), start=1):
        name = names[index] if names and index < len(names) else f"class {index}"
        label = f"{name} (class {index})" if names else name
        lines.append(f"{place}. {label:<48} {float(flat[index]) * 2.0**-frac:10.4f}")
    return lines
