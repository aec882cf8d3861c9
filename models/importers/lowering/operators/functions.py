"""Products of two maps and functions of every element, which only machines with functions can do."""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.geometry import Geometry
from squeezelerator.models.importers.lowering.operators.elementwise import same_arrangement, scale
from squeezelerator.models.importers.lowering.operators.map_convolution import convolve_map
from squeezelerator.models.importers.lowering.operators.materialise import materialise, select, single
from squeezelerator.models.importers.lowering.operators.upsampling import same_phases
from squeezelerator.models.importers.lowering.operators.views import pad, reshape, transpose
from squeezelerator.models.importers.lowering.steps import Step
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.network.layer_types import LAYER_TYPES, LayerType

_ON_HOST = {"sigmoid": LayerType.SIGMOID, "tanh": LayerType.TANH}
"""Functions that the host computes where nothing follows them."""


def function(ctx: OperatorContext, value: Value, kind: LayerType, exponent: float = 1.0) -> Value:
    """The function ``kind`` of every element; ``exponent`` is that of ``Power``."""
    ctx.open(value)
    made = ctx.add_step(kind, value, value.shape, exponent=float(exponent))
    real = LAYER_TYPES[kind].real
    if real is None:
        raise AssertionError(f"{kind} is no function")
    return replace(value, sources=(made,), fill=float(real([np.array(value.fill)], exponent)))


def on_machine(ctx: OperatorContext, value: Value) -> Value:
    """``value``, if the host computes a function of it at the end, as something that layers can follow: the machine computes it."""
    places = [place for place, step in enumerate(value.host) if step[0] not in ("reshape", "transpose")]
    if len(places) != 1 or value.host[places[0]][0] not in _ON_HOST:
        return value
    (place,) = places
    dims = next((step[1:] for step in value.host[:place][::-1] if step[0] == "reshape"), value.dims)
    kind = _ON_HOST[value.host[place][0]]
    out = function(ctx.called(kind.lower()), replace(value, host=(), dims=tuple(dims)), kind)
    for name, *numbers in value.host[place + 1 :]:
        out = reshape(ctx, out, numbers) if name == "reshape" else transpose(ctx, out, numbers)
    return out


def multiply(ctx: OperatorContext, left: Value, right: Value) -> Value:
    """The product of two maps; one of them may have one line and column, or one channel, for all of the other's."""
    fused = _gated(ctx, left, right) or _gated(ctx, right, left)
    if fused is not None:
        return fused
    left, right = on_machine(ctx, left), on_machine(ctx, right)
    if left.dims == right.dims:
        return _same_size(ctx, left, right)
    if left.size < right.size:
        left, right = right, left
    left, right = materialise(ctx.part("map"), left), materialise(ctx.part("factor"), right)
    (channels, *size), (other_channels, *other_size) = left.shape, right.shape
    if other_channels == 1 < channels and other_size in (size, [1, 1]) and len(left.dims) == len(right.dims):
        right = convolve_map(ctx.part("channels"), right, np.ones((channels, 1, 1, 1), np.float32), None, Geometry(), 1)
        other_channels = channels
    if other_channels != channels or other_size not in (size, [1, 1]) or len(left.dims) != len(right.dims):
        ctx.fail(f"multiplies maps of different shapes, {left.dims} and {right.dims}")
    return _product(ctx, left, right)


def _same_size(ctx: OperatorContext, left: Value, right: Value) -> Value:
    left, right = same_phases(ctx, [ctx.open(left), ctx.open(right)])
    if not same_arrangement(left, right):
        left, right = materialise(ctx.part("left"), left), materialise(ctx.part("right"), right)
    return _product(ctx, left, right)


def _product(ctx: OperatorContext, left: Value, right: Value) -> Value:
    left, right = (value if len(value.sources) == 1 else single(ctx.part("concat"), value) for value in (left, right))
    pair = replace(left, sources=(left.sources[0], right.sources[0]))
    return replace(left, sources=(ctx.add_step(LayerType.MUL, pair, pair.shape),), fill=left.fill * right.fill)


def _gated(ctx: OperatorContext, value: Value, gate: Value) -> Value | None:
    """``x * sigmoid(x)`` and ``x * hard_sigmoid(x)`` as functions of their own, if this is one."""
    if value.host or value.dims != gate.dims:
        return None
    if _is_host_sigmoid(gate) and _are_same(value, replace(gate, host=())):
        return function(ctx, value, LayerType.SILU)
    return None if gate.host or len(gate.sources) != 1 else _gated_by_steps(ctx, value, gate)


