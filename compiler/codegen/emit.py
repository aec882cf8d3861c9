"""Pass 6, emission: the schedule becomes events, one an instruction, in the order in which they compute.

Addresses in the activation buffer and in DRAM are final here. Transfers into the buffers hang on the first event that
needs them; :mod:`compiler.codegen.transfers` places them in the program and gives weights and biases their rows.
"""

import dataclasses
import itertools

import numpy as np

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.channel_schedule import channel_stretches, input_lines, weights_stay, whole_line_tiles
from squeezelerator.compiler.ir.graph import OpKind
from squeezelerator.compiler.ir.group_schedule import StepKind
from squeezelerator.compiler.mapping.array_tiles import Segments, array_tiles
from squeezelerator.compiler.mapping.weight_encoding import encode
from squeezelerator.compiler.mapping.weight_plan import leaves_room
from squeezelerator.compiler.memory.ring_buffer import input_view, intervals, output_view
from squeezelerator.compiler.tuning import CODEGEN
from squeezelerator.spec.isa import MEM_ACT, MEM_BIAS, MEM_PACKED, MEM_WEIGHT, MODE_OS, MODE_WS, POOL_AVG, POOL_MAX

ACT, WEIGHT, BIAS, RF, DRAM = "act", "weight", "bias", "rf", "dram"
"""Kinds of resources that instructions read and write; intervals count rows, register-file banks and bytes."""


