"""The values of the instruction fields that name a choice, as integer enums: what the fields hold is their value.

:mod:`spec.isa` has the same numbers as plain constants for the hardware description, where the width of a constant follows its type.
"""

import enum

__all__ = ["Dataflow", "Memory", "PoolKind"]


class Dataflow(enum.IntEnum):
    """How the array computes a convolution: DRAIN's field ``mode``."""

    #: Output stationary: partial sums stay in the PEs, weights are broadcast.
    OS = 0
    #: Weight stationary: weights stay in the PEs, partial sums move through the array.
    WS = 1


class Memory(enum.IntEnum):
    """Where LOAD writes: its field ``mem``."""

    ACTIVATIONS = 0
    WEIGHTS = 1
    BIASES = 2
    #: The weight buffer, from rows that leave their zeros out.
    PACKED_WEIGHTS = 3


class PoolKind(enum.IntEnum):
    """POOL's field ``kind``."""

    #: Padding is ignored.
    MAX = 0
    #: Padding counts as zero.
    AVERAGE = 1
