"""Slices an instruction word into the fields of an operation, from the table in ``spec.isa``."""

from types import SimpleNamespace

from squeezelerator.spec import isa

__all__ = ["decode"]


def decode(op_name, word):
    """Fields of operation ``op_name`` in the 512-bit ``word`` (an Amaranth value), one attribute a field."""
    op = isa.BY_NAME[op_name]
    values = {}
    for f in op.fields:
        value = word[f.offset : f.offset + f.width]
        values[f.name] = value.as_signed() if f.signed else value
    return SimpleNamespace(**values)
