"""The events that the machine counts, as one table.

An event has a counter register in hardware (:mod:`spec.registers` gives its offset), is counted by the cycle model under the same name,
and costs energy (:mod:`spec.energy`). To add one, add a record here, raise it in the unit's ``ev_NAME`` output and count it in the unit's
timing model; docs/adding-an-event.md walks through it.
"""

import dataclasses
from enum import StrEnum

__all__ = ["DRAM_WORDS", "EVENTS", "STALLS", "Event", "EventGroup", "event"]

_BUFFER = "Eyeriss: global buffer"
_DRAM = "Eyeriss: DRAM"


class EventGroup(StrEnum):
    """Whether a counter counts cycles or things; the times after ``cycles`` add up to ``cycles``."""

    TIME = "time"
    EVENT = "event"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """One event.

    Parameters
    ----------
    name : str
        Of the counter, in hardware, model, tables and JSON.
    group : EventGroup
    doc : str
        What one count is.
    cost : float or None
        Energy of one count in units of one 16-bit multiply-accumulate; None: it costs nothing.
    source : str
        Where the cost comes from.
    stall : str
        Of times in which ARRAY does not multiply: what it waits for, in one word.
    dram : bool
        Whether it counts words that cross the memory port.
    """

    name: str
    group: EventGroup
    doc: str
    cost: float | None = None
    source: str = ""
    stall: str = ""
    dram: bool = False


def _time(name: str, doc: str, stall: str = "") -> Event:
    return Event(name=name, group=EventGroup.TIME, doc=doc, stall=stall)


def _count(name: str, doc: str, cost: float | None = None, source: str = "") -> Event:
    return Event(name=name, group=EventGroup.EVENT, doc=doc, cost=cost, source=source)


def _transfer(name: str, doc: str, source: str = _DRAM) -> Event:
    return Event(name=name, group=EventGroup.EVENT, doc=doc, cost=200, source=source, dram=True)


#: In the order of the counter registers.
EVENTS = (
    _time("cycles", "cycles from start to finish; the sum of the other times"),
    _time("array_compute", "cycles in which ARRAY's multipliers work"),
    _time("array_fill", "cycles in which ARRAY has an instruction but waits for operands or for its pipeline", stall="operands"),
    _time("stall_fetch", "cycles in which ARRAY has no instruction: not yet fetched, or none left", stall="fetch"),
    _time("stall_load", "cycles in which ARRAY waits for LOAD", stall="load"),
    _time("stall_drain", "cycles in which ARRAY waits for DRAIN", stall="drain"),
    _time("stall_pool", "cycles in which ARRAY waits for POOL", stall="pool"),
    _time("stall_store", "cycles in which ARRAY waits for STORE", stall="store"),
    _count("macs", "multiplications by weights that are not zero", 1,
           "Eyeriss (ISCA 2016), 65 nm: one 16-bit multiply-accumulate is the unit"),
    _count("zeros_skipped", "multiplications left out because the weight is zero"),
    _count("rf_words", "partial sums read from or written to register files", 1,
           "Eyeriss: register file inside a PE; a partial sum counts as one word whatever its width"),
    _count("neighbour_words", "words passed from PE to PE: partial sums (WS), input pixels (OS)", 2,
           "Eyeriss: from one PE to its neighbour"),
    _count("act_read_words", "words read from the activation buffer", 6, _BUFFER),
    _count("act_write_words", "words written to the activation buffer", 6, _BUFFER),
    _count("weight_words", "words read from the weight buffer", 6, "Eyeriss: global buffer (the weight buffer is part of it)"),
    _count("weight_write_words", "words written to the weight buffer", 6, _BUFFER),
    _count("bias_write_words", "words written to the bias buffer", 6, _BUFFER),
    _transfer("dram_read_words", "16-bit words that LOAD read"),
    _transfer("dram_fetch_words", "16-bit words of instructions read", "Eyeriss: DRAM; instructions"),
    _transfer("dram_write_words", "16-bit words that STORE wrote"),
)

_BY_NAME = {item.name: item for item in EVENTS}

#: Times in which ARRAY does not multiply.
STALLS = tuple(item.name for item in EVENTS if item.stall)
#: Words that cross the memory port.
DRAM_WORDS = tuple(item.name for item in EVENTS if item.dram)


def event(name: str) -> Event:
    """The event called ``name``.

    Raises
    ------
    KeyError
        If there is none.
    """
    return _BY_NAME[name]


def check_table() -> None:
    """Raise ValueError if a name appears twice, or a time has a cost (energy is counted in events)."""
    if len(_BY_NAME) != len(EVENTS):
        raise ValueError("two events have one name")
    for item in EVENTS:
        if item.group is EventGroup.TIME and item.cost is not None:
            raise ValueError(f"{item.name}: a time has no energy cost")


check_table()
