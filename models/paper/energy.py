"""Energy of the paper's machine: accesses of every kind, counted from the structure of the dataflow, times Eyeriss's
unit costs.
"""

from dataclasses import dataclass
from typing import Self

from squeezelerator.models.paper.assumptions import Machine
from squeezelerator.models.paper.machine import WS, LayerCost, blocks, ceil_div
from squeezelerator.spec.network.layer import Layer

UNIT_COSTS = {"macs": 1, "rf": 1, "neighbour": 2, "buffer": 6, "dram": 200}
"""Energy of a 16-bit access relative to one MAC at 65 nm. Source: Eyeriss (ISCA 2016)."""


@dataclass(frozen=True)
class Accesses:
    """Numbers of MACs and of 16-bit accesses: register file, neighbour PE, global buffer, DRAM."""

    macs: float = 0
    rf: float = 0
    neighbour: float = 0
    buffer: float = 0
    dram: float = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, name) + getattr(other, name) for name in UNIT_COSTS))

    @property
    def energy(self) -> int:
        """In units of one MAC."""
        return sum(cost * getattr(self, name) for name, cost in UNIT_COSTS.items())

    @property
    def on_chip(self) -> float:
        """Energy without DRAM."""
        return self.energy - UNIT_COSTS["dram"] * self.dram


def _ws_accesses(layer: Layer, config: Machine) -> Accesses:
    n, kernel, pixels = config.n, layer.k_w * layer.k_h, layer.h_o * layer.w_o
    c_i, c_o = layer.c_i // layer.groups, layer.c_o // layer.groups
    inputs = layer.groups * c_i * ceil_div(c_o, n) * kernel * pixels
    # Each pass adds its column sums to those in the buffer: one write each, and one read except in the first pass.
    sums = layer.groups * c_o * pixels * (2 * kernel * ceil_div(c_i, n) - 1)
    operands = layer.macs if config.assumptions.operands_from_rf else 0
    return Accesses(
        macs=layer.macs, rf=layer.params + operands, neighbour=layer.macs, buffer=inputs + sums + layer.params
    )  # fmt: skip


def _os_accesses(layer: Layer, config: Machine) -> Accesses:
    n, kernel, pixels = config.n, layer.k_w * layer.k_h, layer.h_o * layer.w_o
    assumed = config.assumptions
    filter_groups = ceil_div(layer.c_o // layer.groups, assumed.partial_sums)
    done = assumed.density * layer.macs
    weights = assumed.density * layer.params * blocks(layer, config)
    shifts = layer.c_i * pixels * (kernel - 1) * filter_groups
    return Accesses(
        macs=done,
        rf=done * (3 if assumed.operands_from_rf else 2),
        neighbour=shifts + layer.out_size * n / 2,
        buffer=layer.in_size * filter_groups + weights + layer.out_size,
    )


def accesses(cost: LayerCost, config: Machine) -> Accesses:
    """:class:`Accesses` of a layer from its :class:`~models.paper.machine.LayerCost`."""
    on_chip = (_ws_accesses if cost.dataflow == WS else _os_accesses)(cost.layer, config)
    fills = cost.dram_words if config.assumptions.count_fills else 0
    return on_chip + Accesses(dram=cost.dram_words, buffer=fills)
