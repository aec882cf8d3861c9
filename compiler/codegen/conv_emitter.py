"""Instructions of convolutions: array and drain, array tile by array tile."""

import dataclasses
from collections.abc import Hashable

from squeezelerator.compiler.codegen.constant_loads import ConstantLoads
from squeezelerator.compiler.codegen.events import RF, EventList, Load, LoadRows
from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.mapping.array_tiles import ArrayTile, Segments, array_tiles
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, Chunk, WeightPlan, leaves_room
from squeezelerator.compiler.memory.ring_buffer import Interval, input_view, output_view
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig

#: Fields by which an instruction reads its input, and the rows that it reads.
InputView = tuple[dict[str, int], list[Interval]]


@dataclasses.dataclass(frozen=True, eq=False)
class Conv:
    """A convolution of a group as it is to be emitted. ``refetched``: how much more often than planned its weights are fetched."""

    group: Group
    op: Op
    plan: WeightPlan
    segments: Segments
    refetched: int

    @classmethod
    def of(cls, group: Group, op: Op, refetched: int, n: int) -> "Conv":
        """A convolution of a group on a machine with N = ``n``."""
        return cls(group, op, group.plans[op], Segments.of(op.out.w, op.stride[1], n), refetched)


class ConvEmitter:
    """Adds the events of convolutions; ``bank``: register-file bank of the next array tile."""

    def __init__(self, cfg: MachineConfig, events: EventList, constants: ConstantLoads) -> None:
        self.cfg, self.events, self.constants = cfg, events, constants
        self.bank = 0

    def step(self, conv: Conv, units: tuple[int, int], number: int) -> None:
        """Units from ... to (exclusive) of a convolution: step ``number`` of its group."""
        op, plan = conv.op, conv.plan
        views: list[tuple[ArrayTile, dict[Hashable, InputView]]] = [
            (tile, {}) for tile in array_tiles(plan.dataflow, op, *units, self.cfg)]
        resident = op in conv.group.resident_weights and not conv.refetched
        for channels in plan.groups:
            # A stream that does not fit beside others is fetched again for every tile.
            again = conv.refetched == 2 or (not leaves_room(channels.rows, self.cfg) and not resident)
            for at, (tile, known) in enumerate(views):
                use = "all" if resident else (number, at if again else 0)
                for index, chunk in enumerate(channels.chunks):
                    load = self.constants.weights(conv.group, op, channels, index, use)
                    where = chunk.part, chunk.blocks, chunk.corner, chunk.lines
                    if where not in known:
                        known[where] = self.view(conv, chunk, tile)
                    self.array(conv, chunk, known[where], load, first=index == 0)
                self._drain_tile(conv, channels, tile, "all" if resident else number)
                self.bank ^= 1

    def view(self, conv: Conv, chunk: Chunk, tile: ArrayTile, place: int = 0) -> InputView:
        """How all channel groups see the input of an array tile at a chunk's channels and kernel lines; the blocks lie ``place`` further
        than their numbers say."""
        op, seg = conv.op, conv.segments
        tensor = op.parts[chunk.part]
        buffer = conv.group.buffers[tensor]
        top = tile.line * op.stride[0] - op.pad[0]
        last = top + (tile.lines(seg.segs) - 1) * op.stride[0] + op.kernel[0] - 1
        x0 = tile.x * op.stride[1] - op.pad[1] + chunk.corner[1]
        block = chunk.blocks[0] if conv.plan.dataflow == Dataflow.WS else 0
        fields = input_view(buffer, tensor, block + place, top, last, x0, op.stride)
        fields["y0"] = top + chunk.corner[0]
        if conv.plan.dataflow == Dataflow.OS:
            edges = [min((s + 1) * seg.seg_len, op.out.w) - s * seg.seg_len
                     for s in ((tile.seg0 + i) % seg.segs for i in range(tile.nrows))]  # fmt: skip
            fields |= {"seg_len": seg.seg_len, "segs": seg.segs, "seg0": tile.seg0, "nrows": tile.nrows, "windows": seg.windows,
                       "pixels": sum(edges)}  # fmt: skip
        else:
            fields |= {"out_w": tile.width, "out_h": tile.height, "in_plane": buffer.plane}
        y0, y1 = max(0, top + chunk.lines[0]), max(0, min(last + 1 - op.kernel[0] + chunk.lines[1], tensor.h))
        return fields, self.events.rows(buffer, (chunk.blocks[0] + place, chunk.blocks[1] + place), y0, y1)

    def array(self, conv: Conv, chunk: Chunk, view: InputView, load: Load, first: bool) -> None:
        """The array's instruction for a chunk; ``first``: its bank starts from zero."""
        fields = {**view[0], "bank": self.bank, "first": int(first)}
        if conv.plan.dataflow == Dataflow.OS:
            fields["records"], fields["values"], fields["skipped"] = len(chunk.stream.nnz), chunk.stream.values, chunk.skipped
            rows: LoadRows = {"hdr_row": (load, 0), "val_row": (load, chunk.hdr_rows)}
        else:
            blocks, (kh, kw) = chunk.blocks[1] - chunk.blocks[0], chunk.kernel
            fields |= {"kh": kh, "kw": kw, "blocks": blocks, "tiles": blocks * kh * kw}
            rows = {"val_row": (load, 0)}
        writes = [(RF, self.bank, self.bank + 1)]
        self.events.add(conv.plan.dataflow.name, conv.op, fields, (view[1],), writes, rows, chunk.records)

    def _drain_tile(self, conv: Conv, channels: ChannelGroup, tile: ArrayTile, use: Hashable) -> None:
        """Where one OS tile computes all channels, their first block comes first: who reads them can begin with it."""
        n, plan = self.cfg.n, conv.plan
        if plan.dataflow == Dataflow.OS and len(plan.groups) == 1 and channels.channels > n:
            self.drain(conv, dataclasses.replace(channels, channels=n, blocks=1), tile, use)
            rest = dataclasses.replace(channels, c0=n, channels=channels.channels - n, block0=1, blocks=channels.blocks - 1)
            self.drain(conv, rest, tile, use, entry0=n)
        else:
            self.drain(conv, channels, tile, use)

    def drain(self, conv: Conv, channels: ChannelGroup, tile: ArrayTile, use: Hashable, entry0: int = 0, place: int = 0) -> None:
        """The drain's instruction for channels of an array tile, from entry ``entry0`` of the bank on."""
        op, seg = conv.op, conv.segments
        lines = tile.lines(seg.segs)
        buffer = conv.group.buffers[op.out]
        blocks = (channels.block0 + place, channels.block0 + channels.blocks + place)
        load, offset = self.constants.biases(op, channels, use)
        fields = output_view("out", buffer, blocks[0], tile.line, lines, tile.x)
        fields |= {"mode": conv.plan.dataflow, "bank": self.bank, "shift": op.shift, "act": op.act, "parm": op.parm,
                   "post_act": op.post_act, "post_parm": op.post_parm}  # fmt: skip
        if conv.plan.dataflow == Dataflow.WS:
            fields |= {"out_w": tile.width, "out_h": tile.height}
        else:
            fields |= {"out_w": op.out.w, "channels": channels.channels, "entry0": entry0, "lane0": channels.lane0,
                       "seg_len": seg.seg_len, "segs": seg.segs, "seg0": tile.seg0, "nrows": tile.nrows}  # fmt: skip
        reads: tuple[list[Interval], ...] = ([(RF, self.bank, self.bank + 1)],)
        writes = self.events.rows(buffer, blocks, tile.line, tile.line + lines)
        if op.residual is not None:
            other = conv.group.buffers[op.residual]
            fields |= output_view("res", other, channels.block0, tile.line, lines, tile.x)
            fields["residual"] = 1
            reads = (*reads, self.events.rows(other, blocks, tile.line, tile.line + lines))
        self.events.add("DRAIN", op, fields, reads, writes, {"bias_row": (load, offset)})
