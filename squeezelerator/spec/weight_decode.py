"""Decodes weights: the headers of an OS stream as they lie in the weight buffer, and packed rows as they lie in DRAM."""

import dataclasses

import numpy as np

from squeezelerator.spec.machine import MachineConfig

__all__ = ["Headers", "decode_headers", "unpack"]


@dataclasses.dataclass(frozen=True)
class Headers:
    """The records of a stream.

    ``offset``, ``lane``, ``kx``, ``ky`` : int64 (records). ``bits`` : bool (records, rf), which output channels have a value.
    ``nnz`` : values of each record, list of int. ``channels`` : the union of all bitmaps, as a whole number.
    """

    offset: np.ndarray
    lane: np.ndarray
    kx: np.ndarray
    ky: np.ndarray
    bits: np.ndarray
    nnz: list
    channels: int


def decode_headers(cfg: MachineConfig, words: np.ndarray, records: int) -> Headers:
    """Headers from ``words`` (uint16, at least ``records * cfg.header_words``)."""
    headers = np.ascontiguousarray(words[: records * cfg.header_words]).reshape(records, cfg.header_words)
    bits = np.unpackbits(np.ascontiguousarray(headers[:, 2:]).view(np.uint8), axis=1, bitorder="little")[:, : cfg.rf]
    bits = bits.astype(bool)
    position = headers[:, 1].astype(np.int64)
    union = np.flatnonzero(bits.any(axis=0))
    return Headers(
        offset=headers[:, 0].astype(np.int64), lane=position & 31, kx=position >> 5 & 31, ky=position >> 10, bits=bits,
        nnz=bits.sum(axis=1).tolist(), channels=sum(1 << int(k) for k in union))


def unpack(cfg: MachineConfig, words: np.ndarray) -> np.ndarray:
    """Rows (R, N) uint16 that LOAD makes of packed weights: all that are complete in ``words`` (uint16)."""
    n, head = cfg.n, cfg.mask_words
    words = np.ascontiguousarray(words)
    ones = np.bitwise_count(words[head - 1 :] & np.uint16((1 << n - 16 * (head - 1)) - 1)).astype(np.int64)
    if head > 1:
        ones += np.bitwise_count(words[:-1])
    behind = (np.arange(len(ones)) + np.maximum(ones + head, cfg.bus_words)).tolist()  # where a row ends that begins here
    starts, at = [], 0
    while at < len(behind) and behind[at] <= len(words):
        starts.append(at)
        at = behind[at]
    starts = np.array(starts, np.int64)[:, None]
    masks = np.ascontiguousarray(words[starts + np.arange(head)])
    bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")[:, :n].astype(bool)
    return np.where(bits, words[starts + (head - 1) + np.cumsum(bits, axis=1)], np.uint16(0))
