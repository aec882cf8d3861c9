"""Exact timing of the DRAIN unit."""

from squeezelerator.spec import isa
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["DrainTiming"]

#: From an instruction's last step to its last write and retirement.
TAIL = 11


class DrainTiming:
    """When the DRAIN unit of a machine takes and finishes its instructions (see rtl/postprocess/drain.py).

    Parameters
    ----------
    cfg : MachineConfig
        The machine.
    """

    def __init__(self, cfg: MachineConfig) -> None:
        self._n = cfg.n

    def steps(self, instr: Instruction) -> int:
        """Cycles in which the sequencer works: one for each row or column that is written, and at most one empty one."""
        if instr["mode"] == isa.MODE_WS:
            return instr["out_w"] * instr["out_h"]
        channels, nrows = instr["channels"], instr["nrows"]
        # A first block of one channel on one array row leaves no time for its second row of biases.
        empty = nrows == 1 and instr["lane0"] == self._n - 1 and channels > 1
        return channels * nrows + empty

    def accept(self, instr: Instruction, t: int) -> tuple[int, int]:
        """(first cycle in which the next instruction can be accepted, cycle of the retire pulse), accepted in cycle ``t``."""
        last = t + 1 + self.steps(instr)
        return last, last + TAIL

    def counters(self, instr: Instruction) -> dict[str, int]:
        """Events of the whole instruction."""
        if instr["mode"] == isa.MODE_WS:
            words = instr["out_w"] * instr["out_h"] * self._n
        else:
            seg_len, segs, out_w = instr["seg_len"], instr["segs"], instr["out_w"]
            columns = ((instr["seg0"] + i) % segs * seg_len for i in range(instr["nrows"]))
            words = instr["channels"] * sum(max(0, min(seg_len, out_w - column)) for column in columns)
        return {"rf_words": words, "act_read_words": words if instr["residual"] else 0, "act_write_words": words}
