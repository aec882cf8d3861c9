"""The file of a compressed network (``.sqz``): shared weights as Huffman-coded codes and relative positions.

Little endian. The magic ``SQZ1``, the name of the pictures' preprocessing (a byte with its length, then ASCII), the number of layers
(uint16), then layer by layer in table order the fields of ``_LAYER`` below, and

- the codebook without its zero: ``entries`` float32, and the biases: ``filters`` float32;
- the lengths of the Huffman words of the codes (four bits for each of ``entries + 1``) and the coded codes;
- if ``step_bits`` is not 0: the lengths of the words of the steps (``2**step_bits`` times four bits) and the coded steps.

With ``step_bits`` 0 every weight has a code, in the order (O, I, H, W). Otherwise only stored entries have: entry i lies ``step + 1`` after
the one before; where that would need a step of ``2**step_bits`` or more, an entry of code 0 stands on the way. At the end a CRC-32
of all bytes before.
"""

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.compress import huffman
from squeezelerator.models.compress.errors import CompressError
from squeezelerator.models.compress.share import SharedLayer, SharedNetwork
from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.network.layer_table import LayerTable

MAGIC = b"SQZ1"
STEP_BITS = (2, 3, 4, 5, 6, 8)
"""Bits of a step that the encoder tries, besides none; 4 is what the paper of Deep Compression uses."""
_LAYER = struct.Struct("<IIHBIII")
"""weights, filters, codebook entries without the zero, step_bits, stored codes, bytes of coded codes, bytes of coded steps."""


def sparse_entries(codes: np.ndarray, step_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """``(codes, steps)`` of the stored entries of a flat array of codes, fillers included; both uint8."""
    reach = 1 << step_bits
    position = np.flatnonzero(codes)
    gaps = np.diff(position, prepend=-1) - 1
    fillers = gaps // reach
    # Every entry is preceded by its fillers, each ``reach`` after the one before.
    ends = np.cumsum(fillers + 1) - 1
    stored, steps = np.zeros(ends[-1] + 1 if len(ends) else 0, np.uint8), np.full(ends[-1] + 1 if len(ends) else 0, reach - 1, np.uint8)
    stored[ends], steps[ends] = codes[position], gaps % reach
    return stored, steps


def dense_codes(stored: np.ndarray, steps: np.ndarray, size: int) -> np.ndarray:
    """The flat array of ``size`` codes of stored entries: the inverse of :func:`sparse_entries`.

    Raises
    ------
    CompressError
        If an entry lies beyond the end.
    """
    position = np.cumsum(steps.astype(np.int64) + 1) - 1
    if len(position) and position[-1] >= size:
        raise CompressError(f"an entry lies at {position[-1]} of {size} weights")
    codes = np.zeros(size, np.uint8)
    codes[position] = stored
    return codes


def _coded(symbols: np.ndarray, alphabet: int) -> tuple[bytes, bytes]:
    """``(table, message)`` of a Huffman code."""
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=alphabet))
    return huffman.pack_lengths(lengths), huffman.encode(symbols, lengths)


class _Coding(NamedTuple):
    """A layer's codes in one of the ways that the encoder tries: table and message of the codes, and of the steps (empty for none)."""

    step_bits: int
    stored: int
    codes: tuple[bytes, bytes]
    moves: tuple[bytes, bytes]

    @property
    def size(self) -> int:
        return sum(map(len, (*self.codes, *self.moves)))


def _coding(flat: np.ndarray, entries: int, step_bits: int) -> _Coding:
    if step_bits == 0:
        return _Coding(0, len(flat), _coded(flat, entries + 1), (b"", b""))
    stored, steps = sparse_entries(flat, step_bits)
    return _Coding(step_bits, len(stored), _coded(stored, entries + 1), _coded(steps, 1 << step_bits))


