"""Timing of the memory behind the machine's port."""

from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile

__all__ = ["MemoryTiming"]


class MemoryTiming:
    """Serves bursts one after the other, as :class:`~spec.platform.memory.DramProfile` says.

    Bursts must be presented in the order of acceptance (a read before a write of the same cycle).

    Parameters
    ----------
    memory : DramProfile
    cfg : MachineConfig

    Attributes
    ----------
    interval : int
        Cycles from one beat of a burst to the next.
    """

    def __init__(self, memory: DramProfile, cfg: MachineConfig) -> None:
        self.latency, self.opening, self.turning = memory.latency, memory.opening, memory.turning
        self.interval = memory.beat_cycles(cfg)
        self.free = 0
        self.wrote = False

    def serve(self, accepted: int, beats: int, *, write: bool = False) -> int:
        """Cycle of the first beat of a burst accepted in cycle ``accepted``; the others follow, ``interval`` cycles apart."""
        gap = self.turning if write != self.wrote else 0
        start = max(self.free + gap, accepted + self.latency)
        self.free, self.wrote = start + beats * self.interval + self.opening, write
        return start
