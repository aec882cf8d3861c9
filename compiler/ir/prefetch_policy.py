"""How early transfers from DRAM are issued: a parameter of a schedule, chosen by the search and carried out by code generation."""

import dataclasses
import math

from squeezelerator.spec.platform.memory import REFERENCE, DramProfile


@dataclasses.dataclass(frozen=True)
class PrefetchPolicy:
    """The prefetch distance while the bus is behind the array.

    A transfer for which there is room is issued if the bus is not behind the array, or if one of the next ``events`` events needs it, or
    one that the array reaches within ``cycles`` cycles of the bus. With the defaults transfers are issued as soon as there is room.

    Issuing every transfer as early as possible is not best: it may be in the way of one that is needed sooner but has no room yet, of
    stores, and of results that go to the same sector of the activation buffer.

    ``memory`` is the one that the transfers are with.
    """

    events: float = math.inf
    cycles: float = -math.inf
    memory: DramProfile = REFERENCE


GREEDY = PrefetchPolicy()
"""As soon as there is room."""
