"""Delay lines."""

from amaranth.hdl import Signal

__all__ = ["delayed"]


def delayed(m, value, cycles, name, *, reset_less=False):
    """``value`` as it was ``cycles`` cycles ago (zero after reset unless ``reset_less``), through registers called after ``name``."""
    for stage in range(1, cycles + 1):
        register = Signal(value.shape(), name=f"{name}_{stage}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value
