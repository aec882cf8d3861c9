"""Progress of long work, on standard error and only where that is a terminal."""

import sys
from collections.abc import Iterable, Sized
from typing import TypeVar

from tqdm import tqdm

__all__ = ["progress"]

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
