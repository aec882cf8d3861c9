"""What an instruction reads and writes, worked out from its fields and, for OS, from the weight stream in the weight buffer.

Rows of the on-chip buffers, register-file banks and ports of the activation buffer's sectors are the bits of one whole number, so that
two instructions meet where the bitwise *and* of two numbers is not zero: thousands of rows in one operation. Transfers also have the
places in DRAM that they touch. Nothing is approximated: a bit is set if and only if the machine reads or writes the row.

Row numbers are modulo 65536 where the instruction set says so; all bits of the activation buffer are checked against its size.
"""

import dataclasses
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.spec.isa import BY_NAME, MEM_ACT, MEM_BIAS, MEM_PACKED, MODE_OS, POOL, Instruction, ops_of
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.weight_decode import decode_headers, unpack

__all__ = ["Footprint", "FootprintError", "Footprints", "Transfer"]

#: Row numbers are 16 bits wide.
_SPACE = 1 << 16
_ALL = (1 << _SPACE) - 1
_NO_WRAP = 0xFFFF


class FootprintError(UserError, ValueError):
    """An instruction that leaves a memory or contradicts itself; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Transfer:
    """The bytes in DRAM of a LOAD or STORE: ``lines`` times ``size`` bytes, ``pitch`` bytes apart, from ``start`` on."""

    start: int
    size: int
    lines: int
    pitch: int

    @property
    def end(self) -> int:
        """Where the last line ends."""
        return self.start + (self.lines - 1) * self.pitch + self.size


@dataclasses.dataclass(frozen=True)
class Footprint:
    """``read``, ``written``: bits of what is on chip; using a port counts as writing it, because it excludes others as a write does.
    ``transfer``: what a LOAD reads and a STORE writes in DRAM."""

    read: int
    written: int
    transfer: Transfer | None = None


def _ones(count: int) -> int:
    return (1 << count) - 1


@lru_cache(maxsize=4096)
def _repeat(mask: int, step: int, count: int) -> int:
    """``mask`` at 0, ``step``, 2 * ``step`` ...: ``count`` times. The result must be of a sensible size."""
    found, done = mask, 1
    while done < count:
        more = min(done, count - done)
        found |= found << step * more
        done += more
    return found


def _placed(mask: int, row: int) -> int:
    """``mask`` from ``row`` on, modulo the row space."""
    row %= _SPACE
    found = mask << row
    return found if mask.bit_length() + row <= _SPACE else (found & _ALL) | (found >> _SPACE)


def _repeated(mask: int, step: int, count: int) -> int:
    """As :func:`_repeat`, modulo the row space."""
    if mask.bit_length() + step * (count - 1) <= _SPACE:
        return _repeat(mask, step, count)
    found = 0
    for number in range(count):
        found |= _placed(mask, number * step)
    return found


@lru_cache(maxsize=4096)
def _columns(first: int, count: int, stride: int, taps: tuple[int, ...], width: int) -> int:
    """Input columns that output columns read: ``first + i * stride + tap`` for ``i < count``, those inside 0 .. ``width`` - 1."""
    comb, found = _repeat(1, stride, count), 0
    for tap in taps:
        at = first + tap
        found |= comb << at if at >= 0 else comb >> -at
    return found & _ones(width)


@dataclasses.dataclass(frozen=True)
class _Taps:
    """Kernel positions of one channel block: ``offset`` rows from the map's first block, kernel columns ``kx`` by kernel line."""

    offset: int
    kx_of: tuple[tuple[int, tuple[int, ...]], ...]


#: (output line, first output column, columns): what a pass computes or a DRAIN writes.
_Run = tuple[int, int, int]


@lru_cache(maxsize=4096)
def _segment_runs(seg0: int, nrows: int, segs: int, seg_len: int) -> tuple[_Run, ...]:
    runs, segment, left = [], seg0, nrows
    while left:
        line, inside = divmod(segment, segs)
        count = min(left, segs - inside)
        runs.append((line, inside * seg_len, count * seg_len))
        segment, left = segment + count, left - count
    return tuple(runs)


