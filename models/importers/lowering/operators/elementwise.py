"""Scales, batch norm, activations and sums: what works element by element."""

from dataclasses import replace
from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators.materialise import materialise, single
from squeezelerator.models.importers.lowering.operators.upsampling import same_phases
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.functions.activations import ACTIVATIONS, CLIP, SLOPE, Activation


def scale(ctx: OperatorContext, value: Value, factor: Any, offset: Any) -> Value:
    """``value * factor + offset``; both are broadcast to the value and differ between channels only."""
    ctx.open(value)
    if value.padded:
        value = materialise(ctx, value)
    parts = [_per_channel(ctx, value, "its factor", factor), _per_channel(ctx, value, "its offset", offset)]
    # A channel that nobody reads may have any numbers.
    weight, bias = (np.where(np.isnan(part), spare, part) for part, spare in zip(parts, (1.0, 0.0), strict=True))
    return replace(value, sources=(ctx.add_step("Scale", value, value.shape, weight=weight, bias=bias),))


def _per_channel(ctx: OperatorContext, value: Value, what: str, array: Any) -> np.ndarray:
    """A constant that is broadcast over ``value``, as one number for each physical channel; ``nan`` where a channel is not read."""
    array = ctx.finite(what, array).astype(np.float64)
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
    return ctx.fail(f"{what} of shape {array.shape} is not one number a channel of {value.dims}")


def batch_norm(ctx: OperatorContext, value: Value, scale_by: Any, shift: Any, mean: Any, variance: Any, epsilon: float) -> Value:
    """Batch norm with fixed statistics, all of one element for each place of axis 1."""
    arrays = [ctx.finite(what, array).reshape(-1).astype(np.float64) for what, array in (
        ("its scale", scale_by), ("its bias", shift), ("its mean", mean), ("its variance", variance))]  # fmt: skip
    if len({array.size for array in arrays}) != 1:
        ctx.fail(f"its arrays have {', '.join(str(array.size) for array in arrays)} elements")
    if (arrays[3] + epsilon <= 0).any():
        ctx.fail("its variance is not positive")
    factor = arrays[0] / np.sqrt(arrays[3] + epsilon)
    shape = (-1, *(1,) * (len(value.dims) - 2))
    return scale(ctx, value, factor.reshape(shape), (arrays[1] - arrays[2] * factor).reshape(shape))


def activate(ctx: OperatorContext, value: Value, kind: str, *, clip: float = CLIP.default, slope: float = SLOPE.default) -> Value:
    """An activation of the table: ``relu6`` with any upper end ``clip``, ``leaky`` with a ``slope`` from 0 to below 1, or another."""
    ctx.open(value)
    rule, number = ACTIVATIONS[Activation(kind)], 0.0
    if rule.parameter is not None:
        number = {"clip": clip, "slope": slope}[rule.parameter.field]
        if not rule.parameter.accepts(number):
            ctx.fail(f"the {rule.parameter.title} must be {rule.parameter.range}, not {number}")
    made = ctx.add_step("Act", value, value.shape, activation=kind, clip=float(clip), slope=float(slope))
    fill = float(rule.real(np.array(value.fill), number))
    return replace(value, sources=(made,), fill=fill)


def add(ctx: OperatorContext, left: Value, right: Value) -> Value:
    """An elementwise sum."""
    ctx.open(left)
    ctx.open(right)
    if left.dims != right.dims:
        ctx.fail(f"adds maps of different shapes, {left.dims} and {right.dims}")
    left, right = same_phases(ctx, [left, right])
    if not same_arrangement(left, right):
        left, right = materialise(ctx.part("left"), left), materialise(ctx.part("right"), right)
    if left.shape != right.shape:
        ctx.fail(f"adds maps of different shapes, {left.shape} and {right.shape}")
    operands = [value if len(value.sources) == 1 else single(ctx.part("concat"), value) for value in (left, right)]
    pair = replace(left, sources=(operands[0].sources[0], operands[1].sources[0]))
    return replace(left, sources=(ctx.add_step("Add", pair, pair.shape),))


def same_arrangement(left: Value, right: Value) -> bool:
    """Whether two arrays consist of the same elements of their maps, so that the maps can be added or multiplied as they are."""
    if left.shape != right.shape:
        return False
    if left.index is None and right.index is None:
        return True
    return not left.padded and not right.padded and bool((left.elements == right.elements).all())
