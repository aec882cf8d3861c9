"""The form of a convolution's weights: channel groups of streams, each stream one instruction of the array.

A :class:`WeightPlan` lists *channel groups* (output channels that one array tile computes) and for each its *chunks*: the weight streams
that one instruction of the array consumes. The same chunks serve every array tile.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.tuning import TILING
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig

#: (part, block) of the input channels with which a new chunk begins.
ChunkStart = tuple[int, int]


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

    def __init__(self, cfg: MachineConfig, nnz: IntArray, down: IntArray) -> None:
        self.cfg, self.nnz, self.down = cfg, nnz, down
        self._known: dict[tuple[int, int, int], int] = {}

    @functools.cached_property
    def values(self) -> int:
        """Non-zero weights of all."""
        return int(self.nnz.sum())

    def cycles(self, nrows: int, segs: int, windows: int) -> int:
        """Cycles of a tile of ``nrows`` array rows, ``segs`` to an output line, of ``windows`` buffer reads each."""
        key = nrows, segs, windows
        if key not in self._known:
            rows = self.down * segs
            loads = np.where((rows > 0) & (rows < nrows), rows, nrows) * windows
            # Headers are read some records ahead: only on average must they keep up.
            self._known[key] = max(int(np.maximum(self.nnz, loads).sum()), len(rows) * self.cfg.record_cycles)
        return self._known[key]


class OsSource(NamedTuple):
    """Records of an OS chunk as arrays (R,), ``values`` (R, O): input block and lane, kernel position from the chunk's corner, weights."""

    block: IntArray
    lane: IntArray
    ky: IntArray
    kx: IntArray
    values: npt.NDArray[np.int16]


class WsSource(NamedTuple):
    """Tiles of a WS chunk: weights (O, I, Kh, Kw) and for each of the I inputs its block, from the chunk's first, and lane."""

    weight: npt.NDArray[np.int16]
    block: IntArray
    lane: IntArray


@dataclasses.dataclass(eq=False)
class Chunk:
    """Weights that one instruction of the array consumes.

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
        Rows that cross the bus: fewer where zeros are left out (``weight_packing``). The search for a schedule counts ``rows`` all the
        same: its group schedules take transfers to be waited for less than they are, and with fewer beats they would be tighter still.
    source : OsSource or WsSource
        What :func:`~compiler.mapping.weight_encoding.encode` lays out.
    records : Records or None
        OS: its records.
    hdr_rows : int
        OS: rows of the headers; the values follow.
    skipped : int
        OS: zero weights that the stream leaves out.
    """

    part: int
    blocks: tuple[int, int]
    corner: tuple[int, int]
    kernel: tuple[int, int]
    lines: tuple[int, int]
    rows: int
    bus_rows: int
    source: OsSource | WsSource
    records: Records | None = None
    hdr_rows: int = 0
    skipped: int = 0

    @property
    def stream(self) -> Records:
        """OS: its records."""
        if self.records is None:
            raise AssertionError("a WS chunk has no records")
        return self.records

    def ws_cycles(self, cfg: MachineConfig, pixels: int) -> int:
        """WS: cycles of a tile of so many pixels."""
        tiles = (self.blocks[1] - self.blocks[0]) * self.kernel[0] * self.kernel[1]
        return tiles * max(cfg.ws_tile_cycles, pixels)


@dataclasses.dataclass(eq=False)
class ChannelGroup:
    """Output channels of one array tile: ``channels`` from lane ``lane0`` of block ``block0`` on, in ``blocks`` blocks; ``c0`` counts
    channels."""

    c0: int
    channels: int
    block0: int
    lane0: int
    blocks: int
    chunks: list[Chunk]

    @property
    def rows(self) -> int:
        """Rows of the weight buffer that all its chunks take."""
        return sum(chunk.rows for chunk in self.chunks)


@dataclasses.dataclass(eq=False)
class WeightPlan:
    """The weight streams of one convolution in one dataflow."""

    op: Op
    dataflow: Dataflow
    groups: list[ChannelGroup]

    @functools.cached_property
    def rows(self) -> int:
        """Rows of the weight buffer that all the streams take."""
        return sum(group.rows for group in self.groups)

    @functools.cached_property
    def largest(self) -> int:
        """Rows of the longest stream."""
        return max(chunk.rows for group in self.groups for chunk in group.chunks)

    @property
    def bias_rows(self) -> int:
        """Rows of the bias buffer that all the biases take."""
        return 2 * sum(group.blocks for group in self.groups)


def leaves_room(rows: int, cfg: MachineConfig) -> bool:
    """Whether so many rows of weights can stay in their buffer while others are prefetched."""
    return rows <= TILING.stream_share * cfg.weight_rows
