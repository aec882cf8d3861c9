"""The queues in front of the units, and the tickets that instructions wait for."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.primitives.parameters import check_config, check_range
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["InstructionQueue", "RetireCounters", "ticket_waits", "used_bits"]

TICKET_BITS = 16
#: Instruction bits that are wanted early: opcode, mask of the tickets that are meant, tickets.
EARLY = range(TICKET_BITS * (1 + len(isa.UNITS)))


def used_bits(unit: int, cfg: MachineConfig | None = None) -> int:
    """Bit mask of the instruction bits that ``unit`` of machine ``cfg`` (None: of any) can depend on: opcode, tickets and the fields of its
    operations."""
    mask = (1 << 16 * (1 + len(isa.UNITS))) - 1
    for op in isa.ops_of(unit, cfg):
        for f in op.fields:
            mask |= ((1 << f.width) - 1) << f.offset
    return mask


def ticket_waits(word: Value, retired: Sequence[Value], written: Value | None = None) -> Value:
    """One bit for each unit: the instruction ``word`` has a ticket for it that is not yet satisfied by the counts ``retired``.

    With ``written``, the count that the ticket for STORE is compared with if WRITTEN_BIT is set.
    """
    waits = []
    for unit in range(len(isa.UNITS)):
        meant = word[8 + unit]
        count = word[TICKET_BITS * (1 + unit) : TICKET_BITS * (2 + unit)]
        late = (retired[unit] - count)[TICKET_BITS - 1]
        if unit == isa.STORE and written is not None:
            late = Mux(word[isa.WRITTEN_BIT], (written - count)[TICKET_BITS - 1], late)
        waits.append(meant & late)
    return Cat(waits)


class RetireCounters(wiring.Component):
    """Counts the instructions that each unit has retired; a pulse in cycle t shows in ``retired`` in t + 1, in ``retiring`` in t.

    ``read``, ``reading`` : as ``retire``, ``retiring``, for the STORE instructions whose rows have been read.
    ``run`` : without it, ``retired`` stands still.
    """

    run: Signal
    retire: Signal
    retired: list[Signal]
    retiring: list[Signal]
    read: Signal
    reading: Signal

    def __init__(self) -> None:
        super().__init__({
            "run": In(1, init=1),  # pyright: ignore[reportCallIssue] - the stubs have its old name
            "retire": In(len(isa.UNITS)),
            "retired": Out(TICKET_BITS).array(len(isa.UNITS)),
            "retiring": Out(TICKET_BITS).array(len(isa.UNITS)),
            "read": In(1),
            "reading": Out(TICKET_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for unit in range(len(isa.UNITS)):
            m.d.comb += self.retiring[unit].eq(self.retired[unit] + self.retire[unit])
            with m.If(self.run):
                m.d.sync += self.retired[unit].eq(self.retiring[unit])
        read = Signal(TICKET_BITS)
        m.d.comb += self.reading.eq(read + self.read)
        m.d.sync += read.eq(self.reading)
        return m


class InstructionQueue(wiring.Component):
    """The instructions that wait for one unit, in order.

    An instruction pushed in cycle t is offered to the unit in t + 1 at the earliest: in the first cycle in which it is the
    oldest, ``run`` is high and its tickets are satisfied. A place that it leaves in cycle t can be filled in t + 1. Only the
    bits that the unit can use are kept; the others, and the tickets, come out as zero.

    Whether an instruction may start is decided a cycle ahead and kept in registers, because everything that a unit does in the
    first cycle hangs on it: so the opcode and the tickets of the oldest instruction wait in a register of their own.

    Parameters
    ----------
    unit : int
        The unit, as in ``spec.isa``.
    depth : int
        Instructions that may wait.
    cfg : MachineConfig or None
        The machine; None: one that knows every instruction.

    Members
    -------
    push, instr : instructions in and out.
    retiring : counts of RetireCounters; of STORE, ``reading``.
    written : LOAD only: STORE's ``retiring``, for tickets with WRITTEN_BIT.
    present : an instruction waits.
    waits : the units whose tickets the oldest instruction waits for.
    """

    run: Signal
    push: stream.Interface
    instr: stream.Interface
    retiring: list[Signal]
    written: Signal
    present: Signal
    waits: Signal

    def __init__(self, *, unit: int, depth: int, cfg: MachineConfig | None = None) -> None:
        self._cfg = None if cfg is None else check_config("InstructionQueue", cfg)
        self.unit = check_range("InstructionQueue", "unit", unit, 0, len(isa.UNITS) - 1)
        self.depth = check_range("InstructionQueue", "depth", depth, 1, 256)
        super().__init__({
            "run": In(1),
            "push": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)),
            "instr": Out(stream.Signature(8 * isa.INSTRUCTION_BYTES)),
            "retiring": In(TICKET_BITS).array(len(isa.UNITS)),
            **({"written": In(TICKET_BITS)} if unit == isa.LOAD else {}),
            "present": Out(1),
            "waits": Out(len(isa.UNITS)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        mask = used_bits(self.unit, self._cfg)
        kept = [i for i in range(8 * isa.INSTRUCTION_BYTES) if mask >> i & 1 and i not in EARLY]
        m.submodules.queue = queue = fifo.SyncFIFO(width=len(kept), depth=self.depth)
        place = {bit: i for i, bit in enumerate(kept)}
        head = Signal(len(kept))
        pushed = Signal()
        popped = Signal()
        m.d.comb += [
            head.eq(queue.r_data),
            queue.w_data.eq(Cat(self.push.payload[i] for i in kept)),
            queue.w_en.eq(self.push.valid),
            self.push.ready.eq(queue.w_rdy),
            pushed.eq(self.push.valid & self.push.ready),
            popped.eq(self.instr.valid & self.instr.ready),
            queue.r_en.eq(popped),
        ]

        # Opcodes and tickets lie in a memory at the places that their instructions have in the queue. ``oldest`` is replaced by the second
        # oldest, or by those that are just being pushed.
        m.submodules.tickets = tickets = memory.Memory(shape=len(EARLY), depth=self.depth, init=[])
        write, read = tickets.write_port(), tickets.read_port(domain="comb")
        place_in = Signal(range(self.depth))
        second = Signal(range(self.depth), init=1 % self.depth)
        for pointer, moves in ((place_in, pushed), (second, popped)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == self.depth - 1, 0, pointer + 1))
        oldest = Signal(len(EARLY))
        following = Signal(len(EARLY))
        may_start = Signal()
        replaced = Signal()
        more = Signal()
        follows = Signal()
        incoming = Cat(self.push.payload[i] for i in EARLY)
        m.d.comb += [
            replaced.eq(popped | ~self.present),
            more.eq(queue.level > 1),  # pyright: ignore[reportAttributeAccessIssue] - missing in the stubs
            follows.eq(more | pushed),
            following.eq(Mux(more, read.data, incoming)),
            write.addr.eq(place_in), write.data.eq(incoming), write.en.eq(pushed), read.addr.eq(second),
            self.instr.valid.eq(self.run & may_start),
            self.instr.payload.eq(Cat(oldest[:8], (head[place[i]] if i in place else Const(0, 1)
                                                   for i in range(8, len(self.instr.payload))))),
        ]
        written = self.written if self.unit == isa.LOAD else None
        old, new = (ticket_waits(word, self.retiring, written) for word in (oldest, following))
        with m.If(replaced):
            m.d.sync += [oldest.eq(following), self.present.eq(follows), self.waits.eq(new), may_start.eq(follows & ~new.any())]
        with m.Else():
            m.d.sync += [self.waits.eq(old), may_start.eq(~old.any())]
        return m
