"""Graphs that the machine cannot compute whole: the host computes what lies before and after, and the result is onnxruntime's."""

import importlib.util

import numpy as np
import pytest
from support.foreign import close, graph, run_graph

from squeezelerator.compiler.__main__ import main as compiler
from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network
from squeezelerator.sim.command import main


def _weights(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32) * np.float32(0.3)


_CONSTANTS = {"w": _weights(4, 3, 3, 3), "v": _weights(5, 4, 1, 1), "u": _weights(8, 5, 3, 3), "k": np.array([1, 1, 2, 2], np.float32),
              "one": np.float32(1)}  # fmt: skip
_CORNERS = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
#: {name: (nodes, nodes before the machine, nodes after it)}
_GRAPHS = {
    "after": ([("Conv", ["x", "w"], ["c"]), ("Relu", ["c"], ["r"]), ("Sin", ["r"], ["s"]), ("Add", ["s", "one"], ["y"])], 0, 2),
    "before": ([("Sin", ["x"], ["s"]), ("Conv", ["s", "w"], ["c"]), ("Relu", ["c"], ["y"])], 1, 0),
    "both": ([("Sin", ["x"], ["s"]), ("Conv", ["s", "w"], ["c"]), ("Relu", ["c"], ["r"]), ("Cos", ["r"], ["y"])], 1, 1),
    # The smaller side of what lies in the middle goes to the host as well.
    "middle_begin": ([("Conv", ["x", "w"], ["c"]), ("Conv", ["c", "v"], ["d"]), ("Sin", ["d"], ["s"]), ("Conv", ["s", "u"], ["y"])], 3, 0),
    "middle_end": ([("Conv", ["x", "w"], ["c"]), ("Sin", ["c"], ["s"]), ("Conv", ["s", "v"], ["y"])], 0, 2),
    "corners": ([("Conv", ["x", "w"], ["c"]), ("Resize", ["c", "", "k"], ["y"], _CORNERS)], 0, 1),
    # The host's last part reads what its first one has computed, and the input.
    "around": ([("Sin", ["x"], ["s"]), ("Conv", ["s", "w"], ["c"]), ("ReduceMean", ["c"], ["m"], {"axes": [1, 2, 3]}),
                ("Sin", ["m"], ["n"]), ("Mul", ["n", "s"], ["o"]), ("Mul", ["o", "x"], ["y"])], 1, 3),
}  # fmt: skip


def _model(name):
    nodes = _GRAPHS[name][0]
    used = {item for node in nodes for item in node[1]}
    return graph(nodes, {key: value for key, value in _CONSTANTS.items() if key in used})


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", _GRAPHS)
def test_host_machine_host(name, reference, tmp_path, monkeypatch):
    if reference:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    path, model = tmp_path / "net.onnx", _model(name)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(importers.WeightError):
        importers.load_onnx(path)
    net, host = importers.load_onnx_with_host(path)
    assert [0 if part is None else len(part.nodes) for part in (host.before, host.after)] == list(_GRAPHS[name][1:])
    x = np.random.default_rng(3).standard_normal((1, 3, 9, 8)).astype(np.float32)
    run = host.start({"x": x})
    close(run.finish(float_network.outputs(net, run.machine_input))["y"], run_graph(model, x)["y"])


def test_what_the_machine_computes_alone_has_no_host(tmp_path):
    (tmp_path / "net.onnx").write_bytes(graph([("Conv", ["x", "w"], ["y"])], {"w": _CONSTANTS["w"]}).SerializeToString())
    net, host = importers.load_onnx_with_host(tmp_path / "net.onnx")
    assert host is None and [layer.type for layer in net.table.layers] == ["Conv"]


def test_something_must_be_left_for_the_machine(tmp_path):
    (tmp_path / "net.onnx").write_bytes(graph([("Sin", ["x"], ["s"]), ("Relu", ["s"], ["y"])], {}).SerializeToString())
    with pytest.raises(importers.WeightError, match="net.onnx: nothing is left for the machine: what it cannot compute takes all "):
        importers.load_onnx_with_host(tmp_path / "net.onnx")


def test_commands(tmp_path, capsys):
    path, model = tmp_path / "net.onnx", _model("both")
    path.write_bytes(model.SerializeToString())
    x = np.random.default_rng(3).standard_normal((1, 3, 9, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    network = [str(path), "--pe", "4", "--calibrate", str(tmp_path / "x.npy")]
    assert main([*network, "--input", str(tmp_path / "x.npy")]) == 2
    error = capsys.readouterr().err
    assert "2 nodes cannot be lowered" in error and error.endswith("; with --host-fallback the host computes what the machine cannot\n")
    network.append("--host-fallback")
    assert main([*network, "--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy")]) == 0
    text = capsys.readouterr().out
    assert "host, before the machine: 1 node, 0 MACs: s (Sin)\nhost, after the machine: 1 node, 0 MACs: y (Cos)\n" in text
    assert f"machine: {4 * 27 * 42:,} MACs; s (1, 3, 9, 8) to the machine, 432 bytes; r back\n" in text
    close(np.load(tmp_path / "y.npy"), run_graph(model, x)["y"], 2e-3)
    assert main(network) == 0
    assert "outputs: model = golden" in capsys.readouterr().out
    assert main([*network, "--raw", "--input", str(tmp_path / "x.npy")]) == 2
    assert "--raw is about the machine's own input and output" in capsys.readouterr().err
    assert compiler([*network, "-o", str(tmp_path / "p.bin")]) == 0
    assert "the program is the machine's part" in capsys.readouterr().err
    assert main(["tiny_chain", "--host-fallback"]) == 2
    assert "--host-fallback is for ONNX files" in capsys.readouterr().err
