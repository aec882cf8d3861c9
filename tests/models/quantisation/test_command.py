"""The one entry point of the command lines, and the quantise command."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from squeezelerator.models import digits
from squeezelerator.models.arithmetic.float_network import FloatError
from squeezelerator.models.arithmetic.quantised_network import load_npz
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantise import main
from squeezelerator.models.sources import load_source


@pytest.fixture
def pictures(tmp_path):
    """A folder of three digits, as ``DIR/images``."""
    folder = tmp_path / "data" / "images"
    folder.mkdir(parents=True)
    for number, pixels in enumerate(digits.load_digits()[0][:3]):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder.parent


def _onnx(path):
    """A small classifier of pictures 3 x 16 x 16."""
    rng = np.random.default_rng(1)
    weight, matrix = rng.standard_normal((4, 3, 3, 3)).astype(np.float32), rng.standard_normal((4, 7)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["c"], name="conv"), helper.make_node("Relu", ["c"], ["r"]),
         helper.make_node("GlobalAveragePool", ["r"], ["p"], name="pool"), helper.make_node("Flatten", ["p"], ["f"]),
         helper.make_node("MatMul", ["f", "m"], ["y"], name="fc")],
        "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 7))],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(matrix, "m")],
    )  # fmt: skip
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_onnx_file_as_a_source(tmp_path, pictures):
    path = _onnx(tmp_path / "my net.onnx")
    source = load_source(str(path), calibrate=pictures)
    assert source.quantised.table.name == "my_net"
    assert [layer.name for layer in source.quantised.table.layers] == ["conv", "pool", "fc"]
    assert len(source.calibration) == 3
    with pytest.raises(WeightError, match="an ONNX file brings its own weights"):
        load_source(str(path), "other.npz")


def test_shipped_weights_and_a_table_of_ones_own(tmp_path):
    from squeezelerator.models.tables.csv_file import write_csv

    source = load_source("digits")
    assert (source.preprocessing, source.quantised.synthetic) == ("unit", False)
    table = zoo.get("tiny_chain")
    write_csv(table, tmp_path / "mine.csv")
    arrays = {f"{layer.name}_w": np.ones(layer.weight_shape, np.float32) for layer in table.layers}
    np.savez(tmp_path / "mine.npz", **arrays)
    assert load_source(str(tmp_path / "mine.csv"), tmp_path / "mine.npz").quantised.table.name == "mine"
    assert load_source("tiny_chain", seed=1).quantised.synthetic


def test_command(tmp_path, pictures, capsys):
    output = tmp_path / "quantised.npz"
    assert main(["digits", "--calibrate", str(pictures), "-o", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(digits.NETWORK.table.layers) + 2
    assert load_npz(digits.NETWORK.table, output).quant["conv1"].weight.dtype == np.int16


def test_quantised_weights_remember_how_pictures_are_prepared(tmp_path, pictures):
    first, second = tmp_path / "caffe.npz", tmp_path / "digits.npz"
    assert main(["digits", "--calibrate", str(pictures), "--preprocessing", "caffe", "-o", str(first)]) == 0
    assert main(["digits", "--calibrate", str(pictures), "-o", str(second)]) == 0
    assert [load_source("digits", path).preprocessing for path in (first, second)] == ["caffe", "unit"]
    assert load_source("digits", first, preprocessing="imagenet").preprocessing == "imagenet"


@pytest.mark.parametrize(("arguments", "message"), [
    (["tiny_all"], "tiny_all: the weights are synthetic: name float weights with --weights FILE"),
    (["digits", "--calibrate", "nowhere"], "nowhere: is no folder of pictures"),
    (["digits", "--weights", "nothing.npz"], "nothing.npz: cannot be read: No such file or directory"),
    (["digits", "-o", "no/such/folder/q.npz"], "no/such/folder/q.npz: No such file or directory"),
    (["nonsense.onnx"], "nonsense.onnx: cannot be read: No such file or directory"),
    (["nonsense.csv"], None),
    (["nonsense"], None),
])  # fmt: skip
def test_complaints_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message is None or error == f"python -m models.quantise: {message}\n"


def test_networks_complain_of_wrong_inputs():
    from squeezelerator.models.arithmetic import float_network

    with pytest.raises(FloatError, match=r"^input of digits must have shape \(1, 8, 8\), not \(3, 8, 8\)$"):
        float_network.scores(digits.float_digits(), np.zeros((3, 8, 8), np.float32))
