"""The checksum of a program's instructions that FETCH verifies on the way: a cyclic redundancy check of 32 bits. Plain Python.

Generator x^32 + x^22 + x^2 + x + 1 (primitive), over the 32-bit little-endian words of the instructions, beginning with all ones. A
generator with few terms takes few gates where several words come in a cycle. Two flipped bits, or any damage within 32 consecutive
bits, are always found.
"""

import functools
import struct

__all__ = ["CHECK_START", "advance", "program_check"]

#: The generator without its highest term.
POLYNOMIAL = 1 << 22 | 1 << 2 | 1 << 1 | 1
#: Checksum of no words.
CHECK_START = 0xFFFFFFFF


def advance(value: int) -> int:
    """``value`` times x^32."""
    for _ in range(32):
        value = (value << 1 ^ (POLYNOMIAL if value >> 31 else 0)) & 0xFFFFFFFF
    return value


@functools.cache
def _byte_tables() -> list[list[int]]:
    """``advance`` of every byte at every place; as it is linear, that of a word is the sum of those of its bytes."""
    return [[advance(byte << 8 * place) for byte in range(256)] for place in range(4)]


def program_check(code: bytes) -> int:
    """Checksum of encoded instructions, for the register PROG_CHECK. 0 there means that nothing is verified, whatever the sum is."""
    first, second, third, fourth = _byte_tables()
    check = CHECK_START
    for (word,) in struct.iter_unpack("<I", code):
        check ^= word
        check = first[check & 255] ^ second[check >> 8 & 255] ^ third[check >> 16 & 255] ^ fourth[check >> 24]
    return check