class Footprints:
    """Footprints of a program's instructions, which must come in program order: LOADs bring the weight streams that OS follows.

    Parameters
    ----------
    cfg : MachineConfig
    memory : bytes-like
        The program's memory with constants in place.
    constants : tuple of int
        Offsets of the first byte of the constants and of the first one behind them: weights must come from there, since only
        they are known beforehand.
    """

    def __init__(self, cfg: MachineConfig, memory: bytes | bytearray, constants: tuple[int, int]) -> None:
        self.cfg = cfg
        self.memory = np.frombuffer(memory, np.uint8)
        self.constants = constants
        self.weight = np.zeros((cfg.weight_rows, cfg.n), np.uint16)
        #: First bit of each kind of resource.
        self.first_weight = cfg.act_rows
        self.first_bias = self.first_weight + cfg.weight_rows
        self.first_bank = self.first_bias + cfg.bias_rows
        self.first_port = self.first_bank + 2
        self._of: dict[str, Callable[[Instruction], Footprint]] = {
            "LOAD": self._load, "STORE": self._store, "OS": self._os, "WS": self._ws, "DRAIN": self._drain,
            **{op.name: self._pool for op in ops_of(POOL)}}  # fmt: skip
        self._ports: dict[int, int] = {}
        self._views: dict[tuple, int] = {}
        self._streams: dict[tuple, tuple[tuple[_Taps, ...], int]] = {}
        #: Entries, as bits, that the weights of the last OS reach.
        self.channels = 0
        self._unpacked: dict[tuple, np.ndarray] = {}

    def of(self, instruction: Instruction) -> Footprint:
        """What ``instruction``, the next of the program, touches.

        Raises
        ------
        FootprintError
            If that is outside a memory, or its weights are not what it says.
        """
        return self._of[instruction.op](instruction)

    def name_of(self, bits: int) -> str:
        """The kind of resource to which the lowest of ``bits`` belongs."""
        bit = (bits & -bits).bit_length() - 1
        for name, first in (("port", self.first_port), ("rf", self.first_bank), ("bias", self.first_bias), ("weight", self.first_weight)):
            if bit >= first:
                return name
        return "act"

    # -- parts ------------------------------------------------------------------------------------------------

    def _act(self, rows: int) -> int:
        if rows.bit_length() > self.cfg.act_rows:
            raise FootprintError(f"reaches act {rows.bit_length() - 1} of {self.cfg.act_rows}")
        return rows

    def _ports_of(self, rows: int) -> int:
        """A bit for every sector that has a bit in ``rows``."""
        found = self._ports.get(rows)
        if found is None:
            found, size = 0, self.cfg.sector_rows
            for sector in range(self.cfg.sectors):
                if rows >> sector * size & _ones(size):
                    found |= 1 << sector
            self._ports[rows] = found
        return found

    def _reads(self, rows: int) -> int:
        return self._ports_of(rows) << self.first_port

    def _writes(self, rows: int) -> int:
        return self._ports_of(rows) << self.first_port + self.cfg.sectors

    @staticmethod
    def _span(row: int, count: int, size: int, name: str) -> int:
        if row + count > size:
            raise FootprintError(f"reaches {name} {row + count - 1} of {size}")
        return _ones(count) << row

    # -- transfers --------------------------------------------------------------------------------------------

    def _transfer(self, i: Instruction) -> Transfer:
        found = Transfer(i["dram"], i["rows"] * self.cfg.row_bytes, i["lines"], i["dram_pitch"])
        if found.start % self.cfg.bus_bytes or (found.lines > 1 and found.pitch % self.cfg.bus_bytes):
            raise FootprintError("a transfer is not aligned to beats")
        if found.end > len(self.memory):
            raise FootprintError(f"reaches byte {found.end} of {len(self.memory)} in DRAM")
        return found

    def _dma_rows(self, i: Instruction, size: int, name: str) -> int:
        last = i["row"] + (i["lines"] - 1) * i["row_pitch"] + i["rows"] - 1
        if last >= size:
            raise FootprintError(f"reaches {name} {last} of {size}")
        return _repeat(_ones(i["rows"]), i["row_pitch"], i["lines"]) << i["row"]

    def _load(self, i: Instruction) -> Footprint:
        cfg, transfer, mem = self.cfg, self._transfer(i), i["mem"]
        if mem == MEM_ACT:
            rows = self._dma_rows(i, cfg.act_rows, "act")
            return Footprint(0, rows | self._writes(rows), transfer)
        if mem == MEM_BIAS:
            return Footprint(0, self._dma_rows(i, cfg.bias_rows, "bias") << self.first_bias, transfer)
        if transfer.start < self.constants[0] or transfer.end > self.constants[1]:
            raise FootprintError("loads weights that are not among the constants")
        rows = self._load_packed(i, transfer) if mem == MEM_PACKED else self._load_weights(i, transfer)
        return Footprint(0, rows << self.first_weight, transfer)

    def _words(self, transfer: Transfer) -> np.ndarray:
        """uint16 (lines, words of a line) in DRAM."""
        starts = [transfer.start + line * transfer.pitch for line in range(transfer.lines)]
        if transfer.lines * transfer.size > len(self.memory):
            raise FootprintError(f"reads {transfer.lines * transfer.size} bytes of weights, the memory has {len(self.memory)}")
        return np.stack([self.memory[start : start + transfer.size] for start in starts]).view("<u2")

    def _load_weights(self, i: Instruction, transfer: Transfer) -> int:
        rows = self._dma_rows(i, self.cfg.weight_rows, "weight")
        words = self._words(transfer).reshape(i["lines"], i["rows"], -1)[:, :, : self.cfg.n]
        for line in range(i["lines"]):
            first = i["row"] + line * i["row_pitch"]
            self.weight[first : first + i["rows"]] = words[line]
        return rows

    def _load_packed(self, i: Instruction, transfer: Transfer) -> int:
        count = i["row_pitch"]
        key = transfer.start, transfer.size, transfer.lines, transfer.pitch, count
        rows = self._unpacked.get(key)
        if rows is None:
            rows = self._unpacked[key] = unpack(self.cfg, self._words(transfer).ravel())[:count]
        if len(rows) < count:
            raise FootprintError(f"packed weights have {len(rows)} of {count} rows")
        found = self._span(i["row"], count, self.cfg.weight_rows, "weight")
        self.weight[i["row"] : i["row"] + count] = rows
        return found

    def _store(self, i: Instruction) -> Footprint:
        rows = self._dma_rows(i, self.cfg.act_rows, "act")
        return Footprint(rows, self._reads(rows), self._transfer(i))

    # -- the array --------------------------------------------------------------------------------------------

    def _line(self, f: dict[str, int], line: int) -> int:
        """Row of column 0 of input line ``line`` in channel block 0."""
        return f["in_base"] + line * f["in_pitch"] - (f["wrap_rows"] if f["wrap_line"] != _NO_WRAP and line >= f["wrap_line"] else 0)

    def _taps(self, i: Instruction) -> tuple[_Taps, ...]:
        """What a weight stream's records read relative to the pixel, checked against what the instruction says of the stream."""
        cfg, records = self.cfg, i["records"]
        rows, size = -(-records * cfg.header_words // cfg.n), len(self.weight)
        if max(i["hdr_row"] + rows, i["val_row"] + -(-i["values"] // cfg.n)) > size:
            raise FootprintError("a weight stream leaves the weight buffer")
        raw = self.weight[i["hdr_row"] : i["hdr_row"] + rows]
        key = raw.tobytes(), records, i["values"], i["in_pitch"]
        found = self._streams.get(key)
        if found is None:
            found = self._streams[key] = self._taps_of(raw.reshape(-1), i)
        self.channels = found[1]
        return found[0]

    def _taps_of(self, words: np.ndarray, i: Instruction) -> tuple[tuple[_Taps, ...], int]:
        headers = decode_headers(self.cfg, words, i["records"])
        if min(headers.nnz) == 0:
            raise FootprintError("a record without weights")
        if sum(headers.nnz) != i["values"]:
            raise FootprintError(f"headers announce {sum(headers.nnz)} values, the instruction {i['values']}")
        if int(headers.lane.max()) >= self.cfg.n:
            raise FootprintError(f"lane {int(headers.lane.max())} of {self.cfg.n}")
        # Records of one block and tap differ in their lane only.
        block = (headers.offset - headers.ky * i["in_pitch"] - headers.kx) % _SPACE
        blocks: dict[int, dict[int, list[int]]] = {}
        for code in np.unique(block << 16 | headers.ky << 8 | headers.kx).tolist():
            blocks.setdefault(code >> 16, {}).setdefault(code >> 8 & 255, []).append(code & 255)
        taps = (_Taps(offset, tuple((ky, tuple(kx)) for ky, kx in sorted(lines.items()))) for offset, lines in sorted(blocks.items()))
        return tuple(taps), headers.channels

    def _view(self, f: dict[str, int], runs: tuple[_Run, ...], taps: tuple[_Taps, ...]) -> int:
        """Rows that the pixels of ``runs`` read through ``taps``."""
        key = (f["in_base"], f["in_w"], f["in_h"], f["in_pitch"], f["wrap_line"], f["wrap_rows"], f["y0"], f["x0"], f["stride_y"],
               f["stride_x"], runs, taps)
        found = self._views.get(key)
        if found is None:
            found, shapes = 0, {}
            for block in taps:
                if block.kx_of not in shapes:
                    shapes[block.kx_of] = self._block(f, runs, block.kx_of)
                found |= _placed(shapes[block.kx_of], block.offset)
            self._views[key] = found = self._act(found)
        return found

    def _block(self, f: dict[str, int], runs: tuple[_Run, ...], kx_of: tuple[tuple[int, tuple[int, ...]], ...]) -> int:
        """Rows of one channel block that are read. A row depends only on the input position, however it was reached."""
        lines: dict[int, int] = {}
        width, height, stride = f["in_w"], f["in_h"], f["stride_x"]
        for line, first, count in runs:
            top, left = f["y0"] + line * f["stride_y"], f["x0"] + first * stride
            for ky, kx in kx_of:
                if 0 <= top + ky < height:
                    lines[top + ky] = lines.get(top + ky, 0) | _columns(left, count, stride, kx, width)
        found = 0
        for line, columns in lines.items():
            found |= _placed(columns, self._line(f, line))
        return found

    def _os(self, i: Instruction) -> Footprint:
        cfg, f = self.cfg, i.fields
        if f["windows"] != -(-((f["seg_len"] - 1) * f["stride_x"] + 1) // cfg.n):
            raise FootprintError(f"{f['windows']} windows do not fit segments of {f['seg_len']} columns")
        self._check_segments(f)
        rows = self._view(f, _segment_runs(f["seg0"], f["nrows"], f["segs"], f["seg_len"]), self._taps(i))
        weights = _ones(-(-f["records"] * cfg.header_words // cfg.n)) << f["hdr_row"] | _ones(-(-f["values"] // cfg.n)) << f["val_row"]
        return Footprint(rows | weights << self.first_weight, self._reads(rows) | 1 << self.first_bank + f["bank"])

    @staticmethod
    def _check_segments(f: dict[str, int]) -> None:
        if f["seg0"] >= f["segs"]:
            raise FootprintError(f"begins with segment {f['seg0']} of {f['segs']}")

    def _window(self, f: dict[str, int]) -> int:
        """Rows that windows of kh x kw positions read, in ``blocks`` channel blocks ``in_plane`` rows apart."""
        key = (f["in_base"], f["in_w"], f["in_h"], f["in_pitch"], f["wrap_line"], f["wrap_rows"], f["y0"], f["x0"], f["stride_y"],
               f["stride_x"], f["out_w"], f["out_h"], f["kw"], f["kh"], f["blocks"], f["in_plane"])
        found = self._views.get(key)
        if found is None:
            columns = _columns(f["x0"], f["out_w"], f["stride_x"], tuple(range(f["kw"])), f["in_w"])
            found = 0
            for line in self._window_lines(f):
                found |= _placed(columns, self._line(f, line))
            found = self._views[key] = self._act(self._blocks(found, f["in_plane"], f["blocks"]))
        return found

    @staticmethod
    def _window_lines(f: dict[str, int]) -> list[int]:
        starts = np.arange(f["out_h"])[:, None] * f["stride_y"] + f["y0"]
        lines = np.unique(starts + np.arange(f["kh"]))
        return lines[(lines >= 0) & (lines < f["in_h"])].tolist()

    @staticmethod
    def _blocks(rows: int, plane: int, count: int) -> int:
        return _repeated(rows, plane, count) if count > 1 and rows else rows

    def _ws(self, i: Instruction) -> Footprint:
        f = i.fields
        if f["tiles"] != f["blocks"] * f["kh"] * f["kw"]:
            raise FootprintError(f"{f['tiles']} tiles instead of {f['blocks'] * f['kh'] * f['kw']}")
        if f["out_w"] * f["out_h"] > self.cfg.ws_pixels:
            raise FootprintError(f"{f['out_w'] * f['out_h']} pixels, a bank holds {self.cfg.ws_pixels}")
        rows = self._window(f)
        weights = self._span(f["val_row"], f["tiles"] * self.cfg.n, self.cfg.weight_rows, "weight")
        return Footprint(rows | weights << self.first_weight, self._reads(rows) | 1 << self.first_bank + f["bank"])

    # -- drain and pool ---------------------------------------------------------------------------------------

    def _written(self, f: dict[str, int], prefix: str, runs: tuple[_Run, ...], blocks: int) -> int:
        """Rows of a DRAIN's or POOL's result, of a residual or of a second map: the runs in each channel block."""
        base, pitch, wrap = f[f"{prefix}_base"], f[f"{prefix}_pitch"], f[f"{prefix}_wrap_line"]
        found = 0
        for line, first, count in runs:
            row = base + line * pitch + first - (f[f"{prefix}_wrap_rows"] if wrap != _NO_WRAP and line >= wrap else 0)
            found |= _placed(_ones(count), row)
        return self._act(self._blocks(found, f[f"{prefix}_plane"], blocks))

    def _whole(self, f: dict[str, int]) -> tuple[_Run, ...]:
        return tuple((line, 0, f["out_w"]) for line in range(f["out_h"]))

    @staticmethod
    def _drained(f: dict[str, int]) -> tuple[_Run, ...]:
        """The columns of segments that lie inside the output line."""
        runs = _segment_runs(f["seg0"], f["nrows"], f["segs"], f["seg_len"])
        return tuple((line, first, min(count, f["out_w"] - first)) for line, first, count in runs if first < f["out_w"])

    def _drain(self, i: Instruction) -> Footprint:
        cfg, f = self.cfg, i.fields
        if f["mode"] == MODE_OS:
            self._check_segments(f)
            blocks, entries = -(-(f["lane0"] + f["channels"]) // cfg.n), f["channels"]
        else:
            blocks, entries = 1, -(-f["out_w"] * f["out_h"] // cfg.n)
        if f["entry0"] + entries > cfg.rf:
            raise FootprintError(f"drains entry {f['entry0'] + entries - 1} of {cfg.rf}")
        runs = self._drained(f) if f["mode"] == MODE_OS else self._whole(f)
        bias = self._span(f["bias_row"], 2 * blocks, cfg.bias_rows, "bias")
        out = self._written(f, "out", runs, blocks)
        read, ports = bias << self.first_bias | 1 << self.first_bank + f["bank"], self._writes(out)
        if f["residual"]:
            other = self._written(f, "res", runs, blocks)
            read, ports = read | other, ports | self._reads(other)
        return Footprint(read, out | ports)

    def _pool(self, i: Instruction) -> Footprint:
        op, f = BY_NAME[i.op], i.fields
        if not op.writes_map:
            return Footprint(0, 0)
        read = self._window({"kh": 1, "kw": 1, **f}) if op.reads_map else 0
        if "other_base" in f:
            runs = tuple((line, 0, 1) for line in range(f["out_h"])) if f["broadcast"] else self._whole(f)
            read |= self._written(f, "other", runs, f["blocks"])
        out = self._written(f, "out", self._whole(f), f["blocks"])
        return Footprint(read, out | self._reads(read) | self._writes(out))

