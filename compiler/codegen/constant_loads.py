"""Transfers of weights and biases, and their contents in DRAM; function tables, which instructions bring."""

from collections.abc import Hashable

import numpy as np

from squeezelerator.compiler.codegen.events import DRAM, EventList, Load
from squeezelerator.compiler.codegen.image import Image
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.mapping.weight_encoding import encode
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup
from squeezelerator.spec.constants.units import TABLE_ENTRIES
from squeezelerator.spec.enums import Memory
from squeezelerator.spec.functions.function_table import SEGMENTS, TABLES
from squeezelerator.spec.machine import MachineConfig


class ConstantLoads:
    """One transfer for every use of a weight stream or of biases.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    image : Image
        Receives weight streams and biases.
    offset : int
        Byte offset of the image in the program's memory.
    trial : bool
        Leave the weight streams' contents out: the program is only looked at.
    """

    def __init__(self, cfg: MachineConfig, image: Image, offset: int, trial: bool) -> None:
        self.cfg, self.image, self.offset, self.trial = cfg, image, offset, trial
        #: (stream, how its input lies in the buffer) -> byte offset in the image; strips of a map share streams.
        self._streams: dict[tuple[int, int, int, int], int] = {}
        self._weights: dict[Hashable, Load] = {}
        self._bias_rows: dict[tuple[int, int, int], int] = {}
        self._biases: dict[Hashable, Load] = {}

    def _load(self, mem: Memory, op: Op, offset: int, rows: int, bus_rows: int) -> Load:
        """The transfer of so many rows, of which fewer cross the bus if they are packed."""
        dram = self.offset + offset
        fields: dict[str, int] = {"mem": mem, "rows": bus_rows, "lines": 1, "row_pitch": 0, "dram": dram, "dram_pitch": 0}
        if bus_rows < rows:
            fields |= {"mem": Memory.PACKED_WEIGHTS, "row_pitch": rows}
        span = (DRAM, dram, dram + bus_rows * self.cfg.row_bytes)
        return Load(mem=mem, layer=op.layers[0], op=op, fields=fields, writes=[], reads=[span], rows=rows)

    def weights(self, group: Group, op: Op, channels: ChannelGroup, index: int, use: Hashable) -> Load:
        """The transfer of chunk ``index`` of a channel group for one use of it."""
        chunk = channels.chunks[index]
        key = op, id(channels), index, use
        if key not in self._weights:
            buffer = group.buffers[op.parts[chunk.part]]
            stream = id(channels), index, buffer.plane, buffer.pitch
            if stream not in self._streams:
                if self.trial:
                    self._streams[stream] = self.image.reserve(chunk.bus_rows)
                else:
                    self._streams[stream] = self.image.add(encode(self.cfg, channels, chunk, buffer.plane, buffer.pitch))
            self._weights[key] = self._load(Memory.WEIGHTS, op, self._streams[stream], chunk.rows, chunk.bus_rows)
        return self._weights[key]

    def biases(self, op: Op, channels: ChannelGroup, use: Hashable) -> tuple[Load, int]:
        """(transfer, row offset) of a channel group's biases, which come with others' up to a quarter of the buffer."""
        cfg = self.cfg
        batch = max(1, cfg.bias_rows // 8)
        first = channels.block0 // batch * batch
        count = min(batch, op.out.blocks(cfg.n) - first)
        if channels.block0 + channels.blocks > first + count:
            first, count = channels.block0, channels.blocks
        values = id(op.bias), op.first, op.out.c
        if values not in self._bias_rows:
            self._bias_rows[values] = self._add_biases(op)
        if 2 * count > cfg.bias_rows:
            raise CompileError(f"layer {op.layers[0]}: needs {2 * count} rows of bias buffer, there are {cfg.bias_rows}")
        key = (op, first, count, use)
        if key not in self._biases:
            offset = self._bias_rows[values] + 2 * first * cfg.row_bytes
            self._biases[key] = self._load(Memory.BIASES, op, offset, 2 * count, 2 * count)
        return self._biases[key], 2 * (channels.block0 - first)

    def _add_biases(self, op: Op) -> int:
        """Byte offset in the image of all biases of a convolution: a row of low halves, a row of high halves for each block."""
        n = self.cfg.n
        words = np.zeros((2 * op.out.blocks(n), n), np.uint16)
        block, lane = np.divmod(np.arange(op.out.c), n)
        values = op.biases[op.first : op.first + op.out.c].astype(np.int64) & 0xFFFFFFFF
        words[2 * block, lane] = values & 0xFFFF
        words[2 * block + 1, lane] = values >> 16
        return self.image.add(words)


class TableLoads:
    """Adds the TABLEs that an operation needs to ``events``; a new table takes the place of the one that was used least recently."""

    def __init__(self, events: EventList) -> None:
        self._events = events
        #: {number of a table: its contents, as bytes}, the one used last at the end.
        self._held: dict[int, bytes] = dict.fromkeys(range(TABLES), b"")

    def slot(self, op: Op) -> int:
        """Number of the table of ``op``, which is brought first if it is not there."""
        if op.table is None:
            raise AssertionError(f"{op.name} has no function table")
        contents = op.table.tobytes()
        number = next((at for at, held in self._held.items() if held == contents), None)
        if number is None:
            number = next(iter(self._held))
            for first in range(0, SEGMENTS, TABLE_ENTRIES):
                fields = {"first": SEGMENTS * number + first}
                for entry in range(TABLE_ENTRIES):
                    fields[f"slope{entry}"], fields[f"offset{entry}"] = (int(row[first + entry]) for row in op.table)
                self._events.add("TABLE", op, fields, (), [])
        del self._held[number]
        self._held[number] = contents
        return number
