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
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
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
