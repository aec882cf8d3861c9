"""Weight streams of output-stationary convolutions: records of one input channel and kernel position, zeros left out."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.compiler.mapping.array_tiles import newest_lines_last
from squeezelerator.compiler.mapping.stream_input import StreamInput
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, Chunk, ChunkStart, OsSource, Records
from squeezelerator.spec.machine import MachineConfig

#: A record's header holds 6 bits of kernel line and 5 of kernel column.
_REGION = (64, 32)
_MAX_RECORDS = 65535


class _RecordTable(NamedTuple):
    """All records of a channel group in the order of the stream: input channel ``ci``, kernel position, kernel region, weights (R, O),
    their number that is not zero, and the number of zeros."""

    ci: IntArray
    ky: IntArray
    kx: IntArray
    region: IntArray
    values: npt.NDArray[np.int16]
    nnz: IntArray
    zeros: IntArray


def os_rows(cfg: MachineConfig, records: int, nonzeros: int) -> int:
    """Rows of the weight buffer of a stream."""
    return -(-records * cfg.header_words // cfg.n) + -(-nonzeros // cfg.n)


def _record_table(source: StreamInput) -> _RecordTable:
    op, inputs = source.op, source.weight.shape[1]
    k_h, k_w = op.kernel
    # Records in the order (part, kernel region, channel, kx, ky), where ky is walked through in steps of the stride: such a step is
    # one output line, so the array keeps most of the pixels that it has.
    tap_y, tap_x = np.divmod(np.arange(k_h * k_w), k_w)
    tap = np.lexsort((tap_y, tap_y % op.stride[0], tap_x))
    ci = np.repeat(np.arange(inputs), len(tap))
    ky, kx = np.tile(tap_y[tap], inputs), np.tile(tap_x[tap], inputs)
    region = ky // _REGION[0] * (k_w // _REGION[1] + 1) + kx // _REGION[1]
    if newest_lines_last(op, source.cfg.n):
        region = 2 * region + (ky >= k_h - op.stride[0])
    order = np.lexsort((np.arange(len(ci)), region, source.part[ci])) if region.any() else np.arange(len(ci))
    ci, ky, kx, region = ci[order], ky[order], kx[order], region[order]
    values = source.weight.transpose(1, 2, 3, 0)[ci, ky, kx]
    nnz = (values != 0).sum(axis=1)
    taps = np.ones((inputs, k_h, k_w), bool) if op.taps is None else op.taps[source.first : source.first + inputs]
    zeros = (taps[ci, ky, kx] * source.real[ci]) - nnz
    return _RecordTable(ci, ky, kx, region, values, nnz, zeros)


def fill_os(group: ChannelGroup, source: StreamInput, starts: Sequence[ChunkStart]) -> None:
    """Fill ``group.chunks`` with OS streams, beginning anew at every (part, block) of ``starts``."""
    table = _record_table(source)
    part, block = source.part[table.ci], source.block[table.ci]
    new = np.flatnonzero((np.diff(part) != 0) | (np.diff(table.region) != 0)) + 1
    behind = [(part == p) & (block >= b) for p, b in starts]
    if source.by_channels:
        cuts = {int(at) for these in behind for at in np.flatnonzero(np.diff(these)) + 1}
    else:
        cuts = {int(np.argmax(these)) for these in behind if these.any()}
    bounds = sorted({0, len(table.ci), *new.tolist(), *cuts})
    for low, high in itertools.pairwise(bounds):
        _cut_records(group, source, table, np.arange(low, high))
    if not group.chunks:
        # Every weight is zero; one record with a zero weight still has to clear the sums.
        _add_chunk(group, source, table, np.array([0]), 0)
    group.chunks[-1].skipped += int(table.zeros.sum()) - sum(chunk.skipped for chunk in group.chunks)


def _cut_records(group: ChannelGroup, source: StreamInput, table: _RecordTable, index: IntArray) -> None:
    """Cut records ``index`` of one part and region into chunks of about equal size, none above the limit."""
    cfg, limit, nnz, zeros = source.cfg, source.limit, table.nnz, table.zeros
    kept = index[nnz[index] > 0]
    if not len(kept):
        return
    words = np.cumsum(nnz[kept] + cfg.header_words)
    count = max(1, -(-int(words[-1]) // ((limit - 1) * cfg.n)), -(-len(kept) // _MAX_RECORDS))
    at = 0
    for piece in range(1, count + 1):
        end = int(np.searchsorted(words, words[-1] * piece / count, side="right")) if piece < count else len(kept)
        if end > at:
            chosen = kept[at:end]
            if len(chosen) > 1 and os_rows(cfg, len(chosen), int(nnz[chosen].sum())) > limit:
                half = len(chosen) // 2
                for some in (chosen[:half], chosen[half:]):
                    _add_chunk(group, source, table, some, int(zeros[some].sum()))
            else:
                _add_chunk(group, source, table, chosen, int(zeros[chosen].sum()))
            at = end


def _add_chunk(group: ChannelGroup, source: StreamInput, table: _RecordTable, index: IntArray, skipped: int) -> None:
    cfg, op = source.cfg, source.op
    channel, ky, kx = table.ci[index], table.ky[index], table.kx[index]
    corner = (int(ky[0]) // _REGION[0] * _REGION[0], int(kx[0]) // _REGION[1] * _REGION[1])
    block = source.block[channel]
    count = np.maximum(table.nnz[index], 1)
    lines, rest = np.divmod(np.diff(ky), op.stride[0])
    below = (np.diff(channel) == 0) & (np.diff(kx) == 0) & (rest == 0) & np.isin(lines, cfg.shift_lines)
    down = np.concatenate(([0], np.where(below, lines, 0)))
    rows = os_rows(cfg, len(index), int(count.sum()))
    group.chunks.append(Chunk(
        part=int(source.part[channel[0]]), blocks=(int(block.min()), int(block.max()) + 1), corner=corner, kernel=(0, 0),
        lines=(int(ky.min()), int(ky.max()) + 1), rows=rows, bus_rows=rows,
        source=OsSource(block, source.lane[channel], ky - corner[0], kx - corner[1], table.values[index]),
        records=Records(cfg, count, down), hdr_rows=-(-len(index) * cfg.header_words // cfg.n), skipped=skipped,
    ))  # fmt: skip
