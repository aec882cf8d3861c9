"""From the operators of a foreign graph to a layer table with float weights.

A front end (ONNX, PyTorch) walks its graph and calls one method of :class:`Lowering` for each operator, passing and getting
:class:`Value` objects. What a layer table cannot say directly is kept aside while the graph is read: a concatenation is a value of
several layers, explicit padding waits for the layer that pads, batch norm and activations are steps of their own.
:mod:`models.importers.fold` then merges these steps into the layers before them.
"""

import re
from dataclasses import dataclass, field, replace

import numpy as np

from squeezelerator.models.arithmetic.float_network import LEAKY_SLOPE, RELU6_CLIP, bad_value
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.spec.network.layer import NETWORK_INPUT

NO_PAD = (0, 0, 0, 0)


@dataclass(frozen=True)
class Value:
    """A map within the graph.

    Parameters
    ----------
    sources : tuple of str
        The layers whose outputs, concatenated along the channels, it is.
    shape : (int, int, int)
        Channels, height, width; without the padding.
    flat : bool
        Whether the graph sees it as a vector of C * H * W elements.
    pad : (int, int, int, int)
        Padding (left, top, right, bottom) that the next layer has to add.
    fill : float
        What that padding is filled with.
    final : bool
        Whether a softmax, which is left out, has been applied: nothing may follow.
    """

    sources: tuple[str, ...]
    shape: tuple[int, int, int]
    flat: bool = False
    pad: tuple[int, int, int, int] = NO_PAD
    fill: float = 0.0
    final: bool = False

    @property
    def size(self):
        """Number of elements."""
        return int(np.prod(self.shape))


@dataclass
class Step:
    """One layer in the making. ``kind`` is a layer type, or ``Scale`` (per channel, ``weight`` and ``bias`` of shape (C)) or ``Act``."""

    name: str
    kind: str
    inputs: list[str]
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    origin: str
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    groups: int = 1
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    activation: str = "none"
    clip: float = RELU6_CLIP
    slope: float = LEAKY_SLOPE


def output_size(size, kernel, stride, before, after, ceil):
    """Positions of a window along one axis; in ceil mode the last one begins inside the input or the padding before it."""
    room = size + before + after - kernel
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + before else count


