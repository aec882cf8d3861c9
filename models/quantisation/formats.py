"""Post-training quantisation to 16 bits with power-of-two formats.

Every map, weight array and bias gets a number of fractional bits, so that requantisation is a shift (see ``quantised_network``).
Maps that meet must share a format: both inputs of an Add and its output, the input and output of a max pool. So do the parts of a
concatenation as long as that costs little; parts of very different sizes keep formats of their own, and the weights of the
convolution that reads them make up for the difference, input channel by input channel. The formats of maps follow from the largest
magnitudes seen while calibration inputs run in float, plus headroom for inputs that are larger, as far as the layer can reach; those
of weights from the weights themselves. What rounding the weights adds to a sum on average goes into its bias
(:mod:`models.quantisation.bias_correction`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from squeezelerator.models.arithmetic import float_network
from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import (
    ACC_BITS,
    INT16_MAX,
    INT16_MIN,
    MAX_POOL_SHIFT,
    MAX_SHIFT,
    LayerQuant,
    QuantError,
    QuantNetwork,
    accumulator_bound,
    pool_factor,
)
from squeezelerator.models.quantisation.bias_correction import mean_error
from squeezelerator.models.quantisation.function_fit import FunctionTable, fit_table
from squeezelerator.models.quantisation.input_formats import with_input_formats
from squeezelerator.models.quantisation.ranges import Ranges, separate
from squeezelerator.spec.functions.activations import ACTIVATIONS, Parameter
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import Numbers

HEADROOM_BITS = math.log2(1.5)
"""Room above the largest magnitude that calibration saw: maps may be half as large again."""
_MAX_FRAC = 120
_MIN_FRAC = -100
_COARSEST = -110
"""Fractional bits at which the search for formats gives up."""
_POOL_GAIN = 8
"""Most fractional bits that an average pool adds: beyond them there is nothing but rounding of its factor."""
_MIN_WEIGHT_FRAC = -110
_BIAS_LIMIT = 2**31 - 1
_MAX_SHIFT = MAX_SHIFT - 2
"""Larger shifts than this would not leave the rounding's half within the accumulator."""
_BIAS_MAY_COST = 4
"""Bits that a large bias may take from a layer's weights before it takes bits from its input as well."""
_PARTS_MAY_DIFFER = 4
"""Bits by which the parts of a concatenation may differ in size before they keep formats of their own."""


def calibrate(net: FloatNetwork, inputs: Iterable[np.ndarray]) -> Ranges:
    """Run ``inputs`` (float32 arrays (C, H, W)) through a float network and return the :class:`Ranges`.

    What counts is what the machine has to represent: values behind the activation, or before one that makes them smaller.
    """
    largest = dict.fromkeys((NETWORK_INPUT, *(layer.name for layer in net.table.layers)), 0.0)
    sums: dict[str, np.ndarray] = {}
    count = 0
    for x in inputs:
        count += 1
        largest[NETWORK_INPUT] = max(largest[NETWORK_INPUT], _peak(NETWORK_INPUT, x))
        _add_mean(sums, NETWORK_INPUT, x)
        for layer, before, output in float_network.walk(net, x):
            seen = before if ACTIVATIONS[layer.activation].range_before else output
            largest[layer.name] = max(largest[layer.name], _peak(layer.name, seen))
            _add_mean(sums, layer.name, output)
    return Ranges(largest, {name: total / count for name, total in sums.items()})


def _add_mean(sums: dict[str, np.ndarray], name: str, values: np.ndarray) -> None:
    """Add the means of a map's channels to those of the inputs before."""
    sums[name] = np.asarray(values.mean(axis=(1, 2), dtype=np.float64) + sums.get(name, np.float64(0)))


def _peak(name: str, values: np.ndarray) -> float:
    """Largest magnitude of an array, which must be finite."""
    peak = float(np.abs(values).max())
    if not np.isfinite(peak):
        raise QuantError(f"layer {name}: calibration meets numbers beyond float32")
    return peak


