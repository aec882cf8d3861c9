"""The outputs of a lowered graph: which layers they consist of, what the host does with these, and layers that only they read."""

from dataclasses import replace

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.fold import stand_alone
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.operators.elementwise import scale
from squeezelerator.models.importers.lowering.operators.materialise import materialise, single
from squeezelerator.models.importers.lowering.operators.upsampling import to_phases
from squeezelerator.models.importers.lowering.phases import find_phases, host_order
from squeezelerator.models.importers.lowering.steps import Step
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.network.layer import NETWORK_INPUT

_ORDERS = ((0, 1, 2), (1, 2, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0))
"""Orders of the axes of a map, the likely ones first."""


def returned(lowering: Lowering, name: str, value: Value) -> tuple[list[str], tuple[tuple, ...]]:
    """``(layers, steps)`` of an output: what it consists of, and what the host does with that (see :mod:`models.arithmetic.ports`)."""
    ctx = OperatorContext(lowering, name, f"output {name!r}")
    plain = replace(value, dims=value.dims if value.index is None else tuple(value.index.shape), host=())
    host, order = value.host, _order(value)
    phases = find_phases(value) if order is None else None
    if phases is not None:
        value = to_phases(ctx, plain, phases.factor)
        order = host_order(value)
    if order is None:
        value = materialise(ctx, plain)
        order = (("reshape", *plain.dims),)
    if NETWORK_INPUT in value.sources:
        value = single(ctx, value)
    return list(value.sources), (*order, *host)


def _order(value: Value) -> tuple[tuple, ...] | None:
    """The steps from the physical map to the array before anything that the host computes; ``None`` if it is no mere reordering."""
    if value.index is None:
        return () if value.host else (("reshape", *value.dims),)
    if value.index.size != value.size:
        return None
    flat, places = value.index.reshape(-1), np.arange(value.size).reshape(value.shape)
    for axes in _ORDERS:
        if (places.transpose(axes).reshape(-1) == flat).all():
            return (("transpose", *axes), ("reshape", *value.index.shape))
    return None


def outputs_last(lowering: Lowering, steps: list[Step], outputs: list[list[str]]) -> tuple[list[Step], list[list[str]]]:
    """``(steps, outputs)`` with the first output's layers at the very end.

    A layer that is read further is copied by a layer of its own, so that nobody reads what is an output.
    """
    ends = _output_steps(lowering, steps, outputs)
    order = []
    for names in reversed(outputs):
        names = list(dict.fromkeys(names))
        order = [name for name in order if name not in names] + names
    rest = [step for step in steps if not any(step is end for end in ends.values())]
    return [*rest, *(ends[name] for name in order)], [[ends[name].name for name in names] for names in outputs]


def _output_steps(lowering: Lowering, steps: list[Step], outputs: list[list[str]]) -> dict[str, Step]:
    """For the name of every layer that is an output the step that computes it for nobody else: that layer or a copy of it."""
    read = {source for step in steps for source in step.inputs}
    by_name = {step.name: step for step in steps}
    return {
        name: _copy(lowering, by_name[name]) if name in read else by_name[name]
        for name in dict.fromkeys(name for names in outputs for name in names)
    }


def _copy(lowering: Lowering, step: Step) -> Step:
    """A layer that copies the output of ``step``."""
    ctx = OperatorContext(lowering, f"{step.name}_output", step.origin)
    scale(ctx, Value((step.name,), step.out_shape, (1, *step.out_shape)), 1.0, 0.0)
    return stand_alone(lowering.steps[-1])
