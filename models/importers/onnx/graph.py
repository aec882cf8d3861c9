"""ONNX files as float networks.

Inputs are those that no initializer fills; the batch is 1, whatever the file says. What depends on constants alone (the shape
arithmetic that exporters write for a flatten, the dequantisation of stored weights) is computed while reading. Nodes that no output
depends on are ignored. What each operator becomes stands in ``docs/operators.md``.
"""

import math
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort
from squeezelerator.models.importers.errors import NodesRefused, OutputRefused, WeightError
from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.network import finish
from squeezelerator.models.importers.lowering.operators import functions
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.onnx import elementwise as onnx_elementwise
from squeezelerator.models.importers.onnx import functions as onnx_functions
from squeezelerator.models.importers.onnx import layers as onnx_layers
from squeezelerator.models.importers.onnx import resize as onnx_resize
from squeezelerator.models.importers.onnx import shapes as onnx_shapes
from squeezelerator.models.importers.onnx import transposed as onnx_transposed
from squeezelerator.models.importers.onnx.host_parts import HostParts
from squeezelerator.models.importers.onnx.inputs import read_inputs
from squeezelerator.models.importers.onnx.partition import GraphPart, cut
from squeezelerator.models.importers.operator_table import AFTER_HOST, OPERATORS, Node

_DOMAINS = ("", "ai.onnx")
MOST_NODES = 20_000
"""Nodes of a graph."""
_MOST_CONSTANT = 1 << 28
"""Elements of an array that is computed from constants."""
CODES_AS_NUMBERS = "holds the real numbers that QuantizeLinear would turn into codes"
_MODULES = (onnx_layers, onnx_elementwise, onnx_functions, onnx_resize, onnx_shapes, onnx_transposed)
SUPPORTED = tuple(sorted(OPERATORS))
"""Operators that :func:`read_onnx` understands."""


def read_onnx(path: str | Path, shapes: dict[str, tuple[int, ...]] | None = None) -> FloatNetwork:
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of an ONNX file, named after the file.

    ``shapes`` are the shapes (batch included) of inputs whose shapes the file leaves open, by name.

    Raises
    ------
    WeightError
        If the file is none, its input is dynamic, or nodes cannot be expressed; the line names all of these nodes and, for operators that
        are not supported, the operators that are.
    """
    path = Path(path)
    return _Reader(str(path), _model(path), dict(shapes or {})).read(_name(path))


def read_with_host(path: str | Path, shapes: dict[str, tuple[int, ...]] | None = None) -> tuple[FloatNetwork, HostParts | None]:
    """What the machine can compute of an ONNX file as a network, and what the host computes before and after it (``None``: nothing).

    Raises
    ------
    WeightError
        As :func:`read_onnx`; nodes that cannot be expressed are the host's, unless nothing is left for the machine.
    """
    path = Path(path)
    model = _model(path)
    try:
        return _Reader(str(path), model, dict(shapes or {})).read(_name(path)), None
    except (NodesRefused, OutputRefused):
        whole = GraphPart(model, _Reader(str(path), model, dict(shapes or {})).ports())
    return cut(path, whole, lambda part: _Reader(str(path), part, {}).read(_name(path)))


def _name(path: Path) -> str:
    """The network's name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem)


def _model(path: Path) -> onnx.ModelProto:
    """The model of a file.

    Raises
    ------
    WeightError
        If the file is none, or has no nodes, or too many.
    """
    try:
        model = onnx.load(path)
    except (DecodeError, onnx.checker.ValidationError) as error:
        reason = "" if isinstance(error, DecodeError) else f": {str(error).splitlines()[0]}"
        raise WeightError(f"{path}: is no ONNX file{reason}") from None
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(model.graph.node) > MOST_NODES:
        raise WeightError(f"{path}: has {len(model.graph.node):,} nodes, {MOST_NODES:,} are accepted")
    if not model.graph.node:
        raise WeightError(f"{path}: is no ONNX file, or one without nodes")
    return model


_NEWER = {"DequantizeLinear": 19, "QuantizeLinear": 19}
"""Operators that the reference evaluator computes from this operator set on; older ones mean the same."""


def _known(node: onnx.NodeProto) -> bool:
    return node.domain in _DOMAINS and node.op_type in OPERATORS


