"""What quantisation did to every layer: formats, signal-to-noise ratio against float, saturated outputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import INT16_MAX, INT16_MIN, QuantNetwork
from squeezelerator.models.quantisation.formats import quantise_input
from squeezelerator.spec.network.layer import NETWORK_INPUT

LAYER_SNR = 30.0
"""SNR in dB below which a layer is worth a warning."""
CHANNEL_SNR = 10.0
"""SNR in dB below which a channel counts as lost."""
_CHANNELS_LOST = 0.25
"""Share of lost channels that is worth a warning."""


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer's row.

    ``frac_in``, ``frac_weight`` (``None`` without weights) and ``frac_out`` are fractional bits, ``shift`` is the requantising shift.
    ``snr`` is in dB, the energy of the float outputs over that of the differences (infinite where there are none), and
    ``saturated`` counts the outputs at -32768 or 32767 among ``outputs``, ``weak_channels`` the channels with an SNR below
    ``CHANNEL_SNR`` among the ``channels`` that are not zero everywhere.
    """

    name: str
    frac_in: int
    frac_weight: int | None
    frac_out: int
    shift: int
    snr: float
    saturated: int
    outputs: int
    weak_channels: int
    channels: int


def snr(signal: float, noise: float) -> float:
    """Signal-to-noise ratio in dB of two energies."""
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal > 0 else float("-inf")


def _with_layers_of(net: FloatNetwork, quantised: QuantNetwork) -> FloatNetwork:
    """``net`` with the layers that quantisation added: copies, and pools of the parts of a concatenation."""
    copies = {
        layer.name: FloatLayer(np.ones(layer.weight_shape or (), np.float32), np.zeros(layer.c_o, np.float32))
        for layer in quantised.table.layers if layer.has_weights and layer.name not in net.params
    }  # fmt: skip
    return replace(net, table=quantised.table, params={**net.params, **copies}, ports=quantised.ports)


def layer_reports(net: FloatNetwork, quantised: QuantNetwork, inputs: Sequence[np.ndarray]) -> list[LayerReport]:
    """A :class:`LayerReport` for every layer, measured over float ``inputs`` (C, H, W).

    Both networks run from the same inputs, so a layer's noise includes that of all layers before it.
    """
    net = _with_layers_of(net, quantised)
    names = [layer.name for layer in net.table.layers]
    signal, noise, saturated = {}, {}, dict.fromkeys(names, 0)
    for x in inputs:
        maps = {NETWORK_INPUT: quantise_input(quantised, x)}
        last_use = {source: layer.name for layer in net.table.layers for source in layer.inputs}
        for layer, _, output in float_network.walk(net, x):
            mine = golden.run_layer(layer, quantised.quant[layer.name], [maps[source] for source in layer.inputs])
            maps[layer.name] = mine
            reference = output.astype(np.float64)
            difference = mine * 2.0 ** -quantised.frac_of(layer.name) - reference
            # By channel: what a small one loses the energy of large ones would hide.
            signal[layer.name] = signal.get(layer.name, 0) + np.sum(reference**2, axis=(1, 2))
            noise[layer.name] = noise.get(layer.name, 0) + np.sum(difference**2, axis=(1, 2))
            saturated[layer.name] += int(np.count_nonzero((mine == INT16_MAX) | (mine == INT16_MIN)))
            for source in layer.inputs:
                if last_use[source] == layer.name:
                    maps.pop(source, None)
    reports = []
    for layer in net.table.layers:
        lq, frac_in = quantised.quant[layer.name], min(quantised.frac_of(source) for source in layer.inputs)
        reports.append(
            LayerReport(
                name=layer.name,
                frac_in=frac_in,
                frac_weight=lq.shift + lq.frac_out - frac_in if layer.has_weights else None,
                frac_out=lq.frac_out,
                shift=lq.shift,
                snr=snr(float(signal[layer.name].sum()), float(noise[layer.name].sum())),
                saturated=saturated[layer.name],
                outputs=layer.out_size * len(inputs),
                weak_channels=int(np.sum(noise[layer.name] * 10 ** (CHANNEL_SNR / 10) > signal[layer.name], where=signal[layer.name] > 0)),
                channels=int(np.count_nonzero(signal[layer.name])),
            )
        )
    return reports


def report_lines(net: FloatNetwork, quantised: QuantNetwork, inputs: Sequence[np.ndarray]) -> list[str]:
    """The reports as the lines of a table."""
    reports = layer_reports(net, quantised, inputs)
    width = max(len("layer"), *(len(row.name) for row in reports))
    lines = [f"{'layer':<{width}}  {'in':>4} {'weight':>6} {'out':>4} {'shift':>5} {'SNR dB':>7} {'saturated':>10}"]
    for row in reports:
        weight = "" if row.frac_weight is None else row.frac_weight
        lines.append(
            f"{row.name:<{width}}  {row.frac_in:>4} {weight:>6} {row.frac_out:>4} {row.shift:>5} {row.snr:>7.1f} "
            f"{row.saturated:>10}"
        )
    lines.append("in, weight and out are fractional bits")
    return lines


def warning_lines(net: FloatNetwork, quantised: QuantNetwork, inputs: Sequence[np.ndarray]) -> list[str]:
    """One line for each layer that quantisation costs more than ``LAYER_SNR``, or a quarter of its channels more than ``CHANNEL_SNR``;
    where one loses much, those behind it do too, so only layers that no such layer feeds are named, and the others counted."""
    reports = {row.name: row for row in layer_reports(net, quantised, inputs)}
    poor = {
        name for name, row in reports.items()
        if (row.snr < LAYER_SNR and row.channels) or row.weak_channels > _CHANNELS_LOST * row.channels
    }  # fmt: skip
    lines, behind = [], 0
    for layer in quantised.table.layers:
        if layer.name not in poor:
            continue
        if any(source in poor for source in layer.inputs):
            behind += 1
            continue
        row = reports[layer.name]
        lines.append(f"layer {layer.name}: 16 bits leave {row.snr:.1f} dB of signal to noise ({LAYER_SNR:g} wanted); "
                     f"below {CHANNEL_SNR:g} dB are {row.weak_channels} of {row.channels} channels")  # fmt: skip
    if behind:
        lines.append(f"and {behind} layers that read these")
    return lines
