"""Transfers of feature maps between DRAM and the activation buffer."""

from collections.abc import Iterator, Mapping

from squeezelerator.compiler.codegen.events import DRAM, EventList, Load
from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.group_schedule import StepKind
from squeezelerator.compiler.memory.ring_buffer import Interval
from squeezelerator.spec.enums import Memory
from squeezelerator.spec.machine import MachineConfig

#: A transfer's field has 16 bits for its rows.
_MAX_ROWS = 65535


def whole_residuals(group: Group) -> set[Tensor]:
    """Maps that are brought whole before a single operation uses them, and only as its residual: nothing is gained by lines."""
    users: dict[Tensor, list[Op]] = {}
    for step in group.steps:
        if step.kind is StepKind.COMPUTE:
            for tensor in step.what.reads:
                users.setdefault(tensor, []).append(step.what)
    return {tensor for tensor in {step.what for step in group.steps if step.kind is StepKind.LOAD}
            if len(users.get(tensor, ())) == 1 and tensor not in users[tensor][0].parts
            and group.buffers[tensor].lines == tensor.h}  # fmt: skip


class MapTransfers:
    """Adds transfers to ``events``; ``offsets``: {map in DRAM: byte offset}."""

    def __init__(self, cfg: MachineConfig, events: EventList, offsets: Mapping[str, int]) -> None:
        self.cfg, self.events, self.offsets = cfg, events, offsets

    def _pieces(self, group: Group, tensor: Tensor, lines: tuple[int, int], blocks: tuple[int, int],
                place: int) -> Iterator[tuple[dict[str, int], list[Interval], list[Interval]]]:  # fmt: skip
        """(fields, intervals of rows, intervals of bytes) of every transfer of lines ``lines[0]`` .. ``lines[1]-1`` of channel blocks
        ``blocks[0]`` .. ``blocks[1]-1``: two where the lines wrap. In the buffer the blocks lie ``place`` blocks further."""
        if tensor.w != tensor.dram_w:
            yield from self._strip_pieces(group, tensor, lines, blocks, place)
            return
        cfg, buffer, (y0, y1) = self.cfg, group.buffers[tensor], lines
        count, line_bytes = blocks[1] - blocks[0], tensor.w * cfg.row_bytes
        dram_plane = tensor.h * line_bytes
        home = self.offsets[tensor.home] + (tensor.home_block + blocks[0]) * dram_plane
        placed = blocks[0] + place, blocks[1] + place
        while y0 < y1:
            first = buffer.line_index(y0)
            here = min(y1 - y0, buffer.lines - first)
            dram = home + y0 * line_bytes
            runs, rows = count, here * tensor.w
            if here == buffer.lines == tensor.h and not first and count * rows <= _MAX_ROWS:
                runs, rows = 1, count * rows  # the whole map in one run
            fields = {
                "row": buffer.base + placed[0] * buffer.plane + first * buffer.pitch, "rows": rows, "lines": runs,
                "row_pitch": buffer.plane if runs > 1 else 0, "dram": dram, "dram_pitch": dram_plane if runs > 1 else 0,
            }  # fmt: skip
            spans = [(DRAM, at, at + rows * cfg.row_bytes) for at in range(dram, dram + runs * dram_plane, dram_plane)]
            yield fields, self.events.rows(buffer, placed, y0, y0 + here), spans
            y0 += here

    def _strip_pieces(self, group: Group, tensor: Tensor, lines: tuple[int, int], blocks: tuple[int, int],
                      place: int) -> Iterator[tuple[dict[str, int], list[Interval], list[Interval]]]:  # fmt: skip
        """As :meth:`_pieces` for some columns of a map in DRAM, whose lines do not lie one behind the other there: a transfer takes the
        lines of one block, or the blocks of one line, whichever makes fewer transfers. Its interval of bytes is all that lies between
        its first row and its last."""
        buffer, row_bytes, (y0, y1) = group.buffers[tensor], self.cfg.row_bytes, lines
        pitch = tensor.dram_w * row_bytes
        plane = tensor.h * pitch
        home = self.offsets[tensor.home] + tensor.home_block * plane + tensor.home_column * row_bytes
        while y0 < y1:
            first = buffer.line_index(y0)
            end = min(y1, y0 + buffer.lines - first)
            if end - y0 < blocks[1] - blocks[0]:
                runs = [(blocks, (y, y + 1)) for y in range(y0, end)]
            else:
                runs = [((block, block + 1), (y0, end)) for block in range(*blocks)]
            for (b0, b1), (low, high) in runs:
                count = (b1 - b0) * (high - low)
                row_pitch, dram_pitch = (buffer.plane, plane) if b1 - b0 > 1 else (buffer.pitch, pitch) if count > 1 else (0, 0)
                dram = home + b0 * plane + low * pitch
                fields = {
                    "row": buffer.base + (b0 + place) * buffer.plane + buffer.line_index(low) * buffer.pitch, "rows": tensor.w,
                    "lines": count, "row_pitch": row_pitch, "dram": dram, "dram_pitch": dram_pitch,
                }  # fmt: skip
                span = (DRAM, dram, dram + (count - 1) * dram_pitch + tensor.w * row_bytes)
                yield fields, self.events.rows(buffer, (b0 + place, b1 + place), low, high), [span]
            y0 = end

    def load(self, group: Group, tensor: Tensor, lines: tuple[int, int], blocks: tuple[int, int] | None = None, place: int = 0) -> None:
        """Lines from ... to (exclusive) of channel blocks (None: all) of a map come from DRAM, for the next event."""
        reader = next(op for op in group.ops if tensor in op.reads)
        for fields, rows, spans in self._pieces(group, tensor, lines, blocks or (0, tensor.blocks(self.cfg.n)), place):
            self.events.wait_for(Load(mem=Memory.ACTIVATIONS, layer=reader.layers[0], op=reader,
                                      fields={"mem": Memory.ACTIVATIONS, **fields}, writes=rows, reads=spans))  # fmt: skip

    def load_by_blocks(self, group: Group, tensor: Tensor) -> None:
        """A residual comes in the order in which DRAIN wants it: the channels of one array tile after the other."""
        blocks, most = tensor.blocks(self.cfg.n), max(1, self.cfg.rf // self.cfg.n)
        for low in range(0, blocks, most):
            self.load(group, tensor, (0, tensor.h), (low, min(low + most, blocks)))

    def store(self, group: Group, tensor: Tensor, lines: tuple[int, int], blocks: tuple[int, int] | None = None, place: int = 0) -> None:
        """Lines of channel blocks of a map go to DRAM."""
        writer = next(op for op in group.ops if op.out is tensor)
        for fields, rows, spans in self._pieces(group, tensor, lines, blocks or (0, tensor.blocks(self.cfg.n)), place):
            self.events.add("STORE", writer, fields, (rows,), spans)
