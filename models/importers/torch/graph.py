"""PyTorch modules as float networks, through ``torch.export``.

The module is exported in evaluation mode for an example input and its ATen operators are lowered one by one. A softmax at the end is the
host's: scores are the numbers before it.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.fx.node import map_arg
from torch.utils import _pytree

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort, packed_shape
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.network import finish
from squeezelerator.models.importers.lowering.operators import functions
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.operator_table import AFTER_HOST
from squeezelerator.models.importers.torch import elementwise as torch_elementwise
from squeezelerator.models.importers.torch import layers as torch_layers
from squeezelerator.models.importers.torch import shapes as torch_shapes
from squeezelerator.models.importers.torch.operator_table import OPERATORS


def trace_module(module: torch.nn.Module, example_input: torch.Tensor | Sequence[torch.Tensor],
                 name: str | None = None) -> FloatNetwork:  # fmt: skip
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a module.

    Parameters
    ----------
    module : torch.nn.Module
        Its mode (training or evaluation) is left as it was found.
    example_input : torch.Tensor, or a sequence of them
        Float (batch, C, H, W), (batch, C, L) or (batch, C); only its shape matters, and the batch is taken as 1. Of a module with several
        inputs one for each, in the order of ``forward``, whose names they get.
    name : str, optional
        The network's name, by default the module's class in lower case.

    Raises
    ------
    WeightError
        If the module cannot be exported, or operators cannot be expressed; the line names the graph's nodes and the
        operators that are supported.
    """
    title = type(module).__name__
    if not isinstance(module, torch.nn.Module):
        raise WeightError(f"{title}: is no torch.nn.Module")
    examples = _examples(title, example_input)
    with _evaluating(module), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            # No decompositions: this only makes operators that change their input in place return the result instead.
            program = torch.export.export(module, tuple(item[:1] for item in examples)).run_decompositions({})
        except Exception as error:  # torch.export raises errors of many kinds
            text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise WeightError(f"{title}: torch.export cannot export it: {text}") from None
    reader = _Reader(title, program, [(1, *item.shape[1:]) for item in examples])
    batch = max(item.shape[0] for item in examples)
    if batch > 1:
        reader.note(f"the example's batch of {batch} is taken as 1")
    return reader.read(name or title.lower())


def _examples(title: str, given: Any) -> list[torch.Tensor]:
    """The example inputs, checked."""
    examples = list(given) if isinstance(given, (tuple, list)) else [given]
    for item in examples or [None]:
        if not isinstance(item, torch.Tensor) or not 2 <= item.ndim <= 4 or not item.shape[0]:
            found = tuple(item.shape) if isinstance(item, torch.Tensor) else type(item).__name__
            raise WeightError(f"{title}: the example input must be a tensor (batch, C, H, W), (batch, C, L) or (batch, C), or several of "
                              f"them, not {found}")  # fmt: skip
    return examples


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the pages that torch.export logs where it fails: the error that is raised says it in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


class _Unknown:
    """The result of a node that could not be lowered; what reads it is not looked at."""


