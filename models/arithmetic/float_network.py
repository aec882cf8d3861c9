"""Networks with float weights: a layer table, its trained numbers, and what it computes, in numpy.

The reference that quantisation is measured against, and the form in which every importer hands over a network: batch norm
is folded, so a Conv or FC layer has a weight and a bias and nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.models.arithmetic.ports import Ports, default_ports
from squeezelerator.spec.functions.activations import ACTIVATIONS, CLIP, SLOPE
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable

_BLOCK = 1 << 23
"""Elements of the largest temporary matrix; larger layers are computed in bands of rows."""


class FloatError(UserError, ValueError):
    """Float weights do not fit the layer table; the message is one line that names the layer."""


@dataclass(frozen=True)
class FloatLayer:
    """The numbers of one layer.

    ``weight`` is float32 (O, I/groups, Kh, Kw) and ``bias`` float32 (O), both ``None`` where the layer has no weights. ``clip``
    is the upper end of a ``relu6`` activation, ``slope`` the factor that ``leaky`` applies to negative values, ``exponent`` that of a
    ``Power`` layer.
    """

    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    clip: float = CLIP.default
    slope: float = SLOPE.default
    exponent: float = 1.0

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(weight, bias) of a layer that has them.

        Raises
        ------
        FloatError
            If it has not.
        """
        if self.weight is None or self.bias is None:
            raise FloatError("a layer without weights was asked for them")
        return self.weight, self.bias


@dataclass(frozen=True)
class FloatNetwork:
    """A layer table with float weights.

    Parameters
    ----------
    table : LayerTable
    params : dict of str to FloatLayer
        One entry for every layer with weights; other layers may be left out.
    preprocessing : str
        Name of the preparation of pictures (see :mod:`models.pictures.images`) that the weights were trained with; empty if unknown.
    ports : Ports or None
        Inputs and outputs as a file names and shapes them; ``None``: as the table does.
    notes : tuple of str
        What an importer did not take literally.
    """

    table: LayerTable
    params: dict[str, FloatLayer]
    preprocessing: str = ""
    ports: Ports | None = None
    notes: tuple[str, ...] = ()

    def numbers(self, layer: Layer) -> FloatLayer:
        """The :class:`FloatLayer` of ``layer``."""
        return self.params.get(layer.name) or FloatLayer()

    def validate(self) -> Self:
        """Check shapes and values and return the network.

        Raises
        ------
        FloatError
            At the first array that is missing, has the wrong shape, or contains NaN or infinity.
        """
        for layer in self.table.layers:
            if not layer.has_weights:
                continue
            numbers = self.numbers(layer)
            for field, shape in (("weight", layer.weight_shape), ("bias", (layer.c_o,))):
                value = getattr(numbers, field)
                if value is None:
                    raise FloatError(f"layer {layer.name}: has no {field}")
                if value.shape != shape:
                    raise FloatError(f"layer {layer.name}: {field} must have shape {shape}, not {value.shape}")
                if not np.isfinite(value).all():
                    raise FloatError(f"layer {layer.name}: {field} contains {bad_value(value)}")
        return self


def bad_value(value: np.ndarray) -> str:
    """``"NaN"`` or ``"infinity"``: what an array that is not finite contains."""
    return "NaN" if np.isnan(value).any() else "infinity"


def activate(layer: Layer, numbers: FloatLayer, value: np.ndarray) -> np.ndarray:
    """Apply the layer's activation to float32 values."""
    rule = ACTIVATIONS[layer.activation]
    return rule.real(value, getattr(numbers, rule.parameter.field) if rule.parameter else 0.0)