def _gated_by_steps(ctx: OperatorContext, value: Value, gate: Value) -> Value | None:
    """The same where the gate is computed by layers, the last of which is its one source."""
    steps = {step.name: step for step in ctx.low.steps}
    last = steps.get(gate.sources[0])
    if last is None:
        return None
    if last.kind == LayerType.SIGMOID and _are_same(value, replace(gate, sources=tuple(last.inputs))):
        return function(ctx, value, LayerType.SILU)
    begin = steps.get(last.inputs[0]) if len(last.inputs) == 1 else None
    if begin is not None and last.kind == "Scale" and begin.kind == LayerType.ERF:
        return _gated_by_erf(ctx, value, gate, last, steps.get(begin.inputs[0]))
    if begin is not None and _are_hard_sigmoid(begin, last) and _are_same(value, replace(gate, sources=tuple(begin.inputs))):
        return function(ctx, value, LayerType.HARD_SWISH)
    return None


def _gated_by_erf(ctx: OperatorContext, value: Value, gate: Value, outer: Step, inner: Step | None) -> Value | None:
    """``x * (a + a * erf(x / sqrt(2)))``, of which ``outer`` is the sum with a and ``inner`` the scale within: GELU times 2 a."""
    weight, bias = outer.arrays()
    if inner is None or inner.kind != "Scale" or not np.allclose(inner.arrays()[0], math.sqrt(0.5), rtol=1e-6) or inner.arrays()[1].any():
        return None
    if not (weight == weight[0]).all() or not (bias == weight[0]).all():
        return None
    if not _are_same(value, replace(gate, sources=tuple(inner.inputs))):
        return None
    return scale(ctx.part("scale"), function(ctx, value, LayerType.GELU), 2 * float(weight[0]), 0.0)


def _is_host_sigmoid(gate: Value) -> bool:
    return [step[0] for step in gate.host if step[0] != "reshape"] == ["sigmoid"]


def _are_same(one: Value, other: Value) -> bool:
    return one.sources == other.sources and not one.padded and same_arrangement(one, other)


def _are_hard_sigmoid(begin: Step, end: Step) -> bool:
    """Whether two steps are ``clip(x / 6 + 1 / 2, 0, 1)``."""
    if begin.kind != "Scale" or end.kind != "Act" or end.activation != "relu6" or end.clip != 1:
        return False
    weight, bias = begin.arrays()
    return bool(np.allclose(weight, 1 / 6, rtol=1e-6) and np.allclose(bias, 0.5, rtol=1e-6))


def power(ctx: OperatorContext, value: Value, exponent: Any) -> Value:
    """``value ** exponent``: 1, 2 and 3 by products, numbers between them and below by a table, for which no element may be negative."""
    exponent = ctx.finite("its exponent", exponent)
    if exponent.size != 1:
        ctx.fail(f"its exponent must be one number, not of shape {exponent.shape}")
    number = float(exponent.reshape(()))
    if number in (1, 2, 3):
        out = value
        for place in range(1, int(number)):
            out = multiply(ctx if place == number - 1 else ctx.part("square"), out, value)
        return out
    if number == int(number):
        ctx.fail(f"the power {number:g} is not supported; those of 1, 2, 3 and of no whole number are")
    return function(ctx, value, LayerType.POWER, number)


def quotient(ctx: OperatorContext, left: Value, right: Value) -> Value:
    """``left / right``, where ``right`` is a power: its inverse is one too."""
    steps = {step.name: step for step in ctx.low.steps}
    last = steps.get(right.sources[0]) if len(right.sources) == 1 else None
    if last is None or last.kind != LayerType.POWER:
        ctx.fail("a division by a map is not supported, unless that is a power or a square root")
    base = replace(right, sources=tuple(last.inputs), fill=1.0)
    return multiply(ctx, left, function(ctx.part("inverse"), base, LayerType.POWER, -last.exponent))


def window_sum(ctx: OperatorContext, value: Value, size: int) -> Value:
    """Sums over all windows of ``size`` channels of a map, as (1, O, H, W): a 1x1 convolution with a band of ones."""
    found = select(ctx, value)
    if not found.whole(value.shape) or any(found.pad):
        value = materialise(ctx.part("map"), value)
        found = select(ctx, value)
    band = np.zeros((len(found.channels) - size + 1, value.shape[0]), np.float32)
    for place in range(size):
        read = found.channels[place : place + len(band)]
        inside = np.flatnonzero(read >= 0)
        band[inside, read[inside]] += 1
    return convolve_map(ctx, value, band[:, :, None, None], None, Geometry(), 1)


def response_norm(ctx: OperatorContext, value: Value, size: int, settings: tuple[float, float, float]) -> Value:
    """Local response normalisation over ``size`` channels; ``settings``: alpha, beta and the bias.

    ``x * (bias + alpha / size * sum of squares) ** -beta``.
    """
    alpha, beta, bias = settings
    if bias <= 0:
        ctx.fail(f"its bias must be above 0, not {bias:g}")
    widths = [(0, 0), ((size - 1) // 2, size // 2), *[(0, 0)] * (len(value.dims) - 2)]
    total = window_sum(ctx.part("sum"), pad(ctx, multiply(ctx.part("square"), value, value), widths, 0.0), size)
    base = scale(ctx.part("scale"), total, alpha / size, bias)
    return multiply(ctx, value, function(ctx.part("power"), base, LayerType.POWER, -beta))