class _Reader:
    """Walks one exported graph. ``_values`` holds maps (:class:`Value`) and constants (arrays) by the graph's nodes."""

    def __init__(self, title: Any, program: torch.export.ExportedProgram, dims: list[tuple[int, ...]]) -> None:
        self._title, self._program = title, program
        self._values, self._failures, self._missing = {}, [], False
        names = [item for item in program.graph_signature.user_inputs if isinstance(item, str)]
        if len(names) != len(dims):
            raise WeightError(f"{title}: has {len(names)} inputs that are tensors, and {len(dims)} examples are given")
        called = names if len(names) > 1 else ["input"]
        self._ports = {name: _port(port, shape) for name, port, shape in zip(names, called, dims, strict=True)}
        self._lowering = Lowering(title, packed_shape([port.shape for port in self._ports.values()]))

    def note(self, text: Any) -> None:
        self._lowering.note(text)

    def read(self, name: str) -> FloatNetwork:
        outputs = self._walk()
        self._refuse()
        mutated = self._program.graph_signature.buffers_to_mutate
        values = [None if item is None else self._values[item] for item in outputs if item is None or item.name not in mutated]
        named = [(port, value) for port, value in zip(self._names(len(values)), values, strict=True) if value is not None]
        if not named or not all(isinstance(value, Value) for _, value in named):
            raise WeightError(f"{self._title}: its outputs must be tensors that depend on the input")
        return finish(self._lowering, named, name, list(self._ports.values()))

    def _walk(self) -> list[Any]:
        """Lower every node; returns the nodes that are outputs, with ``None`` for outputs that are ``None``."""
        graph, outputs = self._program.graph, []
        # Nodes that no output depends on are ignored.
        graph.eliminate_dead_code()
        for node in graph.nodes:
            if node.op == "placeholder":
                self._values[node] = self._placeholder(node.name)
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            elif node.op == "output":
                outputs = list(node.args[0])
        return outputs

    def _names(self, count: int) -> list[str]:
        """Names of the outputs: ``output``, or the keys and places of what the module returns."""
        spec = self._program.call_spec.out_spec
        if spec is None:
            return [f"output_{place}" for place in range(count)]
        tree = _pytree.tree_unflatten(list(range(count)), spec)
        paths, _ = _pytree.tree_flatten_with_path(tree)
        if count == 1 and not paths[0][0]:
            return ["output"]
        keys = ["_".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path) for path, _ in paths]
        return [f"output_{key}" if key.isdigit() else key for key in keys]

    def _refuse(self) -> None:
        if not self._failures:
            return
        text = "; ".join(self._failures)
        if len(self._failures) > 1:
            text = f"{len(self._failures)} nodes cannot be lowered: {text}"
        raise WeightError(f"{self._title}: {text}" + (f"; supported are {', '.join(SUPPORTED)}" if self._missing else ""))

    def _placeholder(self, name: str) -> Any:
        """A parameter, a buffer or a constant as an array; else the network's input."""
        signature, constants = self._program.graph_signature, self._program.constants
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        if name in stored:
            tensors = self._program.state_dict
            return _array(tensors[stored[name]] if stored[name] in tensors else constants[stored[name]])
        if name in signature.inputs_to_lifted_tensor_constants:
            return _array(constants[signature.inputs_to_lifted_tensor_constants[name]])
        first = 0
        for other, port in self._ports.items():
            if other == name:
                return self._lowering.packed_input(first, port.shape).reshaped(port.dims)
            first += port.shape[0]
        raise WeightError(f"{self._title}: reads {name}, which is neither a parameter nor an input")

    def _call(self, node: torch.fx.Node) -> Any:
        try:
            return self._lowered(node)
        except WeightError as error:
            self._failures.append(str(error).removeprefix(f"{self._title}: "))
            return _Unknown

    def _lowered(self, node: torch.fx.Node) -> Any:
        # An ATen operator, or ``getitem``: the types know of neither.
        target: Any = node.target
        if target.__name__ == "getitem":
            return self._item(node)
        name: str = target._schema.name.removeprefix("aten::").rstrip("_")
        ctx = OperatorContext(self._lowering, _layer_name(node, name), f"node {node.name!r} ({name})")
        entry = OPERATORS.get(_ALIASES.get(name, name))
        values = [self._values[item] for item in node.all_input_nodes]
        if entry is not None and any(item is _Unknown for item in values):
            return _Unknown
        if not any(isinstance(item, (Value, list)) or item is _Unknown for item in values):
            return self._constant(ctx, node)
        if entry is None:
            self._missing = True
            ctx.fail(f"operator {name} is not supported")
        if entry.like not in AFTER_HOST:
            self._take_from_host(ctx, node)
        return entry.lower(ctx, **self._arguments(node))

    def _take_from_host(self, ctx: OperatorContext, node: torch.fx.Node) -> None:
        """What the host would have computed of the node's inputs is computed by layers: more follows."""
        for item in node.all_input_nodes:
            value = self._values[item]
            if isinstance(value, Value) and value.host:
                self._values[item] = functions.on_machine(ctx, value)

    def _item(self, node: torch.fx.Node) -> Any:
        """One of the results of an operator that has several."""
        origin, place = node.args[0], node.args[1]
        whole = self._values[origin]
        if isinstance(whole, list) and isinstance(place, int):
            return whole[place]
        if place != 0 and whole is not _Unknown:
            ctx = OperatorContext(self._lowering, node.name, f"node {node.name!r}")
            ctx.fail(f"reads output {place} of {origin}, which is not supported")
        return whole

    def _constant(self, ctx: OperatorContext, node: torch.fx.Node) -> Any:
        """The result of an operator that reads constants only."""

        def tensor(item: torch.fx.Node) -> torch.Tensor:
            return torch.from_numpy(np.array(self._values[item]))

        try:
            target: Any = node.target
            result = target(*map_arg(node.args, tensor), **map_arg(node.kwargs, tensor))
            return _array(result)
        except (RuntimeError, TypeError, AttributeError, ValueError) as error:
            return ctx.fail(f"cannot be computed from its constants: {str(error).strip().splitlines()[0]}")

    def _arguments(self, node: torch.fx.Node) -> dict[str, Any]:
        """The operator's arguments by name, defaults included, with values in place of the graph's nodes."""
        arguments = {}
        target: Any = node.target
        for place, argument in enumerate(target._schema.arguments):
            if place < len(node.args):
                value = node.args[place]
            else:
                value = node.kwargs.get(argument.name, argument.default_value)
            # ``self`` and ``input`` are what the operator reads first, whatever its schema calls it.
            key = "x" if place == 0 else argument.name
            arguments[key] = map_arg(value, lambda item: self._values[item])
        return arguments


def _port(name: str, dims: tuple[int, ...]) -> InputPort:
    """The port of an input of shape ``dims``."""
    return InputPort(name, dims, {2: (dims[1], 1, 1), 3: (dims[1], 1, dims[-1]), 4: (dims[1], dims[-2], dims[-1])}[len(dims)])


def _layer_name(node: torch.fx.Node, operator: str) -> str:
    """The path of the module that called the operator, or the operator's name."""
    stack = node.meta.get("nn_module_stack")
    path = list(stack.values())[-1][0] if stack else ""
    path = path.removeprefix("L['self'].").removeprefix("layers.").removesuffix(".conv")
    return path or operator


def _array(tensor: Any) -> Any:
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


_ALIASES: dict[str, str] = {
    "_native_batch_norm_legit_no_training": "batch_norm", "clamp_min": "clamp", "constant_pad_nd": "pad",
    "reshape": "view", "_unsafe_view": "view", "_softmax": "softmax", "_log_softmax": "log_softmax",
    "contiguous": "clone", "alias": "clone", "detach": "clone", "lift_fresh_copy": "clone", "to": "clone", "mm": "matmul",
    "feature_dropout": "dropout", "max_pool2d_with_indices": "max_pool2d", "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "concat": "cat", "concatenate": "cat", "_to_copy": "clone", "_prelu_kernel": "prelu",
}  # fmt: skip
_MODULES = (torch_layers, torch_elementwise, torch_shapes)
SUPPORTED = tuple(sorted(OPERATORS))
"""ATen operators that :func:`trace_module` understands (some under further names)."""
