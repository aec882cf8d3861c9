"""The program file: what is written is read back; everything else is refused in one line."""

import dataclasses
import hashlib
import struct

import numpy as np
import pytest

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.sim.engines.functional import FunctionalError, run_functional
from squeezelerator.spec.isa import Instruction, IsaError
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import ProgramError, TensorMap, load_program

CFG = MachineConfig(n=4)


@pytest.fixture(scope="module")
def program():
    return compile_network(synthetic(zoo.get("tiny_all")), CFG)


def test_round_trip(program):
    data = program.to_bytes()
    again = load_program(data, CFG)
    assert again.to_bytes() == data
    assert again.cfg == CFG and again.network == "tiny_all" and again.table == program.table
    assert again.layer_of == program.layer_of and again.results == ["fc"]
    assert again.image == program.image and len(again.image) == again.mem_bytes
    assert again.quantisation["synthetic"] is True


def test_a_loaded_program_runs(program):
    again = load_program(program.to_bytes())
    x = synthetic_input(program.table)
    first, second = (p.results_from(run_functional(p, p.memory(input=x))) for p in (program, again))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 20, 31, 100, -1])
def test_truncated(program, length):
    with pytest.raises(ProgramError, match="^(truncated.*|is no Squeezelerator program)$"):
        load_program(program.to_bytes()[:length])


@pytest.mark.parametrize("at", [40, 300, 2000, -100, -1])
def test_corrupted(program, at):
    data = bytearray(program.to_bytes())
    data[at] ^= 4
    with pytest.raises(ProgramError, match="^corrupted: the checksum does not fit$"):
        load_program(bytes(data))


def test_longer_than_it_says(program):
    with pytest.raises(ProgramError, match="^too long: "):
        load_program(program.to_bytes() + b"x")


def test_something_else():
    with pytest.raises(ProgramError, match="^is no Squeezelerator program$"):
        load_program(b"\x7fELF" + bytes(200))


@pytest.mark.parametrize(("major", "minor"), [(7, 9), (0, 1), (1, 1)])
def test_other_version(program, major, minor):
    data = bytearray(program.to_bytes())
    struct.pack_into("<I", data, 8, major << 16 | minor)
    with pytest.raises(ProgramError, match=rf"^made for version {major}\.{minor}, this is \d+\.\d+$"):
        load_program(bytes(data))


def test_the_fingerprint_must_be_that_of_the_description(program):
    data = bytearray(program.to_bytes()[:-32])
    data[12] ^= 1
    with pytest.raises(ProgramError, match="^corrupted: the machine's fingerprint does not fit its description$"):
        load_program(bytes(data) + hashlib.sha256(data).digest())


@pytest.mark.parametrize(("change", "message"), [({"rf": 16}, "rf=32 instead of 16"), ({"queue_depth": 8}, "queue_depth=16 instead of 8")])
def test_a_machine_that_differs_in_anything_else(program, change, message):
    with pytest.raises(ProgramError, match=rf"^made for another machine: {message}$"):
        load_program(program.to_bytes(), dataclasses.replace(CFG, **change))


def test_other_machine(program):
    with pytest.raises(ProgramError, match=r"^made for another machine: n=4 instead of 8, buffer_kib=8.0 instead of 32.0$"):
        load_program(program.to_bytes(), MachineConfig(n=8))


def test_tensor_map_of_an_input_in_phases():
    tensor = TensorMap("input", 0, 3, 5, 7, 8, (12, 4, 5), (12,), (2, 2), (1, 1), 8, 16)
    x = np.arange(3 * 5 * 7, dtype=np.int16).reshape(3, 5, 7) + 1
    rows = np.frombuffer(tensor.pack(x), "<i2").reshape(2, 4, 5, 8)
    padded = np.zeros((3, 8, 10), np.int16)
    padded[:, 1:6, 1:8] = x
    for channel in range(12):
        phase, c = divmod(channel, 3)
        plane = padded[c, phase // 2 :: 2, phase % 2 :: 2]
        np.testing.assert_array_equal(rows[channel // 8, :, :, channel % 8], plane)


def test_tensor_map_round_trip():
    tensor = TensorMap("x", 32, 7, 3, 2, 8, (7, 3, 2), (4, 3), (1, 1), (0, 0), 3, 16)
    x = np.arange(-20, 22, dtype=np.int16).reshape(7, 3, 2)
    memory = bytearray(tensor.offset + tensor.size)
    memory[tensor.offset :] = tensor.pack(x)
    np.testing.assert_array_equal(tensor.unpack(memory), x)


@pytest.mark.parametrize("bad", [np.zeros((3, 20, 18), np.int16), np.zeros((3, 20, 19), np.int32), [1, 2]])
def test_input_of_the_wrong_shape(program, bad):
    with pytest.raises(ValueError, match=r"^input must be int16 \(3, 20, 19\), not "):
        program.inputs[0].pack(bad)


def test_the_simulator_refuses_rows_outside(program):
    again = load_program(program.to_bytes())
    number = next(i for i, one in enumerate(again.instructions) if one.op == "DRAIN")
    again.instructions[number].fields["out_base"] = 60000
    with pytest.raises(FunctionalError, match=rf"^instruction {number} \(DRAIN, conv1\): reaches row 60\d+ of {CFG.act_rows}$"):
        run_functional(again, again.memory(input=synthetic_input(again.table)))


def patched(program, number, instruction):
    """The file of ``program`` with another instruction in place of one, checksum included."""
    data = program.to_bytes()
    at = data.index(program.code) + 64 * number
    body = data[:at] + instruction.encode_unchecked() + data[at + 64 : -32]
    return body + hashlib.sha256(body).digest()


def changed(program, number, *, tickets=None, **fields):
    before = program.instructions[number]
    return patched(program, number, Instruction(before.op, before.fields | fields, before.tickets if tickets is None else tickets))


def first(program, op):
    return next(number for number, i in enumerate(program.instructions) if i.op == op)


def test_a_field_out_of_range(program):
    # It gave other outputs on the RTL than on the model.
    at = first(program, "OS")
    with pytest.raises(ProgramError, match=rf"^its sections contradict each other: instruction {at}: OS\.stride_y takes 1 to 4, not 9$"):
        load_program(changed(program, at, stride_y=9))
    broken = dataclasses.replace(program, instructions=[Instruction("OS", program.instructions[at].fields | {"stride_y": 9})])
    with pytest.raises(IsaError, match=r"^instruction 0: OS\.stride_y takes 1 to 4, not 9$"):
        broken.to_bytes()


def test_waits_that_are_missing_or_never_met(program):
    at = first(program, "DRAIN")
    with pytest.raises(ProgramError, match=rf"^is not safe to run: instruction {at} \(DRAIN\): may run beside (array|load) number \d+, "):
        load_program(changed(program, at, tickets={}))
    with pytest.raises(ProgramError, match=rf"^is not safe to run: instruction {at} \(DRAIN\): waits for store number 9, and only 0 come"):
        load_program(changed(program, at, tickets=program.instructions[at].tickets | {4: 9}))


def test_memory_that_it_leaves(program):
    at = first(program, "LOAD")
    with pytest.raises(ProgramError, match=rf"^is not safe to run: instruction {at} \(LOAD\): reaches [a-z]+ \d+ of \d+$"):
        load_program(changed(program, at, row=65535))
