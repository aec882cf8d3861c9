"""Weight streams of weight-stationary convolutions: tiles of N input channels by N output channels, one for each kernel position."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.compiler.mapping.stream_input import StreamInput
from squeezelerator.compiler.mapping.weight_packing import packed_size
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, Chunk, ChunkStart, WsSource

#: An instruction holds 5 bits of kernel lines and of kernel columns.
_REGION = (31, 31)


def fill_ws(group: ChannelGroup, source: StreamInput, starts: Sequence[ChunkStart]) -> None:
    """Fill ``group.chunks``, of one output block, with WS tiles, beginning anew at every (part, block) of ``starts``."""
    for p in np.unique(source.part):
        inputs = np.flatnonzero(source.part == p)
        for b0, b1 in _block_ranges(source, inputs, [b for q, b in starts if q == p]):
            chosen = inputs[(source.block[inputs] >= b0) & (source.block[inputs] < b1)]
            for corner, kernel in _kernel_regions(source):
                group.chunks.append(_chunk(source, int(p), (b0, b1), chosen, corner, kernel))


def _block_ranges(source: StreamInput, inputs: IntArray, starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ranges of channel blocks of one part, as long as a chunk may be if it holds whole kernels, otherwise single blocks."""
    k_h, k_w = source.op.kernel
    most = max(1, source.limit // source.cfg.n)
    whole = k_h <= _REGION[0] and k_w <= _REGION[1] and k_h * k_w <= most
    step = max(1, most // (k_h * k_w)) if whole else 1
    low, high = int(source.block[inputs[0]]), int(source.block[inputs[-1]]) + 1
    for start, end in itertools.pairwise(sorted({low, high, *(b for b in starts if low < b < high)})):
        pieces = -(-(end - start) // step)
        yield from itertools.pairwise(start + (end - start) * i // pieces for i in range(pieces + 1))


def _kernel_regions(source: StreamInput) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """(corner, size) of the parts of the kernel where one block's tiles are too many for a chunk: whole kernel lines if possible."""
    k_h, k_w = source.op.kernel
    most = max(1, source.limit // source.cfg.n)
    n_x = min(k_w, _REGION[1], most)
    n_y = min(k_h, _REGION[0], most // n_x) if n_x == k_w else 1
    for y in range(0, k_h, n_y):
        for x in range(0, k_w, n_x):
            yield (y, x), (min(n_y, k_h - y), min(n_x, k_w - x))


def _chunk(source: StreamInput, part: int, blocks: tuple[int, int], inputs: IntArray, corner: tuple[int, int],
           kernel: tuple[int, int]) -> Chunk:  # fmt: skip
    cfg, (y, x) = source.cfg, corner
    weight = source.weight[:, inputs, y : y + kernel[0], x : x + kernel[1]]
    rows = bus_rows = (blocks[1] - blocks[0]) * kernel[0] * kernel[1] * cfg.n
    if cfg.unpacks:
        nonzeros = np.zeros(rows, np.int64)  # rows of channels that do not exist have nothing but zeros
        some = np.count_nonzero(weight, axis=0).ravel()
        nonzeros[: len(some)] = some
        bus_rows = min(rows, packed_size(cfg, nonzeros))
    return Chunk(part, blocks, corner, kernel, (0, source.op.kernel[0]), rows, bus_rows,
                 WsSource(weight, source.block[inputs] - blocks[0], source.lane[inputs]))  # fmt: skip
