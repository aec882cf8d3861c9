"""Writes the reference pages of the instructions and registers from their tables: ``python -m rtl.reference``."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.spec import isa
from squeezelerator.spec.functions.activations import ACTIVATIONS
from squeezelerator.spec.registers import COUNTERS, ERRORS, FAULT_UNITS, REGISTERS, counter_offset

__all__ = ["instruction_page", "register_page"]

_NOTE = "<!-- Written by `python -m rtl.reference`; change the table in {} instead. -->\n"


def _table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)]) + "\n"


def _bits(field: isa.Field) -> str:
    first = field.offset - 16 * field.hw
    return f"{first}-{first + field.width - 1}" if field.width > 1 else str(first)


def instruction_page() -> str:
    """The text of docs/instructions.md."""
    parts = [
        "# Instructions\n", _NOTE.format("squeezelerator/spec/isa.py"),
        f"An instruction is {isa.INSTRUCTION_BYTES} bytes, 32 halfwords, little endian. What the operations do stands in "
        "[architecture.md](architecture.md).\n",
        _table(("halfword", "bits", "meaning"), [
            ("0", "0-7", "opcode"), ("0", "8-12", "which tickets are meant: bit 8 + unit"),
            ("0", "13", "LOAD's field `written`"),
            *((str(1 + u), "0-15", f"ticket: {name.upper()} has retired so many instructions")
              for u, name in enumerate(isa.UNITS) if u != isa.STORE),
            (str(1 + isa.STORE), "0-15", "ticket: STORE has read the rows of so many instructions; in END, and in a LOAD with `written`: "
             "it has written them to DRAM"),
            ("6-31", "", "fields of the operation; unused bits are zero"),
        ]),
    ]
    for op in isa.OPS:
        unit = "the dispatcher" if op.unit is None else isa.UNITS[op.unit].upper()
        parts.append(f"## {op.name} (opcode {op.code}, unit {unit})\n")
        parts.append(op.doc[0].upper() + op.doc[1:] + ".\n")
        if op.fields:
            parts.append(_table(("field", "halfword", "bits", "signed", "meaning"), [
                (f"`{f.name}`", f.hw, _bits(f), "yes" if f.signed else "", f.doc) for f in op.fields]))
    parts += [
        "## Activations\n", "`v` is the value of 16 bits that the activation is applied to, `parm` the field of that name.\n",
        _table(("code", "activation", "in layer tables", "result", "after a residual"), [
            (int(rule.code), rule.title, f"`{rule.name}`", rule.formula, "yes" if rule.after_sum else "no")
            for rule in sorted(ACTIVATIONS.values(), key=lambda rule: rule.code)]),
    ]
    return "\n".join(parts)


def register_page() -> str:
    """The text of docs/registers.md."""
    parts = [
        "# Registers\n", _NOTE.format("squeezelerator/spec/registers.py"),
        "AXI4-Lite, 32-bit registers; other addresses answer with SLVERR. `make verilog` writes the same as a C header.\n",
        _table(("offset", "name", "access", "meaning"), [
            (f"0x{r.offset:03X}", r.name, r.access, r.doc + "".join(
                f"<br>bits {f.lsb}-{f.lsb + f.width - 1} `{f.name}`: {f.doc}" for f in r.fields)) for r in REGISTERS]),
        "## Error codes (STATUS.code)\n",
        _table(("code", "name", "meaning", "ERROR_DETAIL"), [(e.code, e.name, e.doc, e.detail) for e in ERRORS]),
        "STATUS.unit: " + ", ".join(f"{i} {name}" for i, name in enumerate(FAULT_UNITS)) + ".\n",
        "## Counters\n", "64 bits, low half first; they count from the start of a program to its end. The counters of the group "
        "`time` after `cycles` add up to `cycles`.\n",
        _table(("offset", "name", "group", "counts"), [
            (f"0x{counter_offset(c.name):03X}", c.name, c.group, c.doc) for c in COUNTERS]),
    ]
    return "\n".join(parts)


@command("rtl.reference")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = OneLineParser(prog=program_name("rtl.reference"), description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder to write to")
    args = parser.parse_args(argv)
    for name, text in (("instructions.md", instruction_page()), ("registers.md", register_page())):
        (args.docs / name).write_text(text, encoding="utf-8")
        print(args.docs / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
