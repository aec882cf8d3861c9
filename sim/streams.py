"""Decodes the headers of an OS weight stream as they lie in the weight buffer."""

import dataclasses

import numpy as np

__all__ = ["Headers", "decode_headers"]


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


def decode_headers(cfg, words, records):
    """Headers from ``words`` (uint16, at least ``records * cfg.header_words``)."""
    headers = np.ascontiguousarray(words[: records * cfg.header_words]).reshape(records, cfg.header_words)
    bits = np.unpackbits(np.ascontiguousarray(headers[:, 2:]).view(np.uint8), axis=1, bitorder="little")[:, : cfg.rf]
    bits = bits.astype(bool)
    position = headers[:, 1].astype(np.int64)
    union = np.flatnonzero(bits.any(axis=0))
    return Headers(
        offset=headers[:, 0].astype(np.int64), lane=position & 31, kx=position >> 5 & 31, ky=position >> 10, bits=bits,
        nnz=bits.sum(axis=1).tolist(), channels=sum(1 << int(k) for k in union))