def _windows(layer: Layer, x: np.ndarray, fill: float) -> np.ndarray:
    """View (C, Ho, Wo, Kh, Kw) of the windows of ``x``, padded with ``fill``."""
    right, bottom = layer.pad_after
    if layer.p_w or layer.p_h or right or bottom:
        x = np.pad(x, ((0, 0), (layer.p_h, bottom), (layer.p_w, right)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (layer.k_h, layer.k_w), axis=(1, 2))
    return view[:, :: layer.s_y, :: layer.s_x][:, : layer.h_o, : layer.w_o]


def _convolve(layer: Layer, numbers: FloatLayer, x: np.ndarray) -> np.ndarray:
    weight, bias = numbers.arrays()
    groups, products = layer.groups, weight[0].size
    weight = weight.reshape(groups, layer.c_o // groups, products)
    windows = _windows(layer, x, 0).reshape(groups, -1, layer.h_o, layer.w_o, layer.k_h, layer.k_w)
    out = np.empty((groups, layer.c_o // groups, layer.h_o, layer.w_o), np.float32)
    rows = max(1, _BLOCK // (groups * products * layer.w_o))
    for top in range(0, layer.h_o, rows):
        band = windows[:, :, top : top + rows].transpose(0, 1, 4, 5, 2, 3).reshape(groups, products, -1)
        # What overflows becomes infinite, which calibration refuses by the layer's name.
        with np.errstate(over="ignore", invalid="ignore"):
            sums = weight @ band
        out[:, :, top : top + rows] = sums.reshape(groups, layer.c_o // groups, -1, layer.w_o)
    return out.reshape(layer.out_shape) + bias[:, None, None]


def before_activation(layer: Layer, numbers: FloatLayer, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Output float32 (C, H, W) of one layer, its activation not yet applied, from the outputs that it reads."""
    rule = layer.rule
    if rule.operands is None and len(inputs) > 1:
        inputs = [np.concatenate(inputs)]
    if rule.real is None:
        return _convolve(layer, numbers, inputs[0])
    operands = [_windows(layer, inputs[0], -np.inf if rule.pads_lowest else 0)] if rule.has_windows else inputs
    return rule.real(operands, numbers.exponent)


def walk(net: FloatNetwork, x: np.ndarray) -> Iterator[tuple[Layer, np.ndarray, np.ndarray]]:
    """Yield ``(layer, before, output)`` for every layer: float32 (C, H, W) before and after the activation.

    ``x`` is float32 (C, H, W). Maps that nobody will read again are dropped, so large networks fit into memory.

    Raises
    ------
    FloatError
        If ``x`` has the wrong shape.
    """
    x = np.asarray(x, np.float32)
    if x.shape != tuple(net.table.input_shape):
        raise FloatError(f"input of {net.table.name} must have shape {tuple(net.table.input_shape)}, not {x.shape}")
    maps = {NETWORK_INPUT: x}
    last_use = {source: layer.name for layer in net.table.layers for source in layer.inputs}
    for layer in net.table.layers:
        numbers = net.numbers(layer)
        before = before_activation(layer, numbers, [maps[source] for source in layer.inputs])
        maps[layer.name] = activate(layer, numbers, before)
        yield layer, before, maps[layer.name]
        for source in layer.inputs:
            if last_use[source] == layer.name:
                maps.pop(source, None)


def run(net: FloatNetwork, x: np.ndarray) -> dict[str, np.ndarray]:
    """Outputs float32 (C, H, W) of all layers by name, for the input float32 (C, H, W) ``x``."""
    return {layer.name: output for layer, _, output in walk(net, x)}


def outputs(net: FloatNetwork, x: np.ndarray, *, host: bool = True) -> dict[str, np.ndarray]:
    """The network's outputs by name, float32, for the input float32 (C, H, W) ``x``; without ``host`` as the last layers give them,
    before anything (a softmax, say) that the host computes."""
    ports = net.ports or default_ports(net.table.input_shape, net.table.outputs)
    wanted = {layer for port in ports.outputs for layer in port.layers}
    maps = {layer.name: output for layer, _, output in walk(net, x) if layer.name in wanted}
    return {port.name: port.value(maps, host=host) for port in ports.outputs}


def scores(net: FloatNetwork, x: np.ndarray) -> np.ndarray:
    """The network's first output, flat, as the last layer gives it, for the input float32 (C, H, W) ``x``."""
    if net.ports is not None:
        return next(iter(outputs(net, x, host=False).values())).reshape(-1)
    output = np.zeros(0, np.float32)
    for _, _, output in walk(net, x):  # noqa: B007 - the last one is wanted
        pass
    return output.reshape(-1)
