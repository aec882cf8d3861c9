"""Pass 3, weight plans: how a convolution's weights are cut into streams that fit the weight buffer.

A :class:`WeightPlan` lists *channel groups* (output channels that one pass computes) and for each its *chunks*: the weight
streams that one ARRAY instruction consumes. The same chunks serve every spatial pass.
"""

import dataclasses
import functools
import itertools

import numpy as np

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.mapping.array_tiles import Segments
from squeezelerator.compiler.mapping.weight_packing import pack, packed_size
from squeezelerator.spec.isa import MODE_OS, MODE_WS

#: A record's header holds 5 bits of kernel column and 6 of kernel line; a WS instruction 5 and 5.
_OS_REGION, _WS_REGION = (64, 32), (31, 31)
_MAX_RECORDS = 65535


class Records:
    """The records of an OS stream: what their cycles depend on.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    nnz : numpy.ndarray
        Non-zero weights of each.
    down : numpy.ndarray
        By how many output lines a record's pixels lie below those of the record before, 0 for those that have to be loaded anew.
    """

    def __init__(self, cfg, nnz, down):
        self.cfg, self.nnz, self.down = cfg, nnz, down
        self._known = {}

    @functools.cached_property
    def values(self):
        """Non-zero weights of all."""
        return int(self.nnz.sum())

    def cycles(self, nrows, segs, windows):
        """Cycles of a pass over ``nrows`` array rows, ``segs`` to an output line, of ``windows`` buffer reads each."""
        key = nrows, segs, windows
        if key not in self._known:
            rows = self.down * segs
            loads = np.where((rows > 0) & (rows < nrows), rows, nrows) * windows
            # Headers are read some records ahead: only on average must they keep up.
            self._known[key] = max(int(np.maximum(self.nnz, loads).sum()), len(rows) * self.cfg.record_cycles)
        return self._known[key]


@dataclasses.dataclass(eq=False)
class Chunk:
    """Weights that one ARRAY instruction consumes.

    Parameters
    ----------
    part : int
        Which of the operation's inputs it reads.
    blocks : tuple of int
        Channel blocks of that part from ... to (exclusive).
    corner : tuple of int
        Kernel line and column at which its part of the kernel begins.
    kernel : tuple of int
        Lines and columns of that part (WS).
    lines : tuple of int
        Kernel lines from ... to (exclusive) of which it has weights: other lines of the input need not be there yet.
    rows : int
        Rows of the weight buffer.
    bus_rows : int
        Rows that cross the bus: fewer where zeros are left out (``weight_packing``). The search for a schedule counts ``rows``
        all the same: its walks take transfers to be waited for less than they are, and with fewer beats they would be tighter still.
    records : Records or None
        OS: its records.
    hdr_rows : int
        OS: rows of the headers; the values follow.
    skipped : int
        OS: zero weights that the stream leaves out.
    source : tuple
        What :func:`encode` needs.
    """

    part: int
    blocks: tuple[int, int]
    corner: tuple[int, int]
    kernel: tuple[int, int]
    lines: tuple[int, int]
    rows: int
    bus_rows: int
    records: Records | None
    hdr_rows: int
    skipped: int
    source: tuple

    def cycles(self, n, pixels):
        """WS: cycles of a pass over so many pixels."""
        tiles = (self.blocks[1] - self.blocks[0]) * self.kernel[0] * self.kernel[1]
        return tiles * max(n, pixels)


@dataclasses.dataclass(eq=False)
class ChannelGroup:
    """Output channels of one pass: ``channels`` from lane ``lane0`` of block ``block0`` on; ``c0`` counts channels."""

    c0: int
    channels: int
    block0: int
    lane0: int
    blocks: int
    chunks: list[Chunk]

    @property
    def rows(self):
        """Rows of the weight buffer that all its chunks take."""
        return sum(chunk.rows for chunk in self.chunks)


