"""The instruction set, as one table.

Encoder, hardware decoder, disassembler, the reference page and the random-program generator all read ``OPS``.
An instruction is 32 halfwords (16 bits each, little endian), 64 bytes:

- halfword 0: opcode in bits 0-7; bits 8-12 say which tickets are meant (bit 8 + unit number); bit 13 is LOAD's field ``written``;
- halfwords 1-5: tickets, one for each unit in the order of ``UNITS``: the instruction starts only when that unit
  has retired at least so many instructions since the program began (modulo 65536, compared as a signed difference);
- halfwords 6-31: fields of the operation. Unused bits are zero.

STORE is done in two steps: with its rows in the buffer once it has read the last of them, with its data in DRAM once the last write
response is in. Its ticket stands for the first, which is all that units without access to DRAM can depend on; for the second in END,
and in a LOAD with ``written``.
"""

import dataclasses
import struct
from collections.abc import Callable
from typing import Self

from squeezelerator.common.errors import UserError
from squeezelerator.spec.constants.units import TABLE_ENTRIES
from squeezelerator.spec.enums import Dataflow, Memory, PoolKind
from squeezelerator.spec.functions.activations import AFTER_SUM, ActivationCode, code_doc
from squeezelerator.spec.functions.function_table import MAX_SEGMENT_BITS, MAX_SHIFT, SEGMENTS, TABLES
from squeezelerator.spec.machine import MachineConfig

__all__ = ["INSTRUCTION_BYTES", "OPS", "UNITS", "WRITTEN_BIT", "Field", "Instruction", "IsaError", "Op", "machine_ops", "ops_of"]

INSTRUCTION_BYTES = 64
HALFWORDS = 32

#: Units in the order of their tickets.
UNITS = ("load", "array", "drain", "pool", "store")
LOAD, ARRAY, DRAIN, POOL, STORE = range(5)
#: Stands beside the units where tickets are reckoned with: STORE's data is in DRAM. STORE itself then means that its rows are read.
WRITTEN = len(UNITS)
#: Bit of LOAD's field ``written``: beside the tickets, because whether the instruction may start is decided by them together.
WRITTEN_BIT = 8 + len(UNITS)

#: Values of LOAD's ``mem`` field.
MEM_ACT, MEM_WEIGHT, MEM_BIAS, MEM_PACKED = (int(memory) for memory in Memory)

#: Values of DRAIN's ``act`` and ``post_act`` fields.
ACT_NONE, ACT_RELU = int(ActivationCode.NONE), int(ActivationCode.RELU)
ACT_CLIP, ACT_LEAKY = int(ActivationCode.CLIP), int(ActivationCode.LEAKY)

#: Values of DRAIN's ``mode`` and POOL's ``kind`` fields.
MODE_OS, MODE_WS = (int(dataflow) for dataflow in Dataflow)
POOL_MAX, POOL_AVG = (int(kind) for kind in PoolKind)


class IsaError(UserError, ValueError):
    """An instruction that cannot be encoded or decoded."""


@dataclasses.dataclass(frozen=True)
class Field:
    """A field: ``width`` bits from bit ``lsb`` of halfword ``hw`` on (32-bit fields take two halfwords).

    ``minimum`` and ``maximum`` are the values that the machine accepts, where these are fewer than the bits can hold. A maximum that
    depends on the machine is a function of its configuration. A range with a ``mode`` holds only in a DRAIN of that mode; in others the
    field is not used.
    """

    name: str
    hw: int
    width: int
    doc: str
    lsb: int = 0
    signed: bool = False
    minimum: int | None = None
    maximum: int | Callable[[MachineConfig], int] | None = None
    mode: int | None = None

    @property
    def offset(self) -> int:
        """Bit offset in the instruction."""
        return self.hw * 16 + self.lsb

    @property
    def span(self) -> tuple[int, int]:
        """Least and greatest value that the bits can hold."""
        return (-(1 << self.width - 1), (1 << self.width - 1) - 1) if self.signed else (0, (1 << self.width) - 1)

    def limits(self, cfg: MachineConfig | None = None) -> tuple[int, int]:
        """Least and greatest value that machine ``cfg`` accepts; without one, what some machine could accept."""
        low, high = self.span
        if callable(self.maximum):
            high = high if cfg is None else min(high, self.maximum(cfg))
        elif self.maximum is not None:
            high = self.maximum
        return low if self.minimum is None else self.minimum, high


def _of_n(cfg: MachineConfig) -> int:
    return cfg.n


