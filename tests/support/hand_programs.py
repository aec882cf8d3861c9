"""Programs written by hand, for what checks programs without running them."""

import dataclasses

from squeezelerator.spec.isa import INSTRUCTION_BYTES, LOAD, POOL, STORE, Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["HandProgram", "end", "load", "pool", "store"]

#: Where the constants and the instructions of these programs lie.
CONSTANTS, CODE = 0x4000, 0x8000


@dataclasses.dataclass
class HandProgram:
    """As ``spec.program.Program``, as far as a check needs it: maps below CONSTANTS, then constants, then instructions."""

    cfg: MachineConfig
    instructions: list[Instruction]
    constants: bytes = bytes(CODE - CONSTANTS)
    constants_offset: int = CONSTANTS
    prog_offset: int = CODE

    @property
    def mem_bytes(self) -> int:
        return self.prog_offset + INSTRUCTION_BYTES * len(self.instructions)

    @property
    def layer_of(self) -> list[None]:
        return [None] * len(self.instructions)


def load(tickets=None, **fields):
    """LOAD of a row of activations."""
    return Instruction("LOAD", {"rows": 1, "lines": 1, **fields}, tickets or {})


def store(tickets=None, **fields):
    """STORE of a row."""
    return Instruction("STORE", {"rows": 1, "lines": 1, **fields}, tickets or {})


def pool(tickets=None, **fields):
    """POOL of one position into one row."""
    one = dict.fromkeys(("in_w", "in_h", "in_pitch", "kw", "kh", "stride_x", "stride_y", "out_w", "out_h", "blocks"), 1)
    return Instruction("POOL", {**one, **fields}, tickets or {})


def end(instructions):
    """END that waits for all ``instructions``."""
    count = {unit: sum(i.unit == unit for i in instructions) for unit in (LOAD, 1, 2, POOL, STORE)}
    return Instruction("END", {}, {unit: number for unit, number in count.items() if number})
