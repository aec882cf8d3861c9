"""From the operators of a foreign graph to a layer table with float weights: the layers made so far.

A front end (ONNX, PyTorch) walks its graph and calls one function of :mod:`models.importers.lowering.operators` for each operator, passing
and getting :class:`~models.importers.lowering.value.Value` objects. Batch norm and activations are steps of their own here;
:mod:`models.importers.lowering.fold` merges them into the layers before them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from squeezelerator.models.importers.lowering.steps import Step
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.functions.activations import ACTIVATIONS, Activation
from squeezelerator.spec.network.layer import NETWORK_INPUT
from squeezelerator.spec.network.layer_types import layer_rule


@dataclass
class Lowering:
    """Collects the steps of a graph.

    Parameters
    ----------
    title : str
        What is imported, as complaints begin.
    input_shape : (int, int, int)
        Channels, height, width of the network's input.
    steps : list of Step
        In the order in which they are computed.
    notes : list of str
        What is not taken literally.
    batch : int
        The batch that a file names, which is taken as 1: nothing may mix it with other axes.
    """

    title: str
    input_shape: tuple[int, int, int]
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    batch: int = 1
    _names: set[str] = field(default_factory=lambda: {NETWORK_INPUT})

    def input(self, dims: tuple[int, ...] | None = None) -> Value:
        """The network's input, by default (1, C, H, W)."""
        return Value((NETWORK_INPUT,), self.input_shape, tuple(dims or (1, *self.input_shape)))

    def packed_input(self, first: int, shape: tuple[int, int, int]) -> Value:
        """The input of ``shape`` (C, H, W) that lies at channel ``first`` of the input map, as (1, C, H, W)."""
        channels, lines, columns = shape
        elements = self.input().elements[:, first : first + channels, :lines, :columns]
        return self.input().with_elements(elements)

    def note(self, text: str) -> None:
        """Say once that something is not taken literally."""
        if text not in self.notes:
            self.notes.append(text)

    def add_step(self, name: str, kind: str, value: Value, out_shape: Sequence[int], origin: str, **fields: Any) -> str:
        """Append a step that reads all sources of ``value``; returns its name, which is ``name`` made unique."""
        name = self._unique(name)
        channels, height, width = (int(size) for size in out_shape)
        self.steps.append(Step(name, kind, list(value.sources), value.shape, (channels, height, width), origin, **fields))
        return name

    def _unique(self, name: str) -> str:
        base = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "layer"
        name, number = base, 2
        while name in self._names:
            name, number = f"{base}_{number}", number + 1
        self._names.add(name)
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
