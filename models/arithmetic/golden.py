"""Golden model: a quantised network in numpy, layer by layer, from its table and its weights alone.

The arithmetic is the one that :mod:`models.arithmetic.quantised_network` defines. Sums of products are computed as matrix products in
float64, which are exact here: every partial sum is a whole number below 2**53 for up to 2**23 products.
"""

from collections.abc import Sequence

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.models.arithmetic.quantised_network import INT16_MAX, INT16_MIN, LayerQuant, QuantNetwork
from squeezelerator.spec.functions.activations import ACTIVATIONS
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable

_BLOCK = 1 << 22
"""Elements of the largest temporary matrix; larger layers are computed in bands of rows and blocks of filters."""

_EXACT_PRODUCTS = 1 << 23


class InputError(UserError, ValueError):
    """The input does not fit the network; the message is one line."""


def _sat16(value: np.ndarray) -> np.ndarray:
    return np.clip(value, INT16_MIN, INT16_MAX)


def round_shift(value: np.ndarray, shift: int) -> np.ndarray:
    """``value >> shift`` on int64, rounded to nearest with halves up."""
    return (value + (1 << (shift - 1) if shift > 0 else 0)) >> shift


def activate(value: np.ndarray, layer: Layer, lq: LayerQuant) -> np.ndarray:
    """Apply the layer's activation to saturated int64 values; returns int16."""
    rule = ACTIVATIONS[layer.activation]
    return rule.integer(value, getattr(lq, rule.parameter.field) if rule.parameter else 0).astype(np.int16)


def _windows(layer: Layer, x: np.ndarray, fill: int) -> np.ndarray:
    """View (C, Ho, Wo, Kh, Kw) of the padded input's windows."""
    right, bottom = layer.pad_after
    if layer.p_w or layer.p_h or right or bottom:
        pads = ((0, 0), (layer.p_h, bottom), (layer.p_w, right))
        x = np.pad(x, pads, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (layer.k_h, layer.k_w), axis=(1, 2))
    return view[:, :: layer.s_y, :: layer.s_x][:, : layer.h_o, : layer.w_o]


def accumulate(layer: Layer, weight: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Exact sums of products of a Conv or FC layer, without bias: int64 (C, Ho, Wo)."""
    products = weight[0].size
    if products > _EXACT_PRODUCTS:
        raise InputError(
            f"layer {layer.name}: {products} products an output exceed the {_EXACT_PRODUCTS} that are exact"
        )
    groups, filters = layer.groups, layer.c_o // layer.groups
    windows = _windows(layer, x, 0).reshape(groups, layer.c_i // groups, layer.h_o, layer.w_o, layer.k_h, layer.k_w)
    weight = weight.reshape(groups, filters, products)
    acc = np.empty((groups, filters, layer.h_o, layer.w_o), np.int64)
    rows = max(1, _BLOCK // (groups * products * layer.w_o))
    block = max(1, _BLOCK // (groups * products))
    for start in range(0, filters, block):
        part = weight[:, start : start + block].astype(np.float64)
        for top in range(0, layer.h_o, rows):
            band = windows[:, :, top : top + rows].transpose(0, 1, 4, 5, 2, 3).astype(np.float64)
            sums = part @ band.reshape(groups, products, -1)
            acc[:, start : start + block, top : top + rows] = sums.reshape(*part.shape[:2], -1, layer.w_o)
    return acc.reshape(layer.out_shape)


def requantise(layer: Layer, lq: LayerQuant, acc: np.ndarray) -> np.ndarray:
    """Bias, rounding shift, saturation and activation of a Conv or FC layer's sums; returns int16."""
    bias = lq.arrays()[1].astype(np.int64)[:, None, None]
    return activate(_sat16(round_shift(acc + bias, lq.shift)), layer, lq)


def run_layer(layer: Layer, lq: LayerQuant, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Output int16 (C, H, W) of one layer from the outputs of the layers that it reads."""
    rule = layer.rule
    if rule.operands is None and len(inputs) > 1:
        inputs = [np.concatenate(inputs)]
    if rule.integer is None:
        return requantise(layer, lq, accumulate(layer, lq.arrays()[0], inputs[0]))
    if rule.has_windows:
        inputs = [_windows(layer, inputs[0], INT16_MIN if rule.pads_lowest else 0)]
    else:
        inputs = [item.astype(np.int64) for item in inputs]
    return activate(_sat16(rule.integer(inputs, lq).astype(np.int64)), layer, lq)


def check_input(table: LayerTable, x: np.ndarray) -> None:
    """Raise :class:`InputError` unless ``x`` is int16 of the network's input shape."""
    if not isinstance(x, np.ndarray) or x.shape != tuple(table.input_shape) or x.dtype != np.int16:
        found = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"input of {table.name} must be int16 {tuple(table.input_shape)}, not {found}")


def run(net: QuantNetwork, x: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs of all layers.

    Parameters
    ----------
    net : models.arithmetic.quantised_network.QuantNetwork
    x : numpy.ndarray
        int16 (C, H, W).

    Returns
    -------
    dict of str to numpy.ndarray
        int16 (C, H, W) for every layer, by name.
    """
    check_input(net.table, x)
    maps = {NETWORK_INPUT: x}
    for layer in net.table.layers:
        maps[layer.name] = run_layer(layer, net.quant[layer.name], [maps[source] for source in layer.inputs])
    del maps[NETWORK_INPUT]
    return maps