def noise_inputs(table: LayerTable, count: int = 2, spread: float = 1.0, seed: int = 0) -> list[np.ndarray]:
    """Reproducible stand-ins for pictures where there are none: smooth normal noise of standard deviation ``spread``."""
    rng = np.random.default_rng(seed)
    channels, height, width = table.input_shape
    coarse = (channels, -(-height // 8), -(-width // 8))
    inputs = []
    for _ in range(count):
        smooth = rng.standard_normal(coarse, dtype=np.float32).repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
        fine = rng.standard_normal((channels, height, width), dtype=np.float32)
        inputs.append(np.float32(spread) * (np.float32(0.8) * smooth + np.float32(0.6) * fine))
    return inputs


def _frac_for(largest: float, headroom: int) -> int:
    """Most fractional bits with which ``largest``, times 2**headroom, stays below 2**15."""
    if largest <= 0:
        return 0
    # frexp is exact: largest = m * 2**exponent with m below 1, so it needs ``exponent`` bits before the point.
    exponent = int(np.frexp(largest)[1])
    return int(np.clip(15 - exponent - headroom, _MIN_FRAC, _MAX_FRAC))


class _Groups:
    """Maps that share a format: a union-find over names."""

    def __init__(self, table: LayerTable, largest: Mapping[str, float]) -> None:
        self._parent = {name: name for name in (NETWORK_INPUT, *(layer.name for layer in table.layers))}
        for layer in table.layers:
            bits = [np.frexp(largest[source])[1] for source in layer.inputs if largest[source] > 0]
            apart = layer.has_weights and bits and max(bits) - min(bits) > _PARTS_MAY_DIFFER
            for source in layer.inputs[1:]:
                if not apart and layer.rule.numbers is not Numbers.PRODUCT:
                    self._join(layer.inputs[0], source)
            if layer.rule.numbers is Numbers.NONE:
                self._join(layer.inputs[0], layer.name)

    def of(self, name: str) -> str:
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def _join(self, left: str, right: str) -> None:
        self._parent[self.of(right)] = self.of(left)


def _map_formats(net: FloatNetwork, groups: _Groups, largest: Mapping[str, float], headroom: float) -> dict[str, int]:
    """Fractional bits by group: the format of its largest member, with headroom as far as its function can reach."""
    layers, peak = {layer.name: layer for layer in net.table.layers}, {}
    for name, value in largest.items():
        group, layer = groups.of(name), layers.get(name)
        bound = np.inf if layer is None else _bound(layer, net.numbers(layer))
        selects = layer is not None and layer.rule.selects_largest
        # A layer that selects has its input's format and numbers.
        needed = value if selects else min(value * 2.0**headroom, bound)
        peak[group] = max(peak.get(group, 0.0), needed)
    return {group: _frac_for(value, 0) for group, value in peak.items()}


def _bound(layer: Layer, numbers: FloatLayer) -> float:
    """The largest magnitude that a layer's output can have, whatever its input; infinite where there is none."""
    parameter = ACTIVATIONS[layer.activation].parameter
    if parameter is not None and parameter.is_bound:
        return float(getattr(numbers, parameter.field))
    return layer.rule.bound


def _aligned(layer: Layer, weight: np.ndarray, table: LayerTable, fracs: Sequence[int]) -> tuple[np.ndarray, int]:
    """``(weight, frac)``: weights that read all inputs as if they had ``frac`` fractional bits, the fewest of them.

    ``fracs`` are the fractional bits of each of the layer's inputs.
    """
    frac = min(fracs)
    if len(set(fracs)) == 1:
        return weight, frac
    sizes = [table.shape_of(source)[0] for source in layer.inputs]
    shifts = np.repeat([frac - item for item in fracs], sizes).reshape(layer.groups, 1, -1)
    per_filter = np.repeat(shifts, layer.c_o // layer.groups, axis=1).reshape(layer.c_o, -1)
    return weight.astype(np.float64) * 2.0 ** per_filter[:, :, None, None], frac


def _weight_frac(layer: Layer, weight: np.ndarray, biases: np.ndarray, frac_in: int, most: int) -> tuple[int, int, np.ndarray, np.ndarray]:
    """``(frac, lost, weight, bias)``: the finest format of up to ``most`` fractional bits in which weights, bias and every possible sum
    fit.

    ``lost`` is how many of the weights' bits the bias costs, which is stored with the fractional bits of weights and input together.
    """
    frac = min(_frac_for(float(np.abs(weight).max(initial=0)), 0), most)
    lost = 0
    while frac >= _MIN_WEIGHT_FRAC:
        scaled = np.rint(weight.astype(np.float64) * 2.0**frac)
        bias = np.rint(biases.astype(np.float64) * 2.0 ** (frac + frac_in))
        if np.abs(scaled).max(initial=0) > INT16_MAX:
            frac -= 1
            continue
        if np.abs(bias).max(initial=0) <= _BIAS_LIMIT:
            lq = LayerQuant(weight=scaled.astype(np.int16), bias=bias.astype(np.int32), shift=_MAX_SHIFT)
            if accumulator_bound(layer, lq) < 1 << (ACC_BITS - 1):
                return frac, lost, *lq.arrays()
        else:
            lost += 1
        frac -= 1
    raise QuantError(f"layer {layer.name}: its weights or biases are too large for any 16-bit format")


class _Stored(NamedTuple):
    """Weights in 16 bits, and the ``formats`` of the layer's inputs and output for which they were found; ``lost`` as in _weight_frac."""

    formats: tuple[int, ...]
    frac_in: int
    frac: int
    lost: int
    weight: np.ndarray
    bias: np.ndarray


def _weights_of(net: FloatNetwork, layer: Layer, groups: _Groups, fracs: Mapping[str, int]) -> _Stored:
    """What a layer with weights stores."""
    formats = (*(fracs[groups.of(source)] for source in layer.inputs), fracs[groups.of(layer.name)])
    weight, bias = net.numbers(layer).arrays()
    weight, frac_in = _aligned(layer, weight, net.table, formats[:-1])
    # More bits than this the shift at the end could not take away again.
    most = _MAX_SHIFT + formats[-1] - frac_in
    return _Stored(formats, frac_in, *_weight_frac(layer, weight, bias, frac_in, most))


def _settle(net: FloatNetwork, groups: _Groups, fracs: dict[str, int]) -> dict[str, _Stored]:
    """Lower the formats of maps until every layer can compute its own; returns what :func:`_weights_of` found by layer."""
    settling = _Settling(net, groups, fracs)
    while not all(settling.settle(layer) for layer in net.table.layers):
        pass
    return settling.chosen


class _Settling:
    """Formats of maps on their way down. ``fracs`` (fractional bits by group) is changed in place."""

    def __init__(self, net: FloatNetwork, groups: _Groups, fracs: dict[str, int]) -> None:
        self.chosen: dict[str, _Stored] = {}
        self._net, self._groups, self._fracs, self._begun = net, groups, fracs, dict(fracs)

    def settle(self, layer: Layer) -> bool:
        """Whether a layer needed no change of the formats around it."""
        if layer.has_weights:
            limit = self._limit_of_weights(layer)
        elif layer.rule.numbers is Numbers.MEAN_FACTOR:
            limit = self._limit_of_mean(layer)
        elif layer.rule.numbers is Numbers.PRODUCT:
            limit = self._limit_of_product(layer)
        else:
            return True
        group = self._groups.of(layer.name)
        if limit is None:
            return False
        if self._fracs[group] <= limit:
            return True
        self._fracs[group] = limit
        if limit < _COARSEST:
            raise QuantError(f"layer {layer.name}: its weights are too large for the formats of its input and output")
        return False

    def _limit_of_weights(self, layer: Layer) -> int | None:
        """The finest format that the layer's sums can come out in; ``None`` if its inputs have become coarser instead."""
        fracs, sources = self._fracs, {self._groups.of(source) for source in layer.inputs}
        formats = (*(fracs[self._groups.of(source)] for source in layer.inputs), fracs[self._groups.of(layer.name)])
        if layer.name not in self.chosen or self.chosen[layer.name].formats != formats:
            self.chosen[layer.name] = _weights_of(self._net, layer, self._groups, fracs)
        stored = self.chosen[layer.name]
        if stored.lost > max(_BIAS_MAY_COST, *(self._begun[source] - fracs[source] for source in sources)):
            for source in sources:
                fracs[source] -= 1
            return None
        return stored.frac + stored.frac_in

    def _limit_of_product(self, layer: Layer) -> int | None:
        """The finest format that a product can come out in; ``None`` if a factor has become coarser instead."""
        sources = [self._groups.of(source) for source in layer.inputs]
        limit = sum(self._fracs[source] for source in sources)
        if limit - self._fracs[self._groups.of(layer.name)] > MAX_SHIFT:
            # The shift ends there: a result that is small beside its factors' formats.
            self._fracs[max(sources, key=self._fracs.__getitem__)] -= 1
            return None
        return limit

    def _limit_of_mean(self, layer: Layer) -> int | None:
        """The finest format that an average can come out in; ``None`` if its input has become coarser instead."""
        fracs, group, source = self._fracs, self._groups.of(layer.name), self._groups.of(layer.inputs[0])
        frac_in, shift = fracs[source], pool_factor(layer.k_w * layer.k_h)[1]
        if source != group and fracs[group] < frac_in - (MAX_POOL_SHIFT - shift):
            # The shift ends there: the average cannot come out in a coarser format yet, so the input gets coarser.
            fracs[source] = fracs[group]
            return None
        return frac_in + min(_POOL_GAIN, shift - 1)


def quantise_formats(net: FloatNetwork, ranges: Ranges, headroom: float = HEADROOM_BITS) -> QuantNetwork:
    """The :class:`~models.arithmetic.quantised_network.QuantNetwork` of a float network for the :class:`Ranges` of a calibration.

    Raises
    ------
    QuantError
        If a layer's numbers fit no 16-bit format.
    """
    table, groups = net.table, _Groups(net.table, ranges.largest)
    fracs = _map_formats(net, groups, ranges.largest, headroom)
    chosen = _settle(net, groups, fracs)
    quant = {}
    for layer in table.layers:
        numbers = net.numbers(layer)
        frac_in, frac_out = fracs[groups.of(layer.inputs[0])], fracs[groups.of(layer.name)]
        fields: dict[str, Any] = {"frac_out": frac_out}
        parameter = ACTIVATIONS[layer.activation].parameter
        if parameter is not None:
            fields[parameter.field] = _parameter(layer, parameter, getattr(numbers, parameter.field), frac_out)
        if layer.rule.numbers is Numbers.MEAN_FACTOR:
            fields["mult"], shift = pool_factor(layer.k_w * layer.k_h)
            fields["shift"] = shift - (frac_out - frac_in)
        if layer.rule.numbers is Numbers.PRODUCT:
            fields["shift"] = sum(fracs[groups.of(source)] for source in layer.inputs) - frac_out
        if layer.rule.numbers is Numbers.TABLE:
            fields |= function_table(layer, numbers, frac_in, frac_out)._asdict()
        if layer.has_weights:
            _, frac_in, frac_weight, _, fields["weight"], fields["bias"] = chosen[layer.name]
            fields["shift"] = frac_weight + frac_in - frac_out
            fracs_in = [fracs[groups.of(source)] for source in layer.inputs]
            fields["bias"] = _corrected_bias(net, layer, ranges, fracs_in, frac_weight, LayerQuant(**fields))
        quant[layer.name] = LayerQuant(**fields)
    return QuantNetwork(table, quant, fracs[groups.of(NETWORK_INPUT)], ports=net.ports, preprocessing=net.preprocessing).validate()


def _corrected_bias(net: FloatNetwork, layer: Layer, ranges: Ranges, fracs: Sequence[int], frac: int, stored: LayerQuant) -> np.ndarray:
    """The bias of ``stored``, whose weights have ``frac`` bits, with what rounding these takes from the sums on average."""
    means = ranges.means_of(layer.inputs)
    weight, bias = stored.arrays()
    if means is None:
        return bias
    exact, _ = _aligned(layer, net.numbers(layer).arrays()[0], net.table, fracs)
    scaled = np.concatenate([mean * 2.0**item for mean, item in zip(means, fracs, strict=True)])
    lost = mean_error(exact.astype(np.float64) * 2.0**frac - weight, scaled, layer.groups)
    corrected = np.rint(bias + lost)
    if np.abs(corrected).max(initial=0) > _BIAS_LIMIT:
        return bias
    found = replace(stored, bias=corrected.astype(np.int32))
    return found.arrays()[1] if accumulator_bound(layer, found) < 1 << (ACC_BITS - 1) else bias


def function_table(layer: Layer, numbers: FloatLayer, frac_in: int, frac_out: int) -> FunctionTable:
    """The function table of a layer between these formats."""
    real = layer.rule.real
    if real is None:
        raise AssertionError(f"{layer.name} has weights")
    return fit_table(lambda x: real([x], numbers.exponent), frac_in, frac_out)


def _parameter(layer: Layer, parameter: Parameter, value: float, frac_out: int) -> int:
    """An activation's parameter as the machine wants it."""
    found = parameter.quantise(value, frac_out)
    if not 0 <= found <= INT16_MAX:
        raise QuantError(f"layer {layer.name}: the {parameter.title} of {layer.activation} must be {parameter.range}, not {value}")
    return found


def to_format(x: np.ndarray, frac: int) -> np.ndarray:
    """Real numbers as int16 with ``frac`` fractional bits, rounded and saturated."""
    scaled = np.rint(np.asarray(x, np.float64) * 2.0**frac)
    return np.clip(scaled, INT16_MIN, INT16_MAX).astype(np.int16)


def quantise_input(net: QuantNetwork, x: np.ndarray) -> np.ndarray:
    """A float input (C, H, W) as int16 in the format of a quantised network's input."""
    return to_format(net.ports.in_formats(x) if net.ports else x, net.input_frac)


def quantise(net: FloatNetwork, inputs: Iterable[np.ndarray] | None = None, *, headroom: float = HEADROOM_BITS) -> QuantNetwork:
    """Quantise a float network.

    Parameters
    ----------
    net : models.arithmetic.float_network.FloatNetwork
    inputs : sequence of float32 arrays (C, H, W), optional
        Calibration inputs, already preprocessed. Without any, noise stands in for them, with twice the headroom.
    headroom : int
        Bits left free above what calibration saw.

    Returns
    -------
    models.arithmetic.quantised_network.QuantNetwork
        With the layers of ``net``; where maps of very different sizes meet, with a few more (see :mod:`models.quantisation.ranges`).

    Raises
    ------
    QuantError
        If a layer's numbers fit no 16-bit format, in one line that names the layer.
    """
    net.validate()
    if inputs is None:
        spread = 64.0 if net.preprocessing == "caffe" else 1.0
        inputs, headroom = noise_inputs(net.table, spread=spread), 2 * headroom
    inputs = list(inputs)
    if not inputs:
        raise QuantError(f"network {net.table.name}: calibration needs at least one input")
    peaks = np.max([np.abs(x).max(axis=(1, 2)) for x in inputs], axis=0)
    return quantise_formats(*separate(*with_input_formats(net, calibrate(net, inputs), peaks)), headroom)
