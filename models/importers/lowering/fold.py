"""Scales and activations become a part of the layers before them.

A per-channel scale (batch norm) goes into the weights of the convolution before it, an activation becomes that layer's own. Where
that layer has other readers, or there is none, the step becomes a depthwise 1x1 convolution.
"""

from dataclasses import dataclass

import numpy as np

from squeezelerator.models.importers.lowering.steps import Step, identity_conv
from squeezelerator.spec.functions.activations import ACTIVATIONS
from squeezelerator.spec.network.layer import NETWORK_INPUT, Activation
from squeezelerator.spec.network.layer_types import LayerRule, layer_rule


@dataclass(frozen=True)
class Folded:
    """``steps`` without ``Scale`` and ``Act``, and the names of those that each output consists of."""

    steps: list[Step]
    outputs: list[list[str]]


def fold(steps: list[Step], outputs: list[list[str]]) -> Folded:
    """Fold the ``Scale`` and ``Act`` steps; ``outputs`` are the names of the steps that each output consists of."""
    graph = _Graph(steps, outputs)
    for step in steps:
        graph.place(step)
    # An output that was folded is now the output of the layers before it.
    return Folded(graph.kept, [[target for name in names for target in graph.now(name)] for names in outputs])


class _Graph:
    """The steps while they are folded: who reads whom, and what has taken the place of a step that is gone."""

    def __init__(self, steps: list[Step], outputs: list[list[str]]) -> None:
        self.kept: list[Step] = []
        self._by_name = {step.name: step for step in steps}
        self._readers: dict[str, list[Step]] = {name: [] for name in (NETWORK_INPUT, *self._by_name)}
        for step in steps:
            for source in dict.fromkeys(step.inputs):
                self._readers[source].append(step)
        self._returned = {name for names in outputs for name in names}
        self._replaced: dict[str, list[str]] = {}

    def now(self, name: str) -> list[str]:
        """The steps that compute what ``name`` computed."""
        return self._replaced.get(name, [name])

    def place(self, step: Step) -> None:
        """Fold a step into those before it, or keep it."""
        step.inputs = [target for source in step.inputs for target in self.now(source)]
        targets = self._targets(step) if step.kind in ("Scale", "Act") else None
        if targets is None:
            kept = stand_alone(step)
            self.kept.append(kept)
            self._by_name[step.name] = kept
            return
        if step.kind == "Scale":
            _scale(targets, step)
        else:
            for target in targets:
                target.activation, target.clip, target.slope = step.activation, step.clip, step.slope
        self._remove(step)

    def _remove(self, step: Step) -> None:
        """What read ``step`` reads the steps before it."""
        self._replaced[step.name] = step.inputs
        for source in step.inputs:
            self._readers[source] = [*(reader for reader in self._readers[source] if reader is not step), *self._readers[step.name]]
        if step.name in self._returned:
            self._returned.update(step.inputs)

    def _targets(self, step: Step) -> list[Step] | None:
        """The layers into which a ``Scale`` or ``Act`` can go, in the order of its input's channels; ``None`` if it cannot."""
        if len(step.inputs) > 1 and any(_takes_operands(reader) for reader in self._readers[step.name]):
            # Without the step its readers would see several layers, which an operand (of an Add) cannot be.
            return None
        found = []
        for source in step.inputs:
            layers = self._layers_before(step, source)
            if layers is None:
                return None
            found += layers
        return found if len(set(map(id, found))) == len(found) else None

    def _layers_before(self, step: Step, source: str) -> list[Step] | None:
        """The layers that ``step`` can become a part of where it reads ``source``."""
        target, rule = self._read_once(source)
        if target is None or rule is None:
            return None
        if step.kind == "Act" and rule.selects_largest and ACTIVATIONS[Activation(step.activation)].monotonic:
            # The largest of the activated values is the activated largest value.
            return self._layers_below(target)
        takes = rule.has_weights if step.kind == "Scale" else rule.activation
        return [target] if takes and target.activation == "none" else None

    def _layers_below(self, pool: Step) -> list[Step] | None:
        """The layers before a pool that can take an activation, if all can."""
        found = []
        for source in pool.inputs:
            target, rule = self._read_once(source)
            if target is None or rule is None or not rule.activation or target.activation != "none":
                return None
            found.append(target)
        return found

    def _read_once(self, source: str) -> tuple[Step | None, LayerRule | None]:
        """The step ``source`` and the rule of its layer type, if nothing but one step reads it."""
        target = self._by_name.get(source)
        if target is None or source in self._returned or len(self._readers[source]) != 1:
            return None, None
        return target, layer_rule(target.kind)


def _takes_operands(step: Step) -> bool:
    rule = layer_rule(step.kind)
    return rule is not None and rule.operands is not None


def _scale(targets: list[Step], step: Step) -> None:
    start, (factors, offsets) = 0, step.arrays()
    for target in targets:
        end = start + target.out_shape[0]
        factor, offset = factors[start:end].astype(np.float64), offsets[start:end]
        weight, bias = target.arrays()
        target.weight = (weight * factor[:, None, None, None]).astype(np.float32)
        target.bias = (bias * factor + offset).astype(np.float32)
        start = end


def stand_alone(step: Step) -> Step:
    """``step``, or the convolution that does what it does."""
    channels = step.in_shape[0]
    if step.kind == "Scale":
        return identity_conv(step, *step.arrays())
    if step.kind == "Act":
        return identity_conv(step, np.ones(channels, np.float32), np.zeros(channels, np.float32))
    return step
