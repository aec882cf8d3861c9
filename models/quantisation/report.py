"""What quantisation did to every layer: formats, signal-to-noise ratio against float, saturated outputs."""

from dataclasses import dataclass

import numpy as np

from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.quantised_network import INT16_MAX, INT16_MIN
from squeezelerator.models.quantisation.formats import quantise_input
from squeezelerator.spec.network.layer import NETWORK_INPUT


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One layer's row.

    ``frac_in``, ``frac_weight`` (``None`` without weights) and ``frac_out`` are fractional bits, ``shift`` is the requantising shift.
    ``snr`` is in dB, the energy of the float outputs over that of the differences (infinite where there are none), and
    ``saturated`` counts the outputs at -32768 or 32767 among ``outputs``.
    """

    name: str
    frac_in: int
    frac_weight: int | None
    frac_out: int
    shift: int
    snr: float
    saturated: int
    outputs: int


def snr(signal, noise):
    """Signal-to-noise ratio in dB of two energies."""
    if noise == 0:
        return float("inf")
    return float(10 * np.log10(signal / noise)) if signal > 0 else float("-inf")


def layer_reports(net, quantised, inputs):
    """A :class:`LayerReport` for every layer, measured over float ``inputs`` (C, H, W).

    Both networks run from the same inputs, so a layer's noise includes that of all layers before it.
    """
    names = [layer.name for layer in net.table.layers]
    signal, noise, saturated = (dict.fromkeys(names, 0) for _ in range(3))
    for x in inputs:
        maps = {NETWORK_INPUT: quantise_input(quantised, x)}
        last_use = {source: layer.name for layer in net.table.layers for source in layer.inputs}
        for layer, _, output in float_network.walk(net, x):
            mine = golden.run_layer(layer, quantised.quant[layer.name], [maps[source] for source in layer.inputs])
            maps[layer.name] = mine
            reference = output.astype(np.float64)
            difference = mine * 2.0 ** -quantised.frac_of(layer.name) - reference
            signal[layer.name] += float(np.sum(reference**2))
            noise[layer.name] += float(np.sum(difference**2))
            saturated[layer.name] += int(np.count_nonzero((mine == INT16_MAX) | (mine == INT16_MIN)))
            for source in layer.inputs:
                if last_use[source] == layer.name:
                    maps.pop(source, None)
    reports = []
    for layer in net.table.layers:
        lq, frac_in = quantised.quant[layer.name], quantised.frac_of(layer.inputs[0])
        reports.append(
            LayerReport(
                name=layer.name,
                frac_in=frac_in,
                frac_weight=lq.shift + lq.frac_out - frac_in if layer.has_weights else None,
                frac_out=lq.frac_out,
                shift=lq.shift,
                snr=snr(signal[layer.name], noise[layer.name]),
                saturated=saturated[layer.name],
                outputs=layer.out_size * len(inputs),
            )
        )
    return reports


def report_lines(net, quantised, inputs):
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
