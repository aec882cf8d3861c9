"""From the operators of a foreign graph to a layer table with float weights.

A front end (ONNX, PyTorch) walks its graph and calls one method of :class:`Lowering` for each operator, passing and getting
:class:`~models.importers.lowering.value.Value` objects. Batch norm and activations are steps of their own here;
:mod:`models.importers.lowering.fold` merges them into the layers before them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from squeezelerator.models.arithmetic.float_network import bad_value
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.lowering.phases import dense, find_phases
from squeezelerator.models.importers.lowering.steps import Step, identity_conv, output_size, split_stride, widen
from squeezelerator.models.importers.lowering.upsampling import phased_conv, same_phases
from squeezelerator.models.importers.lowering.value import NO_PAD, PADDING, Selection, Value, analyse
from squeezelerator.spec.activations import ACTIVATIONS, CLIP, SLOPE, Activation
from squeezelerator.spec.network.layer import NETWORK_INPUT, Shape
from squeezelerator.spec.network.layer_types import layer_rule

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]


@dataclass
class Lowering:
    """Collects the steps of a graph.

    Most methods take ``name`` (of the new layer, made unique) and ``origin`` (how complaints call the operator, such as ``node 'conv1'
    (Conv)``), and raise :class:`~models.importers.errors.WeightError` if the operator cannot be expressed.
    """

    title: str
    input_shape: tuple[int, int, int]
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _names: set[str] = field(default_factory=lambda: {NETWORK_INPUT})

    def input(self, dims: tuple[int, ...] | None = None) -> Value:
        """The network's input, by default (1, C, H, W)."""
        return Value((NETWORK_INPUT,), self.input_shape, tuple(dims or (1, *self.input_shape)))

    def fail(self, origin: str, text: str) -> NoReturn:
        """Raise the error of an operator."""
        raise WeightError(f"{self.title}: {origin}: {text}")

    def note(self, text: str) -> None:
        """Say once that something is not taken literally."""
        if text not in self.notes:
            self.notes.append(text)

    def _unique(self, name: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "layer"
        name, number = base, 2
        while name in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name)
        return name

    def finite(self, origin: str, what: str, value: Any) -> np.ndarray:
        """``value`` as a float32 array without NaN and infinity."""
        value = np.asarray(value)
        if value.dtype.kind not in "fiub" and value.dtype.name != "bfloat16":
            self.fail(origin, f"{what} must hold real numbers, not {value.dtype}")
        with np.errstate(over="ignore"):
            value = value.astype(np.float32)
        if not np.isfinite(value).all():
            self.fail(origin, f"{what} contains {bad_value(value)}")
        return value

    def open(self, origin: str, value: Value) -> Value:
        """``value``, unless the host has changed it: nothing can follow that."""
        if value.host:
            done = next((step[0] for step in value.host if step[0] not in ("reshape", "transpose")), value.host[0][0])
            self.fail(origin, f"follows a {done.removeprefix('flat_')}, which is supported at the end only")
        return value

    def add_step(self, name: str, kind: str, value: Value, out_shape: Sequence[int], origin: str, **fields: Any) -> str:
        """Append a step that reads all sources of ``value``; returns its name."""
        name = self._unique(name)
        channels, height, width = (int(size) for size in out_shape)
        self.steps.append(Step(name, kind, list(value.sources), value.shape, (channels, height, width), origin, **fields))
        return name

    def nonnegative(self, value: Value) -> bool:
        """Whether the activations say that no element is negative."""
        steps = {step.name: step for step in self.steps}
        names, seen = list(value.sources), set()
        while names:
            step = steps.get(names.pop())
            if step is None:
                return False
            if step.kind == "Act":
                if not ACTIVATIONS[Activation(step.activation)].nonnegative:
                    return False
                continue
            rule = layer_rule(step.kind)
            if rule is None or not rule.keeps_sign:
                return False
            if step.name not in seen:
                seen.add(step.name)
                names += step.inputs
        return True

    @staticmethod
    def result(name: str, shape: tuple[int, int, int], rank: int) -> Value:
        """The output of a step as an array with as many axes as what it came from."""
        dims = {2: (1, shape[0]), 3: (1, shape[0], shape[2])}.get(rank, (1, *shape))
        return Value((name,), shape, dims)

    def select(self, origin: str, value: Value) -> Selection:
        """What ``value`` takes from its physical map, read as channels, height and width."""
        self.open(origin, value)
        found = analyse(value)
        if found is None:
            if value.map_dims is None:
                self.fail(origin, f"needs a map (1, C, H, W), a signal (1, C, L) or a vector (1, C), but gets {value.dims}")
            self.fail(origin, f"reads an array of shape {value.dims} whose elements are no lines and columns of the map {value.shape}")
        if any(found.pad) and value.fill != 0:
            self.fail(origin, f"its padding is filled with {value.fill:g}, but must be 0")
        return found

    def materialise(self, name: str, origin: str, value: Value) -> Value:
        """``value`` as a physical map of its own: padding, slices and permutations of channels become convolutions with weights of 1."""
        found = self.select(origin, value)
        if found.all_channels(value.shape) and found.whole(value.shape) and found.pad == NO_PAD:
            return replace(value, index=None)
        base = replace(value, dims=(1, *value.shape), index=None, fill=0.0)
        if not found.whole(value.shape) or not found.all_channels(value.shape):
            base = self._gather(f"{name}_select", origin, base, found)
        if found.pad != NO_PAD:
            ones = np.ones((base.shape[0], 1, 1, 1), np.float32)
            base = self.conv(f"{name}_pad", origin, base, ones, None, pads=found.pad, groups=base.shape[0])
        return replace(base, dims=value.dims)

    def _gather(self, name: str, origin: str, base: Value, found: Selection) -> Value:
        """Channels, lines and columns of a canonical map by one convolution."""
        channels, height, width = base.shape
        (top, step_y, lines), (left, step_x, columns) = found.lines, found.columns
        kernel = (height - (lines - 1) * step_y, width - (columns - 1) * step_x)
        if found.all_channels(base.shape):
            groups, weight = channels, np.zeros((channels, 1, *kernel), np.float32)
            weight[:, 0, top, left] = 1
        else:
            groups, weight = 1, np.zeros((len(found.channels), channels, *kernel), np.float32)
            kept = np.flatnonzero(found.channels >= 0)
            weight[kept, found.channels[kept], top, left] = 1
        return self.conv(name, origin, base, weight, None, stride=(step_x, step_y), groups=groups)

    def _positions(self, origin: str, shape: Shape, kernel: Pair, stride: Pair, pads: Pads, ceil: bool = False) -> Pair:
        """``(W, H)`` of an operator with windows; all pairs are (x, y), ``pads`` is (left, top, right, bottom)."""
        if min(pads) < 0:
            self.fail(origin, "negative padding is not supported")
        if min(kernel) < 1 or min(stride) < 1:
            self.fail(origin, f"kernel {kernel} and stride {stride} must be at least 1")
        sizes = []
        for axis in (0, 1):
            size = shape[2 - axis]
            if kernel[axis] > size + pads[axis] + pads[axis + 2]:
                self.fail(origin, f"a kernel of {kernel[axis]} is larger than its input of {size}")
            sizes.append(output_size(size, kernel[axis], stride[axis], pads[axis], pads[axis + 2], ceil))
        return sizes[0], sizes[1]

    def conv(self, name: str, origin: str, value: Value, weight: Any, bias: Any, *, stride: Pair = (1, 1), pads: Pads = NO_PAD,
             dilation: Pair = (1, 1), groups: int = 1) -> Value:  # fmt: skip
        """A convolution; ``weight`` is (O, I/groups, Kh, Kw), or (O, I/groups, K) for signals."""
        weight = self.finite(origin, "its weight", weight)
        rank = len(value.dims)
        if weight.ndim == 3 and rank == 3:
            weight = weight[:, :, None]
        if weight.ndim != 4 or (rank == 3 and weight.shape[2] != 1):
            self.fail(origin, f"weights of shape {weight.shape} do not fit an input of shape {value.dims}")
        bias = self._conv_bias(origin, weight, bias)
        phases = None if analyse(value) is not None else find_phases(self.open(origin, value))
        if phases is not None and weight.shape[1] * groups == len(phases.channels) and weight.shape[0] % groups == 0:
            weight = _dilated(dense(weight, groups), dilation)
            return phased_conv(self, name, origin, value, phases, weight, bias, stride, pads)
        found = self.select(origin, value)
        seen = len(found.channels)
        if groups < 1 or weight.shape[1] * groups != seen or weight.shape[0] % groups:
            self.fail(origin, f"weights of shape {weight.shape} in {groups} groups do not fit {seen} input channels")
        if not found.whole(value.shape) or (groups > 1 and not found.all_channels(value.shape)):
            value = self.materialise(name, origin, value)
            found = self.select(origin, value)
        if not found.all_channels(value.shape):
            weight = _spread_channels(weight, found.channels, value.shape[0])
        left, top, right, bottom = (mine + theirs for mine, theirs in zip(pads, found.pad, strict=True))
        pads = left, top, right, bottom
        out = self._padded_conv(name, origin, value, _dilated(weight, dilation), bias, stride, pads, groups)
        return replace(out, dims=self.result("", out.shape, rank).dims)

    def _conv_bias(self, origin: str, weight: np.ndarray, bias: Any) -> np.ndarray:
        filters = weight.shape[0]
        bias = np.zeros(filters, np.float32) if bias is None else self.finite(origin, "its bias", bias)
        if bias.shape != (filters,):
            self.fail(origin, f"its bias must have shape ({filters},), not {bias.shape}")
        return bias

    def _padded_conv(self, name: str, origin: str, value: Value, weight: np.ndarray, bias: np.ndarray,
                     stride: Pair, pads: Pads, groups: int) -> Value:
        kernel = (weight.shape[3], weight.shape[2])
        size = self._positions(origin, value.shape, kernel, stride, pads)
        # Space to depth takes any stride of a convolution that reads the network's input.
        direct = value.sources == (NETWORK_INPUT,) and groups == 1
        steps = [(step, 1) if direct else split_stride(step, count) for step, count in zip(stride, size, strict=True)]
        first, rest = (steps[0][0], steps[1][0]), (steps[0][1], steps[1][1])
        if rest != (1, 1):
            size = self._positions(origin, value.shape, kernel, first, pads)
        grown = [widen(value.shape[2 - axis], kernel[axis], first[axis], pads[axis], size[axis]) for axis in (0, 1)]
        weight = np.pad(weight, ((0, 0), (0, 0), grown[1], grown[0]))
        made = self.add_step(name, "Conv", value, (weight.shape[0], size[1], size[0]), origin,
                             kernel=(weight.shape[3], weight.shape[2]), stride=first,
                             pad=(pads[0] + grown[0][0], pads[1] + grown[1][0]), groups=groups, weight=weight, bias=bias)  # fmt: skip
        out = self.result(made, (weight.shape[0], size[1], size[0]), 4)
        if rest == (1, 1):
            return out
        ones = np.ones((out.shape[0], 1, 1, 1), np.float32)
        return self.conv(f"{name}_stride", origin, out, ones, None, stride=rest, groups=out.shape[0])

    def fc(self, name: str, origin: str, value: Value, weight: Any, bias: Any) -> Value:
        """A matrix product over the last axis; ``weight`` is (O, elements of that axis)."""
        self.open(origin, value)
        weight = self.finite(origin, "its weight", weight)
        length = value.dims[-1]
        if weight.ndim != 2 or weight.shape[1] != length:
            self.fail(origin, f"weights of shape {weight.shape} do not fit an input of {length} elements")
        filters = weight.shape[0]
        bias = np.zeros(filters, np.float32) if bias is None else self.finite(origin, "its bias", bias).reshape(-1)
        bias = np.broadcast_to(bias, (filters,)) if bias.size == 1 else bias
        if bias.shape != (filters,):
            self.fail(origin, f"its bias must have {filters} elements, not {bias.size}")
        if int(np.prod(value.dims)) != length:
            return self._fc_everywhere(name, origin, value, weight, bias)
        elements = value.elements.reshape(-1)
        if value.index is not None or length != value.size:
            taken = elements >= 0
            whole = np.zeros((filters, value.size), np.float32)
            np.add.at(whole.T, elements[taken], weight[:, taken].T)
            bias, weight = bias + np.float32(value.fill) * weight[:, ~taken].sum(axis=1), whole
        _, height, width = value.shape
        made = self.add_step(name, "FC", value, (filters, 1, 1), origin, kernel=(width, height),
                             weight=weight.reshape(filters, *value.shape), bias=np.array(bias))  # fmt: skip
        return Value((made,), (filters, 1, 1), (*value.dims[:-1], filters))

    def _fc_everywhere(self, name: str, origin: str, value: Value, weight: np.ndarray, bias: np.ndarray) -> Value:
        """A matrix product at every position: a 1x1 convolution over the last axis as channels."""
        rank = len(value.dims)
        if rank not in (3, 4) or value.dims[0] != 1:
            self.fail(origin, f"is applied to the last axis of an array of shape {value.dims}, which is no map")
        turned = value.with_elements(np.moveaxis(value.elements, -1, 1))
        shape = (*weight.shape, *(1,) * (rank - 2))
        out = self.conv(name, origin, turned, weight.reshape(shape), bias)
        return out.with_elements(np.moveaxis(out.elements, 1, -1))

    def per_channel(self, origin: str, value: Value, what: str, array: Any) -> np.ndarray:
        """A constant that is broadcast over ``value``, as one number for each physical channel; ``nan`` where a channel is not read."""
        array = self.finite(origin, what, array).astype(np.float64)
        channels, height, width = value.shape
        if array.size == 1 and array.ndim <= len(value.dims):
            return np.full(channels, float(array.reshape(())))
        try:
            numbers = np.broadcast_to(array, value.dims)
        except ValueError:
            numbers = None
        found = np.full(channels, np.nan)
        if numbers is not None:
            inside = value.elements >= 0
            places = value.elements[inside] // (height * width)
            found[places] = numbers[inside]
            if (found[places] == numbers[inside]).all():
                return found
        return self.fail(origin, f"{what} of shape {array.shape} is not one number a channel of {value.dims}")

    def scale(self, name: str, origin: str, value: Value, factor: Any, offset: Any) -> Value:
        """``value * factor + offset``; both are broadcast to the value and differ between channels only."""
        self.open(origin, value)
        if value.padded:
            value = self.materialise(name, origin, value)
        parts = [self.per_channel(origin, value, "its factor", factor), self.per_channel(origin, value, "its offset", offset)]
        # A channel that nobody reads may have any numbers.
        weight, bias = (np.where(np.isnan(part), spare, part) for part, spare in zip(parts, (1.0, 0.0), strict=True))
        made = self.add_step(name, "Scale", value, value.shape, origin, weight=weight, bias=bias)
        return replace(value, sources=(made,))

    def batch_norm(self, name: str, origin: str, value: Value, scale: Any, shift: Any, mean: Any, variance: Any, epsilon: float) -> Value:
        """Batch norm with fixed statistics, all of one element for each place of axis 1."""
        arrays = [self.finite(origin, what, array).reshape(-1).astype(np.float64) for what, array in (
            ("its scale", scale), ("its bias", shift), ("its mean", mean), ("its variance", variance))]  # fmt: skip
        if len({array.size for array in arrays}) != 1:
            self.fail(origin, f"its arrays have {', '.join(str(array.size) for array in arrays)} elements")
        if (arrays[3] + epsilon <= 0).any():
            self.fail(origin, "its variance is not positive")
        factor = arrays[0] / np.sqrt(arrays[3] + epsilon)
        shape = (-1, *(1,) * (len(value.dims) - 2))
        return self.scale(name, origin, value, factor.reshape(shape), (arrays[1] - arrays[2] * factor).reshape(shape))

    def activation(self, name: str, origin: str, value: Value, kind: str, *, clip: float = CLIP.default,
                   slope: float = SLOPE.default) -> Value:  # fmt: skip
        """An activation of the table: ``relu6`` with any upper end ``clip``, ``leaky`` with a ``slope`` from 0 to below 1, or another."""
        self.open(origin, value)
        rule, number = ACTIVATIONS[Activation(kind)], 0.0
        if rule.parameter is not None:
            number = {"clip": clip, "slope": slope}[rule.parameter.field]
            if not rule.parameter.accepts(number):
                self.fail(origin, f"the {rule.parameter.title} must be {rule.parameter.range}, not {number}")
        made = self.add_step(name, "Act", value, value.shape, origin, activation=kind, clip=float(clip), slope=float(slope))
        fill = float(rule.real(np.array(value.fill), number))
        return replace(value, sources=(made,), fill=fill)

    def add(self, name: str, origin: str, left: Value, right: Value) -> Value:
        """An elementwise sum."""
        self.open(origin, left)
        self.open(origin, right)
        if left.dims != right.dims:
            self.fail(origin, f"adds maps of different shapes, {left.dims} and {right.dims}")
        left, right = same_phases(self, name, origin, [left, right])
        same = left.shape == right.shape and (
            left.index is right.index is None
            or (not left.padded and not right.padded and bool((left.elements == right.elements).all()))
        )
        parts = [value if same else self.materialise(f"{name}_{side}", origin, value)
                 for side, value in (("left", left), ("right", right))]  # fmt: skip
        if parts[0].shape != parts[1].shape:
            self.fail(origin, f"adds maps of different shapes, {parts[0].shape} and {parts[1].shape}")
        singles = [value if len(value.sources) == 1 else self.single(f"{name}_concat", origin, value) for value in parts]
        pair = replace(parts[0], sources=(singles[0].sources[0], singles[1].sources[0]))
        return replace(parts[0], sources=(self.add_step(name, "Add", pair, pair.shape, origin),))

    def single(self, name: str, origin: str, value: Value) -> Value:
        """``value`` as the output of one layer: the parts of a concatenation are copied by a 1x1 convolution that changes nothing."""
        made = self.add_step(name, "Scale", value, value.shape, origin)
        channels = value.shape[0]
        self.steps[-1] = identity_conv(self.steps[-1], np.ones(channels, np.float32), np.zeros(channels, np.float32))
        return replace(value, sources=(made,))

    def concat(self, origin: str, values: list[Value], axis: int) -> Value:
        """A concatenation along the channels, whichever axis of the graph's array they are."""
        first = values[0]
        if not -len(first.dims) <= axis < len(first.dims):
            self.fail(origin, f"axis {axis} does not exist in an array of shape {first.dims}")
        axis %= len(first.dims)
        rest = {(*value.dims[:axis], *value.dims[axis + 1 :]) for value in values if len(value.dims) == len(first.dims)}
        if len(rest) != 1 or len({len(value.dims) for value in values}) != 1:
            self.fail(origin, f"concatenates maps of different sizes: {', '.join(str(item.dims) for item in values)}")
        values = same_phases(self, "concat", origin, [self.open(origin, value) for value in values])
        if len({value.shape[1:] for value in values}) > 1 or len({value.fill for value in values if value.padded}) > 1:
            values = [self.materialise("concat", origin, value) for value in values]
        if len({value.shape[1:] for value in values}) > 1:
            self.fail(origin, f"concatenates maps of different sizes: {', '.join(str(item.shape) for item in values)}")
        _, height, width = values[0].shape
        indices, begin = [], 0
        for value in values:
            indices.append(np.where(value.elements < 0, PADDING, value.elements + begin * height * width))
            begin += value.shape[0]
        whole = Value(tuple(source for value in values for source in value.sources), (begin, height, width), ())
        fill = next((value.fill for value in values if value.padded), 0.0)
        out = whole.with_elements(np.concatenate(indices, axis), fill)
        if axis == 1 and analyse(out) is None and all(analyse(value) is not None for value in values):
            # Each part can be read, but not all in the same way.
            return self.concat(origin, [self.materialise("concat", origin, value) for value in values], axis)
        if out.index is not None and axis > 1 and analyse(out) is None and axis != len(first.dims) - 1:
            self.fail(origin, f"only channels can be concatenated, not axis {axis} of {first.dims}")
        return out

    def pad(self, origin: str, value: Value, widths: list[tuple[int, int]], fill: float) -> Value:
        """Padding by ``(before, after)`` for each axis of the graph's array; negative widths cut off."""
        self.open(origin, value)
        if value.padded and value.fill != fill and any(width > 0 for pair in widths for width in pair):
            self.fail(origin, f"pads with {fill} what is padded with {value.fill} already")
        cut = tuple(slice(max(0, -before), size - max(0, -after)) for (before, after), size in zip(widths, value.dims, strict=True))
        grown = [(max(0, before), max(0, after)) for before, after in widths]
        return value.with_elements(np.pad(value.elements[cut], grown, constant_values=PADDING), float(fill))

    def reshape(self, origin: str, value: Value, dims: Sequence[int]) -> Value:
        """The same elements in the same order under another shape, in which one size may be -1."""
        dims = [int(size) for size in dims]
        total = int(np.prod(value.dims))
        if dims.count(-1) == 1:
            known = int(np.prod([size for size in dims if size != -1]))
            dims[dims.index(-1)] = total // known if known else 0
        if int(np.prod(dims)) != total or min(dims, default=1) < 1:
            self.fail(origin, f"turns shape {value.dims} into {tuple(dims)}, which has another number of elements")
        if value.host:
            return replace(value, dims=tuple(dims), host=(*value.host, ("reshape", *dims)))
        out = value.reshaped(tuple(dims))
        if value.padded and analyse(out) is None and analyse(value) is not None:
            return self.materialise("reshape", origin, value).reshaped(tuple(dims))
        return out

    def transpose(self, origin: str, value: Value, axes: Sequence[int]) -> Value:
        """Another order of the axes."""
        axes = [int(axis) % len(value.dims) for axis in axes]
        if sorted(axes) != list(range(len(value.dims))):
            self.fail(origin, f"the order {axes} is none of the axes of {value.dims}")
        if value.host:
            dims = tuple(value.dims[axis] for axis in axes)
            return replace(value, dims=dims, host=(*value.host, ("transpose", *axes)))
        return value.with_elements(value.elements.transpose(axes))

    def on_host(self, origin: str, value: Value, operation: str, *numbers: int, dims: Sequence[int] | None = None) -> Value:
        """Something that the host computes after the last layer; ``dims`` is the result's shape if it is another."""
        if value.host:
            self.open(origin, value)
        # The index stays that of the array before.
        return replace(value, dims=tuple(dims or value.dims), host=(("reshape", *value.dims), (operation, *numbers)))


def _dilated(weight: np.ndarray, dilation: Pair) -> np.ndarray:
    """A dilated kernel is a larger one with zeros in between, and zeros cost no cycles in OS."""
    if tuple(dilation) == (1, 1):
        return weight
    height, width = ((size - 1) * step + 1 for size, step in zip(weight.shape[2:], (dilation[1], dilation[0]), strict=True))
    spread = np.zeros((*weight.shape[:2], height, width), np.float32)
    spread[:, :, :: dilation[1], :: dilation[0]] = weight
    return spread


def _spread_channels(weight: np.ndarray, channels: np.ndarray, count: int) -> np.ndarray:
    """Weights over some channels as weights over all ``count`` channels of the map."""
    whole = np.zeros((weight.shape[0], count, *weight.shape[2:]), np.float32)
    taken = channels >= 0
    np.add.at(whole.swapaxes(0, 1), channels[taken], weight[:, taken].swapaxes(0, 1))
    return whole
