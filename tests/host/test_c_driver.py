"""The C driver for bare metal, compiled and run against the simulated system."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import squeezelerator.host
from squeezelerator.boards.simulation import build_simulation
from squeezelerator.compiler.api import compile_network
from squeezelerator.host.board import Board
from squeezelerator.host.c_program import c_program, main
from squeezelerator.models.arithmetic import golden
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.boards import board_record
from squeezelerator.spec.registers import ERRORS, c_header

CFG = MachineConfig(n=2)
DRIVER = Path(squeezelerator.host.__file__).parent / "c"
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic"]


@pytest.fixture(scope="module")
def net():
    return synthetic(zoo.get("tiny_chain"))


@pytest.fixture(scope="module")
def program(net):
    return compile_network(net, CFG)


def test_it_is_c99_without_a_library_and_cpp(tmp_path, program):
    (tmp_path / "regs.h").write_text(c_header())
    (tmp_path / "program.h").write_text(c_program(program))
    (tmp_path / "both.c").write_text('#include "regs.h"\n#include "program.h"\nint main(void) { return sqz_probe(0, &program); }\n')
    for compiler, options in (("gcc", ["-std=c99", "-ffreestanding"]), ("g++", ["-x", "c++", "-std=c++11"])):
        for source in (DRIVER / "squeezelerator.c", tmp_path / "both.c"):
            subprocess.run([compiler, *options, *WARNINGS, "-c", "-include", tmp_path / "regs.h", f"-I{DRIVER}", source, "-o",
                            tmp_path / "x.o"], check=True)  # fmt: skip


def test_programs_on_the_simulated_system(tmp_path, net, program):
    (tmp_path / "regs.h").write_text(c_header())
    (tmp_path / "program.h").write_text(c_program(program))
    executable = tmp_path / "bare_metal"
    subprocess.run(["gcc", "-std=gnu99", "-Wall", "-Werror", "-include", tmp_path / "regs.h", f"-I{DRIVER}", f"-I{tmp_path}",
                    DRIVER / "squeezelerator.c", Path(__file__).with_name("bare_metal.c"), "-o", executable], check=True)  # fmt: skip
    system = build_simulation(board_record("ulx3s"), CFG, "build/boards/ulx3s-pe2-sim")
    x, words = synthetic_input(net.table, 0), {error.name: error.doc for error in ERRORS}
    with Board.open(f"sim:{system}", timeout=20) as board:
        (tensor,) = program.inputs
        board.link.write(board.system["memory"]["base"] + tensor.offset, tensor.pack(x))
        bus = board.link.stream.socket.fileno()
        # Python waits for an answer by itself; C reads until it is there.
        board.link.stream.socket.setblocking(True)
        done = subprocess.run([executable, str(bus)], pass_fds=[bus], capture_output=True, text=True, timeout=120, check=True)
        lines = done.stdout.splitlines()
        cycles = int(lines.pop(5))
        assert lines == [
            "the program is for another machine", "the machine has another version of the instruction set than the program",
            "0", words["NONE"], "1", words["OPCODE"], "1 0", "1", "as many programs wait as may", "the machine was not idle in time",
            f"0 {words['ABORT']}", "1", words["LIMIT"], "0", words["NONE"],
        ]  # fmt: skip
        assert board.counters()["cycles"] == pytest.approx(cycles, rel=0.01)
        (result,) = (tensor for tensor in program.outputs if tensor.name in program.results)
        memory = bytes(result.offset) + board.link.read(board.system["memory"]["base"] + result.offset, result.size)
        np.testing.assert_array_equal(result.unpack(memory), golden.run(net, x)[result.name])


def test_the_command_writes_the_header_and_refuses_names(tmp_path, program, capsys):
    (tmp_path / "prog.bin").write_bytes(program.to_bytes())
    assert main([str(tmp_path / "prog.bin"), "-o", str(tmp_path / "p.h"), "--name", "chain"]) == 0
    assert (tmp_path / "p.h").read_text() == c_program(program, "chain")
    assert main([str(tmp_path / "prog.bin"), "-o", str(tmp_path / "q.h"), "--no-data"]) == 0
    assert "uint8_t" not in (tmp_path / "q.h").read_text()
    assert main([str(tmp_path / "prog.bin"), "-o", str(tmp_path / "r.h"), "--name", "1x"]) == 2
    assert capsys.readouterr().err == "python -m host.c_program: the name must be a C identifier, not '1x'\n"
    assert not (tmp_path / "r.h").exists()
