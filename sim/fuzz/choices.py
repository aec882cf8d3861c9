"""Where the choices of random programs come from."""

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

__all__ = ["Choices", "RandomChoices"]

_T = TypeVar("_T")


class Choices(Protocol):
    """Where the choices come from."""

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        ...

    def choice(self, values: Sequence[_T]) -> _T:
        """One of ``values``."""
        ...


class RandomChoices:
    """Choices of a random number generator."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def number(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``."""
        return self.rng.randint(low, high)

    def choice(self, values: Sequence[_T]) -> _T:
        """One of ``values``."""
        return self.rng.choice(values)
