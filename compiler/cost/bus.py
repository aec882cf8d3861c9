"""The DRAM bus as estimates see it: one beat a cycle, LOAD and STORE together, whoever asks first."""

import bisect


class Bus:
    """Remembers when the bus is taken, as intervals that do not touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def reserve(self, time: int, beats: int) -> int:
        """Take the first ``beats`` free cycles from ``time`` on; returns the cycle after the last."""
        if beats <= 0:
            return time
        starts, ends = self._starts, self._ends
        first = at = bisect.bisect_left(ends, time)
        low = time = max(time, 0)
        while at < len(starts) and time + beats > starts[at]:
            beats -= max(0, starts[at] - time)
            low = min(low, starts[at])
            time = ends[at]
            at += 1
        finish = time + beats
        # Everything between is taken now: one interval.
        starts[first:at], ends[first:at] = [low], [finish]
        return finish
