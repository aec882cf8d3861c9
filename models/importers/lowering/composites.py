"""Functions composed of the activations and sums that layers have; exact in real numbers."""

from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.value import Value

_LARGEST = float(np.finfo(np.float32).max)


def clamp(low: Lowering, name: str, origin: str, value: Value, least: float | None, most: float | None) -> Value:
    """A clip to ``least`` ... ``most`` (``None``: no end): moved to begin at 0, cut off, moved back."""
    least = None if least is None or least <= -_LARGEST else float(least)
    most = None if most is None or most >= _LARGEST else float(most)
    if least is None and most is None:
        return value
    if least is None:
        # min(x, b) = b - relu(b - x)
        below = low.activation(name, origin, low.scale(f"{name}_below", origin, value, -1.0, most), "relu")
        return low.scale(f"{name}_end", origin, below, -1.0, most)
    if most is not None and most <= least:
        low.fail(origin, f"clips to {least:g} ... {most:g}")
    moved = value if least == 0 else low.scale(f"{name}_begin", origin, value, 1.0, -least)
    if most is None:
        out = low.activation(name, origin, moved, "relu")
    else:
        out = low.activation(name, origin, moved, "relu6", clip=most - least)
    return out if least == 0 else low.scale(f"{name}_end", origin, out, 1.0, least)


def difference(low: Lowering, name: str, origin: str, left: Value, right: Value) -> Value:
    """``left - right``."""
    return low.add(name, origin, left, low.scale(f"{name}_negative", origin, right, -1.0, 0.0))


def larger(low: Lowering, name: str, origin: str, left: Value, right: Value) -> Value:
    """``max(left, right) = left + relu(right - left)``."""
    over = low.activation(f"{name}_over", origin, difference(low, f"{name}_difference", origin, right, left), "relu")
    return low.add(name, origin, left, over)


def smaller(low: Lowering, name: str, origin: str, left: Value, right: Value) -> Value:
    """``min(left, right) = left - relu(left - right)``."""
    over = low.activation(f"{name}_over", origin, difference(low, f"{name}_difference", origin, left, right), "relu")
    return difference(low, name, origin, left, over)


def absolute(low: Lowering, name: str, origin: str, value: Value) -> Value:
    """``|x| = relu(x) + relu(-x)``."""
    return prelu(low, name, origin, value, -1.0)


def prelu(low: Lowering, name: str, origin: str, value: Value, slope: Any) -> Value:
    """``relu(x) - slope * relu(-x)``, with a slope for each channel; one slope below 1 is ``leaky``."""
    slope = low.finite(origin, "its slope", slope)
    if slope.size == 1 and 0 <= float(slope.reshape(())) < 1:
        return low.activation(name, origin, value, "leaky", slope=float(slope.reshape(())))
    above = low.activation(f"{name}_above", origin, value, "relu")
    below = low.activation(f"{name}_below", origin, low.scale(f"{name}_negative", origin, value, -1.0, 0.0), "relu")
    return low.add(name, origin, above, low.scale(f"{name}_slope", origin, below, -slope, 0.0))


def hard_sigmoid(low: Lowering, name: str, origin: str, value: Value, factor: float, offset: float) -> Value:
    """``clip(factor * x + offset, 0, 1)``."""
    return clamp(low, name, origin, low.scale(f"{name}_scale", origin, value, factor, offset), 0.0, 1.0)
