"""Graphs with several inputs: float against onnxruntime, and from files to the outputs of the command, program and network alike."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from squeezelerator.compiler.__main__ import main as compiler
from squeezelerator.compiler.api import compile_network
from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.golden import InputError
from squeezelerator.models.arithmetic.ports import InputPort, OutputPort, PortError, Ports
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.models.sources import load_source
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.sim.command import main
from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, run_rtl
from squeezelerator.sim.engines.run import load_memory
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import Program


def _random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32) * np.float32(0.3)


#: {name: (nodes, shapes of the inputs)}
GRAPHS = {
    "add": ([("Add", ["a", "b"], ["y"])], {"a": (1, 3, 6, 5), "b": (1, 3, 6, 5)}),
    "two_convolutions": ([("Conv", ["a", "w"], ["c"]), ("Conv", ["b", "w"], ["d"]), ("Relu", ["c"], ["e"]), ("Sub", ["e", "d"], ["y"])],
                         {"a": (1, 3, 6, 5), "b": (1, 3, 6, 5)}),
    "join": ([("Concat", ["b", "a"], ["j"], {"axis": 1}), ("Conv", ["j", "v"], ["y"])], {"a": (1, 2, 6, 5), "b": (1, 1, 6, 5)}),
    "picture_and_vector": ([("Conv", ["a", "w"], ["c"], {"strides": [2, 2]}), ("GlobalAveragePool", ["c"], ["g"]),
                            ("Flatten", ["g"], ["f"]), ("Concat", ["f", "b"], ["j"], {"axis": 1}), ("Gemm", ["j", "m"], ["y"])],
                           {"a": (1, 3, 7, 7), "b": (1, 5)}),
    "channels_last": ([("Transpose", ["a"], ["t"], {"perm": [0, 3, 1, 2]}), ("Conv", ["t", "w"], ["c"]), ("Conv", ["b", "w"], ["d"]),
                       ("Add", ["c", "d"], ["y"])], {"a": (1, 6, 5, 3), "b": (1, 3, 6, 5)}),
    "sizes": ([("Conv", ["a", "w"], ["c"], {"pads": [1] * 4}), ("MaxPool", ["c"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
               ("Conv", ["b", "w"], ["d"], {"pads": [1] * 4}), ("Add", ["p", "d"], ["y"])], {"a": (1, 3, 8, 6), "b": (1, 3, 4, 3)}),
}  # fmt: skip
#: Inputs of very different sizes, of which the small one counts as much.
GRAPHS["scales"] = ([("Conv", ["a", "w"], ["c"]), ("Conv", ["b", "l"], ["d"]), ("Add", ["c", "d"], ["y"])],
                    {"a": (1, 3, 6, 5), "b": (1, 3, 6, 5)})  # fmt: skip
_SMALL = np.float32(2e-5)
_CONSTANTS = {"l": _random(4, 3, 3, 3)[:, ::-1] / _SMALL, "w": _random(4, 3, 3, 3), "v": _random(4, 3, 3, 3), "m": _random(9, 6)}


def _file(name, folder):
    nodes, shapes = GRAPHS[name]
    used = {item for node in nodes for item in node[1]}
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(*node[:3], **(node[3] if len(node) > 3 else {})) for node in nodes], "test",
            [helper.make_tensor_value_info(item, TensorProto.FLOAT, shape) for item, shape in shapes.items()],
            [helper.make_empty_tensor_value_info("y")],
            [numpy_helper.from_array(value, item) for item, value in _CONSTANTS.items() if item in used],
        ), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)  # fmt: skip
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    arrays = {item: _random(*shape) * (_SMALL if (name, item) == ("scales", "b") else 1) for item, shape in shapes.items()}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return path, arrays, session.run(None, arrays)[0]


@pytest.mark.parametrize("name", GRAPHS)
def test_float_golden_and_program(name, tmp_path):
    path, arrays, expected = _file(name, tmp_path)
    net = importers.load_onnx(path)
    assert [port.name for port in net.ports.inputs] == ["a", "b"]
    x = net.ports.pack(arrays)
    np.testing.assert_allclose(float_network.outputs(net, x)["y"], expected, atol=1e-5)
    quantised = quantise(net, [x])
    given = quantise_input(quantised, x)
    maps = golden.run(quantised, given)
    program = compile_network(quantised, MachineConfig(n=4))
    found = program.results_from(run_model(program, load_memory(program, given)).memory)
    for layer, value in found.items():
        np.testing.assert_array_equal(value, maps[layer], err_msg=layer)


def test_each_input_has_a_format_of_its_own(tmp_path):
    path, arrays, expected = _file("scales", tmp_path)
    np.savez(tmp_path / "x.npz", **arrays)
    source, program, found = load_source(str(path), calibrate=tmp_path / "x.npz"), tmp_path / "p.bin", tmp_path / "y.npy"
    a, b = source.ports.inputs
    assert a.shift == 0 and 12 <= b.shift <= 18
    assert all(row.snr > 60 for row in source.layer_reports())
    assert compiler([str(path), "--pe", "4", "-o", str(program), "--calibrate", str(tmp_path / "x.npz")]) == 0
    for network in ([str(program), "--engine", "model"], [str(path), "--engine", "golden", "--calibrate", str(tmp_path / "x.npz")]):
        found.unlink(missing_ok=True)
        assert main([*network, "--input", str(tmp_path / "x.npz"), "--output", str(found)]) == 0
        np.testing.assert_allclose(np.load(found), expected, atol=1e-3 * np.abs(expected).max())


def test_inputs_that_no_weights_read_keep_one_format():
    builder = TableBuilder("pool", (2, 4, 4))
    builder.max_pool("pool", 2, 2)
    inputs = tuple(InputPort(name, (1, 1, 4, 4), (1, 4, 4)) for name in "ab")
    net = FloatNetwork(builder.table(), {}, ports=Ports(inputs, (OutputPort("y", ("pool",)),)))
    x = np.stack([np.full((4, 4), size, np.float32) for size in (1, 1e-3)])
    quantised = quantise(net, [x])
    assert [port.shift for port in quantised.ports.inputs] == [0, 0]
    assert (quantise_input(quantised, x)[1] < 32).all()


def test_on_the_rtl(tmp_path):
    path, arrays, _ = _file("picture_and_vector", tmp_path)
    net = importers.load_onnx(path)
    x = net.ports.pack(arrays)
    quantised = quantise(net, [x])
    given = quantise_input(quantised, x)
    program = compile_network(quantised, MachineConfig(n=4))
    image = load_memory(program, given)
    rtl, model = run_rtl(program.cfg, RtlProgram.of(program, image), RtlOptions()), run_model(program, image)
    assert (rtl.error, rtl.cycles) == (None, model.cycles)
    maps = golden.run(quantised, given)
    for tensor in program.outputs:
        np.testing.assert_array_equal(tensor.unpack(rtl.memory), maps[tensor.name])


def test_commands_take_each_input_by_its_name_or_all_in_one_file(tmp_path):
    path, arrays, expected = _file("picture_and_vector", tmp_path)
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.savez(tmp_path / "x.npz", **arrays)
    program, found = tmp_path / "p.bin", tmp_path / "y.npy"
    named = ["--input", f"b={tmp_path / 'b.npy'}", "--input", f"a={tmp_path / 'a.npy'}"]
    assert compiler([str(path), "--pe", "4", "-o", str(program), "--calibrate", str(tmp_path / "x.npz")]) == 0
    assert [port["name"] for port in Program.load(program.read_bytes()).quantisation["ports"]["inputs"]] == ["a", "b"]
    for given in (named, ["--input", str(tmp_path / "x.npz")]):
        for network in ([str(program), "--engine", "model"], [str(path), "--engine", "golden"]):
            found.unlink(missing_ok=True)
            assert main([*network, *given, "--output", str(found)]) == 0
            np.testing.assert_allclose(np.load(found), expected, atol=2e-3)


@pytest.mark.parametrize(("given", "complaint"), [
    (["a.npy"], "the network has 2 inputs (a, b): --input NAME=FILE for each, or one .npz"),
    (["a=a.npy"], "input b is missing: --input b=FILE; the network's inputs are a, b"),
    (["a=a.npy", "a=a.npy", "b=b.npy"], "input a is given twice"),
    (["a=b.npy", "b=b.npy"], "input a must have the shape"),
])  # fmt: skip
def test_what_does_not_fit_is_said_in_one_line(given, complaint, tmp_path, capsys, monkeypatch):
    path, arrays, _ = _file("picture_and_vector", tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, array in arrays.items():
        np.save(f"{name}.npy", array)
    assert main([str(path), "--engine", "golden", *(word for item in given for word in ("--input", item))]) == 2
    text = capsys.readouterr().err
    assert complaint in text and text.count("\n") == 1


def test_calibration_needs_as_many_of_each_input(tmp_path):
    path, arrays, _ = _file("add", tmp_path)
    net = importers.load_onnx(path)
    np.savez(tmp_path / "x.npz", a=np.concatenate([arrays["a"]] * 3), b=np.concatenate([2 * arrays["b"]] * 3))
    source = load_source(str(path), calibrate=tmp_path / "x.npz")
    assert len(source.calibration) == 3
    np.testing.assert_array_equal(source.calibration[2], net.ports.pack({"a": arrays["a"], "b": 2 * arrays["b"]}))
    np.savez(tmp_path / "x.npz", a=np.concatenate([arrays["a"]] * 3), b=arrays["b"])
    with pytest.raises(InputError, match="as many of each input are needed, not 3 of a, 1 of b"):
        load_source(str(path), calibrate=tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz", a=arrays["a"])
    with pytest.raises(InputError, match="holds no array called b"):
        load_source(str(path), calibrate=tmp_path / "x.npz")
    with pytest.raises(PortError, match="there is no input c; the network's inputs are a, b"):
        net.ports.pack({**arrays, "c": arrays["a"]})
