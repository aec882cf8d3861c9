"""The reference memory and how transfers are cut into bursts."""

from rtl.dma_params import PAGE_BYTES

__all__ = ["ReferenceMemory", "cut_bursts"]


class ReferenceMemory:
    """Serves bursts in the order of their acceptance, one beat a cycle, reads and writes together.

    Parameters
    ----------
    latency : int
        Cycles from the acceptance of a burst to its first beat, at least.
    """

    def __init__(self, latency=100):
        self.latency = latency
        self.free = 0

    def serve(self, accepted, beats):
        """First and last cycle of the beats of a burst accepted in cycle ``accepted``; call in the order of acceptance."""
        start = max(self.free, accepted + self.latency)
        self.free = start + beats
        return start, start + beats - 1


def cut_bursts(offset, line_beats, lines, pitch, *, max_beats, bus_bytes):
    """Beats of each burst of a transfer, in order (see rtl/bursts.py).

    Parameters
    ----------
    offset, pitch : int
        Byte offset of the first line; bytes from line to line.
    line_beats, lines : int
    """
    bursts = []
    for line in range(lines):
        at, left = offset + line * pitch, line_beats
        while left:
            beats = min(left, max_beats, (PAGE_BYTES - at % PAGE_BYTES) // bus_bytes)
            bursts.append(beats)
            at += beats * bus_bytes
            left -= beats
    return bursts
