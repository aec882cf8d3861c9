"""A number format for each of several inputs, though they lie in one map.

An input that is small beside the others is multiplied by a power of two before it enters the map, and the weights that read it are
divided by it: exact in real numbers, and the input keeps the bits that it would lose in the largest one's format.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.ports import InputPort
from squeezelerator.models.quantisation.ranges import Ranges
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer

_MOST = 24
"""Bits by which inputs may differ: beyond them weights become too large for what they read beside."""


def with_input_formats(net: FloatNetwork, ranges: Ranges, peaks: np.ndarray) -> tuple[FloatNetwork, Ranges]:
    """``(net, ranges)`` with ``shift`` in the ports of inputs, and weights that make up for it.

    ``peaks`` are the largest magnitudes of the input map's channels. Nothing changes with one input, or where something other than weights
    reads the input map.
    """
    readers = net.table.consumers(NETWORK_INPUT)
    if net.ports is None or len(net.ports.inputs) < 2 or not all(layer.has_weights for layer in readers):
        return net, ranges
    shifts = _shifts(net.ports.inputs, peaks)
    if not any(shifts):
        return net, ranges
    ports = tuple(replace(port, shift=shift) for port, shift in zip(net.ports.inputs, shifts, strict=True))
    by_channel = np.repeat([2.0**shift for shift in shifts], [port.shape[0] for port in ports])
    params = net.params | {layer.name: _divided(net, layer, by_channel) for layer in readers}
    means = dict(ranges.means)
    if NETWORK_INPUT in means:
        means[NETWORK_INPUT] = means[NETWORK_INPUT] * by_channel
    return replace(net, ports=replace(net.ports, inputs=ports), params=params), replace(ranges, means=means)


def _shifts(ports: Sequence[InputPort], peaks: np.ndarray) -> list[int]:
    """Bits by which each input is smaller than the largest."""
    parts = np.split(peaks, np.cumsum([port.shape[0] for port in ports])[:-1])
    exponents = [int(np.frexp(part.max())[1]) if part.max() > 0 else None for part in parts]
    most = max((item for item in exponents if item is not None), default=0)
    return [0 if item is None else min(most - item, _MOST) for item in exponents]


def _divided(net: FloatNetwork, layer: Layer, by_channel: np.ndarray) -> FloatLayer:
    """The numbers of a layer whose weights that read the network's input are divided, channel by channel."""
    numbers = net.numbers(layer)
    weight, _ = numbers.arrays()
    factors = np.concatenate([by_channel if source == NETWORK_INPUT else np.ones(net.table.shape_of(source)[0]) for source in layer.inputs])
    per_filter = np.repeat(factors.reshape(layer.groups, 1, -1), layer.c_o // layer.groups, axis=1)
    return replace(numbers, weight=(weight / per_filter.reshape(layer.c_o, -1, 1, 1)).astype(np.float32))
