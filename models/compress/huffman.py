"""Canonical Huffman codes for symbols 0 ... 255.

A code is given by the lengths of its words; words of one length are numbered in the order of their symbols, shorter words first. A
message is its words, most significant bit first, padded with zeros to whole bytes.
"""

import heapq

import numpy as np

from squeezelerator.models.compress.errors import CompressError

MAX_LENGTH = 15
"""Longest word, so that a length takes four bits; counts that would need longer ones are evened out."""


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Lengths of the words (uint8, 0 for a symbol that does not occur) of the best code for symbols that occur ``counts`` times."""
    counts = np.asarray(counts, np.int64)
    while True:
        lengths = _lengths(counts)
        if lengths.max(initial=0) <= MAX_LENGTH:
            return lengths
        counts = np.where(counts > 0, (counts + 1) // 2, 0)


def _lengths(counts: np.ndarray) -> np.ndarray:
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if len(used) == 1:
        lengths[used] = 1
        return lengths
    heap = [(int(counts[symbol]), int(symbol), [int(symbol)]) for symbol in used]
    heapq.heapify(heap)
    while len(heap) > 1:
        (count, order, members), (other_count, _, others) = heapq.heappop(heap), heapq.heappop(heap)
        members = members + others
        lengths[members] += 1
        # The smaller symbol decides between equal counts, so that the code depends on the counts alone.
        heapq.heappush(heap, (count + other_count, order, members))
    return lengths


def pack_lengths(lengths: np.ndarray) -> bytes:
    """Bytes of a table of lengths, two a byte, the first in the low half."""
    padded = np.concatenate((lengths, np.zeros(len(lengths) % 2, np.uint8)))
    return (padded[0::2] | padded[1::2] << 4).tobytes()


def unpack_lengths(data: bytes, count: int) -> np.ndarray:
    """``count`` lengths (uint8) of a packed table."""
    packed = np.frombuffer(data, np.uint8)
    return np.stack((packed & 15, packed >> 4), axis=1).reshape(-1)[:count]


def table_size(count: int) -> int:
    """Bytes of a packed table of ``count`` lengths."""
    return -(-count // 2)


def code_words(lengths: np.ndarray) -> np.ndarray:
    """Words (int64, in the low bits) of the canonical code with these ``lengths``.

    Raises
    ------
    CompressError
        If no code has such lengths.
    """
    lengths = np.asarray(lengths, np.int64)
    words, word, before = np.zeros(len(lengths), np.int64), 0, 0
    for symbol in sorted(np.flatnonzero(lengths), key=lambda item: (lengths[item], item)):
        word <<= int(lengths[symbol]) - before
        before = int(lengths[symbol])
        if word >> before:
            raise CompressError("a table of code lengths fits no code")
        words[symbol] = word
        word += 1
    return words


def encode(symbols: np.ndarray, lengths: np.ndarray) -> bytes:
    """Bytes of a message of ``symbols`` (array of 0 ... 255) in the code of ``lengths``."""
    lengths = np.asarray(lengths, np.int64)
    words = code_words(lengths)
    size = lengths[symbols]
    longest = int(size.max(initial=1))
    # One row of bits a symbol, aligned right; the bits that belong to its word are kept.
    place = np.arange(longest - 1, -1, -1)
    parts = []
    for start in range(0, len(symbols), 1 << 18):
        chunk = slice(start, start + (1 << 18))
        bits = (words[symbols[chunk], None] >> place) & 1
        parts.append(bits[place < size[chunk, None]].astype(np.uint8))
    return np.packbits(np.concatenate(parts) if parts else np.zeros(0, np.uint8)).tobytes()


def decode(data: bytes, lengths: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` symbols (uint8) of a message.

    Raises
    ------
    CompressError
        If the message ends early or holds a word that no symbol has.
    """
    if count == 0:
        return np.zeros(0, np.uint8)
    lengths = np.asarray(lengths, np.int64)
    words, longest = code_words(lengths), int(lengths.max(initial=0))
    if longest == 0 or longest > MAX_LENGTH:
        raise CompressError("a table of code lengths fits no code")
    # From every bit position the length and symbol of the word that would begin there.
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    padded = np.concatenate((bits, np.zeros(longest, np.uint8)))
    window = np.zeros(len(bits), np.int64)
    for offset in range(longest):
        window = (window << 1) | padded[offset : offset + len(bits)]
    order = sorted(np.flatnonzero(lengths), key=lambda item: (lengths[item], item))
    firsts = np.array([words[symbol] << (longest - lengths[symbol]) for symbol in order], np.int64)
    which = np.searchsorted(firsts, window, side="right") - 1
    beyond = window >= firsts[-1] + (1 << (longest - int(lengths[order[-1]])))
    step = np.where(beyond, 0, lengths[order][which]).tolist()
    symbol_at, position, found = np.array(order, np.uint8)[which], 0, np.empty(count, np.int64)
    end = len(step)
    for index in range(count):
        if position >= end or not step[position]:
            raise CompressError("a message ends early or holds a word that no symbol has")
        found[index] = position
        position += step[position]
    if position > end or end - position >= 8:
        raise CompressError("a message is longer or shorter than its symbols")
    return symbol_at[found]
