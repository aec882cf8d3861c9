"""Slices an instruction word into the fields of an operation, from the table in ``spec.isa``."""

from types import SimpleNamespace

from amaranth.hdl import Value

from squeezelerator.spec import isa

__all__ = ["decode"]


def decode(op_name: str, word: Value) -> SimpleNamespace:
    """Fields of operation ``op_name`` in the 512-bit ``word``, one attribute a field: slices of it, signed where the table says so.

    Raises
    ------
    KeyError
        There is no such operation.
    """
    op = isa.BY_NAME[op_name]
    values: dict[str, Value] = {}
    for f in op.fields:
        value = word[f.offset : f.offset + f.width]
        values[f.name] = value.as_signed() if f.signed else value
    return SimpleNamespace(**values)
