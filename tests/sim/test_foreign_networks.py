"""ONNX files on the command line: real numbers in and out under the file's own names, and model = golden."""

import numpy as np
import pytest
from support.foreign import graph, run_graph
from support.foreign_cases import CASES, FUNCTIONS

from squeezelerator.compiler.__main__ import main as compiler
from squeezelerator.models.__main__ import main as models
from squeezelerator.models.importers import load_onnx
from squeezelerator.models.quantise import main as quantise
from squeezelerator.sim.command import main
from squeezelerator.sim.zeros import main as zeros


def _two_heads(folder):
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((8, 3, 3, 3)).astype(np.float32) * 0.3, "v": rng.standard_normal((5, 8)).astype(np.float32)}
    nodes = [("Conv", ["x", "w"], ["c"]), ("Relu", ["c"], ["maps"]), ("GlobalAveragePool", ["maps"], ["p"]), ("Flatten", ["p"], ["f"]),
             ("Gemm", ["f", "v"], ["g"], {"transB": 1}), ("Softmax", ["g"], ["class/probabilities"])]  # fmt: skip
    model = graph(nodes, constants, shape=("N", 3, 12, 10), outputs=("class/probabilities", "maps"))
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return model, path


def test_outputs_of_a_network_and_of_its_program(tmp_path, capsys):
    model, path = _two_heads(tmp_path)
    x = np.random.default_rng(1).standard_normal((1, 3, 12, 10)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x[0], other=x)
    expected = run_graph(model, x)
    assert compiler([str(path), "--pe", "4", "--calibrate", str(tmp_path / "x.npy"), "-o", str(tmp_path / "p.bin")]) == 0
    network = [str(path), "--pe", "4", "--calibrate", str(tmp_path / "x.npz")]
    for place, command in enumerate(([*network, "--engine", "model,golden"], [str(tmp_path / "p.bin"), "--engine", "model"])):
        found = tmp_path / f"y{place}.npz"
        assert main([*command, "--input", str(tmp_path / ("x.npy" if place else "x.npz")), "--output", str(found)]) == 0
        text = capsys.readouterr()
        assert "class/probabilities: highest scores (after softmax on the host)" in text.out
        with np.load(found) as arrays:
            assert set(arrays) == {"class/probabilities", "maps"}
            for name, reference in expected.items():
                assert arrays[name].dtype == np.float32 and arrays[name].shape == reference.shape
                np.testing.assert_allclose(arrays[name], reference, atol=2e-3 * np.abs(reference).max())
    assert main([*network, "--engine", "golden", "--output", str(tmp_path / "y.npy")]) == 2
    assert "has 2 outputs (class/probabilities, maps), which need an .npz file" in capsys.readouterr().err
    assert main([*network, "--engine", "golden", "--raw", "--output", str(tmp_path / "raw.npz")]) == 0
    assert np.load(tmp_path / "raw.npz")["maps"].dtype == np.int16


def test_a_single_output_is_one_array(tmp_path, capsys):
    model = graph([("GlobalMaxPool", ["x"], ["y"])], {})
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    x = np.random.default_rng(1).standard_normal((3, 9, 8)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    command = [str(tmp_path / "n.onnx"), "--engine", "golden", "--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy")]
    assert main(command) == 0
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), run_graph(model, x[None])["y"], atol=1e-3)
    capsys.readouterr()


def test_losses_and_liberties_are_warnings(tmp_path, capsys):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    weight[4:] *= np.float32(1e-6)
    path = tmp_path / "n.onnx"
    path.write_bytes(graph([("Conv", ["x", "w"], ["y"], {"name": "mixed"})], {"w": weight}, shape=(7, 3, 9, 8)).SerializeToString())
    assert main([str(path), "--engine", "golden"]) == 0
    err = capsys.readouterr().err
    assert "warning: input x: the file's batch of 7 is taken as 1\n" in err
    assert "warning: layer mixed: 16 bits leave " in err and "below 10 dB are 4 of 8 channels" in err


@pytest.mark.parametrize(("options", "message"), [
    ([], "give dimension 2 a number with --shape x=1,3,N,8"), (["--shape", "x=1,4,9,8"], "has the shape (1, 3, H, 8), which (1, 4, 9, 8)"),
    (["--shape", "z=1,3,9,8"], "has no input z; its input is x"), (["--shape", "x=1,3,9,8"], ""),
])  # fmt: skip
def test_shapes_that_the_file_leaves_open(options, message, tmp_path, capsys):
    path = tmp_path / "n.onnx"
    path.write_bytes(graph([("Relu", ["x"], ["y"])], {}, shape=(1, 3, "H", 8)).SerializeToString())
    assert main([str(path), "--engine", "golden", *options]) == (2 if message else 0)
    assert message in capsys.readouterr().err
    if not message:
        assert load_onnx(path, {"x": (1, 3, 9, 8)}).table.input_shape == (3, 9, 8)


def test_other_commands_take_an_onnx_file_too(tmp_path, capsys):
    _, path = _two_heads(tmp_path)
    for command in (models, quantise):
        assert command([str(path)]) == 0
        assert "gemm5" in capsys.readouterr().out
    assert zeros(["--network", str(path), "--layer", "conv1", "--pe", "4"]) == 0
    assert "conv1" in capsys.readouterr().out


@pytest.mark.parametrize("name", CASES)
def test_the_machine_computes_what_the_golden_model_does(name, tmp_path, capsys):
    path = tmp_path / "n.onnx"
    path.write_bytes(CASES[name].model.SerializeToString())
    assert main([str(path), "--pe", "4", "--engine", "model,golden", *["--functions"] * (name in FUNCTIONS)]) == 0
    assert "outputs: model = golden" in capsys.readouterr().out
