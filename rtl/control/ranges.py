"""Ranges of instruction fields, checked by the hardware from the table in ``spec.isa``."""

from amaranth.hdl import Const, Value

from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["out_of_range"]


def out_of_range(word: Value, cfg: MachineConfig) -> Value:
    """Whether the 512-bit instruction ``word`` has a field whose value machine ``cfg`` does not accept; unknown opcodes have no fields."""
    bad: Value = Const(0, 1)
    for op in isa.machine_ops(cfg):
        wrong: Value = Const(0, 1)
        for field in op.fields:
            value = word[field.offset : field.offset + field.width]
            value = value.as_signed() if field.signed else value
            (low, high), (least, greatest) = field.limits(cfg), field.span
            outside: Value = Const(0, 1)
            if low > least:
                outside |= value < low
            if high < greatest:
                outside |= value > high
            if field.mode is not None:
                mode = op.field("mode")
                outside &= word[mode.offset : mode.offset + mode.width] == field.mode
            wrong |= outside
        bad |= (word[:8] == op.code) & wrong
    return bad
