"""Inputs and outputs of a network as its author named and shaped them, and what the host does before and after the layers.

A layer table knows maps (C, H, W) under the names of layers. A network from a file has inputs and outputs with names and shapes of their
own: NHWC pictures, vectors, class probabilities. :class:`Ports` holds the difference as short lists of array operations that the host
applies, in float32. Several inputs lie in the machine's one input map one after the other along the channels, each in the upper left
corner of its channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from squeezelerator.common.errors import UserError


class PortError(UserError, ValueError):
    """An array fits no input; the message is one line."""


def _softmax(x: np.ndarray, axis: int) -> np.ndarray:
    shifted = np.exp(x - x.max(axis=axis, keepdims=True))
    return shifted / shifted.sum(axis=axis, keepdims=True)


def _flat_softmax(x: np.ndarray, axis: int) -> np.ndarray:
    """ONNX before opset 13: over all axes from ``axis`` on together."""
    return _softmax(x.reshape(*x.shape[:axis], -1), -1).reshape(x.shape)


def _argmax(x: np.ndarray, axis: int, keepdims: int, last: int) -> np.ndarray:
    size = x.shape[axis]
    found = size - 1 - np.flip(x, axis).argmax(axis=axis) if last else x.argmax(axis=axis)
    return (np.expand_dims(found, axis) if keepdims else found).astype(np.int64)


HOST_STEPS = {
    "reshape": lambda x, *dims: x.reshape(dims),
    "transpose": lambda x, *axes: x.transpose(axes),
    "softmax": _softmax,
    "flat_softmax": _flat_softmax,
    "log_softmax": lambda x, axis: np.log(_softmax(x, axis)),
    "flat_log_softmax": lambda x, axis: np.log(_flat_softmax(x, axis)),
    "sigmoid": lambda x: (1 / (1 + np.exp(-x.astype(np.float64)))).astype(np.float32),
    "tanh": lambda x: np.tanh(x),
    "exp": lambda x: np.exp(x),
    "argmax": _argmax,
}
"""Operations of the host by name: array and whole numbers to array."""

ORDER_ONLY = ("reshape", "transpose")
"""Those that compute nothing."""


@dataclass(frozen=True)
class InputPort:
    """An input: its name, its shape with a batch of 1, and the axes (of that shape without the batch, as ``split`` sees it) in the order
    (C, H, W). ``shift``: fractional bits that it has beyond those of the input map, where several inputs of different sizes lie in that."""

    name: str
    dims: tuple[int, ...]
    split: tuple[int, ...]
    axes: tuple[int, ...] = (0, 1, 2)
    shift: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, lines, columns."""
        channels, lines, columns = (self.split[axis] for axis in self.axes)
        return channels, lines, columns

    def prepare(self, x: np.ndarray) -> np.ndarray:
        """``x`` with or without its batch of 1, in the network's own layout or as (C, H, W), as (C, H, W).

        Raises
        ------
        PortError
            If it has another shape.
        """
        shape = self.shape
        if x.shape in (self.dims, self.dims[1:]):
            return np.ascontiguousarray(x.reshape(self.split).transpose(self.axes))
        if x.shape in (shape, (1, *shape)):
            return x.reshape(shape)
        wanted = " or ".join(dict.fromkeys(str(tuple(item)) for item in (self.dims, self.dims[1:], shape)))
        raise PortError(f"input {self.name} must have the shape {wanted}, not {x.shape}")


@dataclass(frozen=True)
class OutputPort:
    """An output: its name, the layers whose maps it consists of (one after the other along the channels), and what follows on the host:
    ``(operation, whole numbers ...)`` each, beginning with an array (C, H, W)."""

    name: str
    layers: tuple[str, ...]
    steps: tuple[tuple, ...] = ()

    @property
    def computed(self) -> tuple[str, ...]:
        """Names of the operations that compute something."""
        return tuple(step[0] for step in self.steps if step[0] not in ORDER_ONLY)

    def value(self, maps: dict[str, np.ndarray], *, host: bool = True) -> np.ndarray:
        """The output from float maps (C, H, W) by layer; without ``host`` before anything that the host computes."""
        x = np.concatenate([maps[layer] for layer in self.layers])
        for name, *numbers in self.steps:
            if not host and name not in ORDER_ONLY:
                break
            x = HOST_STEPS[name](x, *numbers)
        return x