def _of_lanes(cfg: MachineConfig) -> int:
    return cfg.n - 1


def _of_rf(cfg: MachineConfig) -> int:
    return cfg.rf


def _of_entries(cfg: MachineConfig) -> int:
    return cfg.rf - 1


def _of_os_pixels(cfg: MachineConfig) -> int:
    return cfg.n * cfg.n


def _of_ws_pixels(cfg: MachineConfig) -> int:
    return cfg.ws_pixels


def _of_memories(cfg: MachineConfig) -> int:
    return MEM_PACKED if cfg.unpacks else MEM_BIAS


@dataclasses.dataclass(frozen=True)
class Op:
    """An operation: ``code``, ``name``, the ``unit`` that executes it (None: the dispatcher), its fields.

    ``functions``: only machines with the parameter of that name know it.
    """

    code: int
    name: str
    unit: int | None
    doc: str
    fields: tuple[Field, ...] = ()
    functions: bool = False

    def exists(self, cfg: MachineConfig) -> bool:
        """Whether machine ``cfg`` knows it."""
        return cfg.functions or not self.functions

    @property
    def reads_map(self) -> bool:
        """Whether it reads a feature map in the activation buffer: the fields of ``_view`` say which."""
        return any(f.name == "in_base" for f in self.fields)

    @property
    def writes_map(self) -> bool:
        """Whether it writes the feature map that ``out_base`` and the fields behind it describe."""
        return any(f.name == "out_base" for f in self.fields)

    def field(self, name: str) -> Field:
        """The field called ``name``."""
        return next(f for f in self.fields if f.name == name)


def _view(first: int, what: str) -> tuple[Field, ...]:
    """Fields that describe how a conv or pool reads a feature map lying in the activation buffer."""
    return (
        Field("in_base", first, 16, f"row of {what} at y=0, x=0, channel block 0 (modulo 65536)"),
        Field("in_w", first + 1, 16, "valid columns: x outside 0..in_w-1 reads as padding"),
        Field("in_h", first + 2, 16, "valid lines: y outside 0..in_h-1 reads as padding"),
        Field("in_pitch", first + 3, 16, "rows from one line to the next"),
        Field("wrap_line", first + 4, 16, "first line that lies wrap_rows lower (ring buffers); 65535: none"),
        Field("wrap_rows", first + 5, 16, "rows in the ring"),
        Field("y0", first + 6, 16, "input line of output line 0 at ky=0", signed=True),
        Field("x0", first + 7, 16, "input column of output column 0 at kx=0", signed=True),
        Field("stride_y", first + 8, 4, "vertical stride, 1 to 4", minimum=1, maximum=4),
        Field("stride_x", first + 8, 4, "horizontal stride, 1 to 4", lsb=8, minimum=1, maximum=4),
    )


_DMA = (
    Field("row", 7, 16, "first buffer row"),
    Field("rows", 8, 16, "consecutive rows of a line, at least 1", minimum=1),
    Field("lines", 9, 16, "lines, at least 1", minimum=1),
    Field("row_pitch", 10, 16, "buffer rows from one line to the next"),
    Field("dram", 12, 32, "byte offset in the program's memory, a multiple of the beat"),
    Field("dram_pitch", 14, 32, "bytes from one line to the next, a multiple of the beat"),
)


def _segments(mode: int | None = None) -> tuple[Field, ...]:
    """How output pixels are shared out among array rows; in DRAIN only where the bank was filled by OS."""
    return (
        Field("seg_len", 16, 6, "output columns of a segment: one array row holds one segment, 1 to N", minimum=1, maximum=_of_n,
              mode=mode),
        Field("segs", 17, 12, "segments in an output line, at least 1", minimum=1, mode=mode),
        Field("seg0", 18, 12, "segment number, within its line, that array row 0 holds", mode=mode),
        Field("nrows", 19, 6, "array rows in use, 1 to N", minimum=1, maximum=_of_n, mode=mode),
    )


#: The map that an instruction of POOL writes.
_POOL_OUTPUT = (
    Field("out_base", 19, 16, "row of output pixel (0, 0), channel block 0"),
    Field("out_pitch", 20, 16, "rows from one line to the next"),
    Field("out_plane", 21, 16, "rows from one channel block to the next"),
    Field("out_wrap_line", 22, 16, "first line that lies out_wrap_rows lower; 65535: none"),
    Field("out_wrap_rows", 23, 16, "rows in the output ring"),
    Field("out_w", 24, 16, "output columns, at least 1", minimum=1),
    Field("out_h", 25, 16, "output lines, at least 1", minimum=1),
    Field("blocks", 26, 16, "channel blocks, at least 1", minimum=1),
)


