"""Arithmetic of the skewed bank layout: residues modulo N and rotations of packed words."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.utils import exact_log2

__all__ = ["rotate_left", "rotate_right", "sum_modulo"]


def is_power_of_two(n: int) -> bool:
    """Whether ``n`` is a power of two."""
    return n & (n - 1) == 0


def residue_bits(n: int) -> int:
    """Bits of a number from 0 to ``n - 1``, at least 1."""
    return max(1, (n - 1).bit_length())


def sum_modulo(m: Module, row: Value, lane: Value | int, n: int, name: str) -> Signal:
    """A signal that holds ``(row + lane) mod n``; ``row`` is a signed 16-bit number, ``lane`` one from 0 to n - 1.

    A power of two takes one short adder. Otherwise each hexadecimal digit of the row is looked up in a table of residues;
    the sum of the residues is at most 5 * (n - 1), so that four comparisons bring it below n.
    """
    result = Signal(residue_bits(n), name=name)
    if is_power_of_two(n):
        m.d.comb += result.eq(row[: exact_log2(n)] + lane)
        return result
    total: Value = Const(0, 1)
    for digit in range(4):
        values = [value - 16 if digit == 3 and value >= 8 else value for value in range(16)]
        table = Array(Const((value << 4 * digit) % n, residue_bits(n)) for value in values)
        residue = Signal(residue_bits(n), name=f"{name}_digit{digit}")
        m.d.comb += residue.eq(table[row[4 * digit : 4 * digit + 4]])
        total = total + residue
    residues = Signal(8, name=f"{name}_sum")
    m.d.comb += residues.eq(total + lane)
    m.d.comb += result.eq(residues)
    for multiple in range(1, 5):
        with m.If(residues >= multiple * n):
            m.d.comb += result.eq(residues - multiple * n)
    return result


def _rotate(m: Module, value: Value, amount: Value, n: int, name: str, direction: int) -> Value:
    # A signal for every stage: nested expressions would be written out again for each of their uses.
    width = len(value) // n
    for bit in range(len(amount)):
        step = direction * (1 << bit) % n * width
        stage = Signal(len(value), name=f"{name}_rotated{bit}")
        m.d.comb += stage.eq(Mux(amount[bit], Cat(value[step:], value[:step]), value))
        value = stage
    return value


def rotate_right(m: Module, value: Value, amount: Value, n: int, name: str) -> Value:
    """``n`` packed words, word j being word ``(j + amount) mod n`` of ``value``; one multiplexer for each bit of ``amount``."""
    return _rotate(m, value, amount, n, name, 1)


def rotate_left(m: Module, value: Value, amount: Value, n: int, name: str) -> Value:
    """``n`` packed words, word j being word ``(j - amount) mod n`` of ``value``."""
    return _rotate(m, value, amount, n, name, -1)
