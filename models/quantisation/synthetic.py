"""Synthetic weights and inputs: random, reproducible, with an exact share of zeros, and shifts that keep signals alive.

Cycle counts depend on which weights are zero and not on what the others are, so these stand in for trained weights
wherever none are given. They come from a seed and the layer's name alone.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from squeezelerator.models.arithmetic import golden
from squeezelerator.models.arithmetic.float_network import FloatLayer
from squeezelerator.models.arithmetic.quantised_network import INT16_MAX, MAX_SHIFT, LayerQuant, QuantNetwork, pool_factor
from squeezelerator.models.quantisation.formats import function_table
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import Numbers

_CHUNK = 1 << 20
_INPUT_RMS = 3000
_TARGET_BITS = 11
"""A layer's outputs are scaled to a mean magnitude of 2**10 to 2**11: four bits below saturation."""
_BRANCH_BITS = 9
"""The same for layers whose output is added to another: a chain of sums must not grow into saturation."""
_FUNCTION_FRACS = 11, 12
"""Fractional bits of a function's input and output: most inputs lie between -4 and 4."""
_MAX_STD = 2048
_FAN_IN_BUDGET = 1 << 22
"""Mean sum of one filter's magnitudes at most: a quarter of what 40 accumulator bits allow."""


def _rng(seed: int, *parts: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32("/".join(parts).encode())])


def random_weights(layer: Layer, rng: np.random.Generator, sparsity: float) -> np.ndarray:
    """int16 weights of ``layer``, of which exactly ``round(sparsity * size)`` are zero, at random places."""
    size, fan_in = layer.params, layer.params // layer.c_o
    std = min(_MAX_STD, max(2, _FAN_IN_BUDGET // fan_in))
    weight = np.empty(size, np.int16)
    # In chunks with a share of the zeros each: a permutation of a large FC layer would take minutes and gigabytes.
    zeros = round(sparsity * size)
    for start in range(0, size, _CHUNK):
        end = min(start + _CHUNK, size)
        values = np.rint(rng.standard_normal(end - start, dtype=np.float32) * np.float32(std)).astype(np.int32)
        values = np.clip(values, -INT16_MAX, INT16_MAX)
        values[values == 0] = 1
        share = zeros * end // size - zeros * start // size
        values[rng.permutation(end - start)[:share]] = 0
        weight[start:end] = values
    return weight.reshape(layer.weight_shape)


def _fit(layer: Layer, acc: np.ndarray, rng: np.random.Generator, bits: int) -> tuple[np.ndarray, int]:
    """``(bias, shift)`` for sums ``acc``: biases of up to half the mean magnitude, none 0; outputs of ``bits`` bits."""
    mean = max(1, int(np.abs(acc).sum(dtype=np.int64)) // acc.size)
    spread = min(max(2, mean // 2), (1 << 31) - 1)
    bias = rng.integers(1, spread, layer.c_o) * rng.choice((-1, 1), layer.c_o)
    return bias.astype(np.int32), min(MAX_SHIFT, max(0, mean.bit_length() - bits))


def _unweighted(layer: Layer, inputs: Sequence[np.ndarray]) -> LayerQuant:
    """The numbers of a layer without weights."""
    if layer.rule.numbers is Numbers.MEAN_FACTOR:
        mult, shift = pool_factor(layer.k_w * layer.k_h)
        return LayerQuant(shift=shift, mult=mult)
    if layer.rule.numbers is Numbers.PRODUCT:
        mean = max(1, int(np.abs(inputs[0].astype(np.int64) * inputs[1]).sum()) // inputs[0].size)
        return LayerQuant(shift=max(0, mean.bit_length() - _TARGET_BITS))
    if layer.rule.numbers is Numbers.TABLE:
        return LayerQuant(**function_table(layer, FloatLayer(), *_FUNCTION_FRACS)._asdict())
    return LayerQuant()


def synthetic_input(table: LayerTable, seed: int = 0) -> np.ndarray:
    """Reproducible int16 (C, H, W) input: noise over a smooth pattern, so that it spans a useful range."""
    channels, height, width = table.input_shape
    rng = _rng(seed, "input")
    rows, columns = np.arange(height)[:, None] * 7, np.arange(width)[None, :] * 5
    pattern = (rows + columns) % 64 * 100 - 3200
    noise = np.rint(rng.standard_normal((channels, height, width)) * _INPUT_RMS).astype(np.int64)
    return np.clip(noise + pattern, -INT16_MAX, INT16_MAX).astype(np.int16)


def synthetic(table: LayerTable, seed: int = 0, sparsity: float = 0.4) -> QuantNetwork:
    """A :class:`~models.arithmetic.quantised_network.QuantNetwork` with random weights.

    Parameters
    ----------
    table : LayerTable
    seed : int
        Not negative. Equal seeds give equal networks.
    sparsity : float
        Share of zero weights in every layer, 0 to 1.

    Raises
    ------
    ValueError
        If ``seed`` or ``sparsity`` is out of range.
    """
    if seed < 0:
        raise ValueError(f"seed must not be negative, not {seed}")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be between 0 and 1, not {sparsity}")
    # Shifts come from running the network once: any estimate of the signal's growth drifts over a hundred layers.
    maps = {NETWORK_INPUT: synthetic_input(table, seed)}
    last_use = {source: layer.name for layer in table.layers for source in layer.inputs}
    quant = {}
    for layer in table.layers:
        inputs = [maps[source] for source in layer.inputs]
        if layer.has_weights:
            quant[layer.name], maps[layer.name] = _with_weights(table, layer, inputs, _rng(seed, table.name, layer.name), sparsity)
        else:
            quant[layer.name] = _unweighted(layer, inputs)
            maps[layer.name] = golden.run_layer(layer, quant[layer.name], inputs)
        for source in layer.inputs:
            if last_use[source] == layer.name:
                maps.pop(source, None)
    return QuantNetwork(table, quant, synthetic=True).validate()


def _with_weights(table: LayerTable, layer: Layer, inputs: list[np.ndarray], rng: np.random.Generator,
                  sparsity: float) -> tuple[LayerQuant, np.ndarray]:
    """The numbers of a layer with random weights, and its output for ``inputs``."""
    weight = random_weights(layer, rng, sparsity)
    acc = golden.accumulate(layer, weight, np.concatenate(inputs))
    added = any(reader.rule.operands is not None for reader in table.consumers(layer.name))
    bias, shift = _fit(layer, acc, rng, _BRANCH_BITS if added else _TARGET_BITS)
    clip = 3 << (_TARGET_BITS - 1) if layer.activation == "relu6" else INT16_MAX
    numbers = LayerQuant(weight=weight, bias=bias, shift=shift, clip=clip)
    return numbers, golden.requantise(layer, numbers, acc)
