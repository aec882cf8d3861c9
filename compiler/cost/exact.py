"""What a schedule really takes: the cycle model's timing of its instructions, for which no weights need to be laid out."""

import numpy as np

from squeezelerator.timing.array import ArrayTiming
from squeezelerator.timing.drain import DrainTiming
from squeezelerator.timing.kernel import simulate
from squeezelerator.timing.pool import PoolTiming


class _ArrayTiming(ArrayTiming):
    """With streams that are the compiler's :class:`~compiler.mapping.weight_streams.Records` instead of what lies in the weight buffer."""

    def _rows_of(self, instr):
        records = self.stream_of(instr)
        key = id(records), instr["nrows"], instr["segs"]
        if key not in self._loaded:
            rows = records.down * instr["segs"]
            self._loaded[key] = np.where((rows > 0) & (rows < instr["nrows"]), rows, instr["nrows"]).tolist()
        return self._loaded[key]


def exact_cycles(cfg, instructions, steps, prog_offset):
    """Cycles on the reference memory.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    instructions : list of spec.isa.Instruction
        Of ``steps``, with END.
    steps : list of compiler.codegen.transfers.Step
    prog_offset : int
        Byte offset of the first instruction in the program's memory.
    """
    streams = {id(i): step.records for i, step in zip(instructions, steps, strict=False) if step.records is not None}
    closed = {"array": _ArrayTiming(cfg, lambda instr: streams[id(instr)]), "drain": DrainTiming(cfg), "pool": PoolTiming(cfg)}
    return simulate(cfg, instructions, closed, prog_offset=prog_offset).cycles
