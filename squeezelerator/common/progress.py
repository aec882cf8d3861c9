"""Progress of long work, on standard error and only where that is a terminal."""

import sys
from collections.abc import Iterable, Sized
from typing import TextIO, TypeVar

from tqdm import tqdm

__all__ = ["print_line", "progress"]

T = TypeVar("T")


def progress(items: Iterable[T], label: str, *, unit: str = "", total: int | None = None) -> Iterable[T]:
    """The same items, with a line that says how many are done and how long the rest will take.

    Parameters
    ----------
    label : str
        What is going on.
    unit : str
        What an item is.
    total : int
        Number of items where ``items`` does not know it.
    """
    count = total if total is not None else len(items) if isinstance(items, Sized) else None
    return tqdm(items, desc=label, unit=unit or "it", total=count, leave=False, disable=not sys.stderr.isatty(), file=sys.stderr)


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print a result (by default on standard output) while :func:`progress` shows its line, which gives way and comes back."""
    with tqdm.external_write_mode(file=file or sys.stdout):
        print(text, file=file or sys.stdout, flush=True)
