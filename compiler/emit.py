"""Pass 6, emission: the schedule becomes events, one an instruction, in the order in which they compute.

Addresses in the activation buffer and in DRAM are final here. Transfers into the buffers hang on the first event that
needs them; :mod:`compiler.order` places them in the program and gives weights and biases their rows.
"""

import dataclasses

import numpy as np

from compiler.errors import CompileError
from compiler.graph import AVG_POOL
from compiler.passes import Segments, spatial_passes
from compiler.plan import encode
from compiler.ring import input_view, intervals, output_view
from rtl.isa import MEM_ACT, MEM_BIAS, MEM_WEIGHT, MODE_OS, MODE_WS, POOL_AVG, POOL_MAX

ACT, WEIGHT, BIAS, RF, DRAM = "act", "weight", "bias", "rf", "dram"
"""Kinds of resources that instructions read and write; intervals count rows, register-file banks and bytes."""


@dataclasses.dataclass(eq=False)
class Load:
    """A transfer from DRAM: a LOAD instruction that events wait for.

    Weights and biases get their first row (``row``) in :mod:`compiler.order`.
    """

    mem: int
    layer: str
    op: object
    fields: dict
    writes: list
    reads: list
    rows: int = 0
    row: int = -1
    first_event: int = -1
    last_event: int = -1
    release: int = -1


@dataclasses.dataclass(eq=False)
class Event:
    """An instruction of a unit other than LOAD: its fields, the transfers that it needs, what it reads and writes."""

    op: str
    layer: str
    fields: dict
    loads: list
    reads: list
    writes: list
    #: {field: (Load, rows from its first row)} for rows that are not known yet.
    rows: dict = dataclasses.field(default_factory=dict)
    #: OS: the stream's compiler.plan.Records.
    nnz: object = None


