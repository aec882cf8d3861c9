"""How a pass walks over its input: the registers that ARRAY's instructions turn into."""

from amaranth.hdl import Mux, Value, signed
from amaranth.lib import data

__all__ = ["View", "first_row", "next_line", "times_small", "view_layout"]


def view_layout() -> data.StructLayout:
    """Layout of the part of an OS or WS instruction that stays the same through a pass."""
    return data.StructLayout({
        "org": 16,  # row of the input pixel of output (0, 0) at ky = kx = 0, channel block 0, if the ring does not wrap before it
        "y0": signed(17), "x0": signed(17),
        "past": signed(18),  # lines from a ring's wrap to line y0
        "in_w": 16, "in_h": 16, "wrap_rows": 16,
        "stride_y": 3, "stride_x": 3,
        "line_step": 16,  # rows from one output line to the next
        "wrap_step": 16,  # the same where the ring's wrap lies between them
        "pitch": 16,
    })


View = view_layout()


def times_small(value: Value, factor: Value, width: int) -> Value:
    """``value * factor`` for a factor of 0 to 4, as shifts, cut to ``width`` bits."""
    return (Mux(factor[0], value, 0) + Mux(factor[1], value << 1, 0) + Mux(factor[2], value << 2, 0))[:width]


def first_row(row: Value, past: Value, view: data.View) -> Value:
    """Where a line's ``row`` really lies, ``past`` lines from a ring's wrap (negative: before it)."""
    return row - Mux(past < 0, 0, view.wrap_rows)


def next_line(past: Value, view: data.View) -> Value:
    """Rows from a line that lies ``past`` lines from a ring's wrap to the next output line."""
    # Before the wrap now and behind it then: -stride_y <= past < 0.
    crosses = past[3:].all() & ((past[:3] + view.stride_y)[3])
    return Mux(crosses, view.wrap_step, view.line_step)
