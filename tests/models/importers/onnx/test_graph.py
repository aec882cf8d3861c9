"""ONNX files: every supported operator against the reference evaluator, and one line for everything else."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network
from squeezelerator.models.importers.onnx.graph import SUPPORTED

_RNG = np.random.default_rng(1)


def _random(*shape):
    return _RNG.standard_normal(shape).astype(np.float32) * np.float32(0.5)


def _model(nodes, constants, *, input_shape=(1, 3, 9, 8), outputs=("y",), opset=17, shape_in=None):
    """A checked model of one input ``x``."""
    graph = helper.make_graph(
        [helper.make_node(*args[:3], **(args[3] if len(args) > 3 else {})) for args in nodes],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in or input_shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def _import(model, tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return importers.load_onnx(path)


def _same(nodes, constants, tmp_path, *, input_shape=(1, 3, 9, 8), scores="y", opset=17):
    """Import, compare with the reference evaluator at ``scores``, return the network."""
    model = _model(nodes, constants, input_shape=input_shape, opset=opset)
    net = _import(model, tmp_path)
    x = _random(*input_shape)
    reference = ReferenceEvaluator(_model(nodes, constants, input_shape=input_shape, outputs=(scores,), opset=opset))
    expected = reference.run(None, {"x": x})[0][0].reshape(-1)
    np.testing.assert_allclose(float_network.scores(net, x[0]), expected, rtol=1e-4, atol=1e-5)
    return net


_WEIGHT = {"w": _random(4, 3, 3, 3), "b": _random(4)}
_CONV = ("Conv", ["x", "w", "b"], ["c"], {"name": "conv", "pads": [1, 1, 1, 1]})


def _types(net):
    return [(layer.type, layer.activation) for layer in net.table.layers]


@pytest.mark.parametrize("attributes", [
    {}, {"pads": [1, 1, 1, 1]}, {"pads": [0, 1, 1, 1], "strides": [2, 1]}, {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"dilations": [2, 2]}, {"auto_pad": "VALID"},
])  # fmt: skip
def test_conv(attributes, tmp_path):
    net = _same([("Conv", ["x", "w", "b"], ["y"], attributes)], _WEIGHT, tmp_path)
    assert _types(net) == [("Conv", "none")]


def test_grouped_conv_without_bias(tmp_path):
    _same([("Conv", ["x", "w"], ["y"], {"group": 3})], {"w": _random(6, 1, 3, 3)}, tmp_path)


def test_batch_norm_and_relu_are_folded(tmp_path):
    constants = _WEIGHT | {name: np.abs(_random(4)) + 0.1 for name in ("s", "o", "m", "v")}
    nodes = [_CONV, ("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"]), ("Relu", ["n"], ["y"])]
    net = _same(nodes, constants, tmp_path)
    assert _types(net) == [("Conv", "relu")]
    assert net.table.layers[0].name == "conv"


@pytest.mark.parametrize(("operator", "inputs", "attributes", "activation"), [
    ("Relu", [], {}, "relu"), ("LeakyRelu", [], {"alpha": 0.2}, "leaky"),
    ("Clip", ["zero", "four"], {}, "relu6"), ("Clip", ["zero"], {}, "relu"),
])  # fmt: skip
def test_activations(operator, inputs, attributes, activation, tmp_path):
    constants = _WEIGHT | {"zero": np.float32(0), "four": np.float32(0.4)}
    net = _same([_CONV, (operator, ["c", *inputs], ["y"], attributes)], constants, tmp_path)
    assert _types(net) == [("Conv", activation)]


def test_activation_that_others_bypass_becomes_a_layer(tmp_path):
    net = _same([_CONV, ("Relu", ["c"], ["r"]), ("Add", ["c", "r"], ["y"])], _WEIGHT, tmp_path)
    assert _types(net) == [("Conv", "none"), ("Conv", "relu"), ("Add", "none")]


def test_activation_moves_before_a_max_pool(tmp_path):
    nodes = [_CONV, ("MaxPool", ["c"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Relu", ["p"], ["y"])]
    assert _types(_same(nodes, _WEIGHT, tmp_path)) == [("Conv", "relu"), ("MaxPool", "none")]


@pytest.mark.parametrize(("operator", "attributes"), [
    ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}),
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]}),
    ("AveragePool", {"kernel_shape": [3, 2], "strides": [1, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
])  # fmt: skip
def test_pools(operator, attributes, tmp_path):
    net = _same([(operator, ["x"], ["y"], attributes)], {}, tmp_path)
    assert [layer.type for layer in net.table.layers] == [operator.replace("erage", "g")]


def test_fire_module_with_scale_after_concat(tmp_path):
    constants = {"w1": _random(4, 3, 1, 1), "w3": _random(5, 3, 3, 3), "w": _random(2, 9, 1, 1)}
    constants |= {name: np.abs(_random(9)) + 0.1 for name in ("s", "o", "m", "v")}
    nodes = [
        ("Conv", ["x", "w1"], ["a"], {"name": "left"}), ("Conv", ["x", "w3"], ["b"], {"name": "right", "pads": [1] * 4}),
        ("Concat", ["a", "b"], ["c"], {"axis": 1}), ("BatchNormalization", ["c", "s", "o", "m", "v"], ["n"]), ("Relu", ["n"], ["r"]),
        ("Conv", ["r", "w"], ["y"], {"name": "last"}),
    ]  # fmt: skip
    net = _same(nodes, constants, tmp_path)
    assert [layer.inputs for layer in net.table.layers] == [("input",), ("input",), ("left", "right")]


def test_scale_and_activation_of_the_input(tmp_path):
    constants = {"m": np.array([0.1, 0.2, 0.3], np.float32).reshape(1, 3, 1, 1), "s": np.array([2], np.float32)}
    net = _same([("Sub", ["x", "m"], ["d"]), ("Div", ["d", "s"], ["e"]), ("Relu", ["e"], ["y"])], constants, tmp_path)
    assert _types(net) == [("Conv", "relu")]
    assert net.table.layers[0].groups == 3


def test_residual_of_concatenations(tmp_path):
    constants = {"w1": _random(4, 3, 1, 1), "w2": _random(2, 3, 1, 1), "w6": _random(6, 3, 1, 1)}
    nodes = [
        ("Conv", ["x", "w1"], ["a"]), ("Conv", ["x", "w2"], ["b"]), ("Concat", ["a", "b"], ["c"], {"axis": 1}),
        ("Conv", ["x", "w6"], ["d"]), ("Add", ["c", "d"], ["e"]), ("Relu", ["e"], ["y"]),
    ]  # fmt: skip
    assert _types(_same(nodes, constants, tmp_path))[-1] == ("Add", "relu")


@pytest.mark.parametrize("flatten", ["Flatten", "Reshape", "computed"])
def test_classifier_at_the_end(flatten, tmp_path):
    constants = _WEIGHT | {"g": _random(5, 4 * 9 * 8), "gb": _random(5), "m": _random(5, 7), "shape": np.array([0, -1]),
                           "first": np.array([0]), "minus": np.array([-1]), "offset": _random(1, 7)}  # fmt: skip
    middle = {
        "Flatten": [("Flatten", ["c"], ["f"])],
        "Reshape": [("Reshape", ["c", "shape"], ["f"])],
        # As older exporters write ``x.view(x.size(0), -1)``.
        "computed": [("Shape", ["c"], ["s"]), ("Gather", ["s", "first"], ["n"], {"axis": 0}),
                     ("Concat", ["n", "minus"], ["t"], {"axis": 0}), ("Reshape", ["c", "t"], ["f"])],
    }[flatten]  # fmt: skip
    nodes = [_CONV, *middle, ("Dropout", ["f"], ["dropped"]), ("Gemm", ["dropped", "g", "gb"], ["h"], {"transB": 1}),
             ("Relu", ["h"], ["r"]), ("MatMul", ["r", "m"], ["k"]), ("Add", ["k", "offset"], ["scores"]),
             ("Softmax", ["scores"], ["soft"], {"axis": 1}), ("Identity", ["soft"], ["y"])]  # fmt: skip
    net = _same(nodes, constants, tmp_path, scores="scores")
    assert _types(net) == [("Conv", "none"), ("FC", "relu"), ("FC", "none")]


def test_global_average_and_branches_that_nobody_reads(tmp_path):
    nodes = [_CONV, ("Relu", ["c"], ["r"]), ("MaxPool", ["c"], ["dead"], {"kernel_shape": [2, 2]}), ("GlobalAveragePool", ["r"], ["y"])]
    assert _types(_same(nodes, _WEIGHT, tmp_path)) == [("Conv", "relu"), ("AvgPool", "none")]


def test_several_outputs(tmp_path):
    model = _model([_CONV, ("Relu", ["c"], ["r"]), ("GlobalAveragePool", ["r"], ["y"])], _WEIGHT, outputs=("y", "r"))
    net = _import(model, tmp_path)
    assert net.table.layers[-1].type == "AvgPool"
    assert len(net.table.outputs) == 2


def _error(model, tmp_path):
    with pytest.raises(importers.WeightError) as error:
        _import(model, tmp_path)
    text = str(error.value)
    assert "\n" not in text
    return text.removeprefix(f"{tmp_path / 'net.onnx'}: ")


def test_unsupported_operator_is_named_with_its_node(tmp_path):
    text = _error(_model([_CONV, ("Sin", ["c"], ["y"], {"name": "squash"})], _WEIGHT), tmp_path)
    assert text == f"node 'squash' (Sin): operator Sin is not supported; supported are {', '.join(SUPPORTED)}"
    wanted = ("Conv BatchNormalization Relu LeakyRelu Clip MaxPool AveragePool GlobalAveragePool Gemm MatMul Add Concat Flatten "
              "Reshape Dropout Softmax Identity")  # fmt: skip
    assert set(wanted.split()) <= set(SUPPORTED)


def test_all_nodes_that_cannot_be_lowered_are_named(tmp_path):
    nodes = [_CONV, ("Sin", ["c"], ["e"], {"name": "first"}), ("Relu", ["e"], ["r"]), ("Mul", ["c", "x"], ["m"], {"name": "second"}),
             ("Cosh", ["r"], ["h"], {"name": "third"}), ("Sinh", ["c"], ["dead"]), ("Add", ["h", "m"], ["y"])]  # fmt: skip
    text = _error(_model(nodes, _WEIGHT), tmp_path)
    assert text == ("3 nodes cannot be lowered: node 'first' (Sin): operator Sin is not supported; node 'second' (Mul): multiplies maps of "
                    "different shapes, (1, 4, 9, 8) and (1, 3, 9, 8); node 'third' (Cosh): operator Cosh is not supported; "
                    f"supported are {', '.join(SUPPORTED)}")  # fmt: skip


@pytest.mark.parametrize(("shape", "message"), [
    ((1, 3, "height", 8), "input x has the dynamic shape (1, 3, height, 8): give dimension 2 a number with --shape x=1,3,N,8"),
    (("N", 3, None, 8), "input x has the dynamic shape (N, 3, ?, 8): give dimension 2 a number with --shape x=1,3,N,8"),
    ((1, 2, 3, 4, 5), "input x must have the shape (batch, C, H, W), (batch, C, L) or (batch, C), not (1, 2, 3, 4, 5)"),
])  # fmt: skip
def test_dynamic_shapes_are_refused(shape, message, tmp_path):
    assert _error(_model([("Relu", ["x"], ["y"])], {}, shape_in=shape), tmp_path) == message


_NAN = {"w": np.full((4, 3, 3, 3), np.nan, np.float32), "b": _random(4)}


@pytest.mark.parametrize(("nodes", "constants", "message"), [
    ([_CONV, ("Add", ["c", "x"], ["y"], {"name": "sum"})], _WEIGHT,
     "node 'sum' (Add): adds maps of different shapes, (1, 4, 9, 8) and (1, 3, 9, 8)"),
    ([_CONV, ("Concat", ["c", "x"], ["y"], {"name": "cat", "axis": 2})], _WEIGHT,
     "node 'cat' (Concat): concatenates maps of different sizes: (1, 4, 9, 8), (1, 3, 9, 8)"),
    ([_CONV, ("Concat", ["c", "c"], ["y"], {"name": "cat", "axis": 2})], _WEIGHT,
     "node 'cat' (Concat): only channels can be concatenated, not axis 2 of (1, 4, 9, 8)"),
    ([_CONV, ("Softmax", ["c"], ["s"], {"axis": 1}), ("Relu", ["s"], ["y"], {"name": "after"})], _WEIGHT,
     "node 'after' (Relu): follows a softmax, which is supported at the end only"),
    ([_CONV, ("Div", ["c", "x"], ["y"], {"name": "share"})], _WEIGHT,
     "node 'share' (Div): a division by a map is not supported, unless that is a power or a square root"),
    ([_CONV, ("Pow", ["c", "k"], ["y"], {"name": "power"})], {**_WEIGHT, "k": np.float32(-2)},
     "node 'power' (Pow): the power -2 is not supported; those of 1, 2, 3 and of no whole number are"),
    ([("Conv", ["x", "w", "b"], ["y"], {"name": "conv"})], _NAN, "node 'conv' (Conv): its weight contains NaN"),
    ([("Conv", ["x", "x"], ["y"], {"name": "conv"})], {},
     "node 'conv' (Conv): its weight must be a constant, not computed from the network's input"),
    ([("Reshape", ["x", "to"], ["r"], {"name": "mix"}), ("MaxPool", ["r"], ["y"], {"name": "pool", "kernel_shape": [2, 2]})],
     {"to": np.array([1, 9, 8, 3])},
     "node 'pool' (MaxPool): reads an array of shape (1, 9, 8, 3) whose elements are no lines and columns of the map (3, 9, 8)"),
    ([("Reshape", ["x", "to"], ["y"], {"name": "mix"})], {"to": np.array([1, 9, 8, 4])},
     "node 'mix' (Reshape): turns shape (1, 3, 9, 8) into (1, 9, 8, 4), which has another number of elements"),
    ([("Conv", ["x", "w", "b"], ["y"], {"name": "conv", "auto_pad": "SAME"})], _WEIGHT,
     "node 'conv' (Conv): auto_pad must be one of NOTSET, SAME_UPPER, SAME_LOWER, VALID, not 'SAME'"),
    ([("Conv", ["x", "w", "b"], ["y"], {"name": "conv", "kernel_shape": [5, 3]})], _WEIGHT,
     "node 'conv' (Conv): kernel_shape is (5, 3), but the weights have (3, 3)"),
    ([("Conv", ["x", "w"], ["y"], {"name": "conv"})], {"w": _random(4, 3, 3, 3) + 1j},
     "node 'conv' (Conv): its weight must hold real numbers, not complex64"),
    ([("Dropout", ["x", "ratio", "on"], ["y"], {"name": "drop"})], {"ratio": np.float32(0.5), "on": np.array(True)},
     "node 'drop' (Dropout): is in training mode"),
    ([("Softmax", ["x"], ["y"], {"name": "soft", "axis": 0})], {},
     "node 'soft' (Softmax): only a softmax over the scores is supported, not over the batch (axis 0)"),
    ([("Softmax", ["x"], ["y"], {"name": "soft", "axis": 7})], {},
     "node 'soft' (Softmax): axis 7 does not exist in an array of shape (1, 3, 9, 8)"),
])  # fmt: skip
def test_what_cannot_be_lowered(nodes, constants, message, tmp_path):
    assert _error(_model(nodes, constants), tmp_path) == message


def test_branches_and_files_that_are_no_onnx(tmp_path):
    then = helper.make_graph([], "then", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, None)])
    nodes = [_CONV, ("If", ["flag"], ["z"], {"name": "choice", "then_branch": then, "else_branch": then}), ("Add", ["z", "c"], ["y"])]
    assert "node 'choice' (If)" in _error(_model(nodes, _WEIGHT | {"flag": np.array(True)}), tmp_path)
    path = tmp_path / "net.onnx"
    for content in (b"", b"no protobuf at all", _model([_CONV], _WEIGHT, outputs=("c",)).SerializeToString()[:200]):
        path.write_bytes(content)
        with pytest.raises(importers.WeightError) as error:
            importers.load_onnx(path)
        assert "\n" not in str(error.value)
    with pytest.raises(importers.WeightError, match="cannot be read: No such file"):
        importers.load_onnx(tmp_path / "none.onnx")




def test_weights_in_a_file_of_their_own_and_in_16_bits(tmp_path):
    """External data, and bfloat16: the same network as with the numbers in the file, those of bfloat16 rounded."""
    weight, bias = _WEIGHT["w"], _WEIGHT["b"]
    model = _model([_CONV, ("Relu", ["c"], ["y"])], _WEIGHT)
    plain = _import(model, tmp_path)
    onnx.save(model, tmp_path / "apart.onnx", save_as_external_data=True, location="apart.bin", size_threshold=0)
    assert (tmp_path / "apart.bin").stat().st_size >= weight.nbytes + bias.nbytes
    apart = importers.load_onnx(tmp_path / "apart.onnx")
    (layer,) = plain.table.layers
    for mine, other in zip(plain.numbers(layer).arrays(), apart.numbers(layer).arrays(), strict=True):
        np.testing.assert_array_equal(mine, other)
    for place, (name, array) in enumerate(_WEIGHT.items()):
        model.graph.initializer[place].CopyFrom(helper.make_tensor(name, TensorProto.BFLOAT16, array.shape, array.flatten()))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.BFLOAT16
    for mine, wanted in zip(_import(model, tmp_path).numbers(layer).arrays(), (weight, bias), strict=True):
        assert 0 < np.abs(mine / wanted - 1).max() < 2**-8
