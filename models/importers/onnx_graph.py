"""ONNX files as float networks.

Shapes must be static and there must be one input, (batch, C, H, W); the batch is left out. What depends on constants alone (the
shape arithmetic that exporters write for a flatten, say) is computed while reading. A softmax at the end is left out: scores are
the numbers before it.
"""

import re
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.fold import finish
from squeezelerator.models.importers.lowering import Lowering, Value

_DOMAINS = ("", "ai.onnx")


def read_onnx(path):
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of an ONNX file, named after the file.

    Raises
    ------
    WeightError
        If the file is none, its input is dynamic, or a node cannot be expressed; the line names the node and, for an
        operator that is not supported, the operators that are.
    """
    path = Path(path)
    try:
        model = onnx.load(path)
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror or error}") from None
    except DecodeError:
        raise WeightError(f"{path}: is no ONNX file") from None
    if not model.graph.node:
        raise WeightError(f"{path}: is no ONNX file, or one without nodes")
    return _Reader(str(path), model).read(re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem))


class _Reader:
    """Walks one graph. ``_values`` holds maps (:class:`Value`) and constants (arrays) by name."""

    def __init__(self, title, model):
        self._title, self._graph = title, model.graph
        self._opset = next((item.version for item in model.opset_import if item.domain in _DOMAINS), 1)
        self._opset_imports = list(model.opset_import)
        # Nodes are checked one by one: a check of the whole model refuses files that only lack the shapes of their outputs.
        self._check = onnx.checker.C.CheckerContext()
        self._check.ir_version = model.ir_version
        self._check.opset_imports = {item.domain: item.version for item in model.opset_import}
        self._values = {}
        self._batch = 1
        self._lowering = None

    def read(self, name):
        for tensor in self._graph.initializer:
            self._values[tensor.name] = numpy_helper.to_array(tensor)
        inputs = [item for item in self._graph.input if item.name not in self._values]
        if len(inputs) != 1:
            names = ", ".join(item.name for item in inputs) or "none"
            raise WeightError(f"{self._title}: one input is supported, not {len(inputs)} ({names})")
        self._lowering = Lowering(self._title, self._input_shape(inputs[0]))
        self._values[inputs[0].name] = self._lowering.input()
        for index, node in enumerate(self._graph.node):
            self._node(index, node)
        outputs = []
        for item in self._graph.output:
            value = self._values.get(item.name)
            if not isinstance(value, Value):
                raise WeightError(f"{self._title}: output {item.name} does not depend on the input")
            outputs.append(value)
        return finish(self._lowering, outputs, name)

    def _input_shape(self, item):
        dims = item.type.tensor_type.shape.dim
        shape = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else dim.dim_param or "?" for dim in dims]
        text = f"({', '.join(str(size) for size in shape)})"
        if len(shape) != 4:
            raise WeightError(f"{self._title}: input {item.name} must have the shape (batch, C, H, W), not {text}")
        for axis, size in enumerate(shape):
            if isinstance(size, str):
                raise WeightError(
                    f"{self._title}: input {item.name} has the dynamic shape {text}: give dimension {axis} a number"
                )
        self._batch = shape[0]
        return tuple(shape[1:])

    def _node(self, index, node):
        label = node.name or (node.output[0] if node.output else f"#{index}")
        origin = f"node {label!r} ({node.op_type})"
        inputs = []
        for name in node.input:
            if name and name not in self._values:
                self._lowering.fail(origin, f"reads {name!r}, which is no output that can be used")
            inputs.append(self._values[name] if name else None)
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if node.domain in _DOMAINS and inputs and not any(isinstance(value, Value) for value in inputs):
            self._store(node, self._constant(origin, node, inputs))
            return
        method = getattr(self, f"_op_{node.op_type}", None) if node.domain in _DOMAINS else None
        if method is None:
            operator = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
            self._lowering.fail(origin, f"operator {operator} is not supported; supported are {', '.join(SUPPORTED)}")
        try:
            onnx.checker.check_node(node, self._check)
        except onnx.checker.ValidationError as error:
            self._lowering.fail(origin, f"is no valid node: {str(error).strip().splitlines()[0]}")
        # "Conv_12" and "/features/0/Conv" alike become names of layers.
        result = method(node.name or f"{node.op_type.lower()}{index + 1}", origin, inputs, attributes)
        self._store(node, result if isinstance(result, list) else [result])

    def _store(self, node, results):
        self._values.update({name: value for name, value in zip(node.output, results, strict=False) if name})

    def _constant(self, origin, node, inputs):
        """Outputs of a node that reads constants only."""
        names = [name for name in node.input if name]
        arrays = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        graph = helper.make_graph(
            [node], "constant",
            [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), None)
             for name in dict.fromkeys(names)],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=self._opset_imports)
        try:
            return ReferenceEvaluator(model).run(None, arrays)
        except Exception as error:  # the evaluator raises whatever its numpy code does
            self._lowering.fail(origin, f"cannot be computed from its constants: {str(error).splitlines()[0]}")

    # Each method below lowers one operator: (name, origin, inputs, attributes) to a Value, an array, or a list of them.

    def _value(self, origin, value):
        if not isinstance(value, Value):
            self._lowering.fail(origin, "its first input must depend on the network's input")
        return value

    def _array(self, origin, what, inputs, place, default=None):
        """Input number ``place``, which must be a constant."""
        value = inputs[place] if place < len(inputs) else None
        if value is None:
            return default
        if isinstance(value, Value):
            self._lowering.fail(origin, f"{what} must be a constant, not computed from the network's input")
        return value

    def _scalar(self, origin, what, inputs, place, default=None):
        value = self._array(origin, what, inputs, place)
        if value is None or value.size == 0:
            return default
        if value.size != 1:
            self._lowering.fail(origin, f"{what} must be one number, not {value.size}")
        return float(value.reshape(()))

    def _geometry(self, origin, value, attributes, kernel):
        """``(stride, dilation, pads)`` with pairs (x, y) and pads (left, top, right, bottom); ``kernel`` is (x, y)."""
        for key in ("strides", "dilations"):
            if len(attributes.get(key, (1, 1))) != 2:
                self._lowering.fail(origin, f"only 2-D windows are supported, not {key} of {len(attributes[key])} axes")
        stride = tuple(attributes.get("strides", (1, 1))[::-1])
        dilation = tuple(attributes.get("dilations", (1, 1))[::-1])
        automatic = attributes.get("auto_pad", b"NOTSET").decode()
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            before, after = [], []
            for axis in (0, 1):
                size, span = value.shape[2 - axis], (kernel[axis] - 1) * dilation[axis] + 1
                total = max(0, (-(-size // stride[axis]) - 1) * stride[axis] + span - size)
                before.append(total // 2 if automatic == "SAME_UPPER" else total - total // 2)
                after.append(total - before[-1])
            return stride, dilation, (*before, *after)
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0)) if automatic == "NOTSET" else (0, 0, 0, 0)
        return stride, dilation, (left, top, right, bottom)

    def _op_Conv(self, name, origin, inputs, attributes):
        value = self._value(origin, inputs[0])
        weight = self._array(origin, "its weight", inputs, 1)
        if weight is None or weight.ndim != 4:
            self._lowering.fail(origin, f"only 2-D convolutions are supported, not weights of shape {np.shape(weight)}")
        stride, dilation, pads = self._geometry(origin, value, attributes, weight.shape[:1:-1])
        return self._lowering.conv(name, origin, value, weight, self._array(origin, "its bias", inputs, 2), stride=stride,
                                   pads=pads, dilation=dilation, groups=attributes.get("group", 1))  # fmt: skip

    def _op_BatchNormalization(self, name, origin, inputs, attributes):
        if attributes.get("training_mode", 0):
            self._lowering.fail(origin, "is in training mode")
        arrays = [self._array(origin, f"its input {place}", inputs, place) for place in range(1, 5)]
        return self._lowering.batch_norm(name, origin, self._value(origin, inputs[0]), *arrays, attributes.get("epsilon", 1e-5))

    def _op_Relu(self, name, origin, inputs, attributes):
        return self._lowering.activation(name, origin, inputs[0], "relu")

    def _op_LeakyRelu(self, name, origin, inputs, attributes):
        return self._lowering.activation(name, origin, inputs[0], "leaky", slope=attributes.get("alpha", 0.01))

    def _op_Clip(self, name, origin, inputs, attributes):
        low = self._scalar(origin, "min", inputs, 1, attributes.get("min"))
        high = self._scalar(origin, "max", inputs, 2, attributes.get("max"))
        return self._lowering.clamp(name, origin, self._value(origin, inputs[0]), low, high)

    def _pool(self, name, origin, inputs, attributes, kind):
        value, shape = inputs[0], attributes["kernel_shape"]
        if len(shape) != 2:
            self._lowering.fail(origin, f"only 2-D windows are supported, not {list(shape)}")
        kernel = tuple(shape[::-1])
        stride, dilation, pads = self._geometry(origin, value, attributes, kernel)
        if dilation != (1, 1):
            self._lowering.fail(origin, "a pool with dilation is not supported")
        return self._lowering.pool(name, origin, value, kind, kernel, stride, pads, ceil=bool(attributes.get("ceil_mode", 0)),
                                   counts_padding=bool(attributes.get("count_include_pad", 0)))  # fmt: skip

    def _op_MaxPool(self, name, origin, inputs, attributes):
        return self._pool(name, origin, inputs, attributes, "MaxPool")

    def _op_AveragePool(self, name, origin, inputs, attributes):
        return self._pool(name, origin, inputs, attributes, "AvgPool")

    def _op_GlobalAveragePool(self, name, origin, inputs, attributes):
        return self._lowering.global_average(name, origin, inputs[0])

    def _op_ReduceMean(self, name, origin, inputs, attributes):
        axes = attributes.get("axes", self._array(origin, "axes", inputs, 1, ()))
        if sorted(int(axis) % 4 for axis in axes) != [2, 3]:
            self._lowering.fail(origin, f"only a mean over the axes 2 and 3 is supported, not {[int(axis) for axis in axes]}")
        value = self._lowering.global_average(name, origin, inputs[0])
        return value if attributes.get("keepdims", 1) else self._lowering.reshape(origin, value, (value.size,))

    def _op_Gemm(self, name, origin, inputs, attributes):
        weight = self._array(origin, "B", inputs, 1)
        if attributes.get("transA", 0):
            self._lowering.fail(origin, "a transposed first matrix is not supported")
        weight = (weight if attributes.get("transB", 0) else weight.T) * attributes.get("alpha", 1.0)
        bias = self._array(origin, "C", inputs, 2)
        return self._lowering.fc(name, origin, self._value(origin, inputs[0]), weight,
                                 None if bias is None else bias * attributes.get("beta", 1.0))  # fmt: skip

    def _op_MatMul(self, name, origin, inputs, attributes):
        value, weight = self._value(origin, inputs[0]), self._array(origin, "its second matrix", inputs, 1)
        if weight.ndim != 2 or not value.flat:
            self._lowering.fail(origin, "only the product of a vector and a constant matrix is supported")
        return self._lowering.fc(name, origin, value, weight.T, None)

    def _channels(self, origin, value, array):
        """A constant that is broadcast over a map, as one number a channel."""
        array = np.asarray(array)
        # As seen by the graph: (batch, C, H, W) or (batch, elements), aligned at the last axis.
        channel_axis = 2 if value.flat else 4
        padded = (1,) * max(0, channel_axis - array.ndim) + array.shape
        wanted = (1, value.size) if value.flat else (1, value.shape[0], 1, 1)
        if len(padded) != channel_axis or any(size not in (1, want) for size, want in zip(padded, wanted, strict=True)):
            self._lowering.fail(origin, f"a constant of shape {array.shape} is not one number a channel")
        return array.reshape(-1)

    def _op_Add(self, name, origin, inputs, attributes):
        left, right = inputs
        if isinstance(left, Value) and isinstance(right, Value):
            return self._lowering.add(name, origin, left, right)
        value, constant = (left, right) if isinstance(left, Value) else (right, left)
        return self._lowering.scale(name, origin, value, 1.0, self._channels(origin, value, constant))

    def _op_Sub(self, name, origin, inputs, attributes):
        left, right = inputs
        if isinstance(left, Value) and not isinstance(right, Value):
            return self._lowering.scale(name, origin, left, 1.0, -self._channels(origin, left, right))
        if isinstance(right, Value) and not isinstance(left, Value):
            return self._lowering.scale(name, origin, right, -1.0, self._channels(origin, right, left))
        return self._lowering.fail(origin, "the difference of two maps is not supported")

    def _op_Mul(self, name, origin, inputs, attributes):
        left, right = inputs
        if isinstance(left, Value) and isinstance(right, Value):
            self._lowering.fail(origin, "the product of two maps is not supported")
        value, constant = (left, right) if isinstance(left, Value) else (right, left)
        return self._lowering.scale(name, origin, value, self._channels(origin, value, constant), 0.0)

    def _op_Div(self, name, origin, inputs, attributes):
        if isinstance(inputs[1], Value):
            self._lowering.fail(origin, "a division by a map is not supported")
        divisor = self._channels(origin, inputs[0], inputs[1])
        if not np.all(divisor):
            self._lowering.fail(origin, "divides by zero")
        return self._lowering.scale(name, origin, inputs[0], 1.0 / divisor.astype(np.float64), 0.0)

    def _op_Concat(self, name, origin, inputs, attributes):
        if not all(isinstance(value, Value) for value in inputs):
            self._lowering.fail(origin, "concatenates a map and a constant")
        rank = 2 if inputs[0].flat else 4
        if attributes["axis"] % rank != 1:
            self._lowering.fail(origin, f"only the channels (axis 1) can be concatenated, not axis {attributes['axis']}")
        return self._lowering.concat(origin, inputs)

    def _op_Pad(self, name, origin, inputs, attributes):
        value = self._value(origin, inputs[0])
        pads = attributes.get("pads", self._array(origin, "pads", inputs, 1))
        fill = self._scalar(origin, "its fill", inputs, 2, attributes.get("value", 0.0))
        if attributes.get("mode", b"constant") != b"constant":
            self._lowering.fail(origin, f"only constant padding is supported, not {attributes['mode'].decode()}")
        if value.flat or len(pads) != 8 or any(pads[place] for place in (0, 1, 4, 5)):
            self._lowering.fail(origin, "only padding of height and width is supported")
        top, left, bottom, right = (int(pads[place]) for place in (2, 3, 6, 7))
        return self._lowering.pad(origin, value, (left, top, right, bottom), fill)

    def _op_Flatten(self, name, origin, inputs, attributes):
        axis = attributes.get("axis", 1)
        if axis % (2 if inputs[0].flat else 4) != 1:
            self._lowering.fail(origin, f"only flattening from axis 1 is supported, not {axis}")
        return self._lowering.reshape(origin, inputs[0], (inputs[0].size,))

    def _op_Reshape(self, name, origin, inputs, attributes):
        value = self._value(origin, inputs[0])
        seen = self._shape(value)
        wanted = [int(size) for size in self._array(origin, "its shape", inputs, 1)]
        if not attributes.get("allowzero", 0):
            wanted = [seen[axis] if size == 0 and axis < len(seen) else size for axis, size in enumerate(wanted)]
        if wanted.count(-1) == 1:
            known = int(np.prod([size for size in wanted if size != -1]))
            wanted[wanted.index(-1)] = self._batch * value.size // known if known else 0
        if not wanted or wanted[0] != self._batch:
            self._lowering.fail(origin, f"turns shape {seen} into {tuple(wanted)}, which moves the batch")
        return self._lowering.reshape(origin, value, wanted[1:])

    def _op_Squeeze(self, name, origin, inputs, attributes):
        axes = attributes.get("axes", self._array(origin, "axes", inputs, 1, (2, 3)))
        value = self._value(origin, inputs[0])
        if value.flat or value.shape[1:] != (1, 1) or sorted(int(axis) % 4 for axis in axes) != [2, 3]:
            self._lowering.fail(origin, "only the axes 2 and 3 of a 1x1 map can be squeezed")
        return self._lowering.reshape(origin, value, (value.size,))

    def _op_Shape(self, name, origin, inputs, attributes):
        shape = self._shape(inputs[0])
        return np.array(shape[slice(attributes.get("start", 0), attributes.get("end", None))], np.int64)

    def _shape(self, value):
        """A value's shape as the graph sees it, batch first."""
        return (self._batch, value.size) if value.flat else (self._batch, *value.shape)

    def _op_Constant(self, name, origin, inputs, attributes):
        for key, value in attributes.items():
            if key == "value":
                return numpy_helper.to_array(value)
            if key in ("value_float", "value_floats", "value_int", "value_ints"):
                return np.array(value, np.float32 if "float" in key else np.int64)
        return self._lowering.fail(origin, f"a constant given as {', '.join(attributes)} is not supported")

    def _op_Identity(self, name, origin, inputs, attributes):
        return inputs[0]

    def _op_Dropout(self, name, origin, inputs, attributes):
        return inputs[0]

    def _op_Softmax(self, name, origin, inputs, attributes):
        axis = attributes.get("axis", -1 if self._opset >= 13 else 1)
        shape = self._shape(inputs[0])
        # Over anything but the scores themselves a softmax would compare what the order of classes does not.
        if axis % len(shape) != 1 and int(np.prod(shape[axis % len(shape) :])) != inputs[0].size:
            self._lowering.fail(origin, f"only a softmax over the channels is supported, not over axis {axis}")
        return self._lowering.softmax(origin, inputs[0])

    _op_LogSoftmax = _op_Softmax


SUPPORTED = tuple(sorted(name.removeprefix("_op_") for name in vars(_Reader) if name.startswith("_op_")))
"""Operators that :func:`read_onnx` understands."""
