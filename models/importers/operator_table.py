"""What the ONNX importer understands: a function for each operator, with what ``docs/operators.md`` says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.value import Value

AFTER_HOST = ("Cast", "Dropout", "Flatten", "Identity", "Mul", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that can follow what the host computes: they change nothing, or move elements, or (``Mul``) look for themselves."""
UNITS = ("array", "pool", "drain", "view", "host", "constant")
"""Where an operator's work is done: the PE array, POOL, on the way out of the array, nowhere (the next layer reads it differently), on the
host after the last layer, or while the file is read."""


@dataclass(frozen=True)
class Operator:
    """One operator: what lowers it, on which unit it runs, how, and what is not supported of it."""

    name: str
    unit: str
    how: str
    limits: str
    lower: Callable


@dataclass
class Node:
    """One node of a graph as the functions see it: ``inputs`` are values, constants (arrays) or ``None``."""

    ctx: OperatorContext
    inputs: list
    attributes: dict[str, Any]
    opset: int

    def fail(self, text: str) -> NoReturn:
        """Raise the error of this node."""
        return self.ctx.fail(text)

    def text(self, key: str, default: str) -> str:
        """An attribute that is text."""
        value = self.attributes.get(key, default)
        return value.decode() if isinstance(value, bytes) else value

    def value(self, place: int = 0) -> Value:
        """An input that depends on the network's input."""
        found = self.inputs[place] if place < len(self.inputs) else None
        if not isinstance(found, Value):
            which = {0: "first", 1: "second"}.get(place, f"number {place + 1}")
            self.fail(f"its {which} input must depend on the network's input")
        return found

    def array(self, what: str, place: int, default: Any | None = None) -> Any:
        """An input that must be a constant."""
        value = self.inputs[place] if place < len(self.inputs) else None
        if value is None:
            return default
        if isinstance(value, Value):
            self.fail(f"{what} must be a constant, not computed from the network's input")
        return np.asarray(value)

    def needed(self, what: str, place: int) -> np.ndarray:
        """A constant input that must be there."""
        found = self.array(what, place)
        if found is None:
            self.fail(f"has no input {place} ({what})")
        return found

    def scalar(self, what: str, place: int, default: Any | None = None) -> Any:
        """A constant input that is one number."""
        value = self.array(what, place)
        if value is None or value.size == 0:
            return default
        if value.size != 1:
            self.fail(f"{what} must be one number, not {value.size}")
        return float(value.reshape(()))

    def numbers(self, key: str, place: int, default: Any | None = None) -> list[int] | None:
        """Whole numbers that are an attribute in older operator sets and an input in newer ones."""
        if key in self.attributes:
            found = self.attributes[key]
            return [int(item) for item in (found if isinstance(found, (list, tuple)) else [found])]
        value = self.array(key, place)
        return default if value is None else [int(item) for item in value.reshape(-1)]


OPERATORS: dict[str, Operator] = {}


def operator(*names: str, unit: str, how: str, limits: str = "") -> Callable:
    """Register a function (:class:`Node` to a value, an array, or a list of them) for the operators ``names``."""

    def register(function: Callable[[Node], Any]) -> Callable[[Node], Any]:
        for name in names:
            OPERATORS[name] = Operator(name, unit, how, limits, function)
        return function

    return register
