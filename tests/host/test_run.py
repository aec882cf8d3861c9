"""The commands ``run`` and ``flash``."""

import json
import os
import stat

import numpy as np
import pytest
from PIL import Image
from support.fake_board import FakeBoard, Wrong, description

from squeezelerator.boards.flash import main as flash
from squeezelerator.compiler.api import compile_network
from squeezelerator.host.run import main
from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort, OutputPort, Ports
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4)
DONE = 2


@pytest.fixture
def files(tmp_path):
    """Options of the command that are right: a program, a system, a picture."""
    program = compile_network(synthetic(zoo.get("tiny_all")), CFG)
    (tmp_path / "prog.bin").write_bytes(program.to_bytes())
    (tmp_path / "system.json").write_text(json.dumps(description(CFG)))
    shape = program.inputs[0].h + 5, program.inputs[0].w + 9
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    np.save(tmp_path / "x.npy", np.zeros((program.inputs[0].c, program.inputs[0].h, program.inputs[0].w), np.int16))
    return tmp_path


def run(files, url, image, *more):
    return main([str(files / "prog.bin"), "--board", url, "--system", str(files / "system.json"), "--image", str(files / image), *more])


def test_it_runs_and_writes_the_results(files, capsys):
    with FakeBoard(CFG, Wrong(end=DONE)) as fake:
        assert fake.registers is not None
        fake.registers[0x100] = 1000  # the first counter: cycles
        assert run(files, fake.url, "x.npy", "--output", str(files / "out.npz")) == 0
    out = capsys.readouterr().out
    assert "x.npy: 1,000 cycles, 1000.00 frames a second" in out and "fc: highest scores" in out
    assert set(np.load(files / "out.npz")) == {"fc"}


@pytest.fixture
def two_inputs(files):
    """A program with the inputs a (channels last) and b, and arrays for them, of which b is small."""
    builder = TableBuilder("two", (5, 6, 5))
    builder.conv("conv", 4, 3)
    table = builder.table()
    inputs = (InputPort("a", (1, 6, 5, 3), (6, 5, 3), (2, 0, 1)), InputPort("b", (1, 2), (2, 1, 1)))
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 5, 3, 3)).astype(np.float32)
    net = FloatNetwork(table, {"conv": FloatLayer(weight, np.zeros(4, np.float32))}, ports=Ports(inputs, (OutputPort("y", ("conv",)),)))
    arrays = {"a": rng.standard_normal((1, 6, 5, 3)).astype(np.float32), "b": np.array([[0.003, -0.002]], np.float32)}
    quantised = quantise(net, [net.ports.pack(arrays)])
    program = compile_network(quantised, CFG)
    (files / "prog.bin").write_bytes(program.to_bytes())
    for name, array in arrays.items():
        np.save(files / f"{name}.npy", array)
    return program, quantise_input(quantised, net.ports.pack(arrays))


def test_several_inputs_lie_in_one_map_as_elsewhere(files, two_inputs):
    program, expected = two_inputs
    assert program.quantisation["ports"]["inputs"][1]["shift"] > 4
    with FakeBoard(CFG, Wrong(end=DONE)) as fake:
        assert fake.registers is not None
        fake.registers[0x100] = 1000
        options = [f"{name}={files / name}.npy" for name in "ba"]
        command = [str(files / "prog.bin"), "--board", fake.url, "--system", str(files / "system.json")]
        assert main([*command, *(word for item in options for word in ("--input", item))]) == 0
        tensor = program.inputs[0]
        place = fake.starts[0] + tensor.offset
        found = bytes(fake.memory[place : place + tensor.size])
    assert found == bytes(tensor.pack(expected))


@pytest.mark.parametrize(("given", "complaint"), [
    (["a.npy"], "a.npy: the program has the inputs a, b: --input NAME=FILE for each"),
    (["a=a.npy"], "input b is missing: --input b=FILE; the program has the inputs a, b"),
    (["a=a.npy", "a=a.npy"], "a=a.npy: input a is given twice"),
    (["a=b.npy", "b=b.npy"], "b.npy: input a must be finite real numbers (1, 6, 5, 3), not float32 (1, 2)"),
    (["a=a.npy", "b=none.npy"], "cannot read none.npy: "),
])  # fmt: skip
def test_several_inputs_that_do_not_fit(given, complaint, files, two_inputs, capsys, monkeypatch):
    monkeypatch.chdir(files)
    command = ["prog.bin", "--board", "socket://localhost:1", "--system", "system.json"]
    assert main([*command, *(word for item in given for word in ("--input", item))]) == 2
    assert complaint in capsys.readouterr().err


def test_pictures_that_are_none(files, capsys):
    (files / "text.jpg").write_text("no picture")
    assert run(files, "socket://localhost:1", "text.jpg") == 2
    assert capsys.readouterr().err.endswith("text.jpg is neither .npy nor a picture\n")
    assert run(files, "socket://localhost:1", "nowhere.jpg") == 2
    assert capsys.readouterr().err.endswith("nowhere.jpg: No such file or directory\n")
    np.save(files / "short.npy", np.zeros((1, 2, 3), np.int16))
    assert run(files, "socket://localhost:1", "short.npy") == 2
    assert "the input must be int16" in capsys.readouterr().err


def test_no_board_is_one_line(files, capsys):
    assert run(files, "serial:///dev/no_such_port", "x.npy") == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "no board" in captured.err and not captured.out


def test_flash_says_how_where_the_loader_is_missing(tmp_path, capsys, monkeypatch):
    bit = tmp_path / "top.bit"
    assert flash([str(bit)]) == 2
    assert capsys.readouterr().err.endswith("top.bit is not there\n")
    bit.write_bytes(b"bits")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert flash([str(bit)]) == 2
    assert f"openFPGALoader -b ulx3s {bit}\n" in capsys.readouterr().err
    loader = tmp_path / "openFPGALoader"
    loader.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexit $FAILS\n')
    os.chmod(loader, loader.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("FAILS", "0")
    assert flash([str(bit), "--permanent", "--board", "ecpix5"]) == 0
    assert (tmp_path / "called").read_text() == f"-b ecpix5 -f {bit}\n"
    monkeypatch.setenv("FAILS", "3")
    assert flash([str(bit)]) == 2
    assert "failed with exit code 3" in capsys.readouterr().err
    assert flash([str(bit), "--board", "zedboard"]) == 2
    assert "unknown board 'zedboard'; there are ulx3s" in capsys.readouterr().err
