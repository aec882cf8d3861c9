"""Verilator's ``coverage.dat``: how often each branch of the Verilog ran and each bit changed.

A line of the file is ``C 'KEY' COUNT``. KEY is a sequence of fields, each of them character 1, a name of one or two letters, character 2
and its value; the names stand in ``verilated_cov_key.h`` of Verilator's runtime library. The Python package has no program that reads it.
"""

import collections
import dataclasses
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Block", "Module", "counts_in", "modules"]

_ESCAPE = re.compile(r"__0([0-9A-Fa-f]{2})")
_BIT = re.compile(r"(.*)\[(\d+)\]")


@dataclasses.dataclass(frozen=True, order=True)
class Block:
    """A part of an ``always`` block that runs as a whole: ``kind`` (block, if, else, case), its ``line`` in the Verilog, ``text`` there."""

    line: int
    kind: str
    text: str


@dataclasses.dataclass
class Module:
    """What was seen of a module: {block: runs}, and {bit: [0 -> 1, 1 -> 0]}; a bit is (signal, index)."""

    name: str
    blocks: collections.Counter[Block] = dataclasses.field(default_factory=collections.Counter)
    bits: dict[tuple[str, int], list[int]] = dataclasses.field(default_factory=dict)

    @property
    def blocks_not_run(self) -> list[Block]:
        """Blocks that never ran, by line."""
        return sorted(block for block, count in self.blocks.items() if not count)

    @property
    def bits_still(self) -> int:
        """Bits that did not change both ways."""
        return sum(min(changes) == 0 for changes in self.bits.values())

    def signals_still(self) -> list[str]:
        """Signals with bits that did not change both ways, with these bits unless none of the signal did: ``row[15:13,0]``."""
        widths = collections.Counter(signal for signal, _ in self.bits)
        still = collections.defaultdict(list)
        for (signal, bit), changes in self.bits.items():
            if min(changes) == 0:
                still[signal].append(bit)
        return [signal if len(bits) == widths[signal] else f"{signal}[{_ranges(bits)}]" for signal, bits in sorted(still.items())]


def _ranges(bits: Iterable[int]) -> str:
    """Bits as a hardware engineer writes them, the highest first."""
    found: list[list[int]] = []
    for bit in sorted(bits, reverse=True):
        if found and found[-1][1] == bit + 1:
            found[-1][1] = bit
        else:
            found.append([bit, bit])
    return ",".join(str(high) if high == low else f"{high}:{low}" for high, low in found)


def counts_in(files: Iterable[Path]) -> collections.Counter[str]:
    """{key: count}, summed over files of the same simulator."""
    total: collections.Counter[str] = collections.Counter()
    for path in files:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("C '"):
                    key, _, count = line[3:].rpartition("' ")
                    total[key] += int(count)
    return total


def _plain(name: str) -> str:
    """A name as it stands in the Verilog; Verilator writes other characters than letters, digits and _ as hexadecimal numbers."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), name)


def _add_bit(module: Module, comment: str, count: int) -> None:
    signal, _, direction = comment.rpartition(":")
    found = _BIT.fullmatch(signal)
    signal, bit = (found[1], int(found[2])) if found else (signal, 0)
    changes = module.bits.setdefault((_plain(signal), bit), [0, 0])
    changes[direction == "1->0"] += count


def modules(counts: collections.Counter[str]) -> list[Module]:
    """The modules by name. Verilog files are read where the simulator was built, for the text of blocks."""
    texts: dict[str, list[str]] = {}
    found: dict[str, Module] = {}
    for key, count in counts.items():
        fields = dict(part.split("\2", 1) for part in key.split("\1") if part)
        name = _plain(fields["page"].partition("/")[2])
        module = found.setdefault(name, Module(name))
        if fields["t"] == "toggle":
            _add_bit(module, fields["o"], count)
            continue
        path, line = fields["f"], int(fields["l"])
        if path not in texts:
            texts[path] = Path(path).read_text(encoding="utf-8").splitlines()
        module.blocks[Block(line, fields["o"], texts[path][line - 1].strip())] += count
    return [found[name] for name in sorted(found)]
