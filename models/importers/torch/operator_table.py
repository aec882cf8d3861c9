"""What the PyTorch importer understands: a function for each ATen operator, and the ONNX operator that it is lowered like."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operator:
    """One ATen operator: ``like`` is the ONNX operator whose row of ``docs/operators.md`` says what it becomes; ``lower`` does it.

    ``lower`` is called with an :class:`~models.importers.lowering.context.OperatorContext` and the arguments of the operator's schema by
    name, ``x`` being the first. Arguments are values, constants (arrays and plain numbers), or lists of these.
    """

    name: str
    like: str
    lower: Callable[..., Any]


OPERATORS: dict[str, Operator] = {}


def operator(name: str, like: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function for an ATen operator."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS[name] = Operator(name, like, function)
        return function

    return register


def pair(value: Any) -> tuple[int, int]:
    """(x, y) of PyTorch's [y, x] or of one number."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[-1], values[0])
