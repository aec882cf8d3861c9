"""PyTorch modules as float networks, through ``torch.export``.

The module is exported in evaluation mode for an example input (batch, C, H, W) and its ATen operators are lowered one by one. A
softmax at the end is left out: scores are the numbers before it.
"""

import logging
import warnings
from contextlib import contextmanager

import numpy as np
import torch

from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.fold import finish
from squeezelerator.models.importers.lowering import Lowering, Value


def trace_module(module, example_input, name=None):
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a module.

    Parameters
    ----------
    module : torch.nn.Module
        Its mode (training or evaluation) is left as it was found.
    example_input : torch.Tensor
        Float (batch, C, H, W); only its shape matters.
    name : str, optional
        The network's name, by default the module's class in lower case.

    Raises
    ------
    WeightError
        If the module cannot be exported, or an operator cannot be expressed; the line names the graph's node and the
        operators that are supported.
    """
    title = type(module).__name__
    if not isinstance(module, torch.nn.Module):
        raise WeightError(f"{title}: is no torch.nn.Module")
    if not isinstance(example_input, torch.Tensor) or example_input.ndim != 4:
        found = tuple(example_input.shape) if isinstance(example_input, torch.Tensor) else type(example_input).__name__
        raise WeightError(f"{title}: the example input must be a tensor (batch, C, H, W), not {found}")
    with _evaluating(module), warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")
        try:
            # No decompositions: this only makes operators that change their input in place return the result instead.
            program = torch.export.export(module, (example_input,)).run_decompositions({})
        except Exception as error:  # torch.export raises errors of many kinds
            text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise WeightError(f"{title}: torch.export cannot export it: {text}") from None
    return _Reader(title, program, tuple(example_input.shape)).read(name or title.lower())


@contextmanager
def _evaluating(module):
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def _quiet():
    """Without the pages that torch.export logs where it fails: the error that is raised says it in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)


