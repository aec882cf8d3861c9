"""Event outputs of the units: what a unit counts, it declares in its ``events``, and the counter bank adds up."""

from collections.abc import Mapping
from typing import Protocol

from amaranth.hdl import Shape, ShapeLike, Value
from amaranth.lib.wiring import Member, Out

from squeezelerator.spec import events as table
from squeezelerator.spec.machine import MachineConfig

__all__ = ["CountingUnit", "event_ports", "event_sources"]


class CountingUnit(Protocol):
    """A component with an output ``ev_NAME`` for every name in its ``events``."""

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """The names, from ``spec.events``, and the shape of the increment in a cycle."""
        ...


def event_ports(events: Mapping[str, ShapeLike]) -> dict[str, Member]:
    """Members ``ev_NAME`` for a unit's signature.

    Raises
    ------
    ValueError
        A name that ``spec.events`` does not have, or an increment that could be negative.
    """
    known = {event.name for event in table.EVENTS}
    for name, shape in events.items():
        if name not in known:
            raise ValueError(f"an event must be in squeezelerator/spec/events.py, which has no {name!r}")
        if Shape.cast(shape).signed:
            raise ValueError(f"the increment of {name} must be unsigned, not {shape!r}")
    return {f"ev_{name}": Out(shape) for name, shape in events.items()}


def event_sources(unit: CountingUnit, cfg: MachineConfig) -> list[tuple[str, Value]]:
    """The event outputs of ``unit`` on machine ``cfg`` as (counter name, increment)."""
    return [(name, getattr(unit, f"ev_{name}")) for name in unit.events(cfg)]
