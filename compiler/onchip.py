"""What a convolution costs on chip in one dataflow or the other: the energy of its events, without those that both have in common.

Weights and activations that cross the bus and the drain's work do not depend on the dataflow; multiplications, partial sums, words handed
from PE to PE and reads of the buffers do. The unit costs are those of :mod:`sim.energy`.
"""

import functools

import numpy as np

from compiler.passes import Segments
from rtl.isa import MODE_OS
from sim.energy import energy, read_costs


@functools.cache
def _costs():
    return read_costs()


def _os_events(plan, group, cfg, pixels, passes):
    segments = Segments.of(plan.op.out.w, plan.op.stride[1], cfg.n)
    values = sum(chunk.records.values for chunk in group.chunks)
    down = np.concatenate([chunk.records.down for chunk in group.chunks]) * segments.segs
    linked = down[(down > 0) & (down < cfg.n)]
    # In a full pass: the array rows that are read, and those that take over what the row below them had.
    read = cfg.n * (len(down) - len(linked)) + int(linked.sum())
    return {
        "macs": values * pixels, "rf_words": (2 * values - group.channels) * pixels, "act_read_words": read * pixels // cfg.n,
        "neighbour_words": int(linked.sum()) * pixels * (cfg.n - 1) // cfg.n, "weight_words": group.rows * cfg.n * passes,
    }


def _ws_events(group, cfg, pixels, passes):
    n = cfg.n
    tiles = group.rows // n
    return {
        "macs": tiles * pixels * n * n, "neighbour_words": tiles * pixels * n * n, "rf_words": n * pixels * (2 * tiles - 1),
        "act_read_words": n * pixels * tiles, "weight_words": tiles * n * n * passes,
    }


def onchip_energy(cost, cfg):
    """Energy of a whole convolution as :class:`~compiler.passes.PlanCost` ``cost`` plans it, in units of one MAC.

    Padding counts like the rest of a map, every pass as a full one, and zero weights in WS like others (too much by about a tenth where
    40% are zero): this compares dataflows, it does not replace the counters.
    """
    plan, out = cost.plan, cost.plan.op.out
    pixels = out.h * out.w
    passes = cost.of(out.h * cost.units)[2] // len(plan.groups)
    return sum(energy(_os_events(plan, group, cfg, pixels, passes) if plan.mode == MODE_OS else _ws_events(group, cfg, pixels, passes),
                      _costs()) for group in plan.groups)  # fmt: skip
