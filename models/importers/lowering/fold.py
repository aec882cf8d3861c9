"""From the steps of a lowered graph to a float network: what can ride on another layer is folded into it.

A per-channel scale (batch norm) goes into the weights of the convolution before it, an activation becomes that layer's own. Where
that layer has other readers, or there is none, the step becomes a depthwise 1x1 convolution.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort, OutputPort, Ports
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.phases import find_phases, host_order
from squeezelerator.models.importers.lowering.steps import Step, identity_conv
from squeezelerator.models.importers.lowering.upsampling import to_phases
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.activations import ACTIVATIONS
from squeezelerator.spec.network.layer import NETWORK_INPUT, Activation, Layer, LayerType, TableError
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import layer_rule

_ORDERS = ((0, 1, 2), (1, 2, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0))


def finish(lowering: Lowering, outputs: Sequence[tuple[str, Value]], name: str, given: InputPort) -> FloatNetwork:
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a :class:`~models.importers.lowering.lowering.Lowering`.

    ``outputs`` are the values that the graph returns, each with its name; ``name`` is the network's, ``given`` describes its input.

    Raises
    ------
    WeightError
        If the graph computes nothing, or a layer's shape cannot be expressed in a table.
    """
    found = [(port, *_returned(lowering, port, value)) for port, value in outputs]
    wanted = [sources for _, sources, _ in found]
    steps, wanted = _fold(_alive(lowering.steps, {source for sources in wanted for source in sources}), wanted)
    steps, wanted = _outputs_last(lowering, steps, wanted)
    table = LayerTable(name, lowering.input_shape, tuple(_layer(step) for step in steps))
    params = {step.name: _numbers(step) for step in steps}
    ports = Ports(given, tuple(OutputPort(port, tuple(layers), order) for (port, _, order), layers in zip(found, wanted, strict=True)))
    try:
        return FloatNetwork(table.validate(), params, ports=ports, notes=tuple(lowering.notes)).validate()
    except TableError as error:
        origins = {step.name: step.origin for step in steps}
        where = next((origin for layer, origin in origins.items() if f"layer {layer}:" in str(error)), None)
        raise WeightError(f"{lowering.title}: {f'{where}: ' if where else ''}{error}") from None


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
    )


def _returned(lowering: Lowering, name: str, value: Value) -> tuple[list[str], tuple[tuple, ...]]:
    """``(layers, steps)`` of an output: what it consists of, and what the host does with that (see :mod:`models.arithmetic.ports`)."""
    dims = value.dims if value.index is None else tuple(value.index.shape)
    host = value.host
    order = _order(value)
    phases = find_phases(value) if order is None else None
    if phases is not None:
        plain = replace(value, dims=dims, host=())
        value = to_phases(lowering, name, f"output {name!r}", plain, phases.factor)
        order = host_order(value)
    if order is None:
        value = lowering.materialise(name, f"output {name!r}", replace(value, dims=dims, host=()))
        order = (("reshape", *dims),)
    if NETWORK_INPUT in value.sources:
        value = lowering.single(name, f"output {name!r}", value)
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


