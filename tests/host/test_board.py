"""The driver against a board that does things wrong: one line each, nothing left running, the next try works."""

import json
import os
import pty
import subprocess
import sys

import numpy as np
import pytest
from support.fake_board import FakeBoard, Wrong, description

from squeezelerator.compiler.api import compile_network
from squeezelerator.host.board import Board
from squeezelerator.host.link import BoardError, LinkError
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import COUNTERS, ERRORS, FAULT_UNITS, REGISTERS, offset_of

CFG = MachineConfig(n=4)
DONE, ERROR = 2, 4


@pytest.fixture(scope="module")
def net():
    return synthetic(zoo.get("tiny_all"))


@pytest.fixture(scope="module")
def program(net):
    return compile_network(net, CFG)


@pytest.fixture
def system(tmp_path):
    path = tmp_path / "system.json"
    path.write_text(json.dumps(description(CFG)))
    return path


def complaint(error):
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_program_arrives_and_its_input_and_results_lie_where_it_says(net, program, system):
    with FakeBoard(CFG, Wrong(end=DONE)) as fake, Board.open(fake.url, system=system) as board:
        board.load(program)
        found = board.run(synthetic_input(net.table, 0))
        assert set(found) == set(program.results)
        assert fake.memory[: program.mem_bytes] == program.memory(input=synthetic_input(net.table, 0))
        # The machine itself checks the instructions that it reads.
        assert fake.registers[offset_of("PROG_CHECK")] == program_check(program.code)