class Image:
    """The constant part of DRAM: weight streams and biases, each at a multiple of ``align`` bytes."""

    def __init__(self, cfg, align):
        self.cfg, self.align = cfg, align
        self._parts, self.size = [], 0

    def add(self, words):
        """Append rows (R, N) uint16; returns the byte offset."""
        cfg = self.cfg
        padded = np.zeros((len(words), cfg.row_bytes // 2), "<u2")
        padded[:, : cfg.n] = words
        offset = self.size
        data = padded.tobytes()
        fill = -len(data) % self.align
        self._parts.append(data + bytes(fill))
        self.size += len(data) + fill
        return offset

    def reserve(self, rows):
        """As :meth:`add` without contents, for trials."""
        offset = self.size
        self.size += -(-rows * self.cfg.row_bytes // self.align) * self.align
        return offset

    def tobytes(self):
        """All parts."""
        return b"".join(self._parts)


class Emitter:
    """Turns a schedule into events.

    Parameters
    ----------
    sched : compiler.schedule.Schedule
        With all buffers placed.
    cfg : rtl.config.MachineConfig
    image : Image
        Receives weight streams and biases; ``constants`` is its byte offset in the program's memory.
    homes : dict
        Name of a map in DRAM -> byte offset.
    again : dict
        Operation -> 1: its weights do not stay for more than a band; 2: not for more than a pass.
    trial : bool
        Leave the weight streams' contents out: the program is only looked at.
    """

    def __init__(self, sched, cfg, image, constants, homes, again, trial=False):
        self.again, self.trial = again, trial
        self.sched, self.cfg, self.image, self.constants, self.homes = sched, cfg, image, constants, homes
        self.events, self.bank = [], 0
        self._streams, self._bias, self._act_loads = {}, {}, []

    def run(self):
        """The list of :class:`Event`."""
        for group in self.sched.groups:
            for number, item in enumerate(group.items):
                if item.kind == "load":
                    self._load_lines(group, item)
                elif item.kind == "store":
                    self._store(group, item)
                elif item.what.is_conv:
                    self._conv(group, item.what, item.y0, item.y1, number)
                else:
                    self._pool(group, item.what, item.y0, item.y1)
        return self.events

    # -- transfers --------------------------------------------------------------------------------------------

    def _dma(self, group, tensor, y0, y1):
        """(fields, row intervals, byte intervals) of every transfer of lines y0 .. y1-1: two where they wrap."""
        cfg, buffer, found = self.cfg, group.buffers[tensor], []
        blocks, line_bytes = tensor.blocks(cfg.n), tensor.w * cfg.row_bytes
        dram_plane = tensor.h * line_bytes
        home = self.homes[tensor.home] + tensor.home_block * dram_plane
        while y0 < y1:
            first = y0 % buffer.lines
            count = min(y1 - y0, buffer.lines - first)
            dram = home + y0 * line_bytes
            lines, rows = blocks, count * tensor.w
            if count == buffer.lines == tensor.h and blocks * rows < 65536:
                lines, rows = 1, blocks * rows  # the whole map in one run
            fields = {
                "row": buffer.base + first * buffer.pitch, "rows": rows, "lines": lines,
                "row_pitch": buffer.plane if lines > 1 else 0, "dram": dram, "dram_pitch": dram_plane if lines > 1 else 0,
            }  # fmt: skip
            spans = [(dram + i * dram_plane, dram + i * dram_plane + rows * cfg.row_bytes) for i in range(lines)]
            found.append((fields, intervals(buffer, (0, blocks), y0, y0 + count), spans))
            y0 += count
        return found

    def _load_lines(self, group, item):
        reader = next(op for op in group.ops if item.what in op.reads)
        for fields, rows, spans in self._dma(group, item.what, item.y0, item.y1):
            self._act_loads.append(Load(
                mem=MEM_ACT, layer=reader.layers[0], op=reader, fields={"mem": MEM_ACT, **fields},
                writes=[(ACT, *span) for span in rows], reads=[(DRAM, *span) for span in spans],
            ))  # fmt: skip

    def _store(self, group, item):
        writer = next(op for op in group.ops if op.out is item.what)
        for fields, rows, spans in self._dma(group, item.what, item.y0, item.y1):
            self._event("STORE", writer, fields, [(ACT, *span) for span in rows], [(DRAM, *span) for span in spans])

    def _event(self, name, op, fields, reads, writes, loads=(), rows=None, nnz=None):
        event = Event(name, op.layers[0], fields, [*self._act_loads, *loads], reads, writes, rows or {}, nnz)
        number = len(self.events)
        self._act_loads = []
        for load in (*event.loads, *(load for load, _ in event.rows.values())):
            load.first_event = number if load.first_event < 0 else load.first_event
            load.last_event = number
        self.events.append(event)

    def _constant(self, mem, op, dram, rows):
        fields = {"mem": mem, "rows": rows, "lines": 1, "row_pitch": 0, "dram": self.constants + dram, "dram_pitch": 0}
        span = (DRAM, self.constants + dram, self.constants + dram + rows * self.cfg.row_bytes)
        return Load(mem=mem, layer=op.layers[0], op=op, fields=fields, writes=[], reads=[span], rows=rows)

    def _weights(self, group, op, plan, channels, index, chunk, use):
        """The Load of a chunk for the ``use`` (anything hashable) of it; one a use."""
        key = (op, id(channels), index, use)
        if key not in self._streams:
            where = (op, id(channels), index)
            if where not in self._streams:
                buffer = group.buffers[op.parts[chunk.part]]
                if self.trial:
                    self._streams[where] = self.image.reserve(chunk.rows)
                else:
                    self._streams[where] = self.image.add(encode(self.cfg, channels, chunk, buffer.plane, buffer.pitch))
            self._streams[key] = self._constant(MEM_WEIGHT, op, self._streams[where], chunk.rows)
        return self._streams[key]

    def _biases(self, op, plan, channels, use):
        """(Load, row offset) of a channel group's biases; all of the operation's at once if they are few."""
        cfg, n = self.cfg, self.cfg.n
        total = op.out.blocks(n)
        if (op, "rows") not in self._bias:
            words = np.zeros((2 * total, n), np.uint16)
            block, lane = np.divmod(np.arange(op.out.c), n)
            values = op.bias[op.first : op.first + op.out.c].astype(np.int64) & 0xFFFFFFFF
            words[2 * block, lane] = values & 0xFFFF
            words[2 * block + 1, lane] = values >> 16
            self._bias[op, "rows"] = self.image.add(words)
        dram = self._bias[op, "rows"]
        whole = 2 * total <= max(2, cfg.bias_rows // 4)
        first, count = (0, total) if whole else (channels.block0, channels.blocks)
        if 2 * count > cfg.bias_rows:
            raise CompileError(f"layer {op.layers[0]}: needs {2 * count} rows of bias buffer, there are {cfg.bias_rows}")
        key = (op, first, count, use)
        if key not in self._bias:
            self._bias[key] = self._constant(MEM_BIAS, op, dram + 2 * first * cfg.row_bytes, 2 * count)
        return self._bias[key], 2 * (channels.block0 - first)

    # -- convolution ------------------------------------------------------------------------------------------

    def _conv(self, group, op, y0, y1, number):
        cfg, plan = self.cfg, group.plans[op]
        spatial = spatial_passes(plan.mode, op, y0, y1, cfg)
        resident = op in group.resident_weights and not self.again.get(op)
        for channels in plan.groups:
            # A stream that does not fit beside others is fetched again for every pass.
            again = self.again.get(op) == 2 or (channels.rows > cfg.weight_rows * 3 // 4 and not resident)
            for at, one in enumerate(spatial):
                use = "all" if resident else (number, at if again else 0)
                for index, chunk in enumerate(channels.chunks):
                    load = self._weights(group, op, plan, channels, index, chunk, use)
                    self._array(group, op, plan, chunk, one, load, first=index == 0)
                self._drain(group, op, plan, channels, one, "all" if resident else number)
                self.bank ^= 1

    def _array(self, group, op, plan, chunk, one, load, first):
        n = self.cfg.n
        tensor = op.parts[chunk.part]
        buffer = group.buffers[tensor]
        seg = Segments.of(op.out.w, op.stride[1], n)
        lines = one.lines(seg.segs)
        top = one.line * op.stride[0] - op.pad[0]
        last = top + (lines - 1) * op.stride[0] + op.kernel[0] - 1
        x0 = one.x * op.stride[1] - op.pad[1] + chunk.corner[1]
        block = chunk.blocks[0] if plan.mode == MODE_WS else 0
        fields = input_view(buffer, tensor, block, top, last, x0, op.stride)
        fields["y0"] = top + chunk.corner[0]
        fields |= {"bank": self.bank, "first": int(first)}
        if plan.mode == MODE_OS:
            edges = [min((s + 1) * seg.seg_len, op.out.w) - s * seg.seg_len
                     for s in ((one.seg0 + i) % seg.segs for i in range(one.nrows))]  # fmt: skip
            fields |= {"seg_len": seg.seg_len, "segs": seg.segs, "seg0": one.seg0, "nrows": one.nrows,
                       "windows": seg.windows, "records": len(chunk.records.nnz), "values": int(chunk.records.nnz.sum()),
                       "pixels": sum(edges), "skipped": chunk.skipped}  # fmt: skip
            rows = {"hdr_row": (load, 0), "val_row": (load, chunk.hdr_rows)}
        else:
            blocks = chunk.blocks[1] - chunk.blocks[0]
            fields |= {"out_w": one.width, "out_h": one.height, "kh": chunk.kernel[0], "kw": chunk.kernel[1],
                       "blocks": blocks, "tiles": blocks * chunk.kernel[0] * chunk.kernel[1], "in_plane": buffer.plane}  # fmt: skip
            rows = {"val_row": (load, 0)}
        y0, y1 = max(0, top), max(0, min(last + 1, tensor.h))
        reads = [(ACT, *span) for span in intervals(buffer, chunk.blocks, y0, y1)]
        writes = [(RF, self.bank, self.bank + 1)]
        self._event("OS" if plan.mode == MODE_OS else "WS", op, fields, reads, writes, [load], rows, chunk.records)

    def _drain(self, group, op, plan, channels, one, use):
        n = self.cfg.n
        seg = Segments.of(op.out.w, op.stride[1], n)
        lines = one.lines(seg.segs)
        buffer = group.buffers[op.out]
        blocks = (channels.block0, channels.block0 + channels.blocks)
        load, offset = self._biases(op, plan, channels, use)
        fields = output_view("out", buffer, channels.block0, one.line, lines, one.x)
        fields |= {"mode": plan.mode, "bank": self.bank, "shift": op.shift, "act": op.act, "parm": op.parm,
                   "post_act": op.post_act, "post_parm": op.post_parm}  # fmt: skip
        if plan.mode == MODE_WS:
            fields |= {"out_w": one.width, "out_h": one.height}
        else:
            fields |= {"out_w": op.out.w, "channels": channels.channels, "lane0": channels.lane0, "seg_len": seg.seg_len,
                       "segs": seg.segs, "seg0": one.seg0, "nrows": one.nrows}  # fmt: skip
        reads = [(RF, self.bank, self.bank + 1)]
        writes = [(ACT, *span) for span in intervals(buffer, blocks, one.line, one.line + lines)]
        if op.residual is not None:
            other = group.buffers[op.residual]
            fields |= output_view("res", other, channels.block0, one.line, lines, one.x)
            fields["residual"] = 1
            reads += [(ACT, *span) for span in intervals(other, blocks, one.line, one.line + lines)]
        self._event("DRAIN", op, fields, reads, writes, [load], {"bias_row": (load, offset)})

    # -- pooling ----------------------------------------------------------------------------------------------

    def _pool(self, group, op, y0, y1):
        tensor, blocks = op.parts[0], op.out.blocks(self.cfg.n)
        source, buffer = group.buffers[tensor], group.buffers[op.out]
        top = y0 * op.stride[0] - op.pad[0]
        last = top + (y1 - y0 - 1) * op.stride[0] + op.kernel[0] - 1
        fields = input_view(source, tensor, 0, top, last, -op.pad[1], op.stride)
        fields |= output_view("out", buffer, 0, y0, y1 - y0)
        fields |= {"in_plane": source.plane, "kh": op.kernel[0], "kw": op.kernel[1], "out_w": op.out.w, "out_h": y1 - y0,
                   "blocks": blocks, "kind": POOL_AVG if op.kind == AVG_POOL else POOL_MAX, "shift": op.shift,
                   "mult": op.mult}  # fmt: skip
        reads = intervals(source, (0, blocks), max(0, top), max(0, min(last + 1, tensor.h)))
        writes = intervals(buffer, (0, blocks), y0, y1)
        self._event("POOL", op, fields, [(ACT, *s) for s in reads], [(ACT, *s) for s in writes])