OPS = (
    Op(1, "LOAD", LOAD, "DRAM to activation, weight or bias buffer", (
        Field("written", 0, 1, "the ticket for STORE means: 0 its rows are read, 1 its data is in DRAM", lsb=WRITTEN_BIT),
        Field("mem", 6, 2, "0 activations, 1 weights, 2 biases; only where a row takes more than a beat, 3 packed weights: rows and "
                           "lines say what is read, row_pitch how many weight rows this becomes, from row on",
              maximum=_of_memories), *_DMA)),
    Op(2, "STORE", STORE, "activation buffer to DRAM", _DMA),
    Op(3, "OS", ARRAY, "output stationary: add a stream of weight records into a register-file bank", (
        *_view(6, "the input"), *_segments(),
        Field("windows", 20, 4, "buffer reads for one array row: ceil(((seg_len-1)*stride_x+1)/N)", minimum=1),
        Field("hdr_row", 21, 16, "weight-buffer row where the headers begin"),
        Field("val_row", 22, 16, "weight-buffer row where the values begin"),
        Field("records", 23, 16, "records in the stream, at least 1", minimum=1),
        Field("bank", 24, 1, "register-file bank"),
        Field("first", 24, 1, "1: the bank starts from zero; 0: it goes on from what it holds", lsb=1),
        Field("pixels", 25, 16, "output pixels in use (for the MAC counters), at most N*N", maximum=_of_os_pixels),
        Field("skipped", 26, 32, "zero weights that the stream leaves out (for the counters); 24 bits", maximum=(1 << 24) - 1),
        Field("values", 28, 16, "values in the stream, at least one a record", minimum=1),
    )),
    Op(4, "WS", ARRAY, "weight stationary: stream pixels past N x N weight tiles into a register-file bank", (
        *_view(6, "the input"),
        Field("out_w", 16, 16, "output pixels in a line, at least 1", minimum=1, maximum=_of_ws_pixels),
        Field("out_h", 17, 16, "output lines, at least 1; out_w * out_h <= N * rf", minimum=1, maximum=_of_ws_pixels),
        Field("kw", 18, 5, "kernel columns, at least 1", minimum=1),
        Field("kh", 19, 5, "kernel lines, at least 1", minimum=1),
        Field("blocks", 20, 16, "input channel blocks, at least 1; tiles run over blocks, then ky, then kx (fastest)", minimum=1),
        Field("in_plane", 21, 16, "rows from one channel block to the next"),
        Field("val_row", 22, 16, "weight-buffer row of the first tile; a tile is N rows, row i for input channel i"),
        Field("tiles", 23, 16, "weight tiles: blocks * kh * kw", minimum=1),
        Field("bank", 24, 1, "register-file bank"),
        Field("first", 24, 1, "1: the bank starts from zero; 0: it goes on from what it holds", lsb=1),
    )),
    Op(5, "DRAIN", DRAIN, "register-file bank through post-processing into the activation buffer", (
        Field("mode", 6, 1, "0: the bank was filled by OS, 1: by WS"),
        Field("bank", 6, 1, "register-file bank", lsb=1),
        Field("out_base", 7, 16, "row of output pixel (0, 0), channel block 0"),
        Field("out_pitch", 8, 16, "rows from one line to the next"),
        Field("out_plane", 9, 16, "rows from one channel block to the next"),
        Field("out_wrap_line", 10, 16, "first line that lies out_wrap_rows lower; 65535: none"),
        Field("out_wrap_rows", 11, 16, "rows in the output ring"),
        Field("out_w", 12, 16, "output columns in a line, at least 1", minimum=1),
        Field("out_h", 13, 16, "WS: output lines, at least 1", minimum=1, mode=MODE_WS),
        Field("channels", 14, 8, "OS: output channels, 1 to rf", minimum=1, maximum=_of_rf, mode=MODE_OS),
        Field("entry0", 14, 6, "entry of the bank with which it begins", lsb=8, maximum=_of_entries),
        Field("lane0", 15, 6, "OS: lane (channel within its block) of the first channel", maximum=_of_lanes, mode=MODE_OS),
        *_segments(MODE_OS),
        Field("bias_row", 20, 16, "bias-buffer row of the first channel block: a row of low halves, a row of high"),
        Field("shift", 21, 6, "requantisation shift, 0 to 40", maximum=40),
        Field("act", 21, 2, f"activation: {code_doc()}", lsb=6),
        Field("residual", 21, 1, "1: add the residual after the activation", lsb=8),
        Field("post_act", 21, 2, f"activation after the residual add: {AFTER_SUM}", lsb=9, maximum=AFTER_SUM.most),
        Field("parm", 22, 16, "bound or Q15 slope of act"),
        Field("post_parm", 23, 16, "bound of post_act"),
        Field("res_base", 24, 16, "row of residual pixel (0, 0), channel block 0"),
        Field("res_pitch", 25, 16, "rows from one line to the next"),
        Field("res_plane", 26, 16, "rows from one channel block to the next"),
        Field("res_wrap_line", 27, 16, "first line that lies res_wrap_rows lower; 65535: none"),
        Field("res_wrap_rows", 28, 16, "rows in the residual ring"),
    )),
    Op(6, "POOL", POOL, "max or average pooling, buffer to buffer, N channels a cycle", (
        *_view(6, "the input"),
        Field("in_plane", 15, 16, "rows from one channel block to the next"),
        Field("kw", 16, 5, "window columns, at least 1", minimum=1),
        Field("kh", 16, 5, "window lines, at least 1", lsb=8, minimum=1),
        Field("kind", 17, 1, "0 maximum (padding ignored), 1 average (padding counts as zero)"),
        Field("shift", 17, 6, "average: shift after the multiplication", lsb=8),
        Field("mult", 18, 16, "average: unsigned multiplier"),
        *_POOL_OUTPUT,
    )),
    Op(7, "END", None, "wait for the tickets, finish the program, raise the interrupt"),
    Op(8, "MUL", POOL, "product of two maps, element by element; positions of the first outside it read as 0", (
        *_view(6, "the first map"),
        Field("in_plane", 15, 16, "rows from one channel block to the next"),
        Field("shift", 17, 6, "shift of the product, 0 to 40", lsb=8, maximum=40),
        Field("broadcast", 18, 1, "1: a line of the second map is a single row, used for all columns"),
        *_POOL_OUTPUT,
        Field("other_base", 27, 16, "row of the second map at output pixel (0, 0), channel block 0"),
        Field("other_pitch", 28, 16, "rows from one line to the next; 0: the same line for all"),
        Field("other_plane", 29, 16, "rows from one channel block to the next"),
        Field("other_wrap_line", 30, 16, "first output line that lies other_wrap_rows lower; 65535: none"),
        Field("other_wrap_rows", 31, 16, "rows in the second map's ring"),
    ), functions=True),
    Op(9, "LOOKUP", POOL, "a function of every element of a map, from a table; positions outside the map read as 0", (
        *_view(6, "the map"),
        Field("in_plane", 15, 16, "rows from one channel block to the next"),
        Field("segment", 16, 4, "a segment of the table spans 2**segment codes, 0 to 8", maximum=MAX_SEGMENT_BITS),
        Field("table", 16, 1, "number of the table", lsb=8, maximum=TABLES - 1),
        Field("shift", 17, 6, "shift behind the table's slope and offset, 0 to 31", lsb=8, maximum=MAX_SHIFT),
        *_POOL_OUTPUT,
    ), functions=True),
    Op(10, "TABLE", POOL, f"{TABLE_ENTRIES} entries of the function tables", (
        Field("first", 6, 9, f"number of the first entry, modulo {TABLES * SEGMENTS}; table t begins with entry {SEGMENTS} * t"),
        *(field for entry in range(TABLE_ENTRIES) for field in (
            Field(f"slope{entry}", 7 + 3 * entry, 16, f"slope of entry first + {entry}", signed=True),
            Field(f"offset{entry}", 8 + 3 * entry, 32, f"offset of entry first + {entry}", signed=True))),
    ), functions=True),
)

