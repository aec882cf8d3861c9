"""The constant part of DRAM."""

import numpy as np
import numpy.typing as npt

from squeezelerator.spec.machine import MachineConfig


class Image:
    """Weight streams and biases, each at a multiple of ``align`` bytes; ``size``: bytes so far."""

    def __init__(self, cfg: MachineConfig, align: int) -> None:
        self.cfg, self.align = cfg, align
        self.size = 0
        self._parts: list[bytes] = []

    def add(self, words: npt.NDArray[np.uint16]) -> int:
        """Append rows (R, at most the words that a row has in DRAM) uint16; returns the byte offset."""
        cfg = self.cfg
        padded = np.zeros((len(words), cfg.row_bytes // 2), "<u2")
        padded[:, : words.shape[1]] = words
        offset = self.size
        data = padded.tobytes()
        fill = -len(data) % self.align
        self._parts.append(data + bytes(fill))
        self.size += len(data) + fill
        return offset

    def reserve(self, rows: int) -> int:
        """As :meth:`add` without contents, for trials."""
        offset = self.size
        self.size += -(-rows * self.cfg.row_bytes // self.align) * self.align
        return offset

    def tobytes(self) -> bytes:
        """All parts."""
        return b"".join(self._parts)
