"""Energy on chip of a convolution in one dataflow or the other: of its events, without those that both have in common.

Weights and activations that cross the bus and the drain's work do not depend on the dataflow; multiplications, partial sums, words handed
from PE to PE and reads of the buffers do. The costs of single events are those of :mod:`spec.energy` or the user's.
"""

from collections.abc import Mapping

import numpy as np

from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.mapping.array_tiles import Segments
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, WeightPlan, WsSource
from squeezelerator.spec.energy import energy
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig


def _inside(op: Op) -> float:
    """Share of the input pixels that a kernel covers which are not padding."""
    share = 1.0
    for axis, (out, size) in enumerate(((op.out.h, op.parts[0].h), (op.out.w, op.parts[0].w))):
        at = np.arange(out)[:, None] * op.stride[axis] - op.pad[axis] + np.arange(op.kernel[axis])
        share *= float(((at >= 0) & (at < size)).mean())
    return share


def _os_events(plan: WeightPlan, group: ChannelGroup, cfg: MachineConfig, pixels: int) -> dict[str, float]:
    segments = Segments.of(plan.op.out.w, plan.op.stride[1], cfg.n)
    values = sum(chunk.stream.values for chunk in group.chunks)
    down = np.concatenate([chunk.stream.down for chunk in group.chunks]) * segments.segs
    linked = down[(down > 0) & (down < cfg.n)]
    # In a full tile: the array rows that are read, and those that take over what the row below them had.
    read = cfg.n * (len(down) - len(linked)) + int(linked.sum())
    return {
        "macs": values * pixels, "rf_words": (2 * values - group.channels) * pixels,
        "act_read_words": read * pixels // cfg.n * _inside(plan.op),
        "neighbour_words": int(linked.sum()) * pixels * (cfg.n - 1) // cfg.n,
    }  # fmt: skip


def _ws_events(plan: WeightPlan, group: ChannelGroup, cfg: MachineConfig, pixels: int) -> dict[str, float]:
    n = cfg.n
    tiles = group.rows // n
    nonzeros = sum(int(np.count_nonzero(chunk.source.weight)) for chunk in group.chunks if isinstance(chunk.source, WsSource))
    return {
        "macs": nonzeros * pixels, "neighbour_words": tiles * pixels * n * n, "rf_words": n * pixels * (2 * tiles - 1),
        "act_read_words": n * pixels * tiles * _inside(plan.op),
    }  # fmt: skip


def onchip_energy(plan: WeightPlan, cfg: MachineConfig, costs: Mapping[str, float]) -> tuple[float, float]:
    """Energy of a whole convolution as ``plan`` computes it, in the unit of ``costs``, {event: energy}.

    Every array tile counts as a full one: this compares dataflows, it does not replace the counters.

    Returns
    -------
    tuple
        What its pixels cost, however they are cut into tiles, and what reading its weights costs for each tile of all channels.
    """
    pixels, events = plan.op.out.h * plan.op.out.w, _os_events if plan.dataflow == Dataflow.OS else _ws_events
    computing = sum(energy(events(plan, group, cfg, pixels), costs) for group in plan.groups)
    return computing, energy({"weight_words": plan.rows * cfg.n}, costs)
