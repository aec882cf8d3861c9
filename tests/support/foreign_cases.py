"""Small ONNX graphs, one for each thing that an importer has to lower; for the float comparison and for the machine."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from support.foreign import graph


def _weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32) * np.float32(0.3)


@dataclass(frozen=True)
class Case:
    """A graph: ``nodes`` and ``constants`` as :func:`support.foreign.graph` takes them, with ``w`` of shape (4, 3, 3, 3) among these."""

    nodes: Sequence[tuple]
    constants: dict[str, Any] = field(default_factory=dict)
    shape: tuple = (1, 3, 9, 8)
    outputs: tuple[str, ...] = ("y",)
    opset: int = 17
    kind: int = TensorProto.FLOAT

    @property
    def model(self) -> onnx.ModelProto:
        """The graph as a model."""
        used = {name for node in self.nodes for name in node[1]}
        known = {"w": _weights(4, 3, 3, 3), "b": _weights(4), **self.constants}
        return graph(self.nodes, {name: value for name, value in known.items() if name in used}, shape=self.shape, outputs=self.outputs,
                     opset=self.opset, kind=self.kind)  # fmt: skip


def conv(**attributes) -> list[tuple]:
    """One convolution as the only node."""
    return [("Conv", ["x", "w", "b"], ["y"], attributes)]


def pool(operator: str, **attributes) -> list[tuple]:
    """One pool as the only node."""
    return [(operator, ["x"], ["y"], attributes)]


_C = ("Conv", ["x", "w", "b"], ["c"], {"pads": [1] * 4})


def _then(*nodes: tuple) -> list[tuple]:
    return [_C, *nodes]


CASES = {
    "pad_left": Case(conv(pads=[0, 2, 0, 0])), "pad_top_3": Case(conv(pads=[3, 0, 1, 0])),
    "pad_beyond_kernel": Case(conv(pads=[4, 5, 3, 6])),
    "same_lower": Case(conv(auto_pad="SAME_LOWER", strides=[2, 2])), "same_upper_3": Case(conv(auto_pad="SAME_UPPER", strides=[3, 3])),
    "stride_5": Case([_C, ("Conv", ["c", "v"], ["y"], {"strides": [6, 6]})], {"v": _weights(5, 4, 3, 3)}, (1, 3, 20, 20)),
    "patches": Case(conv(strides=[8, 8]), {"w": _weights(4, 3, 8, 8)}, (1, 3, 24, 32)),
    "causal": Case([("Conv", ["x", "v"], ["y"], {"pads": [4, 0], "dilations": [2]})], {"v": _weights(5, 6, 3)}, (1, 6, 20)),
    "signal": Case([("Conv", ["x", "v"], ["c"], {"strides": [2]}), ("Relu", ["c"], ["r"]), ("MaxPool", ["r"], ["p"], {"kernel_shape": [2],
                    "strides": [2]}), ("GlobalAveragePool", ["p"], ["g"]), ("Flatten", ["g"], ["y"])],
                   {"v": _weights(8, 2, 5)}, (1, 2, 64)),
    "vector": Case([("Gemm", ["x", "v", "u"], ["h"], {"transB": 1}), ("Relu", ["h"], ["r"]), ("MatMul", ["r", "m"], ["y"])],
                   {"v": _weights(12, 40), "u": _weights(12), "m": _weights(12, 5)}, (1, 40)),
    "one_channel": Case([("Conv", ["x", "v"], ["y"])], {"v": _weights(4, 1, 3, 3)}, (1, 1, 9, 8)),
    "four_channels": Case([("Conv", ["x", "v"], ["y"])], {"v": _weights(5, 4, 3, 3)}, (1, 4, 9, 8)),
    "dynamic_batch": Case(conv(), shape=("N", 3, 9, 8)), "batch_4": Case(_then(("Reshape", ["c", "s"], ["y"])),
                                                                         {"s": np.array([-1, 4 * 9 * 8])}, (1, 3, 9, 8)),
    "max_pad_zero": Case(_then(("Relu", ["c"], ["r"]), ("Pad", ["r", "p"], ["q"]), ("MaxPool", ["q"], ["y"], {"kernel_shape": [3, 3],
                         "strides": [2, 2]})), {"p": np.array([0, 0, 0, 1, 0, 0, 1, 1])}),
    "max_lower": Case(pool("MaxPool", kernel_shape=[2, 2], auto_pad="SAME_LOWER")),
    "average_border": Case(pool("AveragePool", kernel_shape=[3, 3], pads=[1] * 4)),
    "average_border_2": Case(pool("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2])),
    "average_one_side": Case(pool("AveragePool", kernel_shape=[7, 7], pads=[0, 0, 1, 1]), shape=(1, 3, 7, 7)),
    "average_5": Case(pool("AveragePool", kernel_shape=[5, 3], pads=[2, 1, 2, 1])),
    "average_ceil": Case(pool("AveragePool", kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1)),
    "average_counted": Case(pool("AveragePool", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2], count_include_pad=1)),
    "average_stride_6": Case(pool("AveragePool", kernel_shape=[6, 6], strides=[6, 6]), shape=(1, 3, 18, 24)),
    "max_stride_5": Case(pool("MaxPool", kernel_shape=[5, 5], strides=[6, 6]), shape=(1, 3, 20, 20)),
    "global_average_40": Case(pool("GlobalAveragePool"), shape=(1, 3, 40, 37)),
    "global_max_40": Case(pool("GlobalMaxPool"), shape=(1, 3, 40, 37)),
    "max_35": Case(pool("MaxPool", kernel_shape=[33, 2]), shape=(1, 3, 36, 5)),
    "sum": Case(_then(("Sum", ["c", "c", "c"], ["y"]))), "sub": Case(_then(("Relu", ["c"], ["r"]), ("Sub", ["c", "r"], ["y"]))),
    "neg": Case(_then(("Neg", ["c"], ["y"]))), "max": Case(_then(("Neg", ["c"], ["n"]), ("Max", ["c", "n"], ["y"]))),
    "min": Case(_then(("Neg", ["c"], ["n"]), ("Min", ["c", "n"], ["y"]))), "abs": Case(_then(("Abs", ["c"], ["y"]))),
    "clip": Case(_then(("Clip", ["c", "l", "h"], ["y"])), {"l": np.float32(-0.5), "h": np.float32(0.25)}),
    "clip_above": Case(_then(("Clip", ["c", "", "h"], ["y"])), {"h": np.float32(0.25)}),
    "prelu": Case(_then(("PRelu", ["c", "s"], ["y"])), {"s": np.array([0.1, -0.5, 2, 0], np.float32).reshape(4, 1, 1)}),
    "hard_sigmoid": Case(_then(("HardSigmoid", ["c"], ["y"]))),
    "split": Case(_then(("Split", ["c", "n"], ["l", "r"], {"axis": 1}), ("Conv", ["r", "v"], ["y"])),
                  {"n": np.array([1, 3]), "v": _weights(3, 3, 1, 1)}),
    "split_outputs": Case(_then(("Split", ["c"], ["l", "r"], {"axis": 1})), outputs=("l", "r"), opset=11),
    "slice": Case(_then(("Slice", ["c", "s", "e", "a", "t"], ["y"])), {"s": np.array([1, 1]), "e": np.array([9, 7]), "a": np.array([2, 3]),
                                                                  "t": np.array([3, 2])}),
    "focus": Case([("Slice", ["x", "z", "m", "a", "t"], ["p"]), ("Slice", ["x", "o", "m", "a", "t"], ["q"]),
                   ("Concat", ["p", "q"], ["j"], {"axis": 1}), ("Conv", ["j", "v"], ["y"])],
                  {"z": np.array([0]), "o": np.array([1]), "m": np.array([99]), "a": np.array([3]), "t": np.array([2]),
                   "v": _weights(4, 6, 3, 3)}),
    "shuffle": Case(_then(("Reshape", ["c", "s"], ["g"]), ("Transpose", ["g"], ["t"], {"perm": [0, 2, 1, 3, 4]}),
                          ("Reshape", ["t", "u"], ["h"]),
                          ("Conv", ["h", "v"], ["y"], {"group": 4})),
                    {"s": np.array([1, 2, 2, 9, 8]), "u": np.array([1, 4, 9, 8]), "v": _weights(4, 1, 3, 3)}),
    "channels_last": Case([("Transpose", ["x"], ["t"], {"perm": [0, 3, 1, 2]}), ("Conv", ["t", "w", "b"], ["c"]),
                           ("Transpose", ["c"], ["n"], {"perm": [0, 2, 3, 1]}), ("Add", ["n", "o"], ["p"]), ("Relu", ["p"], ["r"]),
                           ("ReduceMean", ["r"], ["m"], {"axes": [1, 2], "keepdims": 0}), ("MatMul", ["m", "v"], ["y"])],
                          {"o": _weights(4), "v": _weights(4, 6)}, (1, 9, 8, 3)),
    "narrow": Case([("Conv", ["x", "v"], ["y"])], {"v": _weights(4, 8, 3, 3)}, (1, 8, 8, 4)),
    "channels_last_prepared": Case([("Sub", ["x", "m"], ["s"]), ("Transpose", ["s"], ["t"], {"perm": [0, 3, 1, 2]}),
                                    ("Conv", ["t", "w", "b"], ["y"])], {"m": _weights(3)}, (1, 9, 8, 3)),
    "channels_last_output": Case(_then(("Transpose", ["c"], ["y"], {"perm": [0, 2, 3, 1]}))),
    "dense_everywhere": Case([("Transpose", ["x"], ["t"], {"perm": [0, 2, 3, 1]}), ("MatMul", ["t", "v"], ["y"])], {"v": _weights(3, 5)}),
    "flat_channels_last": Case(_then(("Transpose", ["c"], ["t"], {"perm": [0, 2, 3, 1]}), ("Flatten", ["t"], ["f"]),
                                     ("Gemm", ["f", "v"], ["y"])),
                               {"v": _weights(288, 5)}),
    "preprocessing": Case([("Sub", ["x", "m"], ["s"]), ("Div", ["s", "d"], ["n"]), ("Conv", ["n", "w", "b"], ["y"], {"pads": [1] * 4})],
                          {"m": _weights(1, 3, 1, 1), "d": np.abs(_weights(1, 3, 1, 1)) + 1}),
    "squeeze": Case(_then(("GlobalAveragePool", ["c"], ["g"]), ("Squeeze", ["g", "a"], ["s"]), ("Unsqueeze", ["s", "a"], ["u"]),
                          ("Conv", ["u", "v"], ["y"])), {"a": np.array([2, 3]), "v": _weights(3, 4, 1, 1)}),
    "cast": Case(_then(("Cast", ["c"], ["h"], {"to": TensorProto.FLOAT16}), ("Cast", ["h"], ["y"], {"to": TensorProto.FLOAT}))),
    "reduce_sum": Case(_then(("ReduceSum", ["c", "a"], ["y"])), {"a": np.array([2, 3])}),
    "reduce_max": Case(_then(("ReduceMax", ["c"], ["y"], {"axes": [3]}))),
    "reduce_channels": Case(_then(("ReduceMean", ["c"], ["y"], {"axes": [1]}))),
    "argmax": Case(_then(("ArgMax", ["c"], ["y"], {"axis": 1, "keepdims": 0}))), "sigmoid": Case(_then(("Sigmoid", ["c"], ["y"]))),
    "dead_branch": Case(_then(("Erf", ["c"], ["e"]), ("Relu", ["c"], ["y"]))),
    "upsample": Case(_then(("Resize", ["c", "", "k"], ["u"]), ("Conv", ["u", "v"], ["y"], {"pads": [1] * 4})),
                     {"k": np.array([1, 1, 2, 2], np.float32), "v": _weights(5, 4, 3, 3)}),
    "upsample_output": Case(_then(("Resize", ["c", "", "k"], ["y"])), {"k": np.array([1, 1, 2, 3], np.float32)}),
    "upsample_and_skip": Case(_then(("MaxPool", ["c"], ["p"], {"kernel_shape": [2, 2], "strides": [2, 2]}), ("Relu", ["p"], ["r"]),
                                    ("Resize", ["r", "", "k"], ["u"]), ("Concat", ["u", "c"], ["j"], {"axis": 1}),
                                    ("Conv", ["j", "v"], ["d"], {"pads": [1] * 4}), ("Relu", ["d"], ["e"]), ("Add", ["e", "c"], ["y"])),
                              {"k": np.array([1, 1, 2, 2], np.float32), "v": _weights(4, 8, 3, 3)}, (1, 3, 8, 8)),
    "upsample_and_stride": Case(_then(("Resize", ["c", "", "k"], ["u"]), ("Conv", ["u", "v"], ["y"], {"pads": [1] * 4, "strides": [2, 2]})),
                                {"k": np.array([1, 1, 2, 2], np.float32), "v": _weights(5, 4, 3, 3)}),
    "transposed_2": Case([("ConvTranspose", ["x", "v", "u"], ["y"], {"strides": [2, 2]})], {"v": _weights(3, 5, 2, 2), "u": _weights(5)}),
    "transposed_4": Case(_then(("ConvTranspose", ["c", "v"], ["t"], {"strides": [2, 2], "pads": [1] * 4}), ("Relu", ["t"], ["r"]),
                               ("Conv", ["r", "o"], ["y"])), {"v": _weights(4, 5, 4, 4), "o": _weights(2, 5, 1, 1)}),
    "transposed_3": Case([("ConvTranspose", ["x", "v"], ["y"], {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1], "group": 3})],
                         {"v": _weights(3, 2, 3, 3)}),
    "transposed_twice": Case([("ConvTranspose", ["x", "v"], ["t"], {"strides": [2, 2]}), ("Relu", ["t"], ["r"]),
                              ("ConvTranspose", ["r", "o"], ["s"], {"strides": [2, 2]}), ("Conv", ["s", "q"], ["y"], {"pads": [1] * 4})],
                             {"v": _weights(3, 4, 2, 2), "o": _weights(4, 2, 2, 2), "q": _weights(2, 2, 3, 3)}, (1, 3, 5, 4)),
    "transposed_1": Case([("ConvTranspose", ["x", "v"], ["y"], {})], {"v": _weights(3, 5, 3, 3)}),
    "depth_to_space": Case([("Conv", ["x", "v"], ["c"]), ("DepthToSpace", ["c"], ["y"], {"blocksize": 2})], {"v": _weights(8, 3, 3, 3)}),
    "pixel_shuffle": Case([("Conv", ["x", "v"], ["c"]), ("DepthToSpace", ["c"], ["d"], {"blocksize": 2, "mode": "CRD"}),
                           ("Conv", ["d", "q"], ["y"], {"pads": [1] * 4})], {"v": _weights(8, 3, 3, 3), "q": _weights(3, 2, 3, 3)}),
    "leaky": Case(_then(("LeakyRelu", ["c"], ["y"], {"alpha": 0.2}))),
    "gather": Case(_then(("Gather", ["c", "i"], ["y"], {"axis": 1})), {"i": np.array([3, 0, 0])}),
    "squeeze_excite": Case(_then(("HardSwish", ["c"], ["h"]), ("GlobalAveragePool", ["h"], ["g"]), ("Conv", ["g", "v"], ["e"]),
                                 ("Sigmoid", ["e"], ["s"]), ("Mul", ["s", "h"], ["m"]), ("Add", ["m", "c"], ["y"])),
                           {"v": _weights(4, 4, 1, 1)}),
    "gates": Case(_then(("Sigmoid", ["c"], ["s"]), ("Mul", ["s", "c"], ["a"]), ("HardSigmoid", ["a"], ["h"], {"alpha": 1 / 6}),
                        ("Mul", ["a", "h"], ["i"]), ("Mish", ["i"], ["m"]), ("Softplus", ["m"], ["n"]), ("Elu", ["c"], ["e"]),
                        ("Add", ["n", "e"], ["y"])), opset=18),
    "pixel_gate": Case(_then(("Tanh", ["c"], ["t"]), ("ReduceMean", ["t"], ["g"], {"axes": [1]}), ("Mul", ["c", "g"], ["y"]))),
    "powers": Case(_then(("Pow", ["c", "two"], ["p"]), ("Add", ["p", "one"], ["q"]), ("Sqrt", ["q"], ["r"]), ("Div", ["c", "r"], ["y"])),
                   {"two": np.float32(2), "one": np.float32(4)}),
    "lrn": Case(_then(("LRN", ["c"], ["y"], {"size": 3, "alpha": 0.5, "bias": 2.0}))),
    "half_precision": Case([("Conv", ["x", "v"], ["c"]), ("Relu", ["c"], ["y"])], {"v": _weights(4, 3, 3, 3).astype(np.float16)},
                           kind=TensorProto.FLOAT16),
    "quantised": Case([("DequantizeLinear", ["q", "qs", "qz"], ["v"], {"axis": 0}), ("QuantizeLinear", ["x", "s", "z"], ["i"]),
                       ("DequantizeLinear", ["i", "s", "z"], ["f"]), ("Conv", ["f", "v"], ["c"]),
                       ("QuantizeLinear", ["c", "s", "u"], ["o"]),
                       ("DequantizeLinear", ["o", "s", "u"], ["y"])],
                      {"q": np.random.default_rng(0).integers(-128, 128, (4, 3, 3, 3), np.int8),
                       "qs": np.array([1, 2, 3, 4], np.float32) / 512,
                       "qz": np.zeros(4, np.int8), "s": np.float32(1 / 32), "z": np.int8(0), "u": np.uint8(0)}),
    "bilinear": Case(_then(("Resize", ["c", "", "k"], ["u"], {"mode": "linear"}), ("Conv", ["u", "v"], ["y"], {"pads": [1] * 4})),
                     {"k": np.array([1, 1, 2, 3], np.float32), "v": _weights(5, 4, 3, 3)}),
    "bilinear_column": Case(_then(("GlobalAveragePool", ["c"], ["g"]), ("Resize", ["g", "", "k"], ["y"], {"mode": "linear"})),
                            {"k": np.array([1, 1, 4, 1], np.float32)}),
    "quantised_clips": Case([("QuantizeLinear", ["x", "s", "z"], ["i"]), ("DequantizeLinear", ["i", "s", "z"], ["y"])],
                            {"s": np.float32(1 / 128), "z": np.int8(37)}),
    "codes": Case([("DequantizeLinear", ["x", "s", "z"], ["f"], {"axis": 1}), ("Conv", ["f", "w"], ["y"])],
                  {"s": np.array([1, 2, 3], np.float32) / 64, "z": np.array([100, 128, 7], np.uint8)}, kind=TensorProto.UINT8),
    "gelu": Case(_then(("Gelu", ["c"], ["g"]), ("Gelu", ["g"], ["h"], {"approximate": "tanh"}), ("Exp", ["h"], ["y"])), opset=20),
    "gelu_by_erf": Case(_then(("Div", ["c", "r"], ["d"]), ("Erf", ["d"], ["e"]), ("Add", ["e", "one"], ["a"]), ("Mul", ["c", "a"], ["m"]),
                              ("Mul", ["m", "half"], ["y"])),
                        {"r": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}),
    "elus": Case(_then(("Elu", ["c"], ["e"], {"alpha": 0.5}), ("Selu", ["e"], ["s"]), ("Celu", ["s"], ["y"], {"alpha": 2.0}))),
    "resize_axes": Case(_then(("Resize", ["c", "", "", "k"], ["y"], {"axes": [3], "coordinate_transformation_mode": "asymmetric",
                                                                     "nearest_mode": "floor"})), {"k": np.array([16])}, opset=18),
    "resize_ratio": Case(_then(("Resize", ["c", "", "", "k"], ["y"], {"axes": [2, 3], "keep_aspect_ratio_policy": "not_larger"})),
                         {"k": np.array([27, 16])}, shape=(1, 3, 9, 8), opset=18),
    "resize_down": Case(_then(("Resize", ["c", "", "k"], ["y"], {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"})),
                        {"k": np.array([1, 1, 1 / 3, 0.5], np.float32)}),
    "space_to_depth": Case(_then(("SpaceToDepth", ["c"], ["s"], {"blocksize": 2}), ("Conv", ["s", "v"], ["y"])),
                           {"v": _weights(5, 16, 3, 3)}, (1, 3, 8, 10)),
    "transposed_signal": Case([("ConvTranspose", ["x", "v"], ["y"], {"strides": [2], "auto_pad": "SAME_LOWER"})], {"v": _weights(3, 4, 3)},
                              (1, 3, 11)),
    "transposed_size": Case([("ConvTranspose", ["x", "v"], ["y"], {"strides": [2, 2], "output_shape": [10, 8], "dilations": [2, 1]})],
                            {"v": _weights(3, 2, 2, 3)}, (1, 3, 5, 4)),
    "extremes": Case(_then(("ReduceMin", ["c"], ["n"], {"axes": [2, 3]}), ("ReduceL1", ["c"], ["l"], {"axes": [2, 3]}),
                           ("Mean", ["n", "l"], ["y"]))),
}  # fmt: skip

FUNCTIONS = ("squeeze_excite", "gates", "pixel_gate", "powers", "lrn", "gelu", "gelu_by_erf", "elus")
"""Those that need a machine with functions."""
TOLERANCE = {"quantised": 0.1, "quantised_clips": 0.005, "half_precision": 5e-3, "cast": 2e-3}
"""Where the file computes in fewer bits: as a share of the largest output."""
