"""Weight streams as the words that lie in DRAM and in the weight buffer."""

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.mapping.weight_packing import pack
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, Chunk, OsSource
from squeezelerator.spec.machine import MachineConfig


def encode(cfg: MachineConfig, group: ChannelGroup, chunk: Chunk, plane: int, pitch: int) -> npt.NDArray[np.uint16]:
    """The words of a chunk, (rows, words of a row) uint16, for an input with so many buffer rows a block (``plane``) and a line
    (``pitch``)."""
    if isinstance(chunk.source, OsSource):
        return _encode_os(cfg, chunk, chunk.source, plane, pitch)
    n, (weight, block, lane) = cfg.n, chunk.source
    tiles = np.zeros((chunk.blocks[1] - chunk.blocks[0], *chunk.kernel, n, n), np.int16)
    tiles[block, :, :, lane, group.lane0 : group.lane0 + group.channels] = weight.transpose(1, 2, 3, 0)
    words = tiles.reshape(-1, n).view(np.uint16)
    return pack(cfg, words) if chunk.bus_rows < chunk.rows else words


def _encode_os(cfg: MachineConfig, chunk: Chunk, source: OsSource, plane: int, pitch: int) -> npt.NDArray[np.uint16]:
    block, lane, ky, kx, values = source
    words = np.zeros((chunk.rows, cfg.n), np.uint16)
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