@dataclasses.dataclass(eq=False)
class WeightPlan:
    """The weight streams of one convolution in one dataflow (``MODE_OS`` or ``MODE_WS``)."""

    op: object
    mode: int
    groups: list[ChannelGroup]

    @functools.cached_property
    def rows(self):
        """Rows of the weight buffer that all the streams take."""
        return sum(group.rows for group in self.groups)

    @functools.cached_property
    def largest(self):
        """Rows of the longest stream."""
        return max(chunk.rows for group in self.groups for chunk in group.chunks)

    @property
    def bias_rows(self):
        """Rows of the bias buffer that all the biases take."""
        return 2 * sum(group.blocks for group in self.groups)


def _channel_groups(op, n, most, whole_blocks):
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


def _dense(op, c0, channels):
    """Weights (channels, inputs, Kh, Kw) of the layer's output channels from ``c0``, the first input, and inputs' real weights (inputs,).

    With groups, only inputs that some of these outputs read are in the result; the others' weights in it are zero.
    """
    if op.groups == 1:
        return op.weight[c0 : c0 + channels], 0, np.full(op.weight.shape[1], channels)
    per_out, per_in = op.weight.shape[0] // op.groups, op.weight.shape[1]
    first, last = c0 // per_out, (c0 + channels - 1) // per_out
    dense = np.zeros((channels, (last - first + 1) * per_in, *op.weight.shape[2:]), np.int16)
    real = np.zeros(dense.shape[1], np.int64)
    for group in range(first, last + 1):
        low, high = max(c0, group * per_out), min(c0 + channels, (group + 1) * per_out)
        inputs = slice((group - first) * per_in, (group - first + 1) * per_in)
        dense[low - c0 : high - c0, inputs] = op.weight[low:high]
        real[inputs] = high - low
    return dense, first * per_in, real