@dataclass
class Lowering:
    """Collects the steps of a graph.

    Every method takes ``name`` (of the new layer, made unique) and ``origin`` (how complaints call the operator, such as ``node 'conv1'
    (Conv)``), and raises :class:`~models.importers.errors.WeightError` if the operator cannot be expressed.
    """

    title: str
    input_shape: tuple[int, int, int]
    steps: list[Step] = field(default_factory=list)
    _names: set[str] = field(default_factory=lambda: {NETWORK_INPUT})

    def input(self):
        """The network's input."""
        return Value((NETWORK_INPUT,), tuple(self.input_shape))

    def fail(self, origin, text):
        """Raise the error of an operator."""
        raise WeightError(f"{self.title}: {origin}: {text}")

    def _unique(self, name):
        base = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "layer"
        name, number = base, 2
        while name in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name)
        return name

    def _finite(self, origin, what, value):
        value = np.asarray(value, np.float32)
        if not np.isfinite(value).all():
            self.fail(origin, f"{what} contains {bad_value(value)}")
        return value

    def _open(self, origin, value, *, padded=False):
        """Refuse a value that this operator cannot read."""
        if value.final:
            self.fail(origin, "follows a softmax, which is supported at the end only")
        if not padded and value.pad != NO_PAD:
            self.fail(origin, "reads padding, which only Conv and pools can")
        return value

    def _map(self, origin, value):
        if value.flat and value.shape[1:] != (1, 1):
            self.fail(origin, f"needs a map, but gets a vector of {value.size} elements")

    def _add_step(self, name, kind, value, out_shape, origin, **fields):
        name = self._unique(name)
        step = Step(name, kind, list(value.sources), value.shape, tuple(int(size) for size in out_shape), origin, **fields)
        self.steps.append(step)
        return Value((name,), step.out_shape)

    def _window(self, origin, value, kernel, stride, pads, *, ceil=False, fill=0.0):
        """``(pad, (H, W))`` of an operator with windows; all pairs are (x, y), ``pads`` is (left, top, right, bottom)."""
        if value.pad != NO_PAD and value.fill != fill and any(value.pad):
            self.fail(origin, f"its padding is filled with {value.fill}, but must be {fill}")
        pads = tuple(mine + theirs for mine, theirs in zip(pads, value.pad, strict=True))
        if min(pads) < 0:
            self.fail(origin, "negative padding is not supported")
        if min(kernel) < 1 or min(stride) < 1:
            self.fail(origin, f"kernel {kernel} and stride {stride} must be at least 1")
        sizes = []
        for axis in (0, 1):
            size = value.shape[2 - axis]
            sizes.append(output_size(size, kernel[axis], stride[axis], pads[axis], pads[axis + 2], ceil))
            if sizes[-1] < 1:
                self.fail(origin, f"a kernel of {kernel[axis]} is larger than its input of {size}")
        return pads[:2], (sizes[1], sizes[0])

    def conv(self, name, origin, value, weight, bias, *, stride=(1, 1), pads=NO_PAD, dilation=(1, 1), groups=1):
        """A convolution; ``weight`` is (O, I/groups, Kh, Kw)."""
        self._open(origin, value, padded=True)
        self._map(origin, value)
        weight = self._finite(origin, "its weight", weight)
        if weight.ndim != 4:
            self.fail(origin, f"only 2-D convolutions are supported, not weights of shape {weight.shape}")
        if weight.shape[1] * groups != value.shape[0] or weight.shape[0] % groups:
            self.fail(origin, f"weights of shape {weight.shape} in {groups} groups do not fit {value.shape[0]} input channels")
        if dilation != (1, 1):
            # A dilated kernel is a larger one with zeros in between, and zeros cost no cycles in OS.
            height, width = (
                (size - 1) * step + 1 for size, step in zip(weight.shape[2:], (dilation[1], dilation[0]), strict=True)
            )
            spread = np.zeros((*weight.shape[:2], height, width), np.float32)
            spread[:, :, :: dilation[1], :: dilation[0]] = weight
            weight = spread
        filters = weight.shape[0]
        bias = np.zeros(filters, np.float32) if bias is None else self._finite(origin, "its bias", bias)
        if bias.shape != (filters,):
            self.fail(origin, f"its bias must have shape ({filters},), not {bias.shape}")
        kernel = (weight.shape[3], weight.shape[2])
        pad, size = self._window(origin, value, kernel, stride, pads)
        return self._add_step(name, "Conv", value, (filters, *size), origin, kernel=kernel, stride=stride, pad=pad,
                              groups=groups, weight=weight, bias=bias)  # fmt: skip

    def fc(self, name, origin, value, weight, bias):
        """A fully connected layer; ``weight`` is (O, elements of the input)."""
        self._open(origin, value)
        weight = self._finite(origin, "its weight", weight)
        if weight.ndim != 2 or weight.shape[1] != value.size:
            self.fail(origin, f"weights of shape {weight.shape} do not fit an input of {value.size} elements")
        if not value.flat and value.shape[1:] != (1, 1):
            self.fail(origin, f"needs a vector, but gets a map of shape {value.shape}: flatten it first")
        filters = weight.shape[0]
        bias = np.zeros(filters, np.float32) if bias is None else self._finite(origin, "its bias", bias).reshape(-1)
        bias = np.broadcast_to(bias, (filters,)) if bias.size == 1 else bias
        if bias.shape != (filters,):
            self.fail(origin, f"its bias must have {filters} elements, not {bias.size}")
        _, height, width = value.shape
        out = self._add_step(name, "FC", value, (filters, 1, 1), origin, kernel=(width, height),
                             weight=weight.reshape(filters, *value.shape), bias=np.array(bias))  # fmt: skip
        return replace(out, flat=True)

    def pool(self, name, origin, value, kind, kernel, stride, pads=NO_PAD, *, ceil=False, counts_padding=False):
        """``MaxPool`` or ``AvgPool``; ``counts_padding`` says whether an average divides by the padding's positions too."""
        self._open(origin, value, padded=True)
        self._map(origin, value)
        pad, size = self._window(origin, value, kernel, stride, pads, ceil=ceil,
                                 fill=-np.inf if kind == "MaxPool" else 0.0)  # fmt: skip
        if kind == "AvgPool":
            if any(pads) and not counts_padding:
                self.fail(origin, "an average that leaves out its padding is not supported (count_include_pad must be 1)")
            for axis in (0, 1):
                end = value.shape[2 - axis] + pads[axis] + pads[axis + 2] + value.pad[axis] + value.pad[axis + 2]
                if (size[1 - axis] - 1) * stride[axis] + kernel[axis] > end:
                    self.fail(origin, "an average whose last window ends outside (ceil mode) is not supported")
        return self._add_step(name, kind, value, (value.shape[0], *size), origin, kernel=kernel, stride=stride, pad=pad)

    def global_average(self, name, origin, value):
        """An average over the whole map."""
        _, height, width = value.shape
        return self.pool(name, origin, value, "AvgPool", (width, height), (1, 1))

    def scale(self, name, origin, value, factor, offset):
        """``value * factor + offset``; both have one element, or one a channel."""
        self._open(origin, value)
        self._map(origin, value)
        channels, parts = value.shape[0], []
        for what, part in (("its factor", factor), ("its offset", offset)):
            part = self._finite(origin, what, part).reshape(-1)
            if part.size not in (1, channels):
                self.fail(origin, f"{what} must have one element or one for each of {channels} channels, not {part.size}")
            parts.append(np.array(np.broadcast_to(part, (channels,))))
        out = self._add_step(name, "Scale", value, value.shape, origin, weight=parts[0], bias=parts[1])
        return replace(out, flat=value.flat)

    def batch_norm(self, name, origin, value, scale, shift, mean, variance, epsilon):
        """Batch norm with fixed statistics, all of one element a channel."""
        arrays = [self._finite(origin, what, array).reshape(-1).astype(np.float64) for what, array in (
            ("its scale", scale), ("its bias", shift), ("its mean", mean), ("its variance", variance))]  # fmt: skip
        if len({array.size for array in arrays}) != 1:
            self.fail(origin, f"its arrays have {', '.join(str(array.size) for array in arrays)} elements")
        if (arrays[3] + epsilon <= 0).any():
            self.fail(origin, "its variance is not positive")
        factor = arrays[0] / np.sqrt(arrays[3] + epsilon)
        return self.scale(name, origin, value, factor, arrays[1] - arrays[2] * factor)

    def activation(self, name, origin, value, kind, *, clip=RELU6_CLIP, slope=LEAKY_SLOPE):
        """``relu``, ``relu6`` with any upper end ``clip``, or ``leaky`` with a ``slope`` from 0 to below 1."""
        self._open(origin, value)
        if kind == "leaky" and not 0 <= slope < 1:
            self.fail(origin, f"the slope must be 0 or more and below 1, not {slope}")
        if kind == "relu6" and not clip > 0:
            self.fail(origin, f"the upper end must be above 0, not {clip}")
        out = self._add_step(name, "Act", value, value.shape, origin, activation=kind, clip=float(clip), slope=float(slope))
        return replace(out, flat=value.flat)

    def clamp(self, name, origin, value, low, high):
        """A clip to ``low`` ... ``high`` (``None``: no end); only the lower end 0 can be expressed."""
        if low != 0:
            self.fail(origin, f"only a lower end of 0 is supported, not {low}")
        if high is None or high >= np.finfo(np.float32).max:
            return self.activation(name, origin, value, "relu")
        return self.activation(name, origin, value, "relu6", clip=high)

    def single(self, name, origin, value):
        """``value`` as the output of one layer: a concatenation is copied by a 1x1 convolution that changes nothing."""
        if len(value.sources) == 1 and value.sources != (NETWORK_INPUT,):
            return value
        channels = value.shape[0]
        out = self.scale(name, origin, replace(value, flat=False), 1.0, 0.0)
        self.steps[-1] = identity_conv(self.steps[-1], np.ones(channels, np.float32), np.zeros(channels, np.float32))
        return replace(out, flat=value.flat)

    def add(self, name, origin, left, right):
        """An elementwise sum."""
        self._open(origin, left)
        self._open(origin, right)
        if left.shape != right.shape:
            self.fail(origin, f"adds maps of different shapes, {left.shape} and {right.shape}")
        parts = []
        for value in (left, right):
            parts.append(value if len(value.sources) == 1 else self.single(f"{name}_concat", origin, value))
        pair = Value((parts[0].sources[0], parts[1].sources[0]), left.shape)
        return replace(self._add_step(name, "Add", pair, left.shape, origin), flat=left.flat)

    def concat(self, origin, values):
        """A concatenation along the channels."""
        for value in values:
            self._open(origin, value)
            if value.shape[1:] != values[0].shape[1:] or value.flat != values[0].flat:
                shapes = ", ".join(str(item.shape) for item in values)
                self.fail(origin, f"concatenates maps of different sizes: {shapes}")
        channels = sum(value.shape[0] for value in values)
        sources = tuple(source for value in values for source in value.sources)
        return Value(sources, (channels, *values[0].shape[1:]), flat=values[0].flat)

    def pad(self, origin, value, pads, fill):
        """Padding (left, top, right, bottom) in front of the next layer."""
        self._open(origin, value, padded=True)
        if value.pad != NO_PAD and value.fill != fill:
            self.fail(origin, f"pads with {fill} what is padded with {value.fill} already")
        return replace(value, pad=tuple(a + b for a, b in zip(value.pad, pads, strict=True)), fill=float(fill))

    def reshape(self, origin, value, shape):
        """A new shape (without the batch): the same map, or a vector of it."""
        self._open(origin, value)
        shape = tuple(int(size) for size in shape)
        if shape == (value.size,):
            return replace(value, flat=True)
        if shape == value.shape:
            return replace(value, flat=False)
        seen = (value.size,) if value.flat else value.shape
        self.fail(origin, f"turns shape {seen} into {shape}; only flattening is supported")
        return None

    def softmax(self, origin, value):
        """A softmax at the end, which changes no order and is left out."""
        return replace(self._open(origin, value), final=True)


def identity_conv(step, factor, offset, **fields):
    """``step`` as a depthwise 1x1 convolution with one factor and offset a channel."""
    channels = step.in_shape[0]
    return replace(step, kind="Conv", groups=channels, weight=factor.reshape(channels, 1, 1, 1), bias=offset, **fields)