@dataclasses.dataclass(eq=False, slots=True)
class Load:
    """A transfer from DRAM: a LOAD instruction that events wait for.

    ``rows``: rows of the weight or the bias buffer. Weights and biases get their first row (``row``) in :mod:`compiler.codegen.transfers`.
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


@dataclasses.dataclass(eq=False, slots=True)
class Event:
    """An instruction of a unit other than LOAD: its fields, the transfers that it needs, the lists of intervals that it reads and the
    one that it writes."""

    op: str
    layer: str
    fields: dict
    loads: list
    reads: tuple[list, ...]
    writes: list
    #: {field: (Load, rows from its first row)} for rows that are not known yet.
    rows: dict = dataclasses.field(default_factory=dict)
    #: OS: the stream's compiler.mapping.weight_plan.Records.
    records: object = None


class Image:
    """The constant part of DRAM: weight streams and biases, each at a multiple of ``align`` bytes."""

    def __init__(self, cfg, align):
        self.cfg, self.align = cfg, align
        self._parts, self.size = [], 0

    def add(self, words):
        """Append rows (R, at most the words that a row has in DRAM) uint16; returns the byte offset."""
        cfg = self.cfg
        padded = np.zeros((len(words), cfg.row_bytes // 2), "<u2")
        padded[:, : words.shape[1]] = words
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
    sched : compiler.search.partition.Schedule
        With all buffers placed.
    cfg : spec.machine.MachineConfig
    image : Image
        Receives weight streams and biases; ``constants`` is its byte offset in the program's memory.
    homes : dict
        Name of a map in DRAM -> byte offset.
    again : dict
        Operation -> 1: its weights do not stay for more than a band; 2: not for more than a pass.
    trial : bool
        Leave the weight streams' contents out: the program is only looked at.
    """

    def __init__(self, sched, cfg, image, places, refetched, trial=False):
        self.refetched, self.trial = refetched, trial
        self.sched, self.cfg, self.image, self.constants, self.homes = sched, cfg, image, places.constants, places.offsets
        self.events, self.bank = [], 0
        self._streams, self._bias, self._act_loads = {}, {}, []
        self._known_rows = {}

    def run(self):
        """The list of :class:`Event`."""
        for group in self.sched.groups:
            if group.slots:
                self._by_channels(group)
                continue
            whole = self._whole(group)
            for number, group_step in enumerate(group.steps):
                if group_step.kind is StepKind.LOAD:
                    if group_step.what not in whole:
                        self._load_lines(group, group_step.what, group_step.y0, group_step.y1, (0, group_step.what.blocks(self.cfg.n)))
                    elif group_step.y1 == group_step.what.h:
                        self._load_blocks(group, group_step.what)
                elif group_step.kind is StepKind.STORE:
                    self._store(group, group_step)
                elif group_step.what.is_conv:
                    self._conv(group, group_step.what, group_step.y0, group_step.y1, number)
                else:
                    self._pool(group, group_step.what, group_step.y0, group_step.y1)
        return self.events

    # -- transfers --------------------------------------------------------------------------------------------

    def _dma(self, group, tensor, y0, y1, span, place=0):
        """(fields, intervals of rows, intervals of bytes) of every transfer of lines y0 .. y1-1 of channel blocks ``span[0]`` ..
        ``span[1]-1``: two where the lines wrap. In the buffer the blocks lie ``place`` blocks further."""
        cfg, buffer, found = self.cfg, group.buffers[tensor], []
        blocks, line_bytes = span[1] - span[0], tensor.w * cfg.row_bytes
        dram_plane = tensor.h * line_bytes
        home = self.homes[tensor.home] + (tensor.home_block + span[0]) * dram_plane
        span = span[0] + place, span[1] + place
        while y0 < y1:
            first = buffer.line_index(y0)
            count = min(y1 - y0, buffer.lines - first)
            dram = home + y0 * line_bytes
            lines, rows = blocks, count * tensor.w
            if count == buffer.lines == tensor.h and not first and blocks * rows < 65536:
                lines, rows = 1, blocks * rows  # the whole map in one run
            fields = {
                "row": buffer.base + span[0] * buffer.plane + first * buffer.pitch, "rows": rows, "lines": lines,
                "row_pitch": buffer.plane if lines > 1 else 0, "dram": dram, "dram_pitch": dram_plane if lines > 1 else 0,
            }  # fmt: skip
            spans = [(DRAM, at, at + rows * cfg.row_bytes) for at in range(dram, dram + lines * dram_plane, dram_plane)]
            found.append((fields, self._rows(buffer, span, y0, y0 + count), spans))
            y0 += count
        return found

    def _whole(self, group):
        """Maps that are brought whole before a single step uses them, and only as its residual: nothing is gained by lines."""
        users = {}
        for group_step in group.steps:
            if group_step.kind is StepKind.COMPUTE:
                for tensor in group_step.what.reads:
                    users.setdefault(tensor, []).append(group_step.what)
        return {tensor for tensor in {group_step.what for group_step in group.steps if group_step.kind is StepKind.LOAD}
                if len(users.get(tensor, ())) == 1 and tensor not in users[tensor][0].parts
                and group.buffers[tensor].lines == tensor.h}  # fmt: skip

    def _load_blocks(self, group, tensor):
        """A residual comes in the order in which DRAIN wants it: the channels of one pass after the other."""
        blocks, most = tensor.blocks(self.cfg.n), max(1, self.cfg.rf // self.cfg.n)
        for low in range(0, blocks, most):
            self._load_lines(group, tensor, 0, tensor.h, (low, min(low + most, blocks)))

    def _load_lines(self, group, tensor, y0, y1, blocks, place=0):
        reader = next(op for op in group.ops if tensor in op.reads)
        for fields, rows, spans in self._dma(group, tensor, y0, y1, blocks, place):
            self._act_loads.append(Load(
                mem=MEM_ACT, layer=reader.layers[0], op=reader, fields={"mem": MEM_ACT, **fields},
                writes=rows, reads=spans,
            ))  # fmt: skip

    def _store(self, group, group_step):
        writer = next(op for op in group.ops if op.out is group_step.what)
        for fields, rows, spans in self._dma(group, group_step.what, group_step.y0, group_step.y1, (0, group_step.what.blocks(self.cfg.n))):
            self._event("STORE", writer, fields, (rows,), spans)

    def _rows(self, buffer, blocks, y0, y1):
        """(ACT, low, high) of the rows of lines y0 .. y1-1; many instructions read or write the same lines."""
        key = buffer, blocks, y0, y1
        if key not in self._known_rows:
            self._known_rows[key] = intervals(ACT, buffer, blocks, y0, y1)
        return self._known_rows[key]

    def move(self):
        """Let the events read and write where the buffers lie now; the fields of a trial do not matter."""
        for key, rows in self._known_rows.items():
            rows[:] = intervals(ACT, *key)

    def _event(self, name, op, fields, reads, writes, loads=(), **details):
        event = Event(name, op.layers[0], fields, [*self._act_loads, *loads], reads, writes, **details)
        number = len(self.events)
        self._act_loads = []
        for load in (*event.loads, *(load for load, _ in event.rows.values())):
            load.first_event = number if load.first_event < 0 else load.first_event
            load.last_event = number
        self.events.append(event)

    def _constant(self, mem, op, dram, rows, bus_rows):
        """The Load of so many rows, of which fewer cross the bus if they are packed."""
        fields = {"mem": mem, "rows": bus_rows, "lines": 1, "row_pitch": 0, "dram": self.constants + dram, "dram_pitch": 0}
        if bus_rows < rows:
            fields |= {"mem": MEM_PACKED, "row_pitch": rows}
        span = (DRAM, self.constants + dram, self.constants + dram + bus_rows * self.cfg.row_bytes)
        return Load(mem=mem, layer=op.layers[0], op=op, fields=fields, writes=[], reads=[span], rows=rows)

    def _weights(self, group, op, plan, channels, index, chunk, use):
        """The Load of a chunk for the ``use`` (anything hashable) of it; one a use."""
        key = (op, id(channels), index, use)
        if key not in self._streams:
            where = (op, id(channels), index)
            if where not in self._streams:
                buffer = group.buffers[op.parts[chunk.part]]
                if self.trial:
                    self._streams[where] = self.image.reserve(chunk.bus_rows)
                else:
                    self._streams[where] = self.image.add(encode(self.cfg, channels, chunk, buffer.plane, buffer.pitch))
            self._streams[key] = self._constant(MEM_WEIGHT, op, self._streams[where], chunk.rows, chunk.bus_rows)
        return self._streams[key]

    def _biases(self, op, plan, channels, use):
        """(Load, row offset) of a channel group's biases, which come with others' up to a quarter of the buffer."""
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
        batch = max(1, cfg.bias_rows // 8)
        first = channels.block0 // batch * batch
        count = min(batch, total - first)
        if channels.block0 + channels.blocks > first + count:
            first, count = channels.block0, channels.blocks
        if 2 * count > cfg.bias_rows:
            raise CompileError(f"layer {op.layers[0]}: needs {2 * count} rows of bias buffer, there are {cfg.bias_rows}")
        key = (op, first, count, use)
        if key not in self._bias:
            self._bias[key] = self._constant(MEM_BIAS, op, dram + 2 * first * cfg.row_bytes, 2 * count, 2 * count)
        return self._bias[key], 2 * (channels.block0 - first)

    # -- convolution ------------------------------------------------------------------------------------------

    def _conv(self, group, op, y0, y1, number):
        cfg, plan = self.cfg, group.plans[op]
        seg = Segments.of(op.out.w, op.stride[1], cfg.n)
        tiles = [(tile, {}) for tile in array_tiles(plan.dataflow, op, y0, y1, cfg)]
        resident = op in group.resident_weights and not self.refetched.get(op)
        for channels in plan.groups:
            # A stream that does not fit beside others is fetched again for every pass.
            again = self.refetched.get(op) == 2 or (not leaves_room(channels.rows, cfg) and not resident)
            for at, (tile, views) in enumerate(tiles):
                use = "all" if resident else (number, at if again else 0)
                for index, chunk in enumerate(channels.chunks):
                    load = self._weights(group, op, plan, channels, index, chunk, use)
                    where = chunk.part, chunk.blocks, chunk.corner, chunk.lines
                    if where not in views:
                        views[where] = self._view(group, op, plan, chunk, tile, seg)
                    self._array(op, plan, chunk, *views[where], load, first=index == 0)
                self._drain(group, op, plan, channels, tile, seg, "all" if resident else number)
                self.bank ^= 1

    def _by_channels(self, group):
        """A convolution that goes by channels: see :mod:`compiler.fusion.channel_schedule`."""
        (op,), slots, cfg = group.ops, group.slots, self.cfg
        plan, seg = group.plans[op], Segments.of(op.out.w, op.stride[1], cfg.n)
        order, held, result = channel_stretches(op, group.streamed, cfg.n, slots.blocks), {}, 0
        tiles, _ = whole_line_tiles(op, cfg)
        stays = weights_stay(plan, cfg) and not self.refetched.get(op)
        biases = "all" if 4 * op.out.blocks(cfg.n) <= cfg.bias_rows else None
        for tile, at in itertools.product(tiles, range(0, len(plan.groups), 2)):
            pair, use = plan.groups[at : at + 2], 0 if stays else tile.line
            banks = [self.bank ^ i for i in range(len(pair))]
            fresh = set(banks)
            for stretch in order:
                part, low, high = stretch
                chunks = [(channels, bank, index, chunk) for channels, bank in zip(pair, banks, strict=True)
                          for index, chunk in enumerate(channels.chunks)
                          if chunk.part == part and low <= chunk.blocks[0] < high]  # fmt: skip
                place = 0
                if chunks and op.parts[part] in group.streamed:
                    place = self._slot(group, op.parts[part], stretch, input_lines(op, tile, seg.segs), held)
                for channels, self.bank, index, chunk in chunks:
                    load = self._weights(group, op, plan, channels, index, chunk, use)
                    view = self._view(group, op, plan, chunk, tile, seg, place)
                    self._array(op, plan, chunk, *view, load, first=self.bank in fresh)
                    fresh.discard(self.bank)
            for channels, self.bank in zip(pair, banks, strict=True):
                place = result % slots.results - channels.block0 if slots.results else 0
                result += channels.blocks
                self._drain_some(group, op, channels, tile, seg, biases or tile.line, (0, place))
                if op.out in group.stored:
                    span = channels.block0, channels.block0 + channels.blocks
                    for fields, rows, spans in self._dma(group, op.out, tile.line, tile.line + tile.lines(seg.segs), span, place):
                        self._event("STORE", op, fields, (rows,), spans)
            result = -(-result // plan.groups[0].blocks) * plan.groups[0].blocks  # the last pass may have fewer
            self.bank = banks[0] ^ (len(pair) & 1)
            order = order[::-1]

    def _slot(self, group, tensor, stretch, lines, held):
        """By how many blocks a stretch of channels lies further in the buffer; its lines are brought there if they are not in ``held``,
        {(stretch, lines): slot}, the one used last at the end."""
        key, (_, low, high) = (stretch, lines), stretch
        if key in held:
            slot = held[key] = held.pop(key)
        else:
            slot = held.pop(next(iter(held))) if len(held) == group.slots.number else len(held)
            held[key] = slot
            self._load_lines(group, tensor, *lines, (low, high), slot * group.slots.blocks - low)
        return slot * group.slots.blocks - low

    def _view(self, group, op, plan, chunk, tile, seg, place=0):
        """(fields, row intervals) by which all channel groups see the input of a pass at a chunk's channels and kernel lines; the blocks
        lie ``place`` further than their numbers say."""
        tensor = op.parts[chunk.part]
        buffer = group.buffers[tensor]
        top = tile.line * op.stride[0] - op.pad[0]
        last = top + (tile.lines(seg.segs) - 1) * op.stride[0] + op.kernel[0] - 1
        x0 = tile.x * op.stride[1] - op.pad[1] + chunk.corner[1]
        block = chunk.blocks[0] if plan.dataflow == MODE_WS else 0
        fields = input_view(buffer, tensor, block + place, top, last, x0, op.stride)
        fields["y0"] = top + chunk.corner[0]
        if plan.dataflow == MODE_OS:
            edges = [min((s + 1) * seg.seg_len, op.out.w) - s * seg.seg_len
                     for s in ((tile.seg0 + i) % seg.segs for i in range(tile.nrows))]  # fmt: skip
            fields |= {"seg_len": seg.seg_len, "segs": seg.segs, "seg0": tile.seg0, "nrows": tile.nrows, "windows": seg.windows,
                       "pixels": sum(edges)}  # fmt: skip
        else:
            fields |= {"out_w": tile.width, "out_h": tile.height, "in_plane": buffer.plane}
        y0, y1 = max(0, top + chunk.lines[0]), max(0, min(last + 1 - op.kernel[0] + chunk.lines[1], tensor.h))
        return fields, self._rows(buffer, (chunk.blocks[0] + place, chunk.blocks[1] + place), y0, y1)

    def _array(self, op, plan, chunk, view, reads, load, first):
        fields = {**view, "bank": self.bank, "first": int(first)}
        if plan.dataflow == MODE_OS:
            fields["records"], fields["values"], fields["skipped"] = len(chunk.records.nnz), chunk.records.values, chunk.skipped
            rows = {"hdr_row": (load, 0), "val_row": (load, chunk.hdr_rows)}
        else:
            blocks, (kh, kw) = chunk.blocks[1] - chunk.blocks[0], chunk.kernel
            fields |= {"kh": kh, "kw": kw, "blocks": blocks, "tiles": blocks * kh * kw}
            rows = {"val_row": (load, 0)}
        writes = [(RF, self.bank, self.bank + 1)]
        self._event("OS" if plan.dataflow == MODE_OS else "WS", op, fields, (reads,), writes, [load], rows=rows,
                    records=chunk.records)

    def _drain(self, group, op, plan, channels, tile, seg, use):
        """Where one pass of OS computes all channels, their first block comes first: who reads them can begin with it."""
        n, first = self.cfg.n, channels
        if plan.dataflow == MODE_OS and len(plan.groups) == 1 and channels.channels > n:
            first = dataclasses.replace(channels, channels=n, blocks=1)
            rest = dataclasses.replace(channels, c0=n, channels=channels.channels - n, block0=1, blocks=channels.blocks - 1)
        self._drain_some(group, op, first, tile, seg, use)
        if first is not channels:
            self._drain_some(group, op, rest, tile, seg, use, (n, 0))

    def _drain_some(self, group, op, channels, tile, seg, use, origin=(0, 0)):
        """``origin``: the entry of the register file with which it begins, the channel block of the buffer for the first one."""
        plan, (entry0, place) = group.plans[op], origin
        lines = tile.lines(seg.segs)
        buffer = group.buffers[op.out]
        blocks = (channels.block0 + place, channels.block0 + channels.blocks + place)
        load, offset = self._biases(op, plan, channels, use)
        fields = output_view("out", buffer, blocks[0], tile.line, lines, tile.x)
        fields |= {"mode": plan.dataflow, "bank": self.bank, "shift": op.shift, "act": op.act, "parm": op.parm,
                   "post_act": op.post_act, "post_parm": op.post_parm}  # fmt: skip
        if plan.dataflow == MODE_WS:
            fields |= {"out_w": tile.width, "out_h": tile.height}
        else:
            fields |= {"out_w": op.out.w, "channels": channels.channels, "entry0": entry0, "lane0": channels.lane0,
                       "seg_len": seg.seg_len, "segs": seg.segs, "seg0": tile.seg0, "nrows": tile.nrows}  # fmt: skip
        reads = ([(RF, self.bank, self.bank + 1)],)
        writes = self._rows(buffer, blocks, tile.line, tile.line + lines)
        if op.residual is not None:
            other = group.buffers[op.residual]
            fields |= output_view("res", other, channels.block0, tile.line, lines, tile.x)
            fields["residual"] = 1
            reads = (*reads, self._rows(other, blocks, tile.line, tile.line + lines))
        self._event("DRAIN", op, fields, reads, writes, [load], rows={"bias_row": (load, offset)})

    # -- pooling ----------------------------------------------------------------------------------------------

    def _pool(self, group, op, y0, y1):
        """A whole map goes channel block by channel block: each can begin as soon as it is computed."""
        blocks = op.out.blocks(self.cfg.n)
        step = 1 if y1 - y0 == op.out.h and blocks <= CODEGEN.pool_blocks else blocks
        for block in range(0, blocks, step):
            self._pool_some(group, op, y0, y1, (block, block + step))

    def _pool_some(self, group, op, y0, y1, blocks):
        tensor = op.parts[0]
        source, buffer = group.buffers[tensor], group.buffers[op.out]
        top = y0 * op.stride[0] - op.pad[0]
        last = top + (y1 - y0 - 1) * op.stride[0] + op.kernel[0] - 1
        fields = input_view(source, tensor, blocks[0], top, last, -op.pad[1], op.stride)
        fields |= output_view("out", buffer, blocks[0], y0, y1 - y0)
        fields |= {"in_plane": source.plane, "kh": op.kernel[0], "kw": op.kernel[1], "out_w": op.out.w, "out_h": y1 - y0,
                   "blocks": blocks[1] - blocks[0], "kind": POOL_AVG if op.kind is OpKind.AVG_POOL else POOL_MAX, "shift": op.shift,
                   "mult": op.mult}  # fmt: skip
        reads = self._rows(source, blocks, max(0, top), max(0, min(last + 1, tensor.h)))
        self._event("POOL", op, fields, (reads,), self._rows(buffer, blocks, y0, y1))