def _encode_layer(shared: SharedLayer, bias: np.ndarray) -> bytes:
    flat, entries = shared.codes.reshape(-1), len(shared.codebook) - 1
    best = min((_coding(flat, entries, step_bits) for step_bits in (0, *STEP_BITS)), key=lambda coding: coding.size)
    head = _LAYER.pack(flat.size, len(bias), entries, best.step_bits, best.stored, len(best.codes[1]), len(best.moves[1]))
    return b"".join((head, shared.codebook[1:].astype("<f4").tobytes(), bias.astype("<f4").tobytes(), *best.codes, *best.moves))


def encode(shared_network: SharedNetwork) -> bytes:
    """Bytes of a compressed file of a :class:`~models.compress.share.SharedNetwork`."""
    parts = []
    for layer in shared_network.net.table.layers:
        if layer.has_weights:
            parts.append(_encode_layer(shared_network.shared[layer.name], shared_network.net.params[layer.name].arrays()[1]))
    name = shared_network.net.preprocessing.encode("ascii")
    data = b"".join((MAGIC, bytes((len(name),)), name, struct.pack("<H", len(parts)), *parts))
    return data + struct.pack("<I", zlib.crc32(data))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise CompressError(f"ends after {len(self._data)} bytes, but at least {end} are needed")
        part = self._data[self._at : end]
        self._at = end
        return part

    def array(self, dtype: DTypeLike, count: int) -> np.ndarray:
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype)

    @property
    def left(self) -> int:
        return len(self._data) - self._at


def _decode_layer(reader: _Reader, layer: Layer) -> tuple[SharedLayer, np.ndarray]:
    weights, filters, entries, step_bits, count, code_bytes, move_bytes = _LAYER.unpack(reader.take(_LAYER.size))
    if (weights, filters) != (layer.params, layer.c_o):
        raise CompressError(f"has {weights} weights and {filters} biases, but the table has {layer.params} and {layer.c_o}")
    if entries > 255 or step_bits not in (0, *STEP_BITS) or count > weights or (step_bits == 0 and count != weights):
        raise CompressError(f"an impossible header ({entries} entries, {step_bits}-bit steps, {count} codes)")
    codebook = np.concatenate((np.zeros(1, np.float32), reader.array("<f4", entries).astype(np.float32)))
    bias = reader.array("<f4", filters).astype(np.float32)
    lengths = huffman.unpack_lengths(reader.take(huffman.table_size(entries + 1)), entries + 1)
    codes = huffman.decode(reader.take(code_bytes), lengths, count)
    if step_bits:
        lengths = huffman.unpack_lengths(reader.take(huffman.table_size(1 << step_bits)), 1 << step_bits)
        codes = dense_codes(codes, huffman.decode(reader.take(move_bytes), lengths, count), weights)
    return SharedLayer(codebook, codes.reshape(layer.weight_shape)), bias


def decode(data: bytes, table: LayerTable, title: str = "the compressed file") -> FloatNetwork:
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a compressed file's bytes, for ``table``.

    Raises
    ------
    CompressError
        If the bytes are no such file, are damaged, or belong to another network; the line begins with ``title``.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise CompressError(f"{title}: is no compressed network (it does not begin with {MAGIC.decode()})")
    if len(data) < len(MAGIC) + 7 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise CompressError(f"{title}: is truncated or damaged (its checksum is wrong)")
    layers = [layer for layer in table.layers if layer.has_weights]
    reader = _Reader(data[len(MAGIC) : -4])
    preprocessing = reader.take(reader.take(1)[0]).decode("ascii", "replace")
    (count,) = struct.unpack("<H", reader.take(2))
    if count != len(layers):
        raise CompressError(f"{title}: has {count} layers with weights, but {table.name} has {len(layers)}")
    params = {}
    for layer in layers:
        try:
            shared, bias = _decode_layer(reader, layer)
        except CompressError as error:
            raise CompressError(f"{title}: layer {layer.name}: {error}") from None
        params[layer.name] = FloatLayer(weight=shared.weight, bias=bias)
    if reader.left:
        raise CompressError(f"{title}: {reader.left} bytes follow the last layer")
    return FloatNetwork(table, params, preprocessing).validate()
