"""Weight compression: rows of the weight buffer as LOAD reads them with their zeros left out (docs/architecture.md)."""

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.spec.machine import MachineConfig


def _lengths(cfg: MachineConfig, nonzeros: IntArray) -> IntArray:
    """Words of packed rows with so many non-zero words each."""
    return np.maximum(nonzeros + cfg.mask_words, cfg.bus_words)


def packed_size(cfg: MachineConfig, nonzeros: IntArray) -> int:
    """Rows of DRAM that rows with so many non-zero words each (an array) take when they are packed."""
    return -(-int(_lengths(cfg, nonzeros).sum()) // (cfg.row_bytes // 2))


def pack(cfg: MachineConfig, rows: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """The words (rows of DRAM, words of one) uint16 of ``rows`` (R, N) uint16."""
    used = rows != 0
    nonzeros = used.sum(axis=1)
    lengths = _lengths(cfg, nonzeros)
    starts = np.cumsum(lengths) - lengths
    words = np.zeros(packed_size(cfg, nonzeros) * cfg.row_bytes // 2, np.uint16)
    bits = np.zeros((len(rows), 16 * cfg.mask_words), np.uint8)
    bits[:, : cfg.n] = used
    words[starts[:, None] + np.arange(cfg.mask_words)] = np.packbits(bits, axis=1, bitorder="little").view("<u2")
    first = starts + cfg.mask_words - (np.cumsum(nonzeros) - nonzeros)
    words[np.repeat(first, nonzeros) + np.arange(nonzeros.sum())] = rows[used]
    return words.reshape(-1, cfg.row_bytes // 2)
