"""The reference pages say what the tables say."""

from pathlib import Path

import pytest

from squeezelerator.rtl.reference import instruction_page, register_page
from squeezelerator.spec.isa import OPS, Instruction, IsaError

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name,page", [("instructions.md", instruction_page), ("registers.md", register_page)])
def test_pages_are_current(name, page):
    assert (DOCS / name).read_text(encoding="utf-8") == page(), f"run python -m rtl.reference to renew docs/{name}"


def test_instruction_round_trip():
    instr = Instruction("OS", {"in_base": 65535, "y0": -32768, "x0": 7, "skipped": 1 << 31, "bank": 1}, {0: 70000, 3: 2})
    back = Instruction.decode(instr.encode_unchecked())
    assert back.fields == instr.fields
    assert back.tickets == {0: 70000 & 0xFFFF, 3: 2}
    assert "wrap_line" in instr.fields and instr["wrap_line"] == 65535


def test_written_stands_beside_the_tickets():
    plain, written = (Instruction("LOAD", {"rows": 3, "written": bit}, {4: 7}).encode_unchecked() for bit in (0, 1))
    assert int.from_bytes(plain, "little") ^ int.from_bytes(written, "little") == 1 << 13
    assert Instruction.decode(written)["written"] == 1


@pytest.mark.parametrize("make,message", [
    (lambda: Instruction("NOP", {}), f"unknown operation 'NOP'; there are {', '.join(op.name for op in OPS)}"),
    (lambda: Instruction("END", {"rows": 1}), "END has no field 'rows'"),
    (lambda: Instruction("LOAD", {"rows": 65536}).encode(), "LOAD.rows takes 1 to 65535, not 65536"),
    (lambda: Instruction("OS", {"y0": -32769}).encode(), "OS.y0 takes -32768 to 32767, not -32769"),
    (lambda: Instruction.decode(bytes(64)), "unknown opcode 0"),
    (lambda: Instruction.decode(bytes(63)), "an instruction is 64 bytes, not 63"),
])
def test_refusals(make, message):
    with pytest.raises(IsaError) as caught:
        make()
    assert str(caught.value) == message
