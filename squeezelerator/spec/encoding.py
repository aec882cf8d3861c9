"""Whole programs between lists of instructions and bytes, one operation's instructions at a time in numpy.

The same format as :meth:`spec.isa.Instruction.encode` and :meth:`~spec.isa.Instruction.decode`, only faster, and with every check
that an instruction allows by itself: the range of each field on the machine, and that unused bits are zero.
"""

from operator import itemgetter

import numpy as np

from squeezelerator.spec.isa import BY_CODE, BY_NAME, INSTRUCTION_BYTES, UNITS, Field, Instruction, IsaError, Op
from squeezelerator.spec.machine import MachineConfig

__all__ = ["check_fields", "decode_program", "encode_program"]

_HALFWORDS = INSTRUCTION_BYTES // 2
#: Bits of halfword 0 that say which units the instruction waits for.
_WAITS = ((1 << len(UNITS)) - 1) << 8

#: (indices of instructions, their field values: int64 (instructions, fields of the operation)) for each operation that occurs.
_Columns = dict[str, tuple[np.ndarray, np.ndarray]]


def _columns(instructions: list[Instruction]) -> _Columns:
    numbers: dict[str, list[int]] = {}
    for number, instruction in enumerate(instructions):
        numbers.setdefault(instruction.op, []).append(number)
    found = {}
    for name, where in numbers.items():
        names = [f.name for f in BY_NAME[name].fields]
        if names:
            values = list(map(itemgetter(*names), [instructions[i].fields for i in where]))
            found[name] = np.array(where), np.array(values, np.int64).reshape(len(where), len(names))
        else:
            found[name] = np.array(where), np.zeros((len(where), 0), np.int64)
    return found


def _refused(op: Op, values: np.ndarray, cfg: MachineConfig | None) -> np.ndarray:
    """bool like ``values``: which of them the machine does not accept."""
    limits = np.array([f.limits(cfg) for f in op.fields], np.int64).reshape(len(op.fields), 2)
    refused = (values < limits[:, 0]) | (values > limits[:, 1])
    if refused.any():
        modes = [f.mode for f in op.fields]
        for column, mode in enumerate(modes):
            if mode is not None:
                refused[:, column] &= values[:, [f.name for f in op.fields].index("mode")] == mode
    return refused


def _check(columns: _Columns, cfg: MachineConfig | None) -> None:
    """Raise IsaError for the first instruction with a field out of its range."""
    worst: tuple[int, Op, Field, int] | None = None
    for name, (numbers, values) in columns.items():
        op = BY_NAME[name]
        if cfg is not None and numbers.size and not op.exists(cfg):
            raise IsaError(f"instruction {numbers[0]}: the machine knows {op.name} only with functions=True")
        rows, fields = np.nonzero(_refused(op, values, cfg))
        if rows.size and (worst is None or numbers[rows[0]] < worst[0]):
            worst = int(numbers[rows[0]]), op, op.fields[fields[0]], int(values[rows[0], fields[0]])
    if worst is not None:
        number, op, field, value = worst
        low, high = field.limits(cfg)
        raise IsaError(f"instruction {number}: {op.name}.{field.name} takes {low} to {high}, not {value}")


def check_fields(instructions: list[Instruction], cfg: MachineConfig) -> None:
    """Raise IsaError, naming instruction and field, for the first field that machine ``cfg`` refuses."""
    _check(_columns(instructions), cfg)


def encode_program(instructions: list[Instruction], cfg: MachineConfig | None = None) -> bytes:
    """The bytes of all instructions. Raises IsaError, naming instruction and field, if machine ``cfg`` refuses one."""
    columns = _columns(instructions)
    _check(columns, cfg)
    words = np.zeros((len(instructions), _HALFWORDS), np.int64)
    for name, (numbers, values) in columns.items():
        op = BY_NAME[name]
        part = np.zeros((len(numbers), _HALFWORDS), np.int64)
        part[:, 0] = op.code
        for column, f in enumerate(op.fields):
            bits = values[:, column] & (1 << f.width) - 1
            part[:, f.hw] |= bits << f.lsb & 0xFFFF
            if f.lsb + f.width > 16:
                part[:, f.hw + 1] |= bits >> 16 - f.lsb
        words[numbers] = part
    for number, instruction in enumerate(instructions):
        for unit, count in instruction.tickets.items():
            words[number, 0] |= 1 << 8 + unit
            words[number, 1 + unit] = count & 0xFFFF
    return words.astype("<u2").tobytes()


def _used(op: Op) -> np.ndarray:
    """int64 (halfwords): the bits of an instruction that mean something."""
    mask = 0xFF | _WAITS | ((1 << 16 * len(UNITS)) - 1) << 16
    for f in op.fields:
        mask |= ((1 << f.width) - 1) << f.offset
    return np.frombuffer(mask.to_bytes(INSTRUCTION_BYTES, "little"), "<u2").astype(np.int64)


def _decode_op(op: Op, words: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Field values (instructions, fields) of one operation's halfwords."""
    stray = np.flatnonzero((words & ~_used(op)).any(axis=1))
    if stray.size:
        raise IsaError(f"instruction {numbers[stray[0]]}: {op.name} has a bit set that is not used")
    values = np.zeros((len(words), len(op.fields)), np.int64)
    for column, f in enumerate(op.fields):
        found = words[:, f.hw] >> f.lsb
        if f.lsb + f.width > 16:
            found = found | words[:, f.hw + 1] << 16 - f.lsb
        found = found & (1 << f.width) - 1
        values[:, column] = np.where(found >> f.width - 1, found - (1 << f.width), found) if f.signed else found
    return values


def decode_program(code: bytes, cfg: MachineConfig) -> list[Instruction]:
    """The instructions of a program for machine ``cfg``; counts of tickets come back modulo 65536.

    Raises
    ------
    IsaError
        For an opcode that does not exist, a set bit that no field uses, or a field that the machine refuses; names the instruction.
    """
    if len(code) % INSTRUCTION_BYTES:
        raise IsaError(f"instructions take {INSTRUCTION_BYTES} bytes each, and there are {len(code)}")
    words = np.frombuffer(code, "<u2").reshape(-1, _HALFWORDS).astype(np.int64)
    opcodes = words[:, 0] & 0xFF
    unknown = np.flatnonzero(~np.isin(opcodes, list(BY_CODE)))
    if unknown.size:
        raise IsaError(f"instruction {unknown[0]}: unknown opcode {opcodes[unknown[0]]}")
    made: list[Instruction | None] = [None] * len(words)
    columns: _Columns = {}
    masks, counts = (words[:, 0] >> 8).tolist(), words[:, 1 : 1 + len(UNITS)].tolist()
    meant = [[u for u in range(len(UNITS)) if mask >> u & 1] for mask in range(1 << len(UNITS))]
    for code_, op in BY_CODE.items():
        numbers = np.flatnonzero(opcodes == code_)
        values = _decode_op(op, words[numbers], numbers)
        columns[op.name] = numbers, values
        names = [f.name for f in op.fields]
        for number, row in zip(numbers.tolist(), values.tolist(), strict=True):
            waits = {u: counts[number][u] for u in meant[masks[number] & len(meant) - 1]}
            made[number] = Instruction(op.name, dict(zip(names, row, strict=True)), waits)
    _check(columns, cfg)
    return [instruction for instruction in made if instruction is not None]
