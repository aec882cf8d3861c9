"""Delay lines and copies of registers."""

from amaranth.hdl import Module, Signal, Value

__all__ = ["copies", "delayed"]


def delayed(m: Module, value: Value, cycles: int, name: str, *, reset_less: bool = False) -> Value:
    """``value`` as it was ``cycles`` cycles ago (zero after reset unless ``reset_less``), through registers called after ``name``."""
    for stage in range(1, cycles + 1):
        register = Signal(value.shape(), name=f"{name}_{stage}", reset_less=reset_less)
        m.d.sync += register.eq(value)
        value = register
    return value


def copies(m: Module, value: Value, count: int, name: str, *, reset_less: bool = False) -> list[Signal]:
    """``value`` as it was a cycle ago, in ``count`` registers, each for users that lie together: synthesis is told to leave them apart."""
    registers = [Signal(value.shape(), name=f"{name}_{i}", reset_less=reset_less, attrs={"keep": 1}) for i in range(count)]
    m.d.sync += [register.eq(value) for register in registers]
    return registers
