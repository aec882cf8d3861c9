"""The exact cost model: the cycle model's timing of a program, for which the weights' contents need not be laid out.

This is the compiler's only door to :mod:`timing`, which equals the hardware to the cycle.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from squeezelerator.compiler.mapping.weight_plan import Records
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.timing.array import ArrayTiming
from squeezelerator.timing.drain import DrainTiming
from squeezelerator.timing.kernel import simulate
from squeezelerator.timing.pool import PoolTiming


class _ArrayTiming(ArrayTiming):
    """With streams that are the compiler's :class:`~compiler.mapping.weight_plan.Records` instead of what lies in the weight buffer."""

    def _rows_of(self, instr: Instruction) -> list[int]:
        records: Any = self.stream_of(instr)
        key = id(records), instr["nrows"], instr["segs"]
        if key not in self._loaded:
            rows = records.down * instr["segs"]
            self._loaded[key] = np.where((rows > 0) & (rows < instr["nrows"]), rows, instr["nrows"]).tolist()
        return self._loaded[key]


def exact_cycles(cfg: MachineConfig, instructions: Sequence[Instruction], records: Sequence[Records | None], prog_offset: int,
                 memory: DramProfile = REFERENCE) -> int:  # fmt: skip
    """Cycles of a program.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    instructions : sequence of spec.isa.Instruction
        With END.
    records : sequence of Records or None
        Those of each instruction that is an OS, without END.
    prog_offset : int
        Byte offset of the first instruction in the program's memory.
    memory : spec.platform.memory.DramProfile
    """
    streams = {id(i): stream for i, stream in zip(instructions, records, strict=False) if stream is not None}
    closed = {"array": _ArrayTiming(cfg, lambda instr: streams[id(instr)]),  # pyright: ignore[reportArgumentType] - see the class
              "drain": DrainTiming(cfg), "pool": PoolTiming(cfg)}
    return int(simulate(cfg, instructions, closed, prog_offset=prog_offset, memory=memory).cycles)