def _constant_size(operator: str, inputs: list[Any]) -> int:
    """A bound of the elements of what ``operator`` makes of constants, where small ones can make a large one."""
    arrays = [np.asarray(item) for item in inputs if item is not None]
    if not arrays or not all(array.dtype.kind in "iuf" for array in arrays):
        return 0
    if operator == "Range":
        return _range_size([float(array.reshape(-1)[0]) for array in arrays]) if len(arrays) == 3 else 0
    if operator not in ("ConstantOfShape", "Expand", "Tile"):
        return 0
    last = [abs(float(number)) for number in arrays[-1].reshape(-1)]
    first = 1 if operator == "ConstantOfShape" else arrays[0].size
    return int(min(float(first) * math.prod(last), 1e18))


def _range_size(numbers: list[float]) -> int:
    start, limit, step = numbers
    return int(min(abs((limit - start) / step), 1e18)) if step else 0


class _Unknown:
    """The output of a node that could not be lowered; what reads it is not looked at."""


class _Reader:
    """Walks one graph. ``_values`` holds maps (:class:`Value`) and constants (arrays) by name."""

    def __init__(self, title: str, model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> None:
        self._title, self._graph, self._shapes = title, model.graph, shapes
        self._opset = next((item.version for item in model.opset_import if item.domain in _DOMAINS), 1)
        self._opset_imports = list(model.opset_import)
        # Nodes are checked one by one: a check of the whole model refuses files that only lack the shapes of their outputs.
        self._check = onnx.checker.C.CheckerContext()
        self._check.ir_version = model.ir_version
        self._check.opset_imports = {item.domain: item.version for item in model.opset_import}
        self._values = {}
        self._lowering: Lowering
        self._failures, self._refused, self._missing = [], [], set()

    def read(self, name: str) -> FloatNetwork:
        for tensor in self._graph.initializer:
            self._values[tensor.name] = numpy_helper.to_array(tensor)
        for tensor in self._graph.sparse_initializer:
            raise WeightError(f"{self._title}: the sparse initializer {tensor.values.name} is not supported")
        nodes = self._needed()
        source = read_inputs(self._title, self._graph, self._inputs([node for _, node in nodes]), self._shapes)
        self._lowering = source.lowering
        self._values.update(source.values)
        for index, node in nodes:
            self._node(index, node)
        self._refuse()
        return finish(self._lowering, [(item.name, self._output(item.name)) for item in self._graph.output], name, source.ports)

    def ports(self) -> tuple[InputPort, ...]:
        """The inputs."""
        for tensor in self._graph.initializer:
            self._values[tensor.name] = tensor
        return read_inputs(self._title, self._graph, self._inputs([node for _, node in self._needed()]), self._shapes).ports

    def _inputs(self, nodes: list[onnx.NodeProto]) -> list[onnx.ValueInfoProto]:
        """The inputs that ``nodes`` or outputs read and no initializer fills."""
        read = {item for node in nodes for item in node.input} | {item.name for item in self._graph.output}
        inputs = [item for item in self._graph.input if item.name not in self._values and item.name in read]
        if not inputs:
            raise WeightError(f"{self._title}: has no input that an output depends on")
        names = [item.name for item in inputs]
        unknown = set(self._shapes) - set(names)
        if unknown:
            are = "its input is" if len(names) == 1 else "its inputs are"
            raise WeightError(f"{self._title}: has no input {sorted(unknown)[0]}; {are} {', '.join(names)}")
        return inputs

    def _output(self, name: str) -> Value:
        value = self._values.get(name)
        if not isinstance(value, Value):
            raise WeightError(f"{self._title}: output {name} does not depend on an input")
        if any(node.op_type == "QuantizeLinear" and name in node.output for node in self._graph.node):
            self._lowering.note(f"output {name}: {CODES_AS_NUMBERS}")
        return value

    def _needed(self) -> list[tuple[int, onnx.NodeProto]]:
        """``(index, node)`` of the nodes that some output depends on, in order."""
        wanted, kept = {item.name for item in self._graph.output}, []
        for index, node in reversed(list(enumerate(self._graph.node))):
            if wanted & set(filter(None, node.output)):
                kept.append((index, node))
                wanted.update(filter(None, node.input))
        return kept[::-1]

    def _refuse(self) -> None:
        """Raise one error for all nodes that could not be lowered."""
        if not self._failures:
            return
        text = "; ".join(self._failures)
        if len(self._failures) > 1:
            text = f"{len(self._failures)} nodes cannot be lowered: {text}"
        if self._missing:
            text += f"; supported are {', '.join(SUPPORTED)}"
        raise NodesRefused(f"{self._title}: {text}", self._refused)

    def _node(self, index: int, node: onnx.NodeProto) -> None:
        """Lower one node and keep its outputs, or note why it cannot be lowered."""
        label = node.name or (node.output[0] if node.output else f"#{index}")
        # "Conv_12" and "/features/0/Conv" alike become names of layers.
        name = node.name or f"{node.op_type.lower()}{index + 1}"
        try:
            result = self._result(OperatorContext(self._lowering, name, f"node {label!r} ({node.op_type})"), node)
        except WeightError as error:
            self._failures.append(str(error).removeprefix(f"{self._title}: "))
            self._refused.append(next(iter(filter(None, node.output))))
            result = [_Unknown] * len(node.output)
        results = result if isinstance(result, list) else [result]
        self._values.update({name: value for name, value in zip(node.output, results, strict=False) if name})

    def _result(self, ctx: OperatorContext, node: onnx.NodeProto) -> Any:
        """The output of a node, or a list of its outputs."""
        inputs = [self._values.get(name, _Unknown) if name else None for name in node.input]
        if any(item is _Unknown for item in inputs):
            return self._behind_unknown(ctx, node)
        if node.domain in _DOMAINS and inputs and not any(isinstance(value, Value) for value in inputs):
            return self._constant(ctx, node, inputs)
        if not _known(node):
            self._unsupported(ctx, node)
        if node.op_type not in AFTER_HOST:
            inputs = [self._on_machine(ctx, name, value) for name, value in zip(node.input, inputs, strict=True)]
        return self._lowered(ctx, node, inputs)

    def _on_machine(self, ctx: OperatorContext, name: str, value: Any) -> Any:
        """An input as layers can follow it; what else reads it gets the same."""
        if isinstance(value, Value) and value.host:
            value = self._values[name] = functions.on_machine(ctx, value)
        return value

    def _behind_unknown(self, ctx: OperatorContext, node: onnx.NodeProto) -> list[type[_Unknown]]:
        """A node that reads what could not be lowered: only an operator that is not supported is worth a word."""
        for name in node.input:
            if name and name not in self._values:
                ctx.fail(f"reads {name!r}, which is no output that can be used")
        if not _known(node):
            self._unsupported(ctx, node)
        return [_Unknown] * len(node.output)

    def _unsupported(self, ctx: OperatorContext, node: onnx.NodeProto) -> NoReturn:
        operator = node.op_type if node.domain in _DOMAINS else f"{node.domain}.{node.op_type}"
        self._missing.add(operator)
        ctx.fail(f"operator {operator} is not supported")

    def _lowered(self, ctx: OperatorContext, node: onnx.NodeProto, inputs: list[Any]) -> Any:
        try:
            onnx.checker.check_node(node, self._check)
        except onnx.checker.ValidationError as error:
            ctx.fail(f"is no valid node: {str(error).strip().splitlines()[0]}")
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        attributes |= {"_outputs": len(node.output), "_operator": node.op_type}
        return OPERATORS[node.op_type].lower(Node(ctx, inputs, attributes, self._opset))

    def _constant(self, ctx: OperatorContext, node: onnx.NodeProto, inputs: list[Any]) -> Any:
        """Outputs of a node that reads constants only."""
        if any(item.HasField("g") or item.graphs for item in node.attribute):
            return ctx.fail("has graphs of its own; loops and branches are not computed")
        count = _constant_size(node.op_type, inputs)
        if count > _MOST_CONSTANT:
            return ctx.fail(f"would have {count:,} elements, {_MOST_CONSTANT:,} are accepted")
        arrays = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        model = self._model_of(node, arrays)
        try:
            return ReferenceEvaluator(model).run(None, arrays)
        except Exception as error:  # the evaluator raises whatever its numpy code does
            return ctx.fail(f"cannot be computed from its constants: {str(error).splitlines()[0]}")

    def _model_of(self, node: onnx.NodeProto, arrays: dict[str, Any]) -> onnx.ModelProto:
        """A model of one node, with the inputs ``arrays``."""
        graph = helper.make_graph(
            [node], "constant",
            [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(arrays[name]).dtype), None)
             for name in arrays],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )  # fmt: skip
        imports = self._opset_imports
        if node.op_type in _NEWER:
            imports = [helper.make_opsetid("", max(self._opset, _NEWER[node.op_type]))]
        return helper.make_model(graph, opset_imports=imports)
