"""Which words cross the memory port for each layer, and which of them for a second time."""

from collections.abc import Iterator, Mapping

import numpy as np

from squeezelerator.spec.isa import INSTRUCTION_BYTES, MEM_ACT, MEM_BIAS, MEM_PACKED, MEM_WEIGHT, Instruction
from squeezelerator.spec.program import Program

__all__ = ["KINDS", "layer_words"]

_READ = {MEM_ACT: "maps read", MEM_WEIGHT: "weights", MEM_BIAS: "biases", MEM_PACKED: "weights"}
_AGAIN = {"maps read": "maps read again", "weights": "weights again", "biases": "biases"}

#: The kinds of words, in the order of tables.
KINDS: tuple[str, ...] = ("maps read", "maps read again", "maps written", "weights", "weights again", "biases", "instructions")


def _lines(instr: Instruction, row_bytes: int) -> Iterator[tuple[int, int]]:
    """(first byte, bytes) of the lines of a LOAD or STORE."""
    for line in range(instr["lines"]):
        yield instr["dram"] + line * instr["dram_pitch"], instr["rows"] * row_bytes


def layer_words(program: Program) -> Mapping[str | None, dict[str, int]]:
    """{layer: {kind: 16-bit words}}; None: of instructions that belong to no layer.

    Padding of rows to whole beats is included, so the sum is what the counters say. What was read before and not written since is "again".
    """
    bus = program.cfg.bus_bytes
    seen = np.zeros(-(-program.mem_bytes // bus), bool)
    found: dict[str | None, dict[str, int]] = {}
    for instr, layer in zip(program.instructions, program.layer_of, strict=True):
        words = found.setdefault(layer, dict.fromkeys(KINDS, 0))
        words["instructions"] += INSTRUCTION_BYTES // 2
        if instr.op not in ("LOAD", "STORE"):
            continue
        for start, size in _lines(instr, program.cfg.row_bytes):
            beats = slice(start // bus, (start + size) // bus)
            if instr.op == "STORE":
                words["maps written"] += size // 2
                seen[beats] = False
                continue
            kind = _READ[instr["mem"]]
            again = int(np.count_nonzero(seen[beats])) * bus // 2
            words[_AGAIN[kind]] += again
            words[kind] += size // 2 - again
            seen[beats] = True
    return found
