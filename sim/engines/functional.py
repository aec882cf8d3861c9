"""Functional simulator: executes a program's instructions one after the other, as docs/architecture.md defines them.

It knows no time: program order stands for what the tickets guarantee. Sums of products are matrix products in float64, which
are exact while they stay below 2**53; the accumulators are narrower than that, and a sum that leaves them is an error.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.spec.constants.units import TABLE_ENTRIES
from squeezelerator.spec.encoding import check_fields
from squeezelerator.spec.functions.activations import apply_code
from squeezelerator.spec.functions.function_table import SEGMENTS, TABLES, look_up
from squeezelerator.spec.isa import ARRAY, DRAIN, MEM_ACT, MEM_PACKED, MEM_WEIGHT, MODE_OS, POOL, POOL_AVG, UNITS, Instruction, IsaError
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import Program
from squeezelerator.spec.weight_decode import unpack

_ROW_SPACE = 65536
#: Ports of the buffers as bits of ERROR_DETAIL: a reader's unit, a writer's plus 8.
_READS = {unit: 1 << unit for unit in (ARRAY, DRAIN, POOL)}
_WRITES = {unit: 1 << 8 + unit for unit in (DRAIN, POOL)}

Fields = Mapping[str, int]
"""Field values of an instruction."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """What the hardware reports: the name of an error code and, of the buffers, the ports in its detail (``spec.registers``)."""

    code: str
    ports: int = 0


class FunctionalError(UserError, RuntimeError):
    """The program does something that the machine cannot do; the message names the instruction.

    ``fault``: how the hardware notices; None: it does not, and what comes out is undefined.
    """

    def __init__(self, message: str, fault: Fault | None = None) -> None:
        super().__init__(message)
        self.fault = fault


def _sat16(value: np.ndarray) -> np.ndarray:
    return np.clip(value, -32768, 32767)


def _round_shift(value: np.ndarray, shift: int) -> np.ndarray:
    return (value + (1 << (shift - 1) if shift else 0)) >> shift


class Machine:
    """The machine's state between instructions.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    memory : bytearray
        The program's memory; changed in place.

    Attributes
    ----------
    unpacked : int
        Rows that the last LOAD of packed weights has written.
    """

    def __init__(self, cfg: MachineConfig, memory: bytearray) -> None:
        self.cfg, self.n = cfg, cfg.n
        self.dram = np.frombuffer(memory, np.uint8)
        self.act = np.zeros((cfg.act_rows, cfg.n), np.int16)
        self.weight = np.zeros((cfg.weight_rows, cfg.n), np.uint16)
        self.bias = np.zeros((cfg.bias_rows, cfg.n), np.uint16)
        self.rf = np.zeros((2, cfg.rf, cfg.n, cfg.n), np.int64)
        self.tables = np.zeros((2, TABLES * SEGMENTS), np.int64)
        self._streams, self._pixels = {}, {}
        self.unpacked = 0

    def execute(self, instruction: Instruction) -> None:
        """Execute one instruction; END does nothing."""
        f = instruction.fields
        handler = {
            "LOAD": self._load, "STORE": self._store, "OS": self._os, "WS": self._ws, "DRAIN": self._drain,
            "POOL": self._pool, "MUL": self._mul, "LOOKUP": self._look_up, "TABLE": self._table, "END": lambda fields: None,
        }[instruction.op]  # fmt: skip
        handler(f)

    def refuse(self, message: str, fault: Fault) -> None:
        """What to do about a row that does not exist: raise FunctionalError. One that returns lets the instruction go on elsewhere."""
        raise FunctionalError(message, fault)

    # -- DRAM -------------------------------------------------------------------------------------------------

    def _line(self, f: Fields, line: int) -> np.ndarray:
        """View (rows, words of a row in DRAM) of one line of a transfer in DRAM."""
        start = f["dram"] + line * f["dram_pitch"]
        end = start + f["rows"] * self.cfg.row_bytes
        if end > len(self.dram):
            raise FunctionalError(f"reaches byte {end} of {len(self.dram)} in DRAM", Fault("ADDRESS"))
        return self.dram[start:end].view("<u2").reshape(f["rows"], -1)

    def _rows(self, buffer: np.ndarray, f: Fields, line: int) -> np.ndarray:
        low = f["row"] + line * f["row_pitch"]
        if low + f["rows"] > len(buffer):
            raise FunctionalError(f"reaches row {low + f['rows']} of {len(buffer)}", Fault("ROW"))
        return buffer[low : low + f["rows"]]

    def _load(self, f: Fields) -> None:
        if f["mem"] == MEM_PACKED:
            self._load_packed(f)
            return
        buffer = {MEM_ACT: self.act.view(np.uint16), MEM_WEIGHT: self.weight}.get(f["mem"], self.bias)
        for line in range(f["lines"]):
            self._rows(buffer, f, line)[:] = self._line(f, line)[:, : self.n]

    def _load_packed(self, f: Fields) -> None:
        if not self.cfg.unpacks:
            raise FunctionalError("this machine knows no packed weights", Fault("OPERAND"))
        rows = unpack(self.cfg, np.concatenate([self._line(f, line).ravel() for line in range(f["lines"])]))[: f["row_pitch"]]
        self.unpacked = len(rows)
        if f["row"] + len(rows) > len(self.weight):
            raise FunctionalError(f"reaches row {f['row'] + len(rows)} of {len(self.weight)}", Fault("ROW"))
        self.weight[f["row"] : f["row"] + len(rows)] = rows

    def _store(self, f: Fields) -> None:
        for line in range(f["lines"]):
            words = self._line(f, line)
            words[:, : self.n] = self._rows(self.act.view(np.uint16), f, line)
            words[:, self.n :] = 0  # a row is padded to whole beats

    # -- array ------------------------------------------------------------------------------------------------

    def _check(self, rows: np.ndarray, used: np.ndarray, what: str, ports: int) -> np.ndarray:
        """Rows modulo the row space, 0 where not ``used``; refused if one that is lies outside the buffer."""
        rows = np.where(used, rows % _ROW_SPACE, 0)
        if rows.size and int(rows.max()) >= self.cfg.act_rows:
            self.refuse(f"{what} row {int(rows.max())} of {self.cfg.act_rows}", Fault("ROW", ports))
            rows = np.where(rows < self.cfg.act_rows, rows, 0)
        return rows

    def _positions(self, f: Fields, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row of every input position and whether it lies inside the map; block 0."""
        inside = (y >= 0) & (y < f["in_h"]) & (x >= 0) & (x < f["in_w"])
        rows = f["in_base"] + y * f["in_pitch"] + x
        if f["wrap_line"] != 0xFFFF:
            rows = rows - np.where(y >= f["wrap_line"], f["wrap_rows"], 0)
        return rows, inside

    def _segment_pixels(self, f: Fields) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Output line, output column and whether it is one, for every array row and lane: (nrows, N)."""
        segment = f["seg0"] + np.arange(f["nrows"])
        lane = np.arange(self.n)
        column = (segment % f["segs"])[:, None] * f["seg_len"] + lane
        return (segment // f["segs"])[:, None] + 0 * lane, column, lane < f["seg_len"]

    def _os_stream(self, f: Fields) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Headers and the dense matrix (rf, records) of a weight stream."""
        cfg, records = self.cfg, f["records"]
        start, end = f["hdr_row"], f["val_row"]
        head = -(-records * cfg.header_words // self.n)
        if start + head > len(self.weight):
            raise FunctionalError("weight stream leaves the weight buffer", Fault("ROW", _READS[ARRAY]))
        raw = self.weight[start : start + head].reshape(-1)[: records * cfg.header_words]
        values = self.weight[end:].reshape(-1)[: f["values"]]
        key = (raw.tobytes(), f["values"], values.tobytes())
        if key not in self._streams:
            headers = raw.reshape(records, cfg.header_words)
            bits = np.unpackbits(np.ascontiguousarray(headers[:, 2:]).view(np.uint8), axis=1, bitorder="little")
            bits = bits[:, : cfg.rf].astype(bool)
            if not bits.any(axis=1).all():
                # The end of the stream comes with the last weight of its last record.
                raise FunctionalError("a record without weights", None if bits[-1].any() else Fault("STUCK"))
            announced = int(bits.sum())
            if announced != f["values"]:
                raise FunctionalError(f"headers announce {announced} values, the instruction {f['values']}",
                                      Fault("STUCK") if announced > f["values"] else None)
            if len(values) < announced:
                raise FunctionalError("weight stream leaves the weight buffer", Fault("ROW", _READS[ARRAY]))
            dense = np.zeros((records, cfg.rf))
            dense[bits] = values.view(np.int16)
            self._streams[key] = (headers[:, 0].astype(np.int64), headers[:, 1].astype(np.int64), dense.T)
        return self._streams[key]

    def _os(self, f: Fields) -> None:
        offset, position, dense = self._os_stream(f)
        lane, kx, ky = position & 31, position >> 5 & 31, position >> 10
        if int(lane.max()) >= self.n:
            raise FunctionalError(f"lane {int(lane.max())} of {self.n}")
        line, column, used = self._segment_pixels(f)
        y = f["y0"] + line * f["stride_y"]
        x = f["x0"] + column * f["stride_x"]
        y_in, x_in = y + ky[:, None, None], x + kx[:, None, None]
        inside = (y_in >= 0) & (y_in < f["in_h"]) & (x_in >= 0) & (x_in < f["in_w"]) & used
        rows = f["in_base"] + offset[:, None, None] + y * f["in_pitch"] + x
        if f["wrap_line"] != 0xFFFF:
            rows = rows - np.where(y_in >= f["wrap_line"], f["wrap_rows"], 0)
        rows = self._check(rows, inside, "reads", _READS[ARRAY])
        pixels = np.where(inside, self.act[rows, lane[:, None, None]], 0).astype(np.float64)
        sums = (dense @ pixels.reshape(len(pixels), -1)).reshape(-1, *line.shape)
        self._accumulate(f, (slice(None), slice(0, f["nrows"])), sums)

    def _accumulate(self, f: Fields, where: Any, sums: np.ndarray) -> None:
        bank = self.rf[f["bank"]]
        sums = sums.astype(np.int64)
        if f["first"]:
            bank[:] = 0
        else:
            sums += bank[where]
        bank[where] = sums
        limit = 1 << (self.cfg.acc_bits - 1)
        if sums.size and (int(sums.max()) >= limit or int(sums.min()) < -limit):
            raise FunctionalError(f"a sum leaves {self.cfg.acc_bits} bits")

    def _ws(self, f: Fields) -> None:
        n, tiles = self.n, f["blocks"] * f["kh"] * f["kw"]
        if tiles != f["tiles"]:
            raise FunctionalError(f"{f['tiles']} tiles instead of {tiles}")
        if f["val_row"] + tiles * n > len(self.weight):
            raise FunctionalError("weight tiles leave the weight buffer", Fault("ROW", _READS[ARRAY]))
        weights = self.weight[f["val_row"] : f["val_row"] + tiles * n].view(np.int16).astype(np.float64)
        block, ky, kx = (g.ravel() for g in np.meshgrid(*(np.arange(f[k]) for k in ("blocks", "kh", "kw")), indexing="ij"))
        oy, ox = (g.ravel() for g in np.meshgrid(np.arange(f["out_h"]), np.arange(f["out_w"]), indexing="ij"))
        y = f["y0"] + oy[:, None] * f["stride_y"] + ky
        x = f["x0"] + ox[:, None] * f["stride_x"] + kx
        rows, inside = self._positions(f, y, x)
        rows = self._check(rows + block * f["in_plane"], inside, "reads", _READS[ARRAY])
        pixels = np.where(inside[..., None], self.act[rows], 0).astype(np.float64)
        count = len(oy)
        if count > self.cfg.ws_pixels:
            raise FunctionalError(f"{count} pixels, a bank holds {self.cfg.ws_pixels}")
        sums = pixels.reshape(count, -1) @ weights
        t = np.arange(count)
        self._accumulate(f, (t // n, t % n), sums)

    # -- drain and pool ---------------------------------------------------------------------------------------

    def _drain(self, f: Fields) -> None:
        n, bank = self.n, self.rf[f["bank"]]
        if f["mode"] == MODE_OS:
            k = np.arange(f["channels"])
            line, column, used = self._segment_pixels(f)
            used = np.broadcast_to(used & (column < f["out_w"]), (len(k), *line.shape))
            self._entries(f, len(k))
            acc = bank[f["entry0"] : f["entry0"] + len(k), : f["nrows"]]
            block, lane = (f["lane0"] + k) // n, (f["lane0"] + k) % n
            block, lane = block[:, None, None], lane[:, None, None]
            lane = np.broadcast_to(lane, used.shape)
        else:
            count = f["out_h"] * f["out_w"]
            t = np.arange(count)
            line, column = (t // f["out_w"])[:, None], (t % f["out_w"])[:, None]
            self._entries(f, -(-count // n))
            acc = bank[f["entry0"] + t // n, t % n]
            block, lane = 0, np.broadcast_to(np.arange(n), (count, n))
            used = np.ones((count, n), bool)
        bias_row = f["bias_row"] + 2 * block
        if int(np.max(bias_row)) + 1 >= len(self.bias):
            self.refuse(f"bias row {int(np.max(bias_row)) + 1} of {len(self.bias)}", Fault("ROW", _READS[DRAIN]))
            bias_row = np.minimum(bias_row, len(self.bias) - 2)
        bias = self.bias[bias_row, lane].astype(np.int64) | self.bias[bias_row + 1, lane].astype(np.int64) << 16
        bias = np.where(bias >= 1 << 31, bias - (1 << 32), bias)
        value = apply_code(f["act"], _sat16(_round_shift(acc + bias, f["shift"])), f["parm"])
        if f["residual"]:
            other = self.act[self._output_rows(f, "res", line, column, block, used, _READS[DRAIN]), lane].astype(np.int64)
            value = _sat16(value + other)
        value = apply_code(f["post_act"], value, f["post_parm"])
        rows = self._output_rows(f, "out", line, column, block, used, _WRITES[DRAIN])
        self.act[rows[used], lane[used]] = value[used]

    def _entries(self, f: Fields, count: int) -> None:
        if f["entry0"] + count > self.cfg.rf:
            raise FunctionalError(f"drains entry {f['entry0'] + count} of {self.cfg.rf}")

    def _output_rows(self, f: Fields, prefix: str, line: np.ndarray, column: np.ndarray,
                     block: np.ndarray | int, used: np.ndarray, ports: int) -> np.ndarray:
        rows = f[f"{prefix}_base"] + block * f[f"{prefix}_plane"] + line * f[f"{prefix}_pitch"] + column
        if f[f"{prefix}_wrap_line"] != 0xFFFF:
            rows = rows - np.where(line >= f[f"{prefix}_wrap_line"], f[f"{prefix}_wrap_rows"], 0)
        return self._check(np.broadcast_to(rows, used.shape), used, "reaches", ports)

    @staticmethod
    def _output_positions(f: Fields) -> list[np.ndarray]:
        """Channel block, line and column of every row that an instruction of POOL writes."""
        axes = (np.arange(f[name]) for name in ("blocks", "out_h", "out_w"))
        return [axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")]

    def _pool(self, f: Fields) -> None:
        block, oy, ox = self._output_positions(f)
        average = f["kind"] == POOL_AVG
        total = np.full((len(block), self.n), 0 if average else -32768, np.int64)
        for ky in range(f["kh"]):
            for kx in range(f["kw"]):
                rows, inside = self._positions(f, f["y0"] + oy * f["stride_y"] + ky, f["x0"] + ox * f["stride_x"] + kx)
                rows = self._check(rows + block * f["in_plane"], inside, "reads", _READS[POOL])
                value = self.act[rows].astype(np.int64)
                if average:
                    total += np.where(inside[:, None], value, 0)
                else:
                    total = np.where(inside[:, None], np.maximum(total, value), total)
        if average:
            total = _sat16(_round_shift(total * f["mult"], f["shift"]))
        used = np.ones(len(block), bool)
        self.act[self._output_rows(f, "out", oy, ox, block, used, _WRITES[POOL])] = total

    def _elements(self, f: Fields) -> np.ndarray:
        """int64 (rows, N): the map that MUL or LOOKUP reads, in the order of :meth:`_output_positions`; 0 outside it."""
        block, oy, ox = self._output_positions(f)
        rows, inside = self._positions(f, f["y0"] + oy * f["stride_y"], f["x0"] + ox * f["stride_x"])
        rows = self._check(rows + block * f["in_plane"], inside, "reads", _READS[POOL])
        return np.where(inside[:, None], self.act[rows], 0).astype(np.int64)

    def _put(self, f: Fields, values: np.ndarray) -> None:
        """Write values (rows, N), saturated, where an instruction of POOL writes."""
        block, oy, ox = self._output_positions(f)
        self.act[self._output_rows(f, "out", oy, ox, block, np.ones(len(block), bool), _WRITES[POOL])] = _sat16(values)

    def _mul(self, f: Fields) -> None:
        block, oy, ox = self._output_positions(f)
        column = np.zeros_like(ox) if f["broadcast"] else ox
        rows = self._output_rows(f, "other", oy, column, block, np.ones(len(block), bool), _READS[POOL])
        other = self.act[rows].astype(np.int64)
        self._put(f, _round_shift(self._elements(f) * other, f["shift"]))

    def _look_up(self, f: Fields) -> None:
        table = self.tables[:, f["table"] * SEGMENTS : (f["table"] + 1) * SEGMENTS]
        self._put(f, look_up(self._elements(f), table, f["segment"], f["shift"]))

    def _table(self, f: Fields) -> None:
        for entry in range(TABLE_ENTRIES):
            self.tables[:, (f["first"] + entry) % self.tables.shape[1]] = f[f"slope{entry}"], f[f"offset{entry}"]


def refuse_program(program: Program) -> None:
    """Raise FunctionalError for the first instruction with a field that the machine refuses, or that waits for one behind it.

    The machine may well execute the latter, but not in program order, which stands for the tickets here.
    """
    try:
        check_fields(program.instructions, program.cfg)
    except IsaError as error:
        raise FunctionalError(str(error)) from None
    issued = [0] * len(UNITS)
    for number, instruction in enumerate(program.instructions):
        for unit, count in instruction.tickets.items():
            if 0 < (count - issued[unit]) & 0xFFFF <= 0x8000:
                raise FunctionalError(f"instruction {number} ({instruction.op}, {program.layer_of[number]}): waits for {UNITS[unit]} "
                                      f"number {issued[unit] + (count - issued[unit] & 0xFFFF)}, and only {issued[unit]} come before it")
        if instruction.unit is not None:
            issued[instruction.unit] += 1


def run_functional(program: Program, memory: bytearray) -> bytearray:
    """Execute ``program`` on ``memory``.

    Parameters
    ----------
    program : spec.program.Program
    memory : bytearray
        Of ``program.mem_bytes`` bytes, inputs in place; it is changed in place.

    Returns
    -------
    bytearray
        ``memory``.

    Raises
    ------
    FunctionalError
        If an instruction leaves a buffer or contradicts itself; the message begins with its number.
    """
    if len(memory) != program.mem_bytes:
        raise FunctionalError(f"the memory must have {program.mem_bytes} bytes, not {len(memory)}")
    refuse_program(program)
    machine = Machine(program.cfg, memory)
    for number, instruction in enumerate(program.instructions):
        try:
            machine.execute(instruction)
        except FunctionalError as error:
            raise FunctionalError(f"instruction {number} ({instruction.op}, {program.layer_of[number]}): {error}", error.fault) from None
    return memory
