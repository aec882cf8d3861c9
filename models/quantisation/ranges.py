"""Layers that keep maps of very different sizes apart, so that each can have a number format of its own.

A pool of a concatenation has one format for all its parts, and an Add one for both operands. Where that would cost a part many bits, a
pool becomes one pool a part, and an operand that others read as well is copied for the Add.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer, LayerType
from squeezelerator.spec.network.layer_table import LayerTable

_MAY_DIFFER = 6
"""Bits by which maps that share a format may differ in size."""


@dataclass(frozen=True)
class Ranges:
    """Largest magnitudes that calibration saw, by layer name (``"input"`` for the network's input)."""

    largest: dict[str, float]

    def bits(self, names: Iterable[str]) -> list[int]:
        """Exponents of the largest magnitudes; maps of zeros have none."""
        return [int(np.frexp(self.largest[name])[1]) for name in names if self.largest[name] > 0]


def separate(net: FloatNetwork, ranges: Ranges) -> tuple[FloatNetwork, Ranges]:
    """``(net, ranges)`` with pools split and operands copied; the same objects where nothing is to be done."""
    table, largest = net.table, dict(ranges.largest)
    layers, params, renamed = [], dict(net.params), {}
    returned = {name for port in net.ports.outputs for name in port.layers} if net.ports else set()
    for layer in table.layers:
        inputs = tuple(target for name in layer.inputs for target in renamed.get(name, (name,)))
        layer = layer if inputs == layer.inputs else replace(layer, inputs=inputs)
        bits = ranges.bits(name for name in inputs if name in ranges.largest)
        if layer.rule.operands is None and not layer.has_weights and bits and max(bits) - min(bits) > _MAY_DIFFER:
            sizes = {other.name: other.c_o for other in layers} | {NETWORK_INPUT: table.input_shape[0]}
            parts = [replace(layer, name=f"{layer.name}_part{place}", inputs=(name,), c_i=sizes[name], c_o=sizes[name])
                     for place, name in enumerate(inputs)]  # fmt: skip
            largest.update({part.name: largest[part.inputs[0]] for part in parts})
            renamed[layer.name] = tuple(part.name for part in parts)
            layers += parts
            continue
        if layer.rule.operands is not None:
            copies = [_copy(layer, name, largest) for name in dict.fromkeys(inputs) if _suffers(table, ranges, layer, name, returned)]
            layers += copies
            largest.update({copy.name: largest[copy.inputs[0]] for copy in copies})
            params.update({copy.name: FloatLayer(np.ones((copy.c_o, 1, 1, 1), np.float32), np.zeros(copy.c_o, np.float32))
                           for copy in copies})  # fmt: skip
            taken = {copy.inputs[0]: copy.name for copy in copies}
            layer = replace(layer, inputs=tuple(taken.get(name, name) for name in inputs)) if copies else layer
        layers.append(layer)
    if tuple(layers) == table.layers:
        return net, ranges
    largest = {name: largest[name] for name in (NETWORK_INPUT, *(layer.name for layer in layers))}
    ports = net.ports
    if ports:
        ports = replace(ports, outputs=tuple(
            replace(port, layers=tuple(target for name in port.layers for target in renamed.get(name, (name,)))) for port in ports.outputs
        ))  # fmt: skip
    table = LayerTable(table.name, table.input_shape, tuple(layers)).validate()
    return replace(net, table=table, params=params, ports=ports), Ranges(largest)


def _suffers(table: LayerTable, ranges: Ranges, layer: Layer, name: str, returned: set[str]) -> bool:
    """Whether an operand of an Add loses bits that somebody else would have needed."""
    others = [reader for reader in table.consumers(name) if reader.name != layer.name] if name in table.by_name else []
    if name not in ranges.largest or name not in table.by_name or not (others or name in returned):
        return False
    own, all_bits = ranges.bits([name]), ranges.bits([*(item for item in layer.inputs if item in ranges.largest), layer.name])
    return bool(own) and max(all_bits) - own[0] > _MAY_DIFFER


def _copy(layer: Layer, name: str, largest: Any) -> Layer:
    return Layer(
        name=f"{layer.name}_copy" if f"{layer.name}_copy" not in largest else f"{layer.name}_{name}_copy", type=LayerType.CONV,
        inputs=(name,), w_i=layer.w_i, h_i=layer.h_i, c_i=layer.c_i, w_o=layer.w_o, h_o=layer.h_o, c_o=layer.c_o, groups=layer.c_i,
    )  # fmt: skip
