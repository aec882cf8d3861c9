"""The checksum of the instruction stream, a beat at a time; ``spec.checksum`` defines it."""

import functools
import operator

from amaranth.hdl import Cat, Module, Signal, Value

from squeezelerator.spec.checksum import advance

__all__ = ["checksum"]


def checksum(m: Module, check: Value, data: Value) -> Value:
    """The checksum ``check`` continued by the 32-bit words of ``data``, the first in its lowest bits. Combinational, in ``m``."""
    columns = [advance(1 << place) for place in range(32)]
    for number in range(len(data) // 32):
        mixed = Signal(32, name=f"check_mixed{number}")
        following = Signal(32, name=f"check_after{number}")
        m.d.comb += [
            mixed.eq(check ^ data[32 * number : 32 * number + 32]),
            following.eq(Cat(functools.reduce(operator.xor, (mixed[i] for i in range(32) if columns[i] >> bit & 1)) for bit in range(32))),
        ]
        check = following
    return check
