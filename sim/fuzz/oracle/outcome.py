"""What a verdict is: how a program may end."""

import dataclasses
import enum

import numpy as np

from squeezelerator.sim.engines.rtl import RtlError

__all__ = ["ANY", "Outcome", "UndefinedError", "Verdict"]

#: A detail that depends on when a fault is found.
ANY = -1


class Outcome(enum.Enum):
    """How a program ends."""

    DONE = "done"
    ERROR = "error"
    UNDEFINED = "undefined"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is allowed.

    ``errors``: of ERROR, those of which one must be reported. ``memory``: of DONE, afterwards. ``cycles``: of DONE, on the reference
    memory; None where the model does not say. ``reason``: of UNDEFINED, why. ``stored``: bytes that STOREs may write (bool).
    """

    outcome: Outcome
    stored: np.ndarray
    errors: frozenset[RtlError] = frozenset()
    memory: bytes | None = None
    cycles: int | None = None
    reason: str = ""


class UndefinedError(Exception):
    """The program has no defined outcome."""