def test_a_batch_takes_turns_between_two_places(net, program, system):
    inputs = [synthetic_input(net.table, seed) for seed in range(3)]
    with FakeBoard(CFG, Wrong(end=DONE)) as fake, Board.open(fake.url, system=system) as board:
        board.load(program)
        # Modulo 65,536.
        fake.registers[offset_of("JOBS")] = 0xFFFF
        results = board.run_batch(inputs)
        next(results)
        second = -(-program.mem_bytes // 4096) * 4096
        # The first result comes when the second input is there and its job has been started.
        assert fake.starts == [0, second]
        for place, x in zip((0, second), inputs, strict=False):
            assert fake.memory[place : place + program.mem_bytes] == program.memory(input=x)
        assert len(list(results)) == 2 and fake.starts == [0, second, 0] and fake.aborts == 0
        # What waits is ended where nobody wants it.
        results = board.run_batch(inputs)
        next(results)
        results.close()
        assert fake.aborts == 1
        with pytest.raises(BoardError, match="input must be int16"):
            list(board.run_batch([inputs[0], inputs[0][:1, :1, :1]]))
        assert fake.aborts == 2


def test_a_batch_on_a_memory_for_one(net, program, system):
    description = json.loads(system.read_text())
    description["memory"]["bytes"] = 2 * program.mem_bytes - 4096
    system.write_text(json.dumps(description))
    with FakeBoard(CFG, Wrong(end=DONE)) as fake, Board.open(fake.url, system=system, memory_test=False) as board:
        board.load(program)
        assert len(list(board.run_batch(synthetic_input(net.table, seed) for seed in range(3)))) == 3
        assert fake.starts == [0, 0, 0]


def test_a_batch_that_fails_or_does_not_end(net, program, system):
    x = synthetic_input(net.table, 0)
    with FakeBoard(CFG, Wrong(end=ERROR | 1 << 8)) as fake, Board.open(fake.url, system=system) as board:
        board.load(program)
        with pytest.raises(BoardError, match="halted: OPCODE"):
            list(board.run_batch([x, x]))
        fake.wrong.end = None
        with pytest.raises(BoardError, match="had not ended after 0 s"):
            list(board.run_batch([x, x], timeout=0))
        assert fake.aborts


@pytest.mark.parametrize("drop", [3000, 3001, 3500, 20_000])
def test_a_lost_byte_is_noticed_and_sent_again(program, system, drop):
    with FakeBoard(CFG, Wrong(drop=drop)) as fake, Board.open(fake.url, system=system, timeout=0.5, memory_test=False) as board:
        board.load(program)
        assert fake.memory[program.constants_offset :][: len(program.constants)] == program.constants
        assert fake.memory[program.prog_offset :][: len(program.code)] == program.code


def test_a_link_that_dies_in_mid_load(program, system):
    with FakeBoard(CFG, Wrong(die=10_000)) as fake:
        with Board.open(fake.url, system=system, timeout=0.5, memory_test=False) as board:
            with pytest.raises(LinkError, match="the link broke") as error:
                board.load(program)
            complaint(error)
            with pytest.raises(BoardError, match="no program is loaded"):
                board.run(np.zeros((1, 1, 1), np.int16))
        fake.wrong.die = None
        with Board.open(fake.url, system=system) as board:
            board.load(program)


def test_memory_that_fails(system):
    with FakeBoard(CFG, Wrong(stuck=1 << 7)) as fake, pytest.raises(BoardError, match="the memory fails its test: 0x") as error:
        Board.open(fake.url, system=system)
    complaint(error)


def test_bitstreams_and_programs_of_other_machines(net, system):
    with FakeBoard(MachineConfig(n=8)) as fake, pytest.raises(BoardError, match="the bitstream is another one") as error:
        Board.open(fake.url, system=system)
    complaint(error)
    with FakeBoard(CFG, ident=7) as fake, pytest.raises(BoardError, match="no Squeezelerator answers: its ID reads 0x00000007"):
        Board.open(fake.url, system=system)
    other = compile_network(net, MachineConfig(n=2))
    with FakeBoard(CFG) as fake, Board.open(fake.url, system=system) as board:
        with pytest.raises(BoardError, match="for another machine: n=2 there, 4 on the board") as error:
            board.load(other)
        complaint(error)


def test_no_board(system):
    with FakeBoard(CFG) as fake:
        url = fake.url
    with pytest.raises(BoardError, match="no board"):
        Board.open(url, system=system)
    with pytest.raises(BoardError, match="no board"):
        Board.open("serial:///dev/no_such_port", system=system)
    with FakeBoard(CFG, Wrong(silent=True)) as fake, pytest.raises(LinkError, match="no answer"):
        Board.open(fake.url, system=system, timeout=0.1)
    with pytest.raises(BoardError, match="a board is serial://"):
        Board.open("usb:1", system=system)
    with pytest.raises(BoardError, match="--system names"):
        Board.open("serial:///dev/ttyUSB0")
    with pytest.raises(BoardError, match="No such file"):
        Board.open("sim:nowhere")


def test_a_port_that_is_busy(system):
    master, slave = pty.openpty()
    try:
        import serial
        with serial.Serial(os.ttyname(slave), exclusive=True), pytest.raises(BoardError, match="no board"):
            Board.open(f"serial://{os.ttyname(slave)}", system=system)
    finally:
        os.close(master)
        os.close(slave)


def test_two_processes(system):
    script = ("import sys; from squeezelerator.host import Board, BoardError\n"
              "try: Board.open(sys.argv[1], system=sys.argv[2])\nexcept BoardError as error: print(error)")  # fmt: skip
    with FakeBoard(CFG) as fake, Board.open(fake.url, system=system):
        other = subprocess.run([sys.executable, "-c", script, fake.url, str(system)], capture_output=True, text=True, timeout=60)
    assert other.stdout == f"{fake.url}: another process is using this board\n", other.stderr


@pytest.mark.parametrize("code", [e for e in ERRORS if e.code], ids=lambda e: e.name)
def test_the_machines_errors_come_in_words(net, program, system, code):
    with FakeBoard(CFG, Wrong(end=ERROR | code.code << 8 | FAULT_UNITS.index("store") << 16)) as fake:
        fake.registers[offset_of("ERROR_DETAIL")] = 0x123
        with Board.open(fake.url, system=system) as board:
            board.load(program)
            with pytest.raises(BoardError) as error:
                board.run(synthetic_input(net.table, 0))
            assert f"halted: {code.name}, {code.doc} (unit store; {code.detail}: 0x123)" in complaint(error)


def test_a_program_that_does_not_end_is_aborted(net, program, system):
    with FakeBoard(CFG, Wrong(end=None)) as fake, Board.open(fake.url, system=system) as board:
        board.load(program)
        with pytest.raises(BoardError, match="had not ended after 0.1 s"):
            board.run(synthetic_input(net.table, 0), timeout=0.1)
        assert fake.aborts == 1
        fake.wrong.end = DONE
        assert board.run(synthetic_input(net.table, 0))


def test_counters_are_not_read_while_a_program_runs(program, system):
    with FakeBoard(CFG, Wrong(end=None)) as fake, Board.open(fake.url, system=system) as board:
        board.load(program)
        assert set(board.counters()) == {counter.name for counter in COUNTERS}
        fields = next(register.fields for register in REGISTERS if register.name == "STATUS")
        fake.registers[offset_of("STATUS")] = 1 << next(field.lsb for field in fields if field.name == "busy")
        with pytest.raises(BoardError, match=r"^socket:\S+: counters are read when no program runs, and one does$"):
            board.counters()


def test_inputs_of_another_shape(program, system):
    with FakeBoard(CFG) as fake, Board.open(fake.url, system=system) as board:
        board.load(program)
        with pytest.raises(BoardError, match="input must be int16"):
            board.run(np.zeros((1, 2, 3), np.float32))
