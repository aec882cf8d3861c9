"""The image unpacker of a board's system as its driver sees it: a window of the bus, written with the bytes of a picture.

The lower half of the window takes the picture, pixel by pixel (H, W, C), four bytes a word, the first byte lowest. The upper half holds the
registers and the two tables. Reads, anywhere in the window, wait until all that was written lies in the memory.
"""

__all__ = [
    "BEGIN", "CHANNELS", "CHECK", "CHECKED_BITS", "CRC", "ENTRIES", "LARGEST_PICTURE", "LARGEST_WIDTH", "LINE", "LINE_STEP",
    "MOST_CHANNELS", "MOST_PHASES", "MOST_STORED", "OFFSETS", "REMAINING", "SHAPE", "UNPACKER_BYTES", "VALUES", "channels_word",
    "next_check", "shape_word",
]

#: Bytes of the window, and of the largest picture: its lower half.
UNPACKER_BYTES, LARGEST_PICTURE = 1 << 21, 1 << 20
#: Values of a byte.
ENTRIES = 256
#: Channels of a picture, phases in one direction, channels that are stored (phases included), pixels of a line: what fits the registers.
MOST_CHANNELS, MOST_PHASES, MOST_STORED, LARGEST_WIDTH = 4, 8, 64, 4096

#: Write only: the first pixel's row, in bytes from the memory's start; bytes from a line of rows to the next.
LINE, LINE_STEP = LARGEST_PICTURE, LARGEST_PICTURE + 4
#: Write only: see :func:`shape_word` and :func:`channels_word`.
SHAPE, CHANNELS = LARGEST_PICTURE + 8, LARGEST_PICTURE + 12
#: Write only: the picture's bytes; begins a picture. The registers before must be written again for each.
BEGIN = LARGEST_PICTURE + 16
#: Write only: int16 values, ``ENTRIES`` for each channel, a word each; offsets of the stored channels in bytes, a word each.
VALUES, OFFSETS = LARGEST_PICTURE + 0x1000, LARGEST_PICTURE + 0x2000
#: Read only: bytes that have not come yet; CRC-32 (as of zlib) of those that have; see :func:`next_check`.
REMAINING, CRC, CHECK = LARGEST_PICTURE, LARGEST_PICTURE + 4, LARGEST_PICTURE + 8
#: Bits of a word's address that go into CHECK.
CHECKED_BITS = 12


def shape_word(width: int, channels: int, phases: tuple[int, int], first: tuple[int, int]) -> int:
    """SHAPE: pixels of a line, channels of a pixel, phases and the first pixel's phase (vertical, horizontal)."""
    return (width - 1 | (channels - 1) << 12 | (phases[1] - 1) << 14 | first[1] << 17 | (phases[0] - 1) << 20 | first[0] << 23)


def channels_word(channels: int, phases: tuple[int, int], first: tuple[int, int]) -> int:
    """CHANNELS: the stored channel that the first line's phase begins with, those of a phase line, that of the first pixel in it."""
    return first[0] * phases[1] * channels | (phases[1] * channels & MOST_STORED - 1) << 6 | first[1] * channels << 12


def next_check(check: int, at: int, word: int) -> int:
    """CHECK after ``word`` was written to the byte ``at`` of the window's upper half."""
    return (check << 1 & 0xFFFF_FFFF | check >> 31) ^ word ^ (at >> 2 & (1 << CHECKED_BITS) - 1)
