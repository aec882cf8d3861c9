"""Memories behind the machine's port: their speed and what their bursts cost, the same for compiler, cycle model and simulated memory.

A memory serves bursts one after the other, in the order of their acceptance. A burst begins at the earliest ``latency`` cycles after its
acceptance, and ``opening`` cycles after the burst before is over (``turning`` more if one reads and the other writes). Its beats follow
each other in as many cycles as their bytes take.
"""

import dataclasses

from squeezelerator.common.errors import UserError
from squeezelerator.spec.machine import MachineConfig

__all__ = ["MEMORIES", "REFERENCE", "DramProfile", "UnknownMemory", "memory_of"]


class UnknownMemory(UserError, ValueError):
    """A memory that does not exist; the message is one line."""


@dataclasses.dataclass(frozen=True)
class DramProfile:
    """A memory.

    Parameters
    ----------
    name : str
    latency : int
        Cycles from a burst's acceptance to its first beat if the memory is idle, 1 to 100,000.
    bytes_a_cycle : int or None
        What it moves at best, 1 to 64; None: a beat of whatever width a cycle.
    opening : int
        Cycles that are lost between any two bursts: opening a row, and what refresh takes on average.
    turning : int
        Cycles that are lost besides where a read follows a write or the other way round.

    Raises
    ------
    UnknownMemory
        If a number is out of range.
    """

    name: str
    latency: int = 100
    bytes_a_cycle: int | None = None
    opening: int = 0
    turning: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("latency", 1, 100_000), ("bytes_a_cycle", 1, 64), ("opening", 0, 1000), ("turning", 0, 1000)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UnknownMemory(f"memory {self.name}: {name} must be {low} to {high}, not {value}")

    def beat_cycles(self, cfg: MachineConfig) -> int:
        """Cycles from one beat of a burst to the next."""
        return 1 if self.bytes_a_cycle is None else max(1, -(-cfg.bus_bytes // self.bytes_a_cycle))

    def row_cycles(self, cfg: MachineConfig) -> int:
        """Cycles that a row of N words takes within a burst."""
        return cfg.row_beats * self.beat_cycles(cfg)

    def line_cycles(self, cfg: MachineConfig, rows: int) -> int:
        """Cycles that so many rows in a line of memory take, openings included."""
        beats = rows * cfg.row_beats
        return beats * self.beat_cycles(cfg) + -(-beats // cfg.burst_beats) * self.opening


REFERENCE = DramProfile("reference")
"""A beat a cycle, 100 cycles of latency: the memory of all published figures."""

MEMORIES = {memory.name: memory for memory in (
    REFERENCE,
    DramProfile("sdr16", latency=20, bytes_a_cycle=4, opening=14, turning=6),
    DramProfile("ddr3x16", latency=22, bytes_a_cycle=8, opening=14, turning=6),
)}  # fmt: skip
"""Memories with a name: SDR SDRAM of 16 bits and DDR3 of 16 bits at twice the system's clock, behind LiteDRAM.

Their numbers are fitted to 1.0-SqNxt-23v5 at N=8 behind LiteDRAM's controllers: see ``docs/boards.md``.
"""


def memory_of(text: str) -> DramProfile:
    """The memory of that name, or one with some numbers changed: ``sdr16,latency=30``.

    Raises
    ------
    UnknownMemory
        If there is no such name, or a number is none or out of range.
    """
    name, *changes = text.split(",")
    if name not in MEMORIES:
        raise UnknownMemory(f"no memory {name!r}; there are {', '.join(MEMORIES)}, each with changes like {name or 'sdr16'},latency=30")
    numbers: dict[str, int] = {}
    for change in changes:
        key, _, value = change.partition("=")
        if key not in ("latency", "bytes_a_cycle", "opening", "turning") or not value.isascii() or not value.isdigit():
            raise UnknownMemory(f"memory {text}: changes are latency, bytes_a_cycle, opening or turning = a whole number, not {change!r}")
        numbers[key] = int(value)
    return dataclasses.replace(MEMORIES[name], name=text, **numbers)