def _alive(steps: list[Step], outputs: set[str]) -> list[Step]:
    """The steps that some of the steps ``outputs`` depend on, which are among them."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def _fold(steps: list[Step], outputs: list[list[str]]) -> tuple[list[Step], list[list[str]]]:
    """``(steps, outputs)`` without ``Scale`` and ``Act``; ``outputs`` are lists of names of steps."""
    by_name = {step.name: step for step in steps}
    readers = {name: [] for name in (NETWORK_INPUT, *by_name)}
    for step in steps:
        for source in dict.fromkeys(step.inputs):
            readers[source].append(step)
    returned, renamed, kept = {name for names in outputs for name in names}, {}, []
    for step in steps:
        step.inputs = [target for source in step.inputs for target in renamed.get(source, (source,))]
        targets = _targets(step, by_name, readers, returned) if step.kind in ("Scale", "Act") else None
        if targets is None:
            kept.append(_stand_alone(step))
            by_name[step.name] = kept[-1]
            continue
        if step.kind == "Scale":
            _scale(targets, step)
        else:
            for target in targets:
                target.activation, target.clip, target.slope = step.activation, step.clip, step.slope
        renamed[step.name] = step.inputs
        for source in step.inputs:
            readers[source] = [*(reader for reader in readers[source] if reader is not step), *readers[step.name]]
        if step.name in returned:
            returned.update(step.inputs)
    # An output that was folded is now the output of the layers before it.
    return kept, [[target for name in names for target in renamed.get(name, [name])] for names in outputs]


def _targets(step: Step, by_name: dict[str, Step], readers: dict[str, list[Step]], returned: set[str]) -> list[Step] | None:
    """The layers into which a ``Scale`` or ``Act`` can go, in the order of its input's channels; ``None`` if it cannot."""
    if len(step.inputs) > 1 and any((rule := layer_rule(reader.kind)) and rule.operands is not None for reader in readers[step.name]):
        # Without the step its readers would see several layers, which an operand (of an Add) cannot be.
        return None
    found = []
    for source in step.inputs:
        target = by_name.get(source)
        if target is None or source in returned or len(readers[source]) != 1:
            return None
        rule = layer_rule(target.kind)
        if rule is None:
            return None
        if step.kind == "Act" and rule.selects_largest and ACTIVATIONS[Activation(step.activation)].monotonic:
            # The largest of the activated values is the activated largest value.
            below = _targets_below(target, by_name, readers, returned)
            if below is None:
                return None
            found += below
        elif target.activation == "none" and (rule.has_weights if step.kind == "Scale" else rule.activation):
            found.append(target)
        else:
            return None
    return found if len(set(map(id, found))) == len(found) else None


def _targets_below(pool: Step, by_name: dict[str, Step], readers: dict[str, list[Step]], returned: set[str]) -> list[Step] | None:
    found = []
    for source in pool.inputs:
        target = by_name.get(source)
        if target is None or source in returned or len(readers[source]) != 1:
            return None
        rule = layer_rule(target.kind)
        if rule is None or not rule.activation or target.activation != "none":
            return None
        found.append(target)
    return found


def _scale(targets: list[Step], step: Step) -> None:
    start, (factors, offsets) = 0, step.arrays()
    for target in targets:
        end = start + target.out_shape[0]
        factor, offset = factors[start:end].astype(np.float64), offsets[start:end]
        weight, bias = target.arrays()
        target.weight = (weight * factor[:, None, None, None]).astype(np.float32)
        target.bias = (bias * factor + offset).astype(np.float32)
        start = end


def _stand_alone(step: Step) -> Step:
    """``step``, or the convolution that does what it does."""
    channels = step.in_shape[0]
    if step.kind == "Scale":
        return identity_conv(step, *step.arrays())
    if step.kind == "Act":
        return identity_conv(step, np.ones(channels, np.float32), np.zeros(channels, np.float32))
    return step


def _outputs_last(lowering: Lowering, steps: list[Step], outputs: list[list[str]]) -> tuple[list[Step], list[list[str]]]:
    """``(steps, outputs)`` with the first output's layers at the very end; a layer that is read further, or is part of several outputs
    or twice of one, is copied by a layer of its own where nobody reads the copy."""
    read = {source for step in steps for source in step.inputs}
    by_name = {step.name: step for step in steps}
    ends, named = {}, []
    for names in outputs:
        for name in names:
            if name in read and name not in ends:
                step = by_name[name]
                value = lowering.result(name, step.out_shape, 4)
                lowering.scale(f"{name}_output", step.origin, value, 1.0, 0.0)
                ends[name] = _stand_alone(lowering.steps[-1])
            elif name not in ends:
                ends[name] = by_name[name]
        named.append([ends[name].name for name in names])
    last = list(reversed([list(dict.fromkeys(names)) for names in outputs]))
    order = []
    for names in last:
        order = [name for name in order if name not in names] + names
    rest = [step for step in steps if not any(step is end for end in ends.values())]
    return [*rest, *(ends[name] for name in order)], named
