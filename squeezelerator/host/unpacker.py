"""Pictures through a board's image unpacker: their bytes go over the link, the board lays them out."""

import struct
import zlib
from typing import Any

import numpy as np

from squeezelerator.host.link import Link, LinkError
from squeezelerator.host.pictures import Picture
from squeezelerator.spec.platform import unpacker as window
from squeezelerator.spec.program import Program, TensorMap

__all__ = ["Unpacker"]

#: Tries for a picture that does not arrive.
TRIES = 3
#: Rows lie below this distance from the memory's start.
REACH = 1 << 28


class Unpacker:
    """The image unpacker at the bus address ``base`` of a system whose memory begins at ``memory``."""

    def __init__(self, link: Link, system: dict[str, Any]) -> None:
        self._link = link
        base = system.get("images")
        self._there, self._base = base is not None, int(base or 0)
        self._memory: int = system["memory"]["base"]
        #: CHECK as it must be now, None: not known; contents of the tables by their place.
        self._check: int | None = None
        self._tables: dict[int, tuple[int, ...]] = {}
        #: Inputs whose padding lies in the memory: the address of each.
        self._padded: set[int] = set()

    def forget(self) -> None:
        """Nothing is known any more of the memory's contents."""
        self._padded.clear()

    def padded(self, address: int) -> None:
        """A whole input was written at ``address``: from now on only its pixels need to be."""
        self._padded.add(address)

    def takes(self, program: Program, tensor: TensorMap, address: int, picture: Picture) -> bool:
        """Whether the board lays ``picture`` out as the input ``tensor`` at ``address``."""
        fits = (self._there and address in self._padded and picture.pixels.shape == (tensor.h, tensor.w, tensor.c)
                and tensor.c <= window.MOST_CHANNELS and tensor.w <= window.LARGEST_WIDTH and max(tensor.phases) <= window.MOST_PHASES
                and tensor.stored[0] <= window.MOST_STORED and picture.pixels.size <= window.LARGEST_PICTURE
                and address + tensor.size - self._memory <= REACH)
        # What a layer writes over an input would take its padding along.
        return fits and all(other.offset + other.size <= tensor.offset or tensor.offset + tensor.size <= other.offset
                            for other in program.outputs)

    def write(self, tensor: TensorMap, address: int, picture: Picture) -> int:
        """Lay ``picture`` out at ``address``; returns the bytes that were sent for it, tables included.

        Raises
        ------
        LinkError
            If it does not arrive in a few tries.
        """
        pixels = np.ascontiguousarray(picture.pixels[: _stored_lines(tensor), : _stored_columns(tensor)])
        for tries in range(TRIES, 0, -1):
            try:
                sent = self._send(tensor, address, picture.table, pixels)
                failure = self._failure(pixels.tobytes())
                if failure is None:
                    return sent
            except LinkError as error:
                failure = str(error)
            self._check, self._tables = None, {}
            self._link.drain()
            if tries == 1:
                raise LinkError(failure)
        raise AssertionError("the last try returns or raises")

    def _read(self, at: int) -> int:
        return self._link.read_word(self._base + at)

    def _set(self, at: int, *words: int) -> int:
        """Write to registers or a table; returns the bytes."""
        if self._check is None:
            self._check = self._read(window.CHECK)
        for number, word in enumerate(words):
            self._check = window.next_check(self._check, at + 4 * number, word)
        self._link.write(self._base + at, struct.pack(f"<{len(words)}I", *words))
        return 4 * len(words)

    def _send(self, tensor: TensorMap, address: int, table: np.ndarray, pixels: np.ndarray) -> int:
        (height, width, channels), (top, left), (py, px) = pixels.shape, tensor.pad, tensor.phases
        sent = 0
        values = tuple(table.reshape(-1).view(np.uint16).tolist())
        for at, words in ((window.VALUES, values), (window.OFFSETS, tuple(tensor.channel_offsets()))):
            if self._tables.get(at) != words:
                sent += self._set(at, *words)
                self._tables[at] = words
        line_step = tensor.stored[2] * tensor.row_bytes
        first = top % py, left % px
        line = address - self._memory + top // py * line_step + left // px * tensor.row_bytes
        sent += self._set(window.LINE, line, line_step, window.shape_word(width, channels, tensor.phases, first),
                          window.channels_word(channels, tensor.phases, first), height * width * channels)
        # Before the first byte: with wrong registers it would go to a wrong place.
        if (found := self._read(window.CHECK)) != self._check:
            raise LinkError(f"{self._link.name}: the image unpacker's registers arrived with the checksum {found:08x}, not "
                            f"{self._check:08x}")
        data = pixels.tobytes()
        data += bytes(-len(data) % 4)
        self._link.write(self._base, data)
        return sent + len(data)

    def _failure(self, data: bytes) -> str | None:
        """What is wrong with what has arrived, if anything."""
        missing, crc, check = struct.unpack("<3I", self._link.read(self._base + window.REMAINING, 12))
        if missing:
            return f"{self._link.name}: {missing} of {len(data)} bytes of a picture did not arrive"
        if (crc, check) != (zlib.crc32(data), self._check):
            return (f"{self._link.name}: a picture of {len(data)} bytes arrived with the checksums {crc:08x} and {check:08x}, not "
                    f"{zlib.crc32(data):08x} and {self._check:08x}")
        return None


def _stored_lines(tensor: TensorMap) -> int:
    """Lines of the picture that have a place in the input: the last ones may be used by no window."""
    return min(tensor.h, tensor.stored[1] * tensor.phases[0] - tensor.pad[0])


def _stored_columns(tensor: TensorMap) -> int:
    return min(tensor.w, tensor.stored[2] * tensor.phases[1] - tensor.pad[1])
