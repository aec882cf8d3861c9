"""What the host computes of a graph that the machine cannot compute whole: a part before the machine's one program, and one after it.

A part is an ONNX graph of its own. onnxruntime runs it where that is installed, else the reference evaluator of the ``onnx`` package,
which is numpy.
"""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from squeezelerator.models.arithmetic.ports import InputPort, Ports
from squeezelerator.models.importers.errors import WeightError

__all__ = ["HostNode", "HostPart", "HostParts", "HostRun"]


@dataclass(frozen=True)
class HostNode:
    """A node that the host computes: name, operator, and multiplications as far as the graph's shapes are known."""

    name: str
    operator: str
    macs: int


@dataclass(frozen=True, eq=False)
class HostPart:
    """A part of a graph; ``title`` begins every complaint."""

    title: str
    model: onnx.ModelProto
    nodes: tuple[HostNode, ...]

    @cached_property
    def _evaluate(self) -> Any:
        if importlib.util.find_spec("onnxruntime") is None:
            return ReferenceEvaluator(self.model).run
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run

    def run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The part's outputs by name.

        Raises
        ------
        WeightError
            If the graph cannot be computed; the line ends with the evaluator's own.
        """
        names = [item.name for item in self.model.graph.output]
        types = {item.name: helper.tensor_dtype_to_np_dtype(item.type.tensor_type.elem_type) for item in self.model.graph.input}
        try:
            return dict(zip(names, self._evaluate(names, {name: arrays[name].astype(kind) for name, kind in types.items()}), strict=True))
        except Exception as error:  # evaluators raise errors of many kinds
            text = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise WeightError(f"{self.title}: the host cannot compute its part: {text}") from None


@dataclass(frozen=True, eq=False)
class HostParts:
    """The host's parts of a network, and the whole network's inputs and outputs.

    Parameters
    ----------
    inputs : tuple of InputPort
        Of the whole network.
    outputs : tuple of str
        The same.
    before, after : HostPart or None
    machine : Ports
        Inputs and outputs of the part in between.
    macs : int
        Of the machine's part, as the graph has it.
    """

    inputs: tuple[InputPort, ...]
    outputs: tuple[str, ...]
    before: HostPart | None
    after: HostPart | None
    machine: Ports
    macs: int

    @property
    def ports(self) -> Ports:
        """Ports under which inputs of the whole network are read; outputs belong to the machine's part."""
        return Ports(self.inputs, self.machine.outputs)

    def start(self, arrays: Mapping[str, np.ndarray]) -> "HostRun":
        """Begin a run with the whole network's inputs, each as its port describes it or (C, H, W)."""
        given = {port.name: _in_layout(port, np.asarray(arrays[port.name], np.float32)) for port in self.inputs}
        return HostRun(self, given | (self.before.run(given) if self.before else {}))

    def noise_runs(self, count: int, spread: float, seed: int = 0) -> "list[HostRun]":
        """Runs with normal noise of standard deviation ``spread`` for inputs, where there are no real ones."""
        rng = np.random.default_rng(seed)
        return [self.start({port.name: np.float32(spread) * rng.standard_normal(port.dims, dtype=np.float32) for port in self.inputs})
                for _ in range(count)]  # fmt: skip

    def report(self) -> list[str]:
        """Lines that say which nodes the host computes, how many MACs, and what goes from one to the other."""
        lines = []
        for when, part in (("before", self.before), ("after", self.after)):
            if part is not None:
                nodes = ", ".join(f"{node.name} ({node.operator})" for node in part.nodes)
                macs = sum(node.macs for node in part.nodes)
                lines.append(f"host, {when} the machine: {len(part.nodes)} node{'s' * (len(part.nodes) > 1)}, {macs:,} MACs: {nodes}")
        transfers = [f"{port.name} {tuple(port.dims)} to the machine, {2 * int(np.prod(port.dims)):,} bytes" for port in
                     self.machine.inputs]  # fmt: skip
        transfers += [f"{port.name} back" for port in self.machine.outputs]
        return [*lines, f"machine: {self.macs:,} MACs; {'; '.join(transfers)}"]


def _in_layout(port: InputPort, x: np.ndarray) -> np.ndarray:
    """An input as the graph takes it."""
    prepared = port.prepare(x)
    return np.ascontiguousarray(prepared.transpose(np.argsort(port.axes)).reshape(port.dims))


@dataclass(frozen=True, eq=False)
class HostRun:
    """One run: all arrays that the host has, by name, while the machine works."""

    parts: HostParts
    arrays: Mapping[str, np.ndarray]

    @property
    def machine_input(self) -> np.ndarray:
        """The machine's input map, float32 (C, H, W)."""
        return self.parts.machine.pack({port.name: np.asarray(self.arrays[port.name], np.float32) for port in self.parts.machine.inputs})

    def finish(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The whole network's outputs from those of the machine's part."""
        known = {**self.arrays, **values}
        if self.parts.after:
            known |= self.parts.after.run(known)
        return {name: known[name] for name in self.parts.outputs}
