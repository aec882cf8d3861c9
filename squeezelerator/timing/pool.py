"""Exact timing of the POOL unit."""

from collections.abc import Mapping

from squeezelerator.spec.constants.units import FUNCTION_STAGES, pool_positions
from squeezelerator.spec.isa import BY_NAME, Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["PoolTiming"]

#: From an instruction's last window position to its last write and retirement, in a machine without function tables.
TAIL = 10


def positions_inside(first: int, stride: int, kernel: int, outputs: int, size: int) -> int:
    """Pairs of output and kernel position along one axis that lie in 0 .. size-1."""
    total = 0
    for k in range(kernel):
        # first + o * stride + k in 0 .. size-1 for o in low .. high-1
        low = max(0, -((first + k) // stride))
        high = min(outputs, (size - 1 - first - k) // stride + 1)
        total += max(0, high - low)
    return total


class PoolTiming:
    """When the POOL unit of a machine takes and finishes its instructions (see rtl/postprocess/pool.py).

    Parameters
    ----------
    cfg : MachineConfig
        The machine.
    """

    def __init__(self, cfg: MachineConfig) -> None:
        self._n = cfg.n
        self._tail = TAIL + (FUNCTION_STAGES if cfg.functions else 0)

    def accept(self, instr: Instruction, t: int) -> tuple[int, int]:
        """(first cycle in which the next instruction can be accepted, cycle of the retire pulse), accepted in cycle ``t``."""
        last = t + 2 + pool_positions(instr.fields)
        return last, last + self._tail

    def counters(self, instr: Instruction) -> dict[str, int]:
        """Events of the whole instruction."""
        op = BY_NAME[instr.op]
        read = self._rows_read(instr.fields) if op.reads_map else 0
        written = instr["blocks"] * instr["out_h"] * instr["out_w"] if op.writes_map else 0
        other = written if op.name == "MUL" else 0
        return {"act_read_words": self._n * (read + other), "act_write_words": self._n * written}

    @staticmethod
    def _rows_read(f: Mapping[str, int]) -> int:
        lines = positions_inside(f["y0"], f["stride_y"], f.get("kh", 1), f["out_h"], f["in_h"])
        columns = positions_inside(f["x0"], f["stride_x"], f.get("kw", 1), f["out_w"], f["in_w"])
        return f["blocks"] * lines * columns
