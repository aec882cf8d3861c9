"""Functions composed of the activations and sums that layers have; exact in real numbers."""

from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators.elementwise import activate, add, scale
from squeezelerator.models.importers.lowering.operators.functions import function
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.network.layer_types import LayerType

_LARGEST = float(np.finfo(np.float32).max)


def clamp(ctx: OperatorContext, value: Value, least: float | None, most: float | None) -> Value:
    """A clip to ``least`` ... ``most`` (``None``: no end): moved to begin at 0, cut off, moved back."""
    if least is None or least <= -_LARGEST:
        return _clamp_above(ctx, value, most)
    least = float(least)
    most = None if most is None or most >= _LARGEST else float(most)
    if most is not None and most <= least:
        ctx.fail(f"clips to {least:g} ... {most:g}")
    moved = value if least == 0 else scale(ctx.part("begin"), value, 1.0, -least)
    out = activate(ctx, moved, "relu") if most is None else activate(ctx, moved, "relu6", clip=most - least)
    return out if least == 0 else scale(ctx.part("end"), out, 1.0, least)


def _clamp_above(ctx: OperatorContext, value: Value, most: float | None) -> Value:
    """``min(x, most) = most - relu(most - x)``."""
    if most is None or most >= _LARGEST:
        return value
    below = activate(ctx, scale(ctx.part("below"), value, -1.0, float(most)), "relu")
    return scale(ctx.part("end"), below, -1.0, float(most))


def difference(ctx: OperatorContext, left: Value, right: Value) -> Value:
    """``left - right``."""
    return add(ctx, left, scale(ctx.part("negative"), right, -1.0, 0.0))


def larger(ctx: OperatorContext, left: Value, right: Value) -> Value:
    """``max(left, right) = left + relu(right - left)``."""
    over = activate(ctx.part("over"), difference(ctx.part("difference"), right, left), "relu")
    return add(ctx, left, over)


def smaller(ctx: OperatorContext, left: Value, right: Value) -> Value:
    """``min(left, right) = left - relu(left - right)``."""
    over = activate(ctx.part("over"), difference(ctx.part("difference"), left, right), "relu")
    return difference(ctx, left, over)


def absolute(ctx: OperatorContext, value: Value) -> Value:
    """``|x| = relu(x) + relu(-x)``."""
    return prelu(ctx, value, -1.0)


def prelu(ctx: OperatorContext, value: Value, slope: Any) -> Value:
    """``relu(x) - slope * relu(-x)``, with a slope for each channel; one slope below 1 is ``leaky``."""
    slope = ctx.finite("its slope", slope)
    if slope.size == 1 and 0 <= float(slope.reshape(())) < 1:
        return activate(ctx, value, "leaky", slope=float(slope.reshape(())))
    above = activate(ctx.part("above"), value, "relu")
    below = activate(ctx.part("below"), scale(ctx.part("negative"), value, -1.0, 0.0), "relu")
    return add(ctx, above, scale(ctx.part("slope"), below, -slope, 0.0))


def hard_sigmoid(ctx: OperatorContext, value: Value, factor: float, offset: float) -> Value:
    """``clip(factor * x + offset, 0, 1)``."""
    return clamp(ctx, scale(ctx.part("scale"), value, factor, offset), 0.0, 1.0)


def stretched(ctx: OperatorContext, value: Value, kind: LayerType, factor: float) -> Value:
    """``f(factor * x) / factor`` of the function ``kind``."""
    if not factor:
        ctx.fail("its alpha must not be 0")
    if factor == 1:
        return function(ctx, value, kind)
    return scale(ctx, function(ctx.part("function"), scale(ctx.part("begin"), value, factor, 0.0), kind), 1 / factor, 0.0)


def elu(ctx: OperatorContext, value: Value, alpha: float, gamma: float = 1.0) -> Value:
    """``gamma * (x if x > 0 else alpha * (exp(x) - 1))``: alpha times the table's ELU, and relu for the rest above 0."""
    out = function(ctx, value, LayerType.ELU)
    if alpha != 1:
        rest = scale(ctx.part("rest"), activate(ctx.part("above"), value, "relu"), gamma * (1 - alpha), 0.0)
        return add(ctx.part("sum"), scale(ctx.part("alpha"), out, gamma * alpha, 0.0), rest)
    return out if gamma == 1 else scale(ctx.part("gamma"), out, gamma, 0.0)
