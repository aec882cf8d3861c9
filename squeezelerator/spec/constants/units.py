"""Constants of the units that the hardware and its timing model share. Plain Python: what only needs these starts without Amaranth."""

from collections.abc import Mapping

__all__ = ["FIFO_ROWS", "LATEST_FAULT", "PREFETCH_ROWS", "pool_positions"]

#: Array rows of OS that may be on their way or waiting; at least read latency + 3, so that rows flow without a gap.
FIFO_ROWS = 8
#: Rows of the weight buffer that are kept ready; hides the slot and memory latency (at most 5 cycles) for every N from 2 on.
PREFETCH_ROWS = 4
#: A fault is reported at most so many cycles after the retire pulse of its instruction shows in the counts of RetireCounters: END waits
#: for it. The last write of DRAIN and POOL is asked for with the retire pulse, and the activation buffer's answer is the slowest.
LATEST_FAULT = 3


def pool_positions(fields: Mapping[str, int]) -> int:
    """Positions that POOL visits for an instruction with these fields, one a cycle; loops that it has no field for run once."""
    positions = fields["blocks"] * fields["out_h"] * fields["out_w"]
    return positions * fields.get("kh", 1) * fields.get("kw", 1)
