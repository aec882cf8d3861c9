"""The reference memory's timing."""

__all__ = ["ReferenceMemory"]


class ReferenceMemory:
    """Serves bursts one after the other, a beat a cycle, each at the earliest ``latency`` cycles after its acceptance.

    Bursts must be presented in the order of acceptance (a read before a write of the same cycle).
    """

    def __init__(self, latency: int = 100) -> None:
        self.latency = latency
        self.free = 0

    def serve(self, accepted: int, beats: int) -> int:
        """Cycle of the first beat of a burst accepted in cycle ``accepted``; its other beats follow without a gap."""
        start = max(self.free, accepted + self.latency)
        self.free = start + beats
        return start
