"""Attributes of ONNX operators at values that are not their defaults, against onnxruntime."""

import numpy as np
import pytest
from support.foreign import graph, same_as_onnxruntime

RNG = np.random.default_rng(7)


def array(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


#: The weight keeps its own statistics, so that a normalisation that is folded wrongly shows.
NORM = {"s": np.array([0.5, -2, 1, 3], np.float32), "t": array(4), "m": array(4), "v": np.array([0.1, 4, 1, 0.5], np.float32)}
CONV = ("Conv", ["x", "w"], ["c"], {"pads": [1] * 4})


@pytest.mark.parametrize("attributes", [
    {"alpha": 0.5}, {"beta": 2.0}, {"alpha": -1.5, "beta": 0.25}, {"transB": 1, "alpha": 2.0}, {"transB": 1}, {},
])
def test_gemm(attributes, tmp_path):
    weight = array(12, 40) if attributes.get("transB") else array(40, 12)
    same_as_onnxruntime(graph([("Gemm", ["x", "w", "b"], ["y"], attributes)], {"w": weight, "b": array(12)}, shape=(1, 40)), tmp_path)


@pytest.mark.parametrize("attributes", [
    {"auto_pad": pad, "strides": strides} for pad in ("SAME_UPPER", "SAME_LOWER") for strides in ([1, 1], [2, 2], [2, 1], [1, 2], [3, 3])
] + [{"strides": [2, 1]}, {"strides": [1, 2]}, {"pads": [0, 1, 2, 1]}])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 2), (2, 3)])
def test_padding_and_strides(attributes, kernel, tmp_path):
    same_as_onnxruntime(graph([("Conv", ["x", "w"], ["y"], attributes)], {"w": array(4, 3, *kernel)}), tmp_path)
    pool = ("MaxPool", ["x"], ["y"], {"kernel_shape": list(kernel), **attributes})
    # onnxruntime refuses windows that lie further apart than they are large where the padding is found by itself.
    if max(attributes.get("pads", [0])) < min(kernel) and max(attributes.get("strides", [1])) <= min(kernel):
        same_as_onnxruntime(graph([pool], {}), tmp_path)


@pytest.mark.parametrize("nodes", [
    [CONV, ("BatchNormalization", ["c", "s", "t", "m", "v"], ["y"], {"epsilon": 0.5})],
    [CONV, ("BatchNormalization", ["c", "s", "t", "m", "v"], ["y"])],
    # Behind an activation, behind a result that is one of the network's, behind a map that something else reads.
    [CONV, ("Relu", ["c"], ["r"]), ("BatchNormalization", ["r", "s", "t", "m", "v"], ["y"])],
    [CONV, ("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"]), ("Relu", ["n"], ["y"])],
    [CONV, ("BatchNormalization", ["c", "s", "t", "m", "v"], ["n"]), ("Add", ["n", "c"], ["y"])],
    [CONV, ("Relu", ["c"], ["r"]), ("Add", ["r", "c"], ["y"])],
    [CONV, ("LeakyRelu", ["c"], ["r"], {"alpha": 0.3}), ("Relu", ["r"], ["y"])],
])
def test_batch_norm_and_activations_are_folded_where_they_may_be(nodes, tmp_path):
    same_as_onnxruntime(graph(nodes, {"w": array(4, 3, 3, 3), **(NORM if "s" in str(nodes) else {})}), tmp_path)


def test_a_map_that_is_a_result_keeps_its_numbers(tmp_path):
    nodes = [CONV, ("BatchNormalization", ["c", "s", "t", "m", "v"], ["y"]), ("Relu", ["y"], ["z"])]
    same_as_onnxruntime(graph(nodes, {"w": array(4, 3, 3, 3), **NORM}, outputs=("c", "y", "z")), tmp_path)


@pytest.mark.parametrize(("operator", "attributes"), [
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 1}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1] * 4, "count_include_pad": 0}),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("ReduceMean", {"axes": [2, 3]}), ("ReduceMean", {"axes": [1, 2, 3], "keepdims": 0}), ("ReduceMean", {"axes": [1]}),
    ("ReduceSum", {}), ("GlobalAveragePool", {}),
])
def test_pools_and_reductions(operator, attributes, tmp_path):
    axes = {"a": np.array([2, 3])} if operator == "ReduceSum" else {}
    same_as_onnxruntime(graph([(operator, ["x", *axes], ["y"], attributes)], axes), tmp_path)
