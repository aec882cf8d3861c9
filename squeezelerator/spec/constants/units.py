"""Constants of the units that the hardware and its timing model share. Plain Python: what only needs these starts without Amaranth."""

from collections.abc import Mapping

__all__ = ["FIFO_ROWS", "FUNCTION_STAGES", "LATEST_FAULT", "PREFETCH_ROWS", "TABLE_ENTRIES", "pool_positions"]

#: Array rows of OS that may be on their way or waiting; at least read latency + 3, so that rows flow without a gap.
FIFO_ROWS = 8
#: Rows of the weight buffer that are kept ready; hides the slot and memory latency (at most 5 cycles) for every N from 2 on.
PREFETCH_ROWS = 4
#: A fault is reported at most so many cycles after the retire pulse of its instruction shows in the counts of RetireCounters: END waits
#: for it. The last write of DRAIN and POOL is asked for with the retire pulse, and the activation buffer's answer is the slowest.
LATEST_FAULT = 3
#: Entries of a function table in one instruction TABLE.
TABLE_ENTRIES = 8
#: Cycles that function tables add between a position of POOL and its write.
FUNCTION_STAGES = 2


def pool_positions(fields: Mapping[str, int]) -> int:
    """Positions that POOL visits for an instruction with these fields, one a cycle; loops that it has no field for run once.

    MUL visits a position of each of its maps for every result, TABLE has one for every entry.
    """
    if "slope0" in fields:
        return TABLE_ENTRIES
    positions = fields["blocks"] * fields["out_h"] * fields["out_w"] * (2 if "other_base" in fields else 1)
    return positions * fields.get("kh", 1) * fields.get("kw", 1)
