"""From the steps of a lowered graph to a float network: a layer table, its numbers, and the network's ports."""

from collections.abc import Sequence

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort, OutputPort, Ports
from squeezelerator.models.importers.errors import OutputRefused, WeightError
from squeezelerator.models.importers.lowering.fold import fold
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.outputs import outputs_last, returned
from squeezelerator.models.importers.lowering.steps import Step
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.network.layer import Activation, Layer, LayerType, TableError
from squeezelerator.spec.network.layer_table import LayerTable


def finish(lowering: Lowering, outputs: Sequence[tuple[str, Value]], name: str, given: Sequence[InputPort]) -> FloatNetwork:
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a :class:`~models.importers.lowering.lowering.Lowering`.

    ``outputs`` are the values that the graph returns, each with its name; ``name`` is the network's, ``given`` describes its inputs.

    Raises
    ------
    WeightError
        If the graph computes nothing, or a layer's shape cannot be expressed in a table.
    """
    found = [(port, *_returned(lowering, port, value)) for port, value in outputs]
    wanted = [layers for _, layers, _ in found]
    folded = fold(_needed(lowering.steps, wanted), wanted)
    steps, wanted = outputs_last(lowering, folded.steps, folded.outputs)
    returns = (OutputPort(port, tuple(layers), order) for (port, _, order), layers in zip(found, wanted, strict=True))
    ports = Ports(tuple(given), tuple(returns))
    table = LayerTable(name, lowering.input_shape, tuple(_layer(step) for step in steps))
    params = {step.name: _numbers(step) for step in steps}
    try:
        return FloatNetwork(table.validate(), params, ports=ports, notes=tuple(lowering.notes)).validate()
    except TableError as error:
        raise WeightError(f"{lowering.title}: {_origin(steps, str(error))}{error}") from None


def _returned(lowering: Lowering, port: str, value: Value) -> tuple[list[str], tuple[tuple, ...]]:
    """As :func:`returned`, whose complaint is about the output ``port``."""
    try:
        return returned(lowering, port, value)
    except WeightError as error:
        raise OutputRefused(str(error), port) from None


def _origin(steps: list[Step], complaint: str) -> str:
    """The operator of the layer that a complaint about the table names, with a colon; empty if it names none."""
    return next((f"{step.origin}: " for step in steps if f"layer {step.name}:" in complaint), "")


def _needed(steps: list[Step], outputs: list[list[str]]) -> list[Step]:
    """The steps that some output depends on."""
    needed, kept = {name for names in outputs for name in names}, []
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def _layer(step: Step) -> Layer:
    (c_i, h_i, w_i), (c_o, h_o, w_o) = step.in_shape, step.out_shape
    return Layer(
        name=step.name, type=LayerType(step.kind), inputs=tuple(step.inputs), w_i=w_i, h_i=h_i, c_i=c_i,
        k_w=step.kernel[0], k_h=step.kernel[1], w_o=w_o, h_o=h_o, c_o=c_o, s_x=step.stride[0], s_y=step.stride[1],
        p_w=step.pad[0], p_h=step.pad[1], groups=step.groups, activation=Activation(step.activation),
    )  # fmt: skip


def _numbers(step: Step) -> FloatLayer:
    return FloatLayer(
        weight=None if step.weight is None else np.ascontiguousarray(step.weight, np.float32),
        bias=None if step.bias is None else np.ascontiguousarray(step.bias, np.float32),
        clip=step.clip,
        slope=step.slope,
        exponent=step.exponent,
    )
