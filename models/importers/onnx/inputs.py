"""The inputs of an ONNX graph: their shapes, how their axes are ordered, and where they lie in the machine's one input map."""

from dataclasses import dataclass

import onnx

from squeezelerator.models.arithmetic.ports import InputPort, packed_shape
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.value import Value

_ELEMENTWISE = ("Add", "Cast", "Clip", "DequantizeLinear", "Div", "Identity", "Mul", "QuantizeLinear", "Sub")
"""Operators that may stand between an input with the channels last and the transposition that puts them first."""


@dataclass(frozen=True, eq=False)
class Source:
    """Where the lowering of a graph begins: no layers yet, the inputs as the graph sees them, by name, and as the file describes them."""

    lowering: Lowering
    values: dict[str, Value]
    ports: tuple[InputPort, ...]


def read_inputs(title: str, graph: onnx.GraphProto, items: list[onnx.ValueInfoProto], shapes: dict[str, tuple[int, ...]]) -> Source:
    """The inputs ``items`` of a graph; ``shapes`` (batch included) are those that the user has given, by name.

    Raises
    ------
    WeightError
        If a shape is none of a map, a signal or a vector, is dynamic, or does not fit the given one.
    """
    ports = tuple(_port(graph, item.name, _input_dims(title, item, shapes.get(item.name))) for item in items)
    lowering, values, first = Lowering(title, packed_shape([port.shape for port in ports])), {}, 0
    for item, port in zip(items, ports, strict=True):
        value = lowering.packed_input(first, port.shape)
        values[item.name] = _as_seen(value, port)
        first += port.shape[0]
        declared = item.type.tensor_type.shape.dim
        if declared and declared[0].dim_value > 1:
            lowering.batch = max(lowering.batch, declared[0].dim_value)
            lowering.note(f"input {item.name}: the file's batch of {declared[0].dim_value} is taken as 1")
    return Source(lowering, values, ports)


def _port(graph: onnx.GraphProto, name: str, dims: tuple[int, ...]) -> InputPort:
    """The port of an input of shape ``dims``."""
    if len(dims) == 4 and _channels_last(graph, name):
        return InputPort(name, dims, (dims[1], dims[2], dims[3]), (2, 0, 1))
    return InputPort(name, dims, {2: (dims[1], 1, 1), 3: (dims[1], 1, dims[-1]), 4: (dims[1], dims[-2], dims[-1])}[len(dims)])


def _as_seen(value: Value, port: InputPort) -> Value:
    """The map ``value`` (1, C, H, W) in the layout of the port."""
    if port.axes == (0, 1, 2):
        return value.reshaped(port.dims)
    return value.with_elements(value.elements.transpose(0, 2, 3, 1))


def _channels_last(graph: onnx.GraphProto, name: str) -> bool:
    """Whether the first thing that happens to the input, but for arithmetic, is that its last axis is moved to the front."""
    names, found = [name], False
    while names:
        name = names.pop()
        for node in graph.node:
            if name not in node.input:
                continue
            if node.op_type == "Transpose":
                axes = next((list(item.ints) for item in node.attribute if item.name == "perm"), [])
                found |= axes == [0, 3, 1, 2]
            elif node.op_type in _ELEMENTWISE:
                names += node.output
            else:
                return False
    return found


def _input_dims(title: str, item: onnx.ValueInfoProto, given: tuple[int, ...] | None) -> tuple[int, ...]:
    """The input's shape with a batch of 1."""
    shape = _declared(item)
    text = f"({', '.join(str(size) for size in shape)})"
    if given is not None:
        if not _fits(shape, given):
            raise WeightError(f"{title}: input {item.name} has the shape {text}, which {tuple(given)} does not fit")
        shape = list(given)
    if not 2 <= len(shape) <= 4:
        raise WeightError(f"{title}: input {item.name} must have the shape (batch, C, H, W), (batch, C, L) or (batch, C), not {text}")
    for axis, size in enumerate(shape[1:], start=1):
        if isinstance(size, str):
            example = ",".join(str(size) if isinstance(size, int) else "N" for size in (1, *shape[1:]))
            raise WeightError(f"{title}: input {item.name} has the dynamic shape {text}: give dimension {axis} a number with "
                              f"--shape {item.name}={example}")  # fmt: skip
    return (1, *(size for size in shape[1:] if isinstance(size, int)))


def _declared(item: onnx.ValueInfoProto) -> list[int | str]:
    """The shape that the file gives; a dimension that it leaves open by its name, or ``?``."""
    dims = item.type.tensor_type.shape.dim
    return [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else dim.dim_param or "?" for dim in dims]


def _fits(shape: list[int | str], given: tuple[int, ...]) -> bool:
    """Whether a given shape agrees with the file's in all sizes that this one fixes, the batch aside."""
    if not shape:
        return True
    return len(given) == len(shape) and all(size == want for size, want in zip(shape[1:], given[1:], strict=True) if isinstance(size, int))
