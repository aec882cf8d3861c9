"""The shipped digits network on the machine, and networks from outside."""

import numpy as np
import pytest
import torch

from squeezelerator.compiler import from_torch
from squeezelerator.compiler.__main__ import main as compile_main
from squeezelerator.compiler.errors import CompileError
from squeezelerator.sim.demo import main
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import load_program


def test_digits_on_the_rtl(capsys):
    assert main(["--count", "4"]) == 0
    out = capsys.readouterr().out
    assert out.count("classified as") == 4
    assert out.endswith("4 of 4 right; outputs that differ from the golden model: 0\n")


def test_digits_on_the_cycle_model(capsys):
    assert main(["--count", "100", "--engine", "model", "--quiet"]) == 0
    assert int(capsys.readouterr().out.split(" of ")[0]) >= 97


@pytest.mark.slow
def test_a_hundred_digits_on_the_rtl(capsys):
    assert main(["--count", "100", "--quiet"]) == 0
    assert int(capsys.readouterr().out.split(" of ")[0]) >= 97


@pytest.mark.parametrize(("args", "message"), [
    (["--count", "0"], "--count takes 1 to 355 digits, not 0"), (["--count", "356"], "--count takes 1 to 355 digits, not 356"),
    (["--pe", "1"], "N must be a whole number from 2 to 32, not 1"),
])  # fmt: skip
def test_bad_options(args, message, capsys):
    assert main(args) == 2
    assert capsys.readouterr().err == f"python -m sim.demo: {message}\n"


def _module():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.BatchNorm2d(6), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
        torch.nn.Linear(6 * 4 * 4, 5)).eval()


def test_a_torch_module():
    program = from_torch(_module(), torch.randn(1, 3, 8, 8), cfg=MachineConfig(n=4))
    assert [program.table.by_name[name].c_o for name in program.results] == [5]
    assert program.table.input_shape == (3, 8, 8)


def test_a_torch_module_with_gates_on_the_machine_that_it_needs(tmp_path):
    gated = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.SiLU(), torch.nn.Flatten(), torch.nn.Linear(216, 5)).eval()
    program = from_torch(gated, torch.randn(1, 3, 8, 8), pe=3, sectors=2, dataflow="os")
    assert (program.cfg.n, program.cfg.sectors, program.cfg.functions) == (3, 2, True)
    program.save(tmp_path / "net.bin")
    assert load_program((tmp_path / "net.bin").read_bytes()).to_bytes() == program.to_bytes()
    assert not from_torch(_module(), torch.randn(1, 3, 8, 8), pe=4).cfg.functions
    with pytest.raises(CompileError, match="needs a machine with functions"):
        from_torch(gated, torch.randn(1, 3, 8, 8), pe=3, functions=False)


def test_an_onnx_file(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.random.default_rng(0).standard_normal((4, 3, 3, 3)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], name="first", pads=[1, 1, 1, 1]), helper.make_node("Relu", ["c"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 8, 8])], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    assert compile_main([str(tmp_path / "m.onnx"), "--pe", "4", "-o", str(tmp_path / "p.bin")]) == 0
    assert load_program((tmp_path / "p.bin").read_bytes()).table.input_shape == (3, 8, 8)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    assert compile_main([str(tmp_path / "bad.onnx"), "-o", str(tmp_path / "q.bin")]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "bad.onnx" in err and not (tmp_path / "q.bin").exists()
