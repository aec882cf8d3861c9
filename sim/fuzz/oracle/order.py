"""Which instructions have retired when another starts, by the tickets alone, and which must therefore not touch the same place."""

import dataclasses
import itertools
from collections.abc import Sequence

from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.oracle.outcome import ANY, UndefinedError
from squeezelerator.spec.isa import DRAIN, LOAD, POOL, STORE, WRITTEN, Instruction
from squeezelerator.spec.verification.footprint import Footprint

__all__ = ["Started", "check_order", "conflicts"]


@dataclasses.dataclass
class Started:
    """An instruction that a unit has accepted: its number in its unit, from 1 on, what is known to have retired, what it touches."""

    instruction: Instruction
    number: int
    known: list[int]
    touched: Footprint | None
    faults: bool


def conflicts(started: Sequence[Started]) -> set[RtlError]:
    """The error CONFLICT, if an instruction that faults may be beside another unit's: of its ports is known only that it uses some."""
    for one, other in itertools.permutations(started, 2):
        if one.faults and one.instruction.unit != other.instruction.unit and not (_knows(one, other) or _knows(other, one)):
            return {RtlError("CONFLICT", "buffer", ANY)}
    return set()


def check_order(started: Sequence[Started]) -> None:
    """Raise UndefinedError if two instructions that must not may meet."""
    for one, other in itertools.combinations([item for item in started if item.touched is not None], 2):
        if not (_knows(one, other) or _knows(other, one)) and _meet(one, other):
            raise UndefinedError("not ordered")


def _knows(one: Started, other: Started) -> bool:
    """Whether ``other`` has retired when ``one`` starts."""
    unit = other.instruction.unit
    assert unit is not None
    if unit == STORE and one.instruction.unit == LOAD and one.touched and other.touched and _overlap(one.touched, other.touched):
        return one.known[WRITTEN] >= other.number
    return one.known[unit] >= other.number


def _overlap(one: Footprint, other: Footprint) -> bool:
    a, b = one.transfer, other.transfer
    return a is not None and b is not None and a.start < b.end and b.start < a.end


def _meet(one: Started, other: Started) -> bool:
    a, b = one.touched, other.touched
    assert a is not None and b is not None
    unit = one.instruction.unit
    if unit == other.instruction.unit:
        return unit in (DRAIN, POOL) and bool(a.written & b.read)  # one comes first
    if {unit, other.instruction.unit} == {LOAD, STORE} and _overlap(a, b):
        return True
    return bool((a.read | a.written) & b.written or a.written & b.read)