def _pair(value):
    """(x, y) of PyTorch's [y, x] or of one number."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[-1], values[0])


class _Reader:
    """Walks one exported graph. ``_values`` holds maps (:class:`Value`) and constants (arrays) by the graph's nodes."""

    def __init__(self, title, program, shape):
        self._title, self._program, self._shape = title, program, shape
        self._values = {}
        self._lowering = Lowering(title, shape[1:])

    def read(self, name):
        signature = self._program.graph_signature
        stored = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        constants = signature.inputs_to_lifted_tensor_constants
        outputs = []
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = self._placeholder(node.name, stored, constants)
            elif node.op == "call_function":
                self._values[node] = self._call(node)
            elif node.op == "output":
                outputs = [item for item in node.args[0] if item is not None]
        values = [self._values[item] for item in outputs if item.name not in signature.buffers_to_mutate]
        if not values or not all(isinstance(value, Value) for value in values):
            raise WeightError(f"{self._title}: its outputs must be tensors that depend on the input")
        return finish(self._lowering, values, name)

    def _placeholder(self, name, stored, constants):
        if name in stored:
            tensors = self._program.state_dict
            tensor = tensors[stored[name]] if stored[name] in tensors else self._program.constants[stored[name]]
            return _array(tensor)
        if name in constants:
            return _array(self._program.constants[constants[name]])
        return self._lowering.input()

    def _call(self, node):
        if node.target.__name__ == "getitem":
            if node.args[1] != 0:
                self._lowering.fail(f"node {node.name!r}", f"reads output {node.args[1]} of {node.args[0]}, which is not supported")
            return self._values[node.args[0]]
        operator = node.target._schema.name.removeprefix("aten::").rstrip("_")
        origin = f"node {node.name!r} ({operator})"
        if not any(isinstance(self._values[item], Value) for item in node.all_input_nodes):
            return self._constant(origin, node)
        method = getattr(self, f"_op_{_ALIASES.get(operator, operator)}", None)
        if method is None:
            self._lowering.fail(origin, f"operator {operator} is not supported; supported are {', '.join(SUPPORTED)}")
        return method(self._name(node, operator), origin, **self._arguments(node))

    def _constant(self, origin, node):
        """The result of an operator that reads constants only."""

        def tensor(item):
            return torch.from_numpy(np.array(self._values[item]))

        try:
            result = node.target(*torch.fx.node.map_arg(node.args, tensor), **torch.fx.node.map_arg(node.kwargs, tensor))
            return _array(result)
        except (RuntimeError, TypeError, AttributeError, ValueError) as error:
            return self._lowering.fail(origin, f"cannot be computed from its constants: {str(error).strip().splitlines()[0]}")

    @staticmethod
    def _name(node, operator):
        """The path of the module that called the operator, or the operator's name."""
        stack = node.meta.get("nn_module_stack")
        path = list(stack.values())[-1][0] if stack else ""
        path = path.removeprefix("L['self'].").removeprefix("layers.").removesuffix(".conv")
        return path or operator

    def _arguments(self, node):
        """The operator's arguments by name, defaults included, with values in place of the graph's nodes."""
        arguments = {}
        for place, argument in enumerate(node.target._schema.arguments):
            if place < len(node.args):
                value = node.args[place]
            else:
                value = node.kwargs.get(argument.name, argument.default_value)
            # ``self`` and ``input`` are what the operator reads first, whatever its schema calls it.
            key = "x" if place == 0 else argument.name
            arguments[key] = torch.fx.node.map_arg(value, lambda item: self._values[item])
        return arguments

    def _map_of(self, origin, value):
        if not isinstance(value, Value):
            self._lowering.fail(origin, "its first input must depend on the network's input")
        return value

    # Each method below lowers one operator, with the arguments of its ATen schema; ``x`` is the first.

    def _op_conv2d(self, name, origin, x, weight, bias, stride, padding, dilation, groups):
        stride, dilation = _pair(stride), _pair(dilation)
        if isinstance(padding, str):
            spans = [(size - 1) * step for size, step in zip(weight.shape[:1:-1], dilation, strict=True)]
            left, top = (span // 2 if padding == "same" else 0 for span in spans)
            right, bottom = (span - span // 2 if padding == "same" else 0 for span in spans)
        else:
            left, top = right, bottom = _pair(padding)
        return self._lowering.conv(name, origin, self._map_of(origin, x), weight, bias, stride=stride,
                                   pads=(left, top, right, bottom), dilation=dilation, groups=groups)  # fmt: skip

    def _op_batch_norm(self, name, origin, x, weight, bias, running_mean, running_var, eps, training=False, **_):
        if training or running_mean is None:
            self._lowering.fail(origin, "normalises by the statistics of the batch, not by stored ones")
        scale = np.ones_like(running_mean) if weight is None else weight
        shift = np.zeros_like(running_mean) if bias is None else bias
        return self._lowering.batch_norm(name, origin, x, scale, shift, running_mean, running_var, eps)

    def _op_relu(self, name, origin, x):
        return self._lowering.activation(name, origin, x, "relu")

    def _op_relu6(self, name, origin, x):
        return self._lowering.activation(name, origin, x, "relu6")

    def _op_leaky_relu(self, name, origin, x, negative_slope):
        return self._lowering.activation(name, origin, x, "leaky", slope=negative_slope)

    def _op_hardtanh(self, name, origin, x, min_val, max_val):
        return self._lowering.clamp(name, origin, x, min_val, max_val)

    def _op_clamp(self, name, origin, x, min=None, max=None):
        return self._lowering.clamp(name, origin, x, min, max)

    def _op_max_pool2d(self, name, origin, x, kernel_size, stride, padding, dilation, ceil_mode):
        if _pair(dilation) != (1, 1):
            self._lowering.fail(origin, "a pool with dilation is not supported")
        return self._lowering.pool(name, origin, x, "MaxPool", _pair(kernel_size), _pair(stride or kernel_size),
                                   _pair(padding) * 2, ceil=ceil_mode)  # fmt: skip

    def _op_avg_pool2d(self, name, origin, x, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override):
        if divisor_override is not None:
            self._lowering.fail(origin, "an average with a divisor of its own is not supported")
        return self._lowering.pool(name, origin, x, "AvgPool", _pair(kernel_size), _pair(stride or kernel_size),
                                   _pair(padding) * 2, ceil=ceil_mode, counts_padding=count_include_pad)  # fmt: skip

    def _op_adaptive_avg_pool2d(self, name, origin, x, output_size):
        return self._adaptive(name, origin, x, "AvgPool", output_size)

    def _op_adaptive_max_pool2d(self, name, origin, x, output_size):
        return self._adaptive(name, origin, x, "MaxPool", output_size)

    def _adaptive(self, name, origin, x, kind, output_size):
        sizes = x.shape[:0:-1]
        wanted = tuple(size if want is None else want for size, want in zip(sizes, _pair(output_size), strict=True))
        if wanted == sizes:
            return x
        if any(size % want for size, want in zip(sizes, wanted, strict=True)):
            self._lowering.fail(origin, f"a pool from {sizes} to {wanted} has windows of different sizes")
        window = tuple(size // want for size, want in zip(sizes, wanted, strict=True))
        return self._lowering.pool(name, origin, x, kind, window, window)

    def _op_mean(self, name, origin, x, dim=None, keepdim=False, **_):
        if x.flat or dim is None or sorted(axis % 4 for axis in dim) != [2, 3]:
            self._lowering.fail(origin, f"only a mean over the axes 2 and 3 is supported, not {dim}")
        value = self._lowering.global_average(name, origin, x)
        return value if keepdim else self._lowering.reshape(origin, value, (value.size,))

    def _op_linear(self, name, origin, x, weight, bias):
        if not x.flat:
            self._lowering.fail(origin, f"is applied to the last axis of a map of shape {x.shape}: flatten it first")
        return self._lowering.fc(name, origin, x, weight, bias)

    def _op_addmm(self, name, origin, x, mat1, mat2, beta, alpha):
        if not isinstance(mat1, Value) or isinstance(mat2, Value) or isinstance(x, Value):
            self._lowering.fail(origin, "only the product of a vector and a constant matrix is supported")
        return self._lowering.fc(name, origin, mat1, mat2.T * alpha, x * beta)

    def _op_matmul(self, name, origin, x, other):
        if isinstance(other, Value) or not isinstance(x, Value) or not x.flat:
            self._lowering.fail(origin, "only the product of a vector and a constant matrix is supported")
        return self._lowering.fc(name, origin, x, other.T, None)

    def _op_add(self, name, origin, x, other, alpha):
        if alpha != 1:
            self._lowering.fail(origin, "a weighted sum is not supported")
        if isinstance(x, Value) and isinstance(other, Value):
            return self._lowering.add(name, origin, x, other)
        value, constant = (x, other) if isinstance(x, Value) else (other, x)
        return self._lowering.scale(name, origin, value, 1.0, self._channels(origin, value, constant))

    def _op_mul(self, name, origin, x, other):
        if isinstance(x, Value) and isinstance(other, Value):
            self._lowering.fail(origin, "the product of two maps is not supported")
        value, constant = (x, other) if isinstance(x, Value) else (other, x)
        return self._lowering.scale(name, origin, value, self._channels(origin, value, constant), 0.0)

    def _channels(self, origin, value, constant):
        array = np.asarray(constant, np.float32)
        wanted = (1, value.size) if value.flat else (1, value.shape[0], 1, 1)
        padded = (1,) * max(0, len(wanted) - array.ndim) + array.shape
        if len(padded) != len(wanted) or any(size not in (1, want) for size, want in zip(padded, wanted, strict=True)):
            self._lowering.fail(origin, f"a constant of shape {array.shape} is not one number a channel")
        return array.reshape(-1)

    def _op_cat(self, name, origin, x, dim):
        if not all(isinstance(value, Value) for value in x):
            self._lowering.fail(origin, "concatenates a map and a constant")
        if dim % (2 if x[0].flat else 4) != 1:
            self._lowering.fail(origin, f"only the channels (axis 1) can be concatenated, not axis {dim}")
        return self._lowering.concat(origin, x)

    def _op_pad(self, name, origin, x, pad, mode="constant", value=None):
        if mode != "constant" or x.flat or any(pad[4:]):
            self._lowering.fail(origin, "only constant padding of height and width is supported")
        left, right, top, bottom = (*pad, 0, 0)[:4]
        return self._lowering.pad(origin, x, (left, top, right, bottom), value or 0.0)

    def _op_flatten(self, name, origin, x, start_dim, end_dim):
        rank = 2 if x.flat else 4
        if (start_dim % rank, end_dim % rank) != (1, rank - 1):
            self._lowering.fail(origin, "only flattening of all axes but the first is supported")
        return self._lowering.reshape(origin, x, (x.size,))

    def _op_view(self, name, origin, x, shape=None, size=None):
        wanted = list(shape if shape is not None else size)
        if wanted.count(-1) == 1:
            known = int(np.prod([length for length in wanted if length != -1]))
            wanted[wanted.index(-1)] = self._shape[0] * x.size // known if known else 0
        if not wanted or wanted[0] != self._shape[0]:
            self._lowering.fail(origin, f"a shape of {tuple(wanted)} moves the batch")
        return self._lowering.reshape(origin, x, wanted[1:])

    def _op_squeeze(self, name, origin, x, dim=None):
        dims = [dim] if isinstance(dim, int) else list(dim or ())
        if x.flat or x.shape[1:] != (1, 1) or not dims or not {axis % 4 for axis in dims} <= {2, 3}:
            self._lowering.fail(origin, "only the axes 2 and 3 of a 1x1 map can be squeezed")
        # One axis at a time comes as two operators; the first leaves nothing for the second to do.
        return self._lowering.reshape(origin, x, (x.size,)) if len(dims) == 2 else x

    def _op_dropout(self, name, origin, x, train=False, **_):
        if train:
            self._lowering.fail(origin, "drops elements in evaluation mode too")
        return x

    def _op_softmax(self, name, origin, x, dim, **_):
        if dim % (2 if x.flat else 4) != 1:
            self._lowering.fail(origin, f"only a softmax over the channels is supported, not over axis {dim}")
        return self._lowering.softmax(origin, x)

    def _op_clone(self, name, origin, x, **_):
        return x


def _array(tensor):
    tensor = tensor.detach().cpu()
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


_ALIASES = {
    "_native_batch_norm_legit_no_training": "batch_norm", "clamp_min": "clamp", "constant_pad_nd": "pad",
    "reshape": "view", "_unsafe_view": "view", "log_softmax": "softmax", "_softmax": "softmax", "_log_softmax": "softmax",
    "contiguous": "clone", "alias": "clone", "detach": "clone", "lift_fresh_copy": "clone", "to": "clone", "mm": "matmul",
    "feature_dropout": "dropout", "max_pool2d_with_indices": "max_pool2d", "_adaptive_avg_pool2d": "adaptive_avg_pool2d",
    "concat": "cat", "_to_copy": "clone",
}  # fmt: skip
SUPPORTED = tuple(sorted(name.removeprefix("_op_") for name in vars(_Reader) if name.startswith("_op_")))
"""ATen operators that :func:`trace_module` understands (some under further names)."""
