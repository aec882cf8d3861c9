"""Cycles of the paper's machine: N x N PEs, each layer in the faster of two dataflows, every layer through DRAM.

For a layer with ``g`` groups of ``Ci`` input and ``Co`` output channels, ``K = Kw * Kh``, ``P = Ho * Wo``:

WS
    ``g * ceil(Ci/N) * ceil(Co/N) * K * (P + N)``: one pixel position a cycle, and N cycles to bring in the next
    weights.
OS
    ``g * ceil(Ho/N) * ceil(Wo/N) * sum over groups of r <= 8 filters of (Ci * max(load, d*K*r) + N*r)``: each PE holds
    an output pixel for r filters, ``d`` is the share of non-zero weights, ``load`` brings the pixels of one input
    channel (N cycles, N * Sx * Sy under a strided kernel), N*r cycles drain the results.
DRAM
    8 words a cycle; see :mod:`models.paper.traffic`.
Layer
    ``max(min(WS, OS), DRAM) + 1200``.
"""

from dataclasses import dataclass

from squeezelerator.models.paper.assumptions import Machine
from squeezelerator.models.paper.traffic import dram_words
from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.network.layer_table import LayerTable

WS, OS = "ws", "os"


@dataclass(frozen=True)
class LayerCost:
    """A layer on a machine: its dataflow, cycles of the array in either, DRAM words, and total cycles."""

    layer: Layer
    dataflow: str
    ws_cycles: int
    os_cycles: float
    dram_words: float
    cycles: float


def ceil_div(value: int, by: int) -> int:
    """``value / by`` rounded up."""
    return -(-value // by)


def ws_cycles(layer: Layer, config: Machine) -> int:
    """Array cycles of a Conv or FC layer in weight-stationary dataflow."""
    passes = (
        layer.groups * ceil_div(layer.c_i // layer.groups, config.n) * ceil_div(layer.c_o // layer.groups, config.n)
    )
    fill = config.n if config.assumptions.ws_load_exposed else 0
    return passes * layer.k_w * layer.k_h * (layer.h_o * layer.w_o + fill)


def blocks(layer: Layer, config: Machine) -> int:
    """Blocks of N x N outputs that cover one output channel."""
    return ceil_div(layer.h_o, config.n) * ceil_div(layer.w_o, config.n)


def os_cycles(layer: Layer, config: Machine) -> float:
    """Array cycles of a Conv or FC layer in output-stationary dataflow."""
    n, assumed = config.n, config.assumptions
    kernel = layer.k_w * layer.k_h
    load = n * layer.s_x * layer.s_y if kernel > 1 and assumed.strided_load else n
    c_i, c_o = layer.c_i // layer.groups, layer.c_o // layer.groups

    def group(filters: int) -> float:
        return c_i * max(load, assumed.density * kernel * filters) + n * filters

    full, rest = divmod(c_o, assumed.partial_sums)
    return layer.groups * blocks(layer, config) * (full * group(assumed.partial_sums) + (group(rest) if rest else 0))


def layer_cost(layer: Layer, config: Machine, dataflow: str | None = None) -> LayerCost:
    """:class:`LayerCost` of a Conv or FC layer, in the faster dataflow or in the given one."""
    ws, os = ws_cycles(layer, config), os_cycles(layer, config)
    chosen = dataflow or (WS if ws < os else OS)
    words = dram_words(layer, config, weight_stationary=chosen == WS, blocks=blocks(layer, config))
    cycles = max(ws if chosen == WS else os, words / config.assumptions.dram_words) + config.assumptions.layer_overhead
    return LayerCost(layer, chosen, ws, os, words, cycles)


def network_costs(table: LayerTable, config: Machine, dataflow: str | None = None) -> tuple[LayerCost, ...]:
    """:class:`LayerCost` of every Conv and FC layer of a table, in order."""
    return tuple(layer_cost(layer, config, dataflow) for layer in table.layers if layer.has_weights)
