"""Ranges of fields: encoder, reader and model refuse the same values, and the fast codec makes the bytes of the plain one."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from support.hand_programs import HandProgram, end, load
from support.machines import MACHINES
from support.programs import random_programs

from squeezelerator.sim.engines.functional import FunctionalError, run_functional
from squeezelerator.sim.engines.model import run_model
from squeezelerator.spec.encoding import check_fields, decode_program, encode_program
from squeezelerator.spec.isa import OPS, STORE, Instruction, IsaError
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4, functions=True)


def legal(op, cfg, mode=0):
    """An instruction whose fields have the least values that are allowed."""
    fields = {f.name: max(0, f.limits(cfg)[0]) for f in op.fields}
    if "mode" in fields:
        fields["mode"] = mode
    return Instruction(op.name, fields)


def narrow(cfg):
    """(operation, field, value): one below and one above every range that is narrower than the field's bits."""
    for op in OPS:
        for f in op.fields:
            low, high = f.limits(cfg)
            if low > f.span[0]:
                yield op, f, low - 1
            if high < f.span[1]:
                yield op, f, high + 1


@pytest.mark.parametrize("op,field,value", [pytest.param(*case, id=f"{case[0].name}.{case[1].name}={case[2]}") for case in narrow(CFG)])
def test_everyone_refuses_a_value_out_of_range(op, field, value):
    low, high = field.limits(CFG)
    wrong = legal(op, CFG, field.mode or 0)
    wrong.fields[field.name] = value
    text = f"{op.name}.{field.name} takes {low} to {high}, not {value}"
    with pytest.raises(IsaError, match=f"^{text}$"):
        wrong.encode(CFG)
    program = [load(), wrong, Instruction("END", {})]
    with pytest.raises(IsaError, match=f"^instruction 1: {text}$"):
        encode_program(program, CFG)
    with pytest.raises(IsaError, match=f"^instruction 1: {text}$"):
        decode_program(b"".join(i.encode_unchecked() for i in program), CFG)
    whole = HandProgram(CFG, program)
    for engine in (run_functional, run_model):
        with pytest.raises(FunctionalError, match=f"^instruction 1: {text}$"):
            engine(whole, bytearray(whole.mem_bytes))


def test_what_docs_say_of_strides():
    # It ran, with other outputs on the RTL than on the model.
    assert [(f.name, f.limits()) for op in OPS for f in op.fields if f.name == "stride_y"] == [("stride_y", (1, 4))] * 5


def test_a_field_that_the_mode_does_not_use_may_hold_anything():
    drain = next(op for op in OPS if op.name == "DRAIN")
    for mode, unused in ((0, "out_h"), (1, "nrows")):
        instruction = legal(drain, CFG, mode)
        instruction.fields[unused] = 0
        check_fields([instruction], CFG)
        instruction.fields["mode"] = 1 - mode
        with pytest.raises(IsaError, match=unused):
            check_fields([instruction], CFG)


def test_packed_weights_only_where_the_machine_unpacks():
    packed = [load(mem=3), end([load()])]
    check_fields(packed, MachineConfig(n=16))
    with pytest.raises(IsaError, match=r"^instruction 0: LOAD\.mem takes 0 to 2, not 3$"):
        check_fields(packed, CFG)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(program=random_programs(MACHINES))
def test_codec(program):
    plain = b"".join(i.encode() for i in program.instructions)
    assert encode_program(program.instructions, program.cfg) == plain
    assert decode_program(plain, program.cfg) == program.instructions


def test_tickets_have_16_bits():
    for count in (0x7FFF, 0x8000, 0xFFFF, 0x10001):
        plain = load({STORE: count})
        assert encode_program([plain], CFG) == plain.encode()
        assert decode_program(plain.encode(), CFG)[0].tickets == {STORE: count & 0xFFFF}


def test_the_first_of_several_is_named():
    program = [load(), load(lines=0), Instruction("STORE", {"lines": 1}), load(rows=0)]
    with pytest.raises(IsaError, match=r"^instruction 1: LOAD\.lines"):
        check_fields(program, CFG)


@pytest.mark.parametrize("halfword,bit,message", [
    (11, 3, "^instruction 1: LOAD has a bit set that is not used$"),
    (0, 14, "^instruction 1: LOAD has a bit set that is not used$"),
    (0, 5, "^instruction 1: unknown opcode 33$"),
])  # fmt: skip
def test_other_bits(halfword, bit, message):
    words = [list(struct.unpack("<32H", load().encode())) for _ in range(2)]
    words[1][halfword] ^= 1 << bit
    with pytest.raises(IsaError, match=message):
        decode_program(b"".join(struct.pack("<32H", *w) for w in words), CFG)


def test_half_an_instruction():
    with pytest.raises(IsaError, match="^instructions take 64 bytes each, and there are 65$"):
        decode_program(load().encode() + b"x", CFG)


@pytest.mark.parametrize("name", ["MUL", "LOOKUP", "TABLE"])
def test_a_machine_without_functions_refuses_them(name):
    plain, program = MachineConfig(n=4), [load(), legal(next(op for op in OPS if op.name == name), CFG), Instruction("END", {})]
    text = f"instruction 1: the machine knows {name} only with functions=True"
    assert encode_program(program, CFG)
    with pytest.raises(IsaError, match=f"^{text}$"):
        encode_program(program, plain)
    with pytest.raises(IsaError, match=f"^{text}$"):
        decode_program(encode_program(program, CFG), plain)
    whole = HandProgram(plain, program)
    with pytest.raises(FunctionalError, match=f"^{text}$"):
        run_functional(whole, bytearray(whole.mem_bytes))
