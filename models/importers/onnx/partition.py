"""Cuts a graph that the machine cannot compute whole: host, machine, host.

There is one program, so that what the machine cannot compute must lie before it or after it. Each such node takes all that leads to it to
the host, or all that follows from it, whichever has fewer multiplications; what remains is imported, and what turns out to be impossible
then is moved in the same way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort
from squeezelerator.models.importers.errors import NodesRefused, OutputRefused, WeightError
from squeezelerator.models.importers.onnx.host_parts import HostNode, HostPart, HostParts

__all__ = ["GraphPart", "cut"]

_MOST_TRIALS = 64
"""Imports of ever smaller parts before the search gives up."""


@dataclass(frozen=True, eq=False)
class GraphPart:
    """A graph's inputs with their shapes, and its model."""

    model: onnx.ModelProto
    inputs: tuple[InputPort, ...]


@dataclass(eq=False)
class _Graph:
    """The nodes that depend on an input and that some output depends on; which of them go to the host."""

    title: str
    model: onnx.ModelProto
    inputs: tuple[InputPort, ...]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    before: set[int] = field(default_factory=set)
    after: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph, known = self.model.graph, {port.name for port in self.inputs}
        wanted, needed = {item.name for item in graph.output}, []
        for node in reversed(graph.node):
            if wanted & set(filter(None, node.output)):
                needed.append(node)
                wanted.update(_reads(node))
        for node in reversed(needed):
            if known & set(_reads(node)):
                known.update(filter(None, node.output))
                self.nodes.append(node)
        self.shapes = _shapes(self.model, self.inputs)
        self._maker = {name: place for place, node in enumerate(self.nodes) for name in node.output if name}

    def place_of(self, output: str) -> int:
        """The place of the node that makes ``output``."""
        return self._maker[output]

    def _around(self, start: int, *, forwards: bool) -> set[int]:
        """A node and all that it depends on, or all that depends on it."""
        found, names = {start}, set(filter(None, self.nodes[start].output if forwards else _reads(self.nodes[start])))
        places = range(start + 1, len(self.nodes)) if forwards else range(start - 1, -1, -1)
        for place in places:
            node = self.nodes[place]
            first, second = (_reads(node), node.output) if forwards else (node.output, _reads(node))
            if names & set(filter(None, first)):
                found.add(place)
                names.update(filter(None, second))
        return found

    def give_to_host(self, place: int, *, at_end: bool = False) -> None:
        """Move a node to the host, with what leads to it or what follows from it; ``at_end``: the latter in any case."""
        if place in self.before or place in self.after:
            return
        earlier, later = (self._around(place, forwards=forwards) for forwards in (False, True))
        costs = [(sum(self.macs(item) for item in places - moved), len(places - moved)) for places, moved in
                 ((earlier, self.before), (later, self.after))]  # fmt: skip
        if not at_end and not earlier & self.after and costs[0] < costs[1]:
            self.before |= earlier
        else:
            self.after |= later

    def macs(self, place: int) -> int:
        """Multiplications of a node, 0 where shapes are not known."""
        node = self.nodes[place]
        if node.op_type not in ("Conv", "ConvTranspose", "Gemm", "MatMul"):
            return 0
        first, weight, out = (self.shapes.get(name) for name in (node.input[0], node.input[1], node.output[0]))
        if not first or not weight or not out:
            return 0
        if node.op_type == "ConvTranspose":
            return int(np.prod(first) * np.prod(weight[1:]))
        inner = np.prod(weight[1:]) if node.op_type == "Conv" else first[-1]
        return int(np.prod(out) * inner)

    def part(self, places: Iterable[int], known: dict[str, onnx.ValueInfoProto], outputs: set[str]) -> onnx.ModelProto | None:
        """The nodes at ``places`` as a model that gives ``outputs``; its inputs are what it reads of others. ``None``: there are none.

        ``known`` describes arrays that others compute; what is not in it are real numbers.
        """
        chosen = [self.nodes[place] for place in sorted(places)]
        if not chosen:
            return None
        made, read = self._made_and_read(chosen)
        constants = self._constants({name for node in chosen for name in _reads(node)} - made - set(read))
        used = {name for node in (*constants, *chosen) for name in _reads(node)}
        graph = helper.make_graph(
            [*constants, *chosen], "part",
            [known.get(name) or helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in read],
            [helper.make_empty_tensor_value_info(name) for name in sorted(made & outputs)],
            [tensor for tensor in self.model.graph.initializer if tensor.name in used],
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version,
                                 functions=self.model.functions)  # fmt: skip

    def _made_and_read(self, chosen: list[onnx.NodeProto]) -> tuple[set[str], list[str]]:
        """What some nodes compute, and what they read of others or of the inputs, constants aside."""
        made = {name for node in chosen for name in node.output if name}
        dynamic = ({port.name for port in self.inputs} | set(self._maker)) - made
        return made, list(dict.fromkeys(name for node in chosen for name in _reads(node) if name in dynamic))

    def _constants(self, names: set[str]) -> list[onnx.NodeProto]:
        """The nodes that compute constants ``names``, in order."""
        found = []
        for node in reversed(self.model.graph.node):
            if names & set(node.output) and not any(name in self._maker for name in node.output):
                found.append(node)
                names |= set(_reads(node))
        return found[::-1]

    def host_nodes(self, places: set[int]) -> tuple[HostNode, ...]:
        """Descriptions of the nodes at ``places``."""
        return tuple(HostNode(self.nodes[place].name or self.nodes[place].output[0], self.nodes[place].op_type, self.macs(place))
                     for place in sorted(places))  # fmt: skip


