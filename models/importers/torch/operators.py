"""ATen operators as methods: what each becomes in a layer table."""

from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering import composites, upsampling, windows
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.value import Value


def _pair(value: Any) -> tuple[int, int]:
    """(x, y) of PyTorch's [y, x] or of one number."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[-1], values[0])


class Operators:
    """The operators; ``_op_NAME`` takes the arguments of the ATen schema by name, ``x`` being the first."""

    _lowering: Lowering

    def _map_of(self, origin: str, value: Any) -> Value:
        if not isinstance(value, Value):
            self._lowering.fail(origin, "its first input must depend on the network's input")
        return value

    # Each method below lowers one operator, with the arguments of its ATen schema; ``x`` is the first.

    def _op_conv2d(self, name: str, origin: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any,
                   dilation: Any, groups: Any) -> Value:
        stride, dilation = _pair(stride), _pair(dilation)
        if isinstance(padding, str):
            spans = [(size - 1) * step for size, step in zip(weight.shape[:1:-1], dilation, strict=True)]
            left, top = (span // 2 if padding == "same" else 0 for span in spans)
            right, bottom = (span - span // 2 if padding == "same" else 0 for span in spans)
        else:
            left, top = right, bottom = _pair(padding)
        return self._lowering.conv(name, origin, self._map_of(origin, x), weight, bias, stride=stride,
                                   pads=(left, top, right, bottom), dilation=dilation, groups=groups)  # fmt: skip

    def _op_conv1d(self, name: str, origin: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any,
                   dilation: Any, groups: Any) -> Value:
        (step,), (spread,) = list(stride), list(dilation)
        if isinstance(padding, str):
            span = (weight.shape[2] - 1) * spread if padding == "same" else 0
            pads = (span // 2, 0, span - span // 2, 0)
        else:
            pads = (padding[0], 0, padding[0], 0)
        return self._lowering.conv(name, origin, self._map_of(origin, x), weight, bias, stride=(step, 1), pads=pads,
                                   dilation=(spread, 1), groups=groups)  # fmt: skip

    def _op_convolution(self, name: str, origin: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any,
                        dilation: Any, transposed: Any, output_padding: Any, groups: Any) -> Value:
        if transposed:
            return self._op_conv_transpose2d(name, origin, x, weight, bias, stride, padding, output_padding, groups, dilation)
        lower = self._op_conv1d if weight.ndim == 3 else self._op_conv2d
        return lower(name, origin, x, weight, bias, stride, padding, dilation, groups)

    def _op_conv_transpose2d(self, name: str, origin: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any,
                             output_padding: Any, groups: int, dilation: Any) -> Value:  # fmt: skip
        if _pair(dilation) != (1, 1):
            self._lowering.fail(origin, "a transposed convolution with dilation is not supported")
        pad = _pair(padding)
        return upsampling.conv_transpose(self._lowering, name, origin, self._map_of(origin, x), weight, bias, _pair(stride),
                                         (pad[0], pad[1], pad[0], pad[1]), _pair(output_padding), groups)  # fmt: skip

    def _op_upsample_nearest2d(self, name: str, origin: str, x: Any, output_size: Any = None, scale_factors: Any = None, **_: Any) -> Value:
        sizes = x.dims[2:]
        wanted = list(output_size) if output_size else [size * scale for size, scale in zip(sizes, scale_factors, strict=True)]
        if any(want % size for want, size in zip(wanted, sizes, strict=True)):
            self._lowering.fail(origin, f"only whole factors are supported, not from {sizes} to {tuple(wanted)}")
        factors = (1, 1, *(int(want // size) for want, size in zip(wanted, sizes, strict=True)))
        return upsampling.nearest(self._lowering, origin, x, factors)

    def _op_pixel_shuffle(self, name: str, origin: str, x: Any, upscale_factor: int) -> Value:
        block, (_, channels, height, width) = upscale_factor, x.dims
        self._lowering.open(origin, x)
        elements = x.elements.reshape(1, channels // block**2, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
        return x.with_elements(elements.reshape(1, channels // block**2, height * block, width * block))

    def _op_batch_norm(self, name: str, origin: str, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any,
                       eps: Any, training: Any = False, **_: Any) -> Value:
        if training or running_mean is None:
            self._lowering.fail(origin, "normalises by the statistics of the batch, not by stored ones")
        scale = np.ones_like(running_mean) if weight is None else weight
        shift = np.zeros_like(running_mean) if bias is None else bias
        return self._lowering.batch_norm(name, origin, x, scale, shift, running_mean, running_var, eps)

    def _activation(self, kind: str, name: str, origin: str, x: Any) -> Value:
        return self._lowering.activation(name, origin, x, kind)

    def _op_leaky_relu(self, name: str, origin: str, x: Any, negative_slope: Any) -> Value:
        return composites.prelu(self._lowering, name, origin, x, np.float32(negative_slope))

    def _op_prelu(self, name: str, origin: str, x: Any, weight: Any) -> Value:
        weight = weight.reshape(-1, *(1,) * (len(x.dims) - 2)) if weight.size > 1 else weight
        return composites.prelu(self._lowering, name, origin, x, weight)

    def _op_hardtanh(self, name: str, origin: str, x: Any, min_val: Any, max_val: Any) -> Value:
        return composites.clamp(self._lowering, name, origin, x, min_val, max_val)

    def _op_clamp(self, name: str, origin: str, x: Any, min: Any = None, max: Any = None) -> Value:
        return composites.clamp(self._lowering, name, origin, x, min, max)

    def _op_clamp_max(self, name: str, origin: str, x: Any, max: Any) -> Value:
        return composites.clamp(self._lowering, name, origin, x, None, max)

    def _op_hardsigmoid(self, name: str, origin: str, x: Any) -> Value:
        return composites.hard_sigmoid(self._lowering, name, origin, x, 1 / 6, 0.5)

    def _op_abs(self, name: str, origin: str, x: Any) -> Value:
        return composites.absolute(self._lowering, name, origin, x)

    def _op_neg(self, name: str, origin: str, x: Any) -> Value:
        return self._lowering.scale(name, origin, x, -1.0, 0.0)

    def _op_maximum(self, name: str, origin: str, x: Any, other: Any) -> Any:
        return self._two_maps(name, origin, x, other, composites.larger)

    def _op_minimum(self, name: str, origin: str, x: Any, other: Any) -> Any:
        return self._two_maps(name, origin, x, other, composites.smaller)

    def _two_maps(self, name: str, origin: str, x: Any, other: Any, compose: Any) -> Any:
        if not isinstance(x, Value) or not isinstance(other, Value):
            self._lowering.fail(origin, "needs two maps")
        return compose(self._lowering, name, origin, x, other)

    def _op_max_pool2d(self, name: str, origin: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
                       ceil_mode: Any) -> Value:
        if _pair(dilation) != (1, 1):
            self._lowering.fail(origin, "a pool with dilation is not supported")
        return windows.pool(self._lowering, name, origin, x, "MaxPool", _pair(kernel_size), _pair(stride or kernel_size),
                            (*_pair(padding), *_pair(padding)), ceil=ceil_mode)  # fmt: skip

    def _op_max_pool1d(self, name: str, origin: str, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
                       ceil_mode: Any) -> Value:
        (kernel,), (pad,), (spread,) = list(kernel_size), list(padding), list(dilation)
        if spread != 1:
            self._lowering.fail(origin, "a pool with dilation is not supported")
        step = (list(stride) or [kernel])[0]
        return windows.pool(self._lowering, name, origin, x, "MaxPool", (kernel, 1), (step, 1), (pad, 0, pad, 0), ceil=ceil_mode)

    def _op_avg_pool2d(self, name: str, origin: str, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any,
                       count_include_pad: Any, divisor_override: Any) -> Value:
        if divisor_override is not None:
            self._lowering.fail(origin, "an average with a divisor of its own is not supported")
        return windows.pool(self._lowering, name, origin, x, "AvgPool", _pair(kernel_size), _pair(stride or kernel_size),
                            (*_pair(padding), *_pair(padding)), ceil=ceil_mode, counts_padding=count_include_pad)  # fmt: skip

    def _op_avg_pool1d(self, name: str, origin: str, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: Any,
                       count_include_pad: Any) -> Value:
        (kernel,), (pad,) = list(kernel_size), list(padding)
        step = (list(stride) or [kernel])[0]
        return windows.pool(self._lowering, name, origin, x, "AvgPool", (kernel, 1), (step, 1), (pad, 0, pad, 0), ceil=ceil_mode,
                            counts_padding=count_include_pad)  # fmt: skip

    def _op_adaptive_avg_pool2d(self, name: str, origin: str, x: Any, output_size: Any) -> Value:
        return self._adaptive(name, origin, x, "AvgPool", _pair(output_size))

    def _op_adaptive_max_pool2d(self, name: str, origin: str, x: Any, output_size: Any) -> Value:
        return self._adaptive(name, origin, x, "MaxPool", _pair(output_size))

    def _op_adaptive_avg_pool1d(self, name: str, origin: str, x: Any, output_size: Any) -> Value:
        return self._adaptive(name, origin, x, "AvgPool", (output_size[0], 1))

    def _adaptive(self, name: str, origin: str, x: Any, kind: Any, output_size: Any) -> Value:
        if x.map_dims is None:
            self._lowering.fail(origin, f"needs a map, but gets {x.dims}")
        sizes = x.map_dims[:0:-1]
        wanted = tuple(size if want is None else want for size, want in zip(sizes, output_size, strict=True))
        if wanted == sizes:
            return x
        if any(size % want for size, want in zip(sizes, wanted, strict=True)):
            self._lowering.fail(origin, f"a pool from {sizes} to {wanted} has windows of different sizes")
        window = tuple(size // want for size, want in zip(sizes, wanted, strict=True))
        return windows.pool(self._lowering, name, origin, x, kind, window, window)

    def _op_mean(self, name: str, origin: str, x: Any, dim: Any = None, keepdim: Any = False, **_: Any) -> Value:
        return self._reduce(name, origin, x, "mean", dim, keepdim)

    def _op_sum(self, name: str, origin: str, x: Any, dim: Any = None, keepdim: Any = False, **_: Any) -> Value:
        return self._reduce(name, origin, x, "sum", dim, keepdim)

    def _op_amax(self, name: str, origin: str, x: Any, dim: Any = None, keepdim: Any = False, **_: Any) -> Value:
        return self._reduce(name, origin, x, "max", dim, keepdim)

    def _reduce(self, name: str, origin: str, x: Any, kind: Any, dim: Any, keepdim: Any) -> Value:
        if not dim:
            self._lowering.fail(origin, "reduces all axes, the batch among them")
        return windows.reduce(self._lowering, name, origin, x, dim, kind, keepdim)

    def _op_linear(self, name: str, origin: str, x: Any, weight: Any, bias: Any) -> Value:
        return self._lowering.fc(name, origin, x, weight, bias)

    def _op_addmm(self, name: str, origin: str, x: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any) -> Value:
        if not isinstance(mat1, Value) or isinstance(mat2, Value) or isinstance(x, Value):
            self._lowering.fail(origin, "only the product of a vector and a constant matrix is supported")
        return self._lowering.fc(name, origin, mat1, mat2.T * alpha, x * beta)

    def _op_matmul(self, name: str, origin: str, x: Any, other: Any = None, mat2: Any = None) -> Value:
        other = mat2 if other is None else other
        if isinstance(other, Value) or not isinstance(x, Value) or other.ndim != 2:
            self._lowering.fail(origin, "only the product with a constant matrix is supported")
        return self._lowering.fc(name, origin, x, other.T, None)

    def _op_add(self, name: str, origin: str, x: Any, other: Any, alpha: Any = 1) -> Value:
        if isinstance(x, Value) and isinstance(other, Value):
            if alpha != 1:
                other = self._lowering.scale(f"{name}_alpha", origin, other, alpha, 0.0)
            return self._lowering.add(name, origin, x, other)
        if isinstance(x, Value):
            return self._lowering.scale(name, origin, x, 1.0, np.multiply(other, alpha))
        return self._lowering.scale(name, origin, other, alpha, x)

    def _op_sub(self, name: str, origin: str, x: Any, other: Any, alpha: Any = 1) -> Value:
        if isinstance(x, Value) and isinstance(other, Value):
            return self._op_add(name, origin, x, other, -alpha)
        if isinstance(x, Value):
            return self._lowering.scale(name, origin, x, 1.0, -np.multiply(other, alpha))
        return self._lowering.scale(name, origin, other, -alpha, x)

    def _op_rsub(self, name: str, origin: str, x: Any, other: Any, alpha: Any = 1) -> Value:
        if isinstance(other, Value):
            return self._op_sub(name, origin, other, x, alpha)
        return self._lowering.scale(name, origin, x, -alpha, other)

    def _op_mul(self, name: str, origin: str, x: Any, other: Any) -> Value:
        if isinstance(x, Value) and isinstance(other, Value):
            self._lowering.fail(origin, "the product of two maps is not supported")
        value, constant = (x, other) if isinstance(x, Value) else (other, x)
        return self._lowering.scale(name, origin, value, constant, 0.0)

    def _op_div(self, name: str, origin: str, x: Any, other: Any) -> Value:
        if isinstance(other, Value):
            self._lowering.fail(origin, "a division by a map is not supported")
        other = np.asarray(other, np.float64)
        if not np.all(other):
            self._lowering.fail(origin, "divides by zero")
        return self._lowering.scale(name, origin, x, 1.0 / other, 0.0)

    def _op_cat(self, name: str, origin: str, x: Any, dim: Any = 0) -> Value:
        if not all(isinstance(value, Value) for value in x):
            self._lowering.fail(origin, "concatenates a map and a constant")
        return self._lowering.concat(origin, x, dim)

    def _op_pad(self, name: str, origin: str, x: Any, pad: Any, mode: Any = "constant", value: Any = None) -> Value:
        if mode != "constant":
            self._lowering.fail(origin, f"only constant padding is supported, not {mode}")
        widths = [(0, 0)] * len(x.dims)
        for place in range(len(pad) // 2):
            widths[len(x.dims) - 1 - place] = (pad[2 * place], pad[2 * place + 1])
        if widths[0] != (0, 0):
            self._lowering.fail(origin, "pads the batch")
        return self._lowering.pad(origin, x, widths, value or 0.0)

    def _op_flatten(self, name: str, origin: str, x: Any, start_dim: Any = 0, end_dim: Any = -1) -> Value:
        start, end = start_dim % len(x.dims), end_dim % len(x.dims)
        if start == 0 and end:
            self._lowering.fail(origin, "flattens the batch as well")
        return self._lowering.reshape(origin, x, (*x.dims[:start], -1, *x.dims[end + 1 :]))

    def _op_unflatten(self, name: str, origin: str, x: Any, dim: Any, sizes: Any) -> Value:
        dim %= len(x.dims)
        return self._lowering.reshape(origin, x, (*x.dims[:dim], *sizes, *x.dims[dim + 1 :]))

    def _op_view(self, name: str, origin: str, x: Any, shape: Any = None, size: Any = None) -> Value:
        return self._lowering.reshape(origin, x, shape if shape is not None else size)

    def _op_permute(self, name: str, origin: str, x: Any, dims: tuple[int, ...]) -> Value:
        return self._lowering.transpose(origin, x, dims)

    def _op_transpose(self, name: str, origin: str, x: Any, dim0: Any, dim1: Any) -> Value:
        axes = list(range(len(x.dims)))
        axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
        return self._lowering.transpose(origin, x, axes)

    def _op_channel_shuffle(self, name: str, origin: str, x: Any, groups: Any) -> Value:
        channels = x.dims[1]
        split = self._lowering.reshape(origin, x, (1, groups, channels // groups, *x.dims[2:]))
        turned = self._lowering.transpose(origin, split, (0, 2, 1, *range(3, len(split.dims))))
        return self._lowering.reshape(origin, turned, x.dims)

    def _op_squeeze(self, name: str, origin: str, x: Any, dim: Any = None) -> Value:
        dims = range(1, len(x.dims)) if dim is None else [dim] if isinstance(dim, int) else dim
        gone = {axis % len(x.dims) for axis in dims if x.dims[axis] == 1}
        if 0 in gone:
            self._lowering.fail(origin, "squeezes the batch")
        return self._lowering.reshape(origin, x, [size for axis, size in enumerate(x.dims) if axis not in gone])

    def _op_unsqueeze(self, name: str, origin: str, x: Any, dim: Any) -> Value:
        dim %= len(x.dims) + 1
        if dim == 0:
            self._lowering.fail(origin, "adds an axis before the batch")
        return self._lowering.reshape(origin, x, (*x.dims[:dim], 1, *x.dims[dim:]))

    def _taken(self, origin: str, x: Any, axis: Any, places: Any) -> Any:
        self._lowering.open(origin, x)
        elements = x.elements[(slice(None),) * axis + (places,)]
        if elements.size == 0 or (axis == 0 and elements.shape[:1] != (1,)):
            self._lowering.fail(origin, f"leaves {elements.shape} of an array of shape {x.dims}")
        return x.with_elements(elements)

    def _op_slice(self, name: str, origin: str, x: Any, dim: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> Any:
        return self._taken(origin, x, dim % len(x.dims), slice(start, end, step))

    def _op_select(self, name: str, origin: str, x: Any, dim: Any, index: Any) -> Any:
        if dim % len(x.dims) == 0:
            self._lowering.fail(origin, "selects from the batch")
        return self._taken(origin, x, dim % len(x.dims), index)

    def _op_index_select(self, name: str, origin: str, x: Any, dim: Any, index: Any) -> Any:
        return self._taken(origin, x, dim % len(x.dims), index)

    def _op_split(self, name: str, origin: str, x: Any, split_size: Any, dim: Any = 0) -> list[Any]:
        dim %= len(x.dims)
        total = x.dims[dim]
        sizes = [split_size] * (total // split_size) if isinstance(split_size, int) else list(split_size)
        sizes += [total - sum(sizes)] * (sum(sizes) < total)
        ends = np.cumsum(sizes).tolist()
        return [self._taken(origin, x, dim, slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]

    def _op_split_with_sizes(self, name: str, origin: str, x: Any, split_sizes: Any, dim: Any = 0) -> list[Any]:
        return self._op_split(name, origin, x, list(split_sizes), dim)

    def _op_chunk(self, name: str, origin: str, x: Any, chunks: Any, dim: Any = 0) -> list[Any]:
        return self._op_split(name, origin, x, -(-x.dims[dim] // chunks), dim)

    def _op_dropout(self, name: str, origin: str, x: Any, train: Any = False, **_: Any) -> Any:
        if train:
            self._lowering.fail(origin, "drops elements in evaluation mode too")
        return x

    def _on_host(self, origin: str, x: Any, operation: Any, dim: Any) -> Value:
        if dim % len(x.dims) == 0:
            self._lowering.fail(origin, f"only a {operation} over the scores is supported, not over the batch")
        return self._lowering.on_host(origin, x, operation, dim % len(x.dims))

    def _op_softmax(self, name: str, origin: str, x: Any, dim: Any, **_: Any) -> Value:
        return self._on_host(origin, x, "softmax", dim)

    def _op_log_softmax(self, name: str, origin: str, x: Any, dim: Any, **_: Any) -> Value:
        return self._on_host(origin, x, "log_softmax", dim)

    def _op_sigmoid(self, name: str, origin: str, x: Any) -> Value:
        return self._lowering.on_host(origin, x, "sigmoid")

    def _op_tanh(self, name: str, origin: str, x: Any) -> Value:
        return self._lowering.on_host(origin, x, "tanh")

    def _op_argmax(self, name: str, origin: str, x: Any, dim: Any = None, keepdim: Any = False) -> Value:
        if dim is None or dim % len(x.dims) == 0:
            self._lowering.fail(origin, "only an argmax over the scores is supported")
        dim %= len(x.dims)
        dims = tuple(1 if place == dim else size for place, size in enumerate(x.dims) if keepdim or place != dim)
        return self._lowering.on_host(origin, x, "argmax", dim, int(keepdim), 0, dims=dims)

    def _op_clone(self, name: str, origin: str, x: Any, dtype: Any = None, **_: Any) -> Any:
        if dtype is not None and not dtype.is_floating_point:
            self._lowering.fail(origin, f"becomes {dtype}, but only real numbers are supported")
        return x


LIKE_ONNX = {
    "abs": "Abs", "adaptive_avg_pool1d": "AveragePool", "adaptive_avg_pool2d": "AveragePool", "adaptive_max_pool2d": "MaxPool",
    "add": "Add", "addmm": "Gemm", "amax": "ReduceMax", "argmax": "ArgMax", "avg_pool1d": "AveragePool", "avg_pool2d": "AveragePool",
    "batch_norm": "BatchNormalization", "cat": "Concat", "channel_shuffle": "Transpose", "chunk": "Split", "clamp": "Clip",
    "clamp_max": "Clip", "clone": "Identity", "conv1d": "Conv", "conv2d": "Conv", "conv_transpose2d": "ConvTranspose",
    "convolution": "Conv", "div": "Div", "dropout": "Dropout", "flatten": "Flatten", "hardsigmoid": "HardSigmoid", "hardtanh": "Clip",
    "index_select": "Gather", "leaky_relu": "LeakyRelu", "linear": "Gemm", "log_softmax": "LogSoftmax", "matmul": "MatMul",
    "max_pool1d": "MaxPool", "max_pool2d": "MaxPool", "maximum": "Max", "mean": "ReduceMean", "minimum": "Min", "mul": "Mul",
    "neg": "Neg", "pad": "Pad", "permute": "Transpose", "pixel_shuffle": "DepthToSpace", "prelu": "PRelu", "relu": "Relu",
    "relu6": "Clip", "rsub": "Sub", "select": "Gather", "sigmoid": "Sigmoid", "slice": "Slice", "softmax": "Softmax", "split": "Split",
    "split_with_sizes": "Split", "squeeze": "Squeeze", "sub": "Sub", "sum": "ReduceSum", "tanh": "Tanh", "transpose": "Transpose",
    "unflatten": "Reshape", "unsqueeze": "Unsqueeze", "upsample_nearest2d": "Resize", "view": "Reshape",
}  # fmt: skip
"""The ONNX operator that each ATen operator is lowered like."""