def packed_shape(shapes: list[tuple[int, int, int]]) -> tuple[int, int, int]:
    """The map (C, H, W) in which inputs of these shapes lie one after the other along the channels."""
    channels, lines, columns = zip(*shapes, strict=True)
    return sum(channels), max(lines), max(columns)


@dataclass(frozen=True)
class Ports:
    """All inputs and outputs of a network. The machine's input map holds ``inputs`` in this order."""

    inputs: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]

    @property
    def input(self) -> InputPort:
        """The first input: the only one of most networks."""
        return self.inputs[0]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """The machine's input map: channels, lines, columns."""
        return packed_shape([port.shape for port in self.inputs])

    @property
    def input_names(self) -> str:
        """The inputs' names, for messages."""
        return ", ".join(port.name for port in self.inputs)

    def pack(self, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The machine's input map (C, H, W) of the inputs by name, each as :meth:`InputPort.prepare` takes it; zeros where no input lies.

        Raises
        ------
        PortError
            If an input is missing, unknown, or has another shape.
        """
        missing = [port.name for port in self.inputs if port.name not in arrays]
        unknown = [name for name in arrays if name not in {port.name for port in self.inputs}]
        if missing or unknown:
            what = f"input {missing[0]} is missing" if missing else f"there is no input {unknown[0]}"
            raise PortError(f"{what}; the network's inputs are {self.input_names}")
        prepared = [port.prepare(arrays[port.name]) for port in self.inputs]
        if len(prepared) == 1:
            return prepared[0]
        packed, first = np.zeros(self.input_shape, np.result_type(*prepared)), 0
        for x in prepared:
            channels, lines, columns = x.shape
            packed[first : first + channels, :lines, :columns] = x
            first += channels
        return packed

    def in_formats(self, packed: np.ndarray) -> np.ndarray:
        """A float map of :meth:`pack` with each input times 2**shift of its port: as the machine's one input format is to represent it."""
        if not any(port.shift for port in self.inputs):
            return packed
        factors = np.repeat([2.0**port.shift for port in self.inputs], [port.shape[0] for port in self.inputs])
        return packed * factors[:, None, None].astype(packed.dtype)

    def unpack(self, packed: np.ndarray) -> dict[str, np.ndarray]:
        """The inputs (C, H, W) by name of what :meth:`pack` made."""
        found, first = {}, 0
        for port in self.inputs:
            channels, lines, columns = port.shape
            found[port.name] = packed[first : first + channels, :lines, :columns]
            first += channels
        return found

    def as_dict(self) -> dict:
        """Plain lists and dicts, for JSON."""
        return {
            "inputs": [{"name": port.name, "dims": list(port.dims), "split": list(port.split), "axes": list(port.axes),
                        "shift": port.shift}
                       for port in self.inputs],
            "outputs": [{"name": port.name, "layers": list(port.layers), "steps": [list(step) for step in port.steps]}
                        for port in self.outputs],
        }  # fmt: skip


def ports_from(entry: dict) -> Ports:
    """The :class:`Ports` of what :meth:`Ports.as_dict` gave."""
    return Ports(
        tuple(InputPort(port["name"], tuple(port["dims"]), tuple(port["split"]), tuple(port["axes"]), port.get("shift", 0))
              for port in entry["inputs"]),
        tuple(OutputPort(port["name"], tuple(port["layers"]), tuple(tuple(step) for step in port["steps"])) for port in entry["outputs"]),
    )


def default_ports(input_shape: tuple[int, int, int], outputs: tuple[str, ...]) -> Ports:
    """Ports of a layer table: input and outputs under the names and shapes that it gives them."""
    return Ports((InputPort("input", (1, *input_shape), tuple(input_shape)),), tuple(OutputPort(name, (name,)) for name in outputs))
