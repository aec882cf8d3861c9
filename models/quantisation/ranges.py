"""Layers that keep maps of very different sizes apart, so that each can have a number format of its own.

A pool of a concatenation has one format for all its parts, and an Add one for both operands. Where that would cost a part many bits, a
pool becomes one pool a part, and an operand that others read as well is copied for the Add.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer, LayerType
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import Numbers

_MAY_DIFFER = 6
"""Bits by which maps that share a format may differ in size."""


@dataclass(frozen=True)
class Ranges:
    """What calibration saw, by layer name (``"input"`` for the network's input): the largest magnitude of each map, and the mean of each
    of its channels (none of layers that only quantisation has made)."""

    largest: dict[str, float]
    means: Mapping[str, np.ndarray] = field(default_factory=dict)

    def means_of(self, names: Sequence[str]) -> list[np.ndarray] | None:
        """The channels' means of some maps; ``None`` if one is not known."""
        return [self.means[name] for name in names] if all(name in self.means for name in names) else None

    def bits(self, names: Iterable[str]) -> list[int]:
        """Exponents of the largest magnitudes; maps of zeros have none."""
        return [int(np.frexp(self.largest[name])[1]) for name in names if self.largest[name] > 0]


def separate(net: FloatNetwork, ranges: Ranges) -> tuple[FloatNetwork, Ranges]:
    """``(net, ranges)`` with pools split and operands copied; the same objects where nothing is to be done."""
    separation = _Separation(net, ranges)
    for layer in net.table.layers:
        separation.place(layer)
    return separation.result()


class _Separation:
    """A network while its maps are kept apart: the layers so far, and what has taken the place of those that are split."""

    def __init__(self, net: FloatNetwork, ranges: Ranges) -> None:
        self._net, self._ranges, self._largest = net, ranges, dict(ranges.largest)
        self._layers: list[Layer] = []
        self._params = dict(net.params)
        self._renamed: dict[str, tuple[str, ...]] = {}
        self._returned = {name for port in net.ports.outputs for name in port.layers} if net.ports else set()

    def _now(self, names: Iterable[str]) -> tuple[str, ...]:
        """The layers that compute what ``names`` computed."""
        return tuple(target for name in names for target in self._renamed.get(name, (name,)))

    def place(self, layer: Layer) -> None:
        """Append a layer, with what it needs to be kept apart."""
        inputs = self._now(layer.inputs)
        layer = layer if inputs == layer.inputs else replace(layer, inputs=inputs)
        if layer.rule.operands is not None and layer.rule.numbers is Numbers.NONE:
            self._place_sum(layer)
        elif layer.rule.operands is None and not layer.has_weights and self._inputs_differ(layer):
            self._place_parts(layer)
        else:
            self._layers.append(layer)

    def _inputs_differ(self, layer: Layer) -> bool:
        bits = self._ranges.bits(name for name in layer.inputs if name in self._ranges.largest)
        return bool(bits) and max(bits) - min(bits) > _MAY_DIFFER

    def _place_parts(self, layer: Layer) -> None:
        """A pool or function for each input instead of one for all."""
        source = layer.name if layer.rule.numbers is Numbers.TABLE else None
        sizes = {other.name: other.c_o for other in self._layers} | {NETWORK_INPUT: self._net.table.input_shape[0]}
        parts = [replace(layer, name=f"{layer.name}_part{place}", inputs=(name,), c_i=sizes[name], c_o=sizes[name])
                 for place, name in enumerate(layer.inputs)]  # fmt: skip
        self._largest.update({part.name: self._largest[source or part.inputs[0]] for part in parts})
        self._renamed[layer.name] = tuple(part.name for part in parts)
        self._layers += parts

    def _place_sum(self, layer: Layer) -> None:
        """A sum, with copies of the operands that would lose bits which others need."""
        taken = {}
        for name in dict.fromkeys(layer.inputs):
            if _suffers(self._net.table, self._ranges, layer, name, self._returned):
                copy = _copy(layer, name, self._largest)
                self._layers.append(copy)
                self._largest[copy.name] = self._largest[name]
                self._params[copy.name] = FloatLayer(np.ones((copy.c_o, 1, 1, 1), np.float32), np.zeros(copy.c_o, np.float32))
                taken[name] = copy.name
        self._layers.append(replace(layer, inputs=tuple(taken.get(name, name) for name in layer.inputs)) if taken else layer)

    def result(self) -> tuple[FloatNetwork, Ranges]:
        """The network and ranges of the layers placed."""
        net, table = self._net, self._net.table
        if tuple(self._layers) == table.layers:
            return net, self._ranges
        largest = {name: self._largest[name] for name in (NETWORK_INPUT, *(layer.name for layer in self._layers))}
        ports = net.ports
        if ports:
            ports = replace(ports, outputs=tuple(replace(port, layers=self._now(port.layers)) for port in ports.outputs))
        table = LayerTable(table.name, table.input_shape, tuple(self._layers)).validate()
        return replace(net, table=table, params=self._params, ports=ports), Ranges(largest, self._ranges.means)


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
