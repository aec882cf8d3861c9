"""From the steps of a lowered graph to a float network: what can ride on another layer is folded into it.

A per-channel scale (batch norm) goes into the weights of the convolution before it, an activation becomes that layer's own. Where
that layer has other readers, or there is none, the step becomes a depthwise 1x1 convolution.
"""

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.lowering import Value, identity_conv
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer, TableError
from squeezelerator.spec.network.layer_table import LayerTable


def finish(lowering, outputs, name):
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a :class:`~models.importers.lowering.Lowering`.

    ``outputs`` are the values that the graph returns, ``name`` is the network's.

    Raises
    ------
    WeightError
        If the graph computes nothing, or a layer's shape cannot be expressed in a table.
    """
    outputs = [lowering.single("output", "the output", value).sources[0] for value in outputs]
    steps, outputs = _fold(_alive(lowering.steps, outputs), outputs)
    steps = _outputs_last(lowering, steps, outputs)
    layers = []
    for step in steps:
        (c_i, h_i, w_i), (c_o, h_o, w_o) = step.in_shape, step.out_shape
        layers.append(
            Layer(
                name=step.name, type=step.kind, inputs=tuple(step.inputs), w_i=w_i, h_i=h_i, c_i=c_i,
                k_w=step.kernel[0], k_h=step.kernel[1], w_o=w_o, h_o=h_o, c_o=c_o, s_x=step.stride[0], s_y=step.stride[1],
                p_w=step.pad[0], p_h=step.pad[1], groups=step.groups, activation=step.activation,
            )
        )  # fmt: skip
    table = LayerTable(name, tuple(lowering.input_shape), tuple(layers))
    params = {
        step.name: FloatLayer(
            weight=None if step.weight is None else np.ascontiguousarray(step.weight, np.float32),
            bias=None if step.bias is None else np.ascontiguousarray(step.bias, np.float32),
            clip=step.clip,
            slope=step.slope,
        )
        for step in steps
    }
    try:
        return FloatNetwork(table.validate(), params).validate()
    except TableError as error:
        origins = {step.name: step.origin for step in steps}
        where = next((origin for layer, origin in origins.items() if f"layer {layer}:" in str(error)), None)
        raise WeightError(f"{lowering.title}: {f'{where}: ' if where else ''}{error}") from None


def _alive(steps, outputs):
    """The steps that some output depends on."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if step.name in needed:
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def _fold(steps, outputs):
    """``(steps, outputs)`` without ``Scale`` and ``Act``; ``outputs`` are names of steps."""
    by_name = {step.name: step for step in steps}
    readers = {name: [] for name in (NETWORK_INPUT, *by_name)}
    for step in steps:
        for source in dict.fromkeys(step.inputs):
            readers[source].append(step)
    returned, renamed, kept = set(outputs), {}, []
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
            returned.add(step.inputs[0])
    # An output that was folded is now the output of the layer before it.
    return kept, [renamed.get(name, [name])[0] for name in outputs]


def _targets(step, by_name, readers, returned):
    """The layers into which a ``Scale`` or ``Act`` can go, in the order of its input's channels; ``None`` if it cannot."""
    if len(step.inputs) > 1 and (step.name in returned or any(reader.kind == "Add" for reader in readers[step.name])):
        # Without the step its readers would see several layers, which an Add and an output cannot.
        return None
    found = []
    for source in step.inputs:
        target = by_name.get(source)
        if target is None or source in returned or len(readers[source]) != 1:
            return None
        if step.kind == "Act" and target.kind == "MaxPool":
            # The largest of the activated values is the activated largest value: every activation here is monotonic.
            below = _targets_below(target, by_name, readers, returned)
            if below is None:
                return None
            found += below
        elif target.activation == "none" and target.kind in (("Conv", "FC") if step.kind == "Scale" else ("Conv", "FC", "Add")):
            found.append(target)
        else:
            return None
    return found if len(set(map(id, found))) == len(found) else None


def _targets_below(pool, by_name, readers, returned):
    found = []
    for source in pool.inputs:
        target = by_name.get(source)
        if (
            target is None or source in returned or len(readers[source]) != 1
            or target.kind not in ("Conv", "FC", "Add") or target.activation != "none"
        ):  # fmt: skip
            return None
        found.append(target)
    return found


def _scale(targets, step):
    start = 0
    for target in targets:
        end = start + target.out_shape[0]
        factor, offset = step.weight[start:end].astype(np.float64), step.bias[start:end]
        target.weight = (target.weight * factor[:, None, None, None]).astype(np.float32)
        target.bias = (target.bias * factor + offset).astype(np.float32)
        start = end


def _stand_alone(step):
    """``step``, or the convolution that does what it does."""
    channels = step.in_shape[0]
    if step.kind == "Scale":
        return identity_conv(step, step.weight, step.bias)
    if step.kind == "Act":
        return identity_conv(step, np.ones(channels, np.float32), np.zeros(channels, np.float32))
    return step


def _outputs_last(lowering, steps, outputs):
    """The steps with the first output at the very end; an output that is read further is copied by a layer of its own."""
    read = {source for step in steps for source in step.inputs}
    by_name = {step.name: step for step in steps}
    ends = []
    for name in dict.fromkeys(outputs):
        if name in read:
            step = by_name[name]
            lowering.scale(f"{name}_output", step.origin, Value((name,), step.out_shape), 1.0, 0.0)
            ends.append(_stand_alone(lowering.steps[-1]))
        else:
            ends.append(by_name[name])
    rest = [step for step in steps if not any(step is end for end in ends)]
    return [*rest, *reversed(ends)]