BY_NAME = {op.name: op for op in OPS}
BY_CODE = {op.code: op for op in OPS}


def machine_ops(cfg: MachineConfig | None = None) -> tuple[Op, ...]:
    """The operations that machine ``cfg`` (None: any machine) knows."""
    return tuple(op for op in OPS if cfg is None or op.exists(cfg))


def ops_of(unit: int, cfg: MachineConfig | None = None) -> tuple[Op, ...]:
    """The operations that ``unit`` of machine ``cfg`` (None: of any machine) executes.

    Those of POOL go from buffer to buffer: those with ``out_base`` write the map that ``out_*`` and ``blocks`` describe, and those with
    the fields of ``_view`` and ``in_plane`` read windows of one; a window without ``kw`` or ``kh`` has one column or line. So models,
    verification and random programs know what they touch from their fields.
    """
    return tuple(op for op in machine_ops(cfg) if op.unit == unit)


@dataclasses.dataclass
class Instruction:
    """An instruction: operation name, tickets {unit number: retired count, not reduced} and field values.

    Fields left out are 0 (``wrap_line`` fields: 65535).
    """

    op: str
    fields: dict[str, int]
    tickets: dict[int, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        op = BY_NAME.get(self.op)
        if op is None:
            raise IsaError(f"unknown operation {self.op!r}; there are {', '.join(BY_NAME)}")
        names = {f.name for f in op.fields}
        for name in self.fields:
            if name not in names:
                raise IsaError(f"{self.op} has no field {name!r}")
        for f in op.fields:
            self.fields.setdefault(f.name, 0xFFFF if f.name.endswith("wrap_line") else 0)

    def __getitem__(self, name: str) -> int:
        return self.fields[name]

    @property
    def unit(self) -> int | None:
        """Number of the unit that executes it, or None."""
        return BY_NAME[self.op].unit

    def encode(self, cfg: MachineConfig | None = None) -> bytes:
        """The 64 bytes. Raises IsaError if a field has a value that machine ``cfg`` (None: every machine) refuses."""
        for f in BY_NAME[self.op].fields:
            low, high = f.limits(cfg)
            if not low <= self.fields[f.name] <= high and self._uses(f):
                raise IsaError(f"{self.op}.{f.name} takes {low} to {high}, not {self.fields[f.name]}")
        return self.encode_unchecked()

    def _uses(self, field: Field) -> bool:
        return field.mode is None or self.fields["mode"] == field.mode

    def encode_unchecked(self) -> bytes:
        """The 64 bytes, of an instruction that the machine may refuse. Raises IsaError if a value does not fit its field's bits."""
        op = BY_NAME[self.op]
        word = op.code
        for unit, count in self.tickets.items():
            word |= 1 << (8 + unit)
            word |= (count & 0xFFFF) << (16 + 16 * unit)
        for f in op.fields:
            value = int(self.fields[f.name])
            low, high = f.span
            if not low <= value <= high:
                raise IsaError(f"{self.op}.{f.name} takes {low} to {high}, not {value}")
            word |= (value & ((1 << f.width) - 1)) << f.offset
        return word.to_bytes(INSTRUCTION_BYTES, "little")

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The instruction in 64 bytes; tickets come back modulo 65536. Raises IsaError for an unknown opcode.

        Ranges are not checked: this shows what is there.
        """
        if len(data) != INSTRUCTION_BYTES:
            raise IsaError(f"an instruction is {INSTRUCTION_BYTES} bytes, not {len(data)}")
        word = int.from_bytes(data, "little")
        op = BY_CODE.get(word & 0xFF)
        if op is None:
            raise IsaError(f"unknown opcode {word & 0xFF}")
        counts = struct.unpack_from("<5H", data, 2)
        tickets = {u: counts[u] for u in range(5) if word >> (8 + u) & 1}
        fields = {}
        for f in op.fields:
            value = word >> f.offset & ((1 << f.width) - 1)
            fields[f.name] = value - (1 << f.width) if f.signed and value >> (f.width - 1) else value
        return cls(op.name, fields, tickets)

    def __str__(self) -> str:
        waits = " ".join(f"{UNITS[u]}>={c}" for u, c in sorted(self.tickets.items()))
        body = " ".join(f"{k}={v}" for k, v in self.fields.items() if not (k.endswith("wrap_line") and v == 0xFFFF))
        return f"{self.op:5s} {body}" + (f"  [after {waits}]" if waits else "")


def check_table() -> None:
    """Raise IsaError if two fields of an operation overlap, or a field the opcode or the tickets, or one leaves the instruction."""
    for op in OPS:
        used = (1 << WRITTEN_BIT) - 1 | (1 << 16 * len(UNITS)) - 1 << 16
        for f in op.fields:
            mask = ((1 << f.width) - 1) << f.offset
            if used & mask or f.offset + f.width > 8 * INSTRUCTION_BYTES:
                raise IsaError(f"{op.name}.{f.name} overlaps or lies outside")
            used |= mask


check_table()
