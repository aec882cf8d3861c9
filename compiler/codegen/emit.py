"""Emission: the schedule becomes events, one an instruction, in the order in which they compute.

Addresses in the activation buffer and in DRAM are final here. Transfers into the buffers hang on the first event that needs them;
:mod:`compiler.codegen.transfers` places them in the program and gives weights and biases their rows.
"""

from collections.abc import Mapping

from squeezelerator.compiler.codegen.channel_emitter import ChannelEmitter
from squeezelerator.compiler.codegen.constant_loads import ConstantLoads, TableLoads
from squeezelerator.compiler.codegen.conv_emitter import Conv, ConvEmitter
from squeezelerator.compiler.codegen.events import Event, EventList
from squeezelerator.compiler.codegen.image import Image
from squeezelerator.compiler.codegen.map_transfers import MapTransfers, whole_residuals
from squeezelerator.compiler.codegen.memory_map import MemoryMap
from squeezelerator.compiler.fusion.group import Group, NetworkSchedule
from squeezelerator.compiler.ir.graph import Op, OpKind
from squeezelerator.compiler.ir.group_schedule import StepKind
from squeezelerator.compiler.memory.ring_buffer import input_view, output_view
from squeezelerator.compiler.tuning import CODEGEN
from squeezelerator.spec.enums import PoolKind
from squeezelerator.spec.machine import MachineConfig


class Emitter:
    """Turns a schedule into events.

    Parameters
    ----------
    sched : NetworkSchedule
        With all buffers allocated.
    cfg : spec.machine.MachineConfig
    image : Image
        Receives weight streams and biases.
    places : MemoryMap
        Where maps and constants lie in DRAM.
    refetched : mapping
        Operation -> 1: its weights do not stay for more than a band; 2: not for more than an array tile.
    trial : bool
        Leave the weight streams' contents out: the program is only looked at.
    """

    def __init__(self, sched: NetworkSchedule, cfg: MachineConfig, image: Image, places: MemoryMap, refetched: Mapping[Op, int],
                 trial: bool = False) -> None:  # fmt: skip
        self.sched, self.cfg, self.image, self.constants, self.refetched = sched, cfg, image, places.constants, refetched
        self._list = EventList()
        self._transfers = MapTransfers(cfg, self._list, places.offsets)
        self._tables = TableLoads(self._list)
        self._convs = ConvEmitter(cfg, self._list, ConstantLoads(cfg, image, places.constants, trial))

    @property
    def events(self) -> list[Event]:
        """The events so far."""
        return self._list.events

    def run(self) -> list[Event]:
        """All events."""
        for group in self.sched.groups:
            if group.slots:
                ChannelEmitter(self._conv(group, group.ops[0]), group.slots, self._convs, self._transfers).run()
            else:
                self._by_lines(group)
        return self.events

    def move(self) -> None:
        """Let the events read and write where the buffers lie now; the fields of a trial do not matter."""
        self._list.move()

    def _conv(self, group: Group, op: Op) -> Conv:
        return Conv.of(group, op, self.refetched.get(op, 0), self.cfg.n)

    def _by_lines(self, group: Group) -> None:
        """The steps of a line schedule."""
        whole = whole_residuals(group)
        for number, (kind, what, y0, y1) in enumerate(group.steps):
            if kind is StepKind.LOAD:
                if what not in whole:
                    self._transfers.load(group, what, (y0, y1))
                elif y1 == what.h:
                    self._transfers.load_by_blocks(group, what)
            elif kind is StepKind.STORE:
                self._transfers.store(group, what, (y0, y1))
            elif what.is_conv:
                self._convs.step(self._conv(group, what), (y0, y1), number)
            else:
                self._pool(group, what, y0, y1)

    def _pool(self, group: Group, op: Op, y0: int, y1: int) -> None:
        """A whole map goes channel block by channel block: each can begin as soon as it is computed."""
        table = self._tables.slot(op) if op.table is not None else 0
        blocks = op.out.blocks(self.cfg.n)
        step = 1 if y1 - y0 == op.out.h and blocks <= CODEGEN.pool_blocks else blocks
        for block in range(0, blocks, step):
            self._pool_blocks(group, op, (y0, y1), (block, block + step), table)

    def _pool_blocks(self, group: Group, op: Op, lines: tuple[int, int], blocks: tuple[int, int], table: int) -> None:
        tensor, (y0, y1) = op.parts[0], lines
        source, buffer = group.buffers[tensor], group.buffers[op.out]
        top = y0 * op.stride[0] - op.pad[0]
        last = top + (y1 - y0 - 1) * op.stride[0] + op.kernel[0] - 1
        fields = input_view(source, tensor, blocks[0], top, last, -op.pad[1], op.stride)
        fields |= output_view("out", buffer, blocks[0], y0, y1 - y0)
        fields |= {"in_plane": source.plane, "out_w": op.out.w, "out_h": y1 - y0, "blocks": blocks[1] - blocks[0], "shift": op.shift}
        reads, name = [self._list.rows(source, blocks, max(0, top), max(0, min(last + 1, tensor.h)))], "POOL"
        if op.residual is not None:
            name, other, still = "MUL", group.buffers[op.residual], op.broadcasts
            first, end = (0, 1) if still else lines
            fields |= output_view("other", other, blocks[0], first, end - first) | {"broadcast": int(still)}
            fields |= {"other_pitch": 0} if still else {}
            reads.append(self._list.rows(other, blocks, first, end))
        elif op.table is not None:
            name = "LOOKUP"
            fields |= {"table": table, "segment": op.segment}
        else:
            fields |= {"kh": op.kernel[0], "kw": op.kernel[1], "mult": op.mult,
                       "kind": PoolKind.AVERAGE if op.kind is OpKind.AVG_POOL else PoolKind.MAX}  # fmt: skip
        self._list.add(name, op, fields, tuple(reads), self._list.rows(buffer, blocks, y0, y1))
