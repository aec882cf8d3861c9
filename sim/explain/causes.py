"""What a cycle can be spent on, as one table: the decomposition, its texts and the report's colours follow it."""

from enum import StrEnum

__all__ = ["MULTIPLYING", "RESOURCES", "Cause"]


class Cause(StrEnum):
    """What a cycle, or a part of the array in a cycle, is spent on; the values are the names in tables and JSON."""

    IDEAL = "ideal"
    ROWS = "rows unused"
    COLUMNS = "columns unused"
    ZEROS = "zeros in WS"
    HEADERS = "record headers"
    LOADS = "operand loads"
    DRAIN = "drain"
    DRAM = "DRAM"
    FETCH = "instruction fetch"
    POOL = "pool"
    CONTROL = "control"

    @property
    def doc(self) -> str:
        """One sentence for readers of the report."""
        return _DOCS[self]


_DOCS = {
    Cause.IDEAL: "Multiplications by weights that are not zero, as if all PEs worked on them.",
    Cause.ROWS: "Array rows without work while the array multiplies: in OS segments that are missing, in WS lanes without an input "
                "channel (or, in grouped convolutions, without one of the group).",
    Cause.COLUMNS: "Array columns without work while the array multiplies: in OS pixels beyond the end of a segment or line, in WS lanes "
                   "without an output channel.",
    Cause.ZEROS: "Multiplications by zero weights, which only WS does.",
    Cause.HEADERS: "The array waits for the header of an OS record to be parsed.",
    Cause.LOADS: "The array waits for pixels (OS) or weight tiles (WS) on their way from the buffers into the PEs.",
    Cause.DRAIN: "The array is empty and waits for results to be requantised and written back.",
    Cause.DRAM: "The array is empty and waits for a transfer between DRAM and the buffers.",
    Cause.FETCH: "The array is empty and waits for its next instruction, or the end, to be fetched.",
    Cause.POOL: "The array is empty and waits for POOL.",
    Cause.CONTROL: "Starts of instructions, pipelines that fill and empty, queues, the end of the program.",
}  # fmt: skip

#: The causes of cycles in which the array multiplies: parts of it may be idle in them.
MULTIPLYING = (Cause.IDEAL, Cause.ROWS, Cause.COLUMNS, Cause.ZEROS)

#: What can bound a layer, and the causes that say it does.
RESOURCES = {
    "multipliers": MULTIPLYING,
    "operand loads": (Cause.HEADERS, Cause.LOADS),
    "drain": (Cause.DRAIN,),
    "DRAM": (Cause.DRAM, Cause.FETCH),
    "pool": (Cause.POOL,),
    "control": (Cause.CONTROL,),
}