def _input_positions(op, n):
    """Three int arrays over the concatenated input channels: part, block within the part, lane."""
    part, block, lane = [], [], []
    for index, tensor in enumerate(op.parts):
        part.append(np.full(tensor.c, index))
        block.append(np.arange(tensor.c) // n)
        lane.append(np.arange(tensor.c) % n)
    return np.concatenate(part), np.concatenate(block), np.concatenate(lane)


def _os_chunks(op, cfg, group, positions, cuts, limit):
    """Fill ``group.chunks`` with OS streams of at most ``limit`` rows, beginning anew at the (part, block)s in ``cuts``."""
    weight, first, real = _dense(op, op.first + group.c0, group.channels)
    inputs = weight.shape[1]
    part, block, lane = (p[first - op.first_in : first - op.first_in + inputs] for p in positions)
    k_h, k_w = op.kernel
    taps = np.ones((inputs, k_h, k_w), bool) if op.taps is None else op.taps[first : first + inputs]
    # Records in the order (part, kernel region, channel, kx, ky), where ky is walked through in steps of the stride: such a step is
    # one output line, so the array keeps most of the pixels that it has.
    tap_y, tap_x = np.divmod(np.arange(k_h * k_w), k_w)
    tap = np.lexsort((tap_y, tap_y % op.stride[0], tap_x))
    ci = np.repeat(np.arange(inputs), len(tap))
    ky, kx = np.tile(tap_y[tap], inputs), np.tile(tap_x[tap], inputs)
    region = ky // _OS_REGION[0] * (k_w // _OS_REGION[1] + 1) + kx // _OS_REGION[1]
    if k_h > op.stride[0] and Segments.of(op.out.w, op.stride[1], cfg.n).segs >= cfg.n:
        # No pass reaches the line below, so no pixels would be kept from it: the kernel lines that the pass before did not need come
        # last, and transfers of them may come while it works on the others.
        region = 2 * region + (ky >= k_h - op.stride[0])
    order = np.lexsort((np.arange(len(ci)), region, part[ci])) if region.any() else np.arange(len(ci))
    ci, ky, kx, region = ci[order], ky[order], kx[order], region[order]
    values = weight.transpose(1, 2, 3, 0)[ci, ky, kx]
    nnz = (values != 0).sum(axis=1)
    zeros = (taps[ci, ky, kx] * real[ci]) - nnz
    new = np.flatnonzero((np.diff(part[ci]) != 0) | (np.diff(region) != 0)) + 1
    starts = [int(np.argmax((part[ci] == p) & (block[ci] >= b))) for p, b in cuts if ((part[ci] == p) & (block[ci] >= b)).any()]
    bounds = sorted({0, len(ci), *new.tolist(), *starts})
    for low, high in itertools.pairwise(bounds):
        _cut_records(op, cfg, group, limit, np.arange(low, high), (ci, ky, kx, part, block, lane, values, nnz, zeros))
    if not group.chunks:
        # Every weight is zero; one record with a zero weight still has to clear the sums.
        _add_os_chunk(op, cfg, group, np.array([0]), 0, (ci, ky, kx, part, block, lane, values, nnz, zeros))
    group.chunks[-1].skipped += int(zeros.sum()) - sum(chunk.skipped for chunk in group.chunks)


def _os_rows(cfg, records, nonzeros):
    return -(-records * cfg.header_words // cfg.n) + -(-nonzeros // cfg.n)


def _cut_records(op, cfg, group, limit, index, arrays):
    """Cut records ``index`` of one part and region into chunks of about equal size, none above ``limit`` rows."""
    nnz, zeros = arrays[7], arrays[8]
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
            if len(chosen) > 1 and _os_rows(cfg, len(chosen), int(nnz[chosen].sum())) > limit:
                half = len(chosen) // 2
                for some in (chosen[:half], chosen[half:]):
                    _add_os_chunk(op, cfg, group, some, int(zeros[some].sum()), arrays)
            else:
                _add_os_chunk(op, cfg, group, chosen, int(zeros[chosen].sum()), arrays)
            at = end


def _add_os_chunk(op, cfg, group, index, skipped, arrays):
    ci, ky, kx, part, block, lane, values, nnz, _ = arrays
    corner = (int(ky[index[0]]) // _OS_REGION[0] * _OS_REGION[0], int(kx[index[0]]) // _OS_REGION[1] * _OS_REGION[1])
    channel = ci[index]
    source = (block[channel], lane[channel], ky[index] - corner[0], kx[index] - corner[1], values[index])
    count = np.maximum(nnz[index], 1)
    lines, rest = np.divmod(np.diff(ky[index]), op.stride[0])
    below = (np.diff(channel) == 0) & (np.diff(kx[index]) == 0) & (rest == 0) & np.isin(lines, cfg.shift_lines)
    down = np.concatenate(([0], np.where(below, lines, 0)))
    rows = _os_rows(cfg, len(index), int(count.sum()))
    group.chunks.append(Chunk(
        part=int(part[channel[0]]), blocks=(int(block[channel].min()), int(block[channel].max()) + 1), corner=corner,
        kernel=(0, 0), lines=(int(ky[index].min()), int(ky[index].max()) + 1), rows=rows, bus_rows=rows, records=Records(cfg, count, down),
        hdr_rows=-(-len(index) * cfg.header_words // cfg.n), skipped=skipped, source=source,
    ))  # fmt: skip


def _ws_chunks(op, cfg, group, positions, cuts, limit):
    """Fill ``group.chunks`` with WS tiles for one output block, at most ``limit`` rows a chunk."""
    n, (k_h, k_w) = cfg.n, op.kernel
    weight, first, _ = _dense(op, op.first + group.c0, group.channels)
    part, block, lane = (p[first - op.first_in : first - op.first_in + weight.shape[1]] for p in positions)
    most = max(1, limit // n)
    nonzeros = np.count_nonzero(weight, axis=0) if cfg.unpacks else None
    for p in np.unique(part):
        mine = np.flatnonzero(part == p)
        low, high = int(block[mine[0]]), int(block[mine[-1]]) + 1
        whole = k_h <= _WS_REGION[0] and k_w <= _WS_REGION[1] and k_h * k_w <= most
        step = max(1, most // (k_h * k_w)) if whole else 1
        # Cut the kernel where one block's tiles are too many: whole kernel lines if possible.
        n_x = min(k_w, _WS_REGION[1], most)
        n_y = min(k_h, _WS_REGION[0], most // n_x) if n_x == k_w else 1
        bounds = sorted({low, high, *(b for q, b in cuts if q == p and low < b < high)})
        for start, end in itertools.pairwise(bounds):
            pieces = -(-(end - start) // step)
            edges = [start + (end - start) * i // pieces for i in range(pieces + 1)]
            for b0, b1 in itertools.pairwise(edges):
                chosen = mine[(block[mine] >= b0) & (block[mine] < b1)]
                for y in range(0, k_h, n_y):
                    for x in range(0, k_w, n_x):
                        kernel = (min(n_y, k_h - y), min(n_x, k_w - x))
                        source = (weight[:, chosen, y : y + kernel[0], x : x + kernel[1]], block[chosen] - b0, lane[chosen])
                        rows = bus_rows = (b1 - b0) * kernel[0] * kernel[1] * n
                        if cfg.unpacks:
                            some = np.zeros(rows, np.int64)  # rows of channels that do not exist have nothing but zeros
                            part_of = nonzeros[chosen, y : y + kernel[0], x : x + kernel[1]].ravel()
                            some[: len(part_of)] = part_of
                            bus_rows = min(rows, packed_size(cfg, some))
                        group.chunks.append(Chunk(int(p), (b0, b1), (y, x), kernel, (0, k_h), rows, bus_rows, None, 0, 0, source))


def encode(cfg, group, chunk, plane, pitch):
    """The words of a chunk as they lie in DRAM, (rows, words of a row) uint16, for an input with so many rows a block (``plane``) and a
    line (``pitch``)."""
    n = cfg.n
    words = np.zeros((chunk.rows, n), np.uint16)
    if chunk.records is None:
        weight, block, lane = chunk.source
        tiles = np.zeros((chunk.blocks[1] - chunk.blocks[0], *chunk.kernel, n, n), np.int16)
        tiles[block, :, :, lane, group.lane0 : group.lane0 + group.channels] = weight.transpose(1, 2, 3, 0)
        words[:] = tiles.reshape(-1, n).view(np.uint16)
        return pack(cfg, words) if chunk.bus_rows < chunk.rows else words
    block, lane, ky, kx, values = chunk.source
    used = values != 0
    if not used.any():
        used[0, 0] = True  # the record that only clears the sums
    headers = np.zeros((len(ky), cfg.header_words), np.uint16)
    headers[:, 0] = (block * plane + ky * pitch + kx) & 0xFFFF
    headers[:, 1] = lane | kx << 5 | ky << 10
    bits = np.zeros((len(ky), cfg.bitmap_words * 16), np.uint8)
    bits[:, : used.shape[1]] = used
    headers[:, 2:] = np.packbits(bits, axis=1, bitorder="little").view("<u2")
    words.reshape(-1)[: headers.size] = headers.reshape(-1)
    stream = values[used].view(np.uint16)
    words[chunk.hdr_rows :].reshape(-1)[: stream.size] = stream
    return words


def make_weight_plan(op, cfg, mode, cuts=(), most=None):
    """The :class:`WeightPlan` of a convolution.

    Parameters
    ----------
    op : compiler.ir.graph.Op
    cfg : spec.machine.MachineConfig
    mode : int
        ``MODE_OS`` or ``MODE_WS``.
    cuts : sequence of (part, block)
        Where a new chunk must begin (so that work on the channels before need not wait for those after).
    most : int or None
        OS: most output channels in a pass; None: the register file's depth.

    Raises
    ------
    CompileError
        If even one record or tile does not fit the weight buffer.
    """
    n = cfg.n
    # A quarter of the buffer a chunk: three can be under way while one is consumed.
    limit = max(cfg.weight_rows // 4, _os_rows(cfg, 1, cfg.rf) + 1 if mode == MODE_OS else n)
    if limit > cfg.weight_rows:
        raise CompileError(f"layer {op.layers[0]}: needs {limit} rows of weight buffer at least, there are {cfg.weight_rows}")
    positions = _input_positions(op, n)
    # Two groups' biases must fit their buffer.
    most = min(most or cfg.rf, cfg.rf, n * max(1, cfg.bias_rows // 4)) if mode == MODE_OS else n
    groups = _channel_groups(op, n, most, mode == MODE_WS)
    for group in groups:
        (_os_chunks if mode == MODE_OS else _ws_chunks)(op, cfg, group, positions, cuts, limit)
    return WeightPlan(op, mode, groups)


MODES = {"os": MODE_OS, "ws": MODE_WS}
