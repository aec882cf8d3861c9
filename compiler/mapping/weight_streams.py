"""Weight plans: how a convolution's weights are cut into streams that fit the weight buffer."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.mapping.os_streams import fill_os, os_rows
from squeezelerator.compiler.mapping.stream_input import StreamInput
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, ChunkStart, WeightPlan
from squeezelerator.compiler.mapping.ws_streams import fill_ws
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig

MODES = {"os": Dataflow.OS, "ws": Dataflow.WS}
"""The dataflows that ``--dataflow`` names."""


def _channel_groups(op: Op, n: int, most: int, whole_blocks: bool) -> list[ChannelGroup]:
    """Split the output channels into groups of at most ``most``."""
    size = -(-op.out.c // -(-op.out.c // most))
    if whole_blocks:
        size = most
    elif size > n and -(-size // n) * n <= most:
        # Whole blocks where that costs no further group: a block shared by two groups needs its biases twice.
        size = -(-size // n) * n
    groups = []
    for at in range(0, op.out.c, size):
        channels = min(size, op.out.c - at)
        groups.append(ChannelGroup(at, channels, at // n, at % n, -(-(at % n + channels) // n), []))
    return groups


def _dense(op: Op, c0: int, channels: int) -> tuple[npt.NDArray[np.int16], int, IntArray]:
    """Weights (channels, inputs, Kh, Kw) of the layer's output channels from ``c0``, the first input, and inputs' real weights (inputs,).

    With groups, only inputs that some of these outputs read are in the result; the others' weights in it are zero.
    """
    filters = op.filters
    if op.groups == 1:
        return filters[c0 : c0 + channels], 0, np.full(filters.shape[1], channels)
    per_out, per_in = filters.shape[0] // op.groups, filters.shape[1]
    first, last = c0 // per_out, (c0 + channels - 1) // per_out
    dense = np.zeros((channels, (last - first + 1) * per_in, *filters.shape[2:]), np.int16)
    real = np.zeros(dense.shape[1], np.int64)
    for group in range(first, last + 1):
        low, high = max(c0, group * per_out), min(c0 + channels, (group + 1) * per_out)
        inputs = slice((group - first) * per_in, (group - first + 1) * per_in)
        dense[low - c0 : high - c0, inputs] = filters[low:high]
        real[inputs] = high - low
    return dense, first * per_in, real


def _input_positions(op: Op, n: int) -> tuple[IntArray, IntArray, IntArray]:
    """Three int arrays over the concatenated input channels: part, block within the part, lane."""
    part, block, lane = [], [], []
    for index, tensor in enumerate(op.parts):
        part.append(np.full(tensor.c, index))
        block.append(np.arange(tensor.c) // n)
        lane.append(np.arange(tensor.c) % n)
    return np.concatenate(part), np.concatenate(block), np.concatenate(lane)


def make_weight_plan(op: Op, cfg: MachineConfig, dataflow: Dataflow, starts: Sequence[ChunkStart] = (),
                     most: int | None = None, by_channels: bool = False) -> WeightPlan:  # fmt: skip
    """The :class:`WeightPlan` of a convolution.

    Parameters
    ----------
    op : compiler.ir.graph.Op
    cfg : spec.machine.MachineConfig
    dataflow : Dataflow
    starts : sequence of (part, block)
        Where a new chunk must begin (so that work on the channels before need not wait for those after).
    most : int or None
        OS: most output channels in an array tile; None: the register file's depth.
    by_channels : bool
        OS: whether chunks begin at ``starts`` in every part of the kernel, because only some channels are in the buffer at a time.

    Raises
    ------
    CompileError
        If even one record or tile does not fit the weight buffer.
    """
    n, os = cfg.n, dataflow == Dataflow.OS
    # A quarter of the buffer a chunk: three can be under way while one is consumed.
    limit = max(cfg.weight_rows // 4, os_rows(cfg, 1, cfg.rf) + 1 if os else n)
    if limit > cfg.weight_rows:
        raise CompileError(f"layer {op.layers[0]}: needs {limit} rows of weight buffer at least, there are {cfg.weight_rows}")
    part, block, lane = _input_positions(op, n)
    # Two groups' biases must fit their buffer.
    most = min(most or cfg.rf, cfg.rf, n * max(1, cfg.bias_rows // 4)) if os else n
    groups = _channel_groups(op, n, most, not os)
    for group in groups:
        weight, first, real = _dense(op, op.first + group.c0, group.channels)
        read = slice(first - op.first_in, first - op.first_in + weight.shape[1])
        source = StreamInput(op, cfg, weight, first, real, part[read], block[read], lane[read], limit, by_channels)
        (fill_os if os else fill_ws)(group, source, starts)
    return WeightPlan(op, dataflow, groups)
