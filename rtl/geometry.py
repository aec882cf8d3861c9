"""How a pass walks over its input: the registers that ARRAY's instructions turn into."""

from amaranth.hdl import Const, Mux, signed
from amaranth.lib import data

__all__ = ["View", "ring_wraps", "times_small", "view_layout"]


def view_layout():
    """Layout of the part of an OS or WS instruction that stays the same through a pass."""
    return data.StructLayout({
        "org": 16,  # row of the input pixel of output (0, 0) at ky = kx = 0, channel block 0
        "y0": signed(17), "x0": signed(17),
        "in_w": 16, "in_h": 16, "wrap_line": 16, "wrap_rows": 16,
        "stride_y": 3, "stride_x": 3,
        "line_step": 16,  # rows from one output line to the next
        "pitch": 16,
    })


View = view_layout()


def times_small(value, factor, width):
    """``value * factor`` for a factor of 0 to 4, as shifts, cut to ``width`` bits."""
    return (Mux(factor[0], value, 0) + Mux(factor[1], value << 1, 0) + Mux(factor[2], value << 2, 0))[:width]


def ring_wraps(y, view):
    """Whether line ``y`` (signed) lies ``wrap_rows`` lower: those of a ring do from ``wrap_line`` on. Kept beside ``y`` in a register."""
    return (y >= view.wrap_line) & (view.wrap_line != Const(0xFFFF, 16))
