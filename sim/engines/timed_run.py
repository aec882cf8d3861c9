"""What tables and traces need of a run that knows time, whichever engine made it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

__all__ = ["PerLayer", "TimedRun"]

PerLayer = dict[str | None, dict[str, int]]
"""Counts of each layer, {layer: {counter: count}}; None: of instructions that belong to no layer."""


class TimedRun(Protocol):
    """``starts`` and ``retires``: for each unit the cycles in which its instructions were accepted and retired."""

    @property
    def cycles(self) -> int:
        """Cycles of the run."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """The hardware's counters at the end, {name: count}."""
        ...

    @property
    def starts(self) -> Sequence[Sequence[int]]:
        """For each unit the cycles in which it accepted its instructions."""
        ...

    @property
    def retires(self) -> Sequence[Sequence[int]]:
        """For each unit the cycles in which it retired them."""
        ...