def _reads(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those of its own graphs (branches, loops) included."""
    inner = [graph for item in node.attribute for graph in (*([item.g] if item.HasField("g") else []), *item.graphs)]
    return [*filter(None, node.input), *(name for graph in inner for part in graph.node for name in _reads(part))]


def _shapes(model: onnx.ModelProto, inputs: tuple[InputPort, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of arrays by name, as far as they can be inferred."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    dims = {port.name: port.dims for port in inputs}
    for item in copy.graph.input:
        if item.name in dims:
            item.type.tensor_type.shape.CopyFrom(helper.make_tensor_value_info("", 1, dims[item.name]).type.tensor_type.shape)
    try:
        graph = shape_inference.infer_shapes(copy, data_prop=True).graph
    except (shape_inference.InferenceError, ValueError):
        graph = copy.graph
    found = {tensor.name: tuple(tensor.dims) for tensor in copy.graph.initializer}
    found |= {item.name: dims for item in (*graph.input, *graph.value_info, *graph.output) if (dims := _dims(item)) is not None}
    stored = [node for node in copy.graph.node if node.op_type == "Constant" and node.attribute[0].HasField("t")]
    return found | {node.output[0]: tuple(numpy_helper.to_array(node.attribute[0].t).shape) for node in stored}


def _dims(item: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """A shape that is known, of one axis or more."""
    sizes = item.type.tensor_type.shape.dim
    return tuple(size.dim_value for size in sizes) if sizes and all(size.HasField("dim_value") for size in sizes) else None


def cut(path: Path, whole: GraphPart, read: Callable[[onnx.ModelProto], FloatNetwork]) -> tuple[FloatNetwork, HostParts | None]:
    """The part of a graph that the machine can compute as a network, and the host's parts (``None``: there are none).

    Parameters
    ----------
    path : Path
        Begins complaints.
    whole : GraphPart
    read : callable
        Imports a model; raises :class:`NodesRefused` or :class:`OutputRefused` for what it cannot.

    Raises
    ------
    WeightError
        If nothing with a multiplication is left for the machine, or the host cannot compute its part.
    """
    graph = _Graph(str(path), whole.model, whole.inputs)
    for _ in range(_MOST_TRIALS):
        middle = set(range(len(graph.nodes))) - graph.before - graph.after
        before, known = _before(graph, middle)
        model = graph.part(middle, known, _outputs_of(graph, middle))
        if model is None or not any(graph.macs(place) for place in middle):
            break
        try:
            net = read(model)
        except NodesRefused as error:
            for name in error.nodes:
                graph.give_to_host(graph.place_of(name))
        except OutputRefused as error:
            graph.give_to_host(graph.place_of(error.output), at_end=True)
        else:
            return net, _parts(graph, net, before, known)
    raise WeightError(f"{path}: nothing is left for the machine: what it cannot compute takes all convolutions and matrix products to the "
                      "host")  # fmt: skip


def _before(graph: _Graph, middle: set[int]) -> tuple[HostPart | None, dict[str, onnx.ValueInfoProto]]:
    """The part before the machine, and what the others can read: inputs, and what it computes."""
    types = {item.name: item.type.tensor_type.elem_type for item in graph.model.graph.input}
    known = {port.name: helper.make_tensor_value_info(port.name, types[port.name], port.dims) for port in graph.inputs}
    needed = {name for place in (*middle, *graph.after) for name in _reads(graph.nodes[place])}
    needed |= {item.name for item in graph.model.graph.output}
    model = graph.part(graph.before, known, needed)
    if model is None:
        return None, known
    part = HostPart(graph.title, model, graph.host_nodes(graph.before))
    for name, array in part.run({port.name: np.zeros(port.dims, np.float32) for port in graph.inputs}).items():
        known[name] = helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
    return part, known


def _outputs_of(graph: _Graph, middle: set[int]) -> set[str]:
    """What the host or the user reads of the machine's part."""
    needed = {name for place in graph.after for name in _reads(graph.nodes[place])} | {item.name for item in graph.model.graph.output}
    return {name for place in middle for name in graph.nodes[place].output if name in needed}


def _parts(graph: _Graph, net: FloatNetwork, before: HostPart | None, known: dict[str, onnx.ValueInfoProto]) -> HostParts | None:
    if not graph.before and not graph.after:
        return None
    outputs = tuple(item.name for item in graph.model.graph.output)
    model = graph.part(graph.after, known, set(outputs))
    after = None if model is None else HostPart(graph.title, model, graph.host_nodes(graph.after))
    if net.ports is None:
        raise AssertionError("an imported network has ports")
    host = graph.before | graph.after
    macs = sum(graph.macs(place) for place in range(len(graph.nodes)) if place not in host)
    return HostParts(graph.inputs, outputs, before, after, net.ports, macs)
