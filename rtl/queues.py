"""The queues in front of the units, and the tickets that instructions wait for."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from . import isa

__all__ = ["InstructionQueue", "RetireCounters", "ticket_waits", "used_bits"]

TICKET_BITS = 16


def used_bits(unit):
    """Bit mask of the instruction bits that ``unit`` can depend on: opcode, tickets and the fields of its operations."""
    mask = (1 << 16 * (1 + len(isa.UNITS))) - 1
    for op in isa.OPS:
        if op.unit == unit:
            for f in op.fields:
                mask |= ((1 << f.width) - 1) << f.offset
    return mask


def ticket_waits(word, retired):
    """One bit for each unit: the instruction ``word`` has a ticket for it that is not yet satisfied by the counts ``retired``."""
    waits = []
    for unit in range(len(isa.UNITS)):
        meant = word[8 + unit]
        count = word[TICKET_BITS * (1 + unit) : TICKET_BITS * (2 + unit)]
        waits.append(meant & (retired[unit] - count)[TICKET_BITS - 1])
    return Cat(waits)


class RetireCounters(wiring.Component):
    """Counts the instructions that each unit has retired; a pulse in cycle t shows in ``retired`` in t + 1."""

    def __init__(self):
        super().__init__({
            "retire": In(len(isa.UNITS)),
            "retired": Out(TICKET_BITS).array(len(isa.UNITS)),
        })

    def elaborate(self, platform):
        m = Module()
        for unit in range(len(isa.UNITS)):
            m.d.sync += self.retired[unit].eq(self.retired[unit] + self.retire[unit])
        return m


class InstructionQueue(wiring.Component):
    """The instructions that wait for one unit, in order.

    An instruction pushed in cycle t is offered to the unit in t + 1 at the earliest: in the first cycle in which it is the
    oldest, ``run`` is high and its tickets are satisfied. A place that it leaves in cycle t can be filled in t + 1. Only the
    bits that the unit can use are kept; the others come out as zero.

    Parameters
    ----------
    unit : int
        The unit, as in ``rtl.isa``.
    depth : int
        Instructions that may wait.

    Members
    -------
    push, instr : instructions in and out.
    retired : counts of RetireCounters.
    present : an instruction waits.
    waits : the units whose tickets the oldest instruction waits for.
    """

    def __init__(self, unit, depth):
        self.unit = unit
        self.depth = depth
        super().__init__({
            "run": In(1),
            "push": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)),
            "instr": Out(stream.Signature(8 * isa.INSTRUCTION_BYTES)),
            "retired": In(TICKET_BITS).array(len(isa.UNITS)),
            "present": Out(1),
            "waits": Out(len(isa.UNITS)),
        })

    def elaborate(self, platform):
        m = Module()
        mask = used_bits(self.unit)
        kept = [i for i in range(8 * isa.INSTRUCTION_BYTES) if mask >> i & 1]
        m.submodules.queue = queue = fifo.SyncFIFO(width=len(kept), depth=self.depth)
        place = {bit: i for i, bit in enumerate(kept)}
        head = Signal(len(kept))
        m.d.comb += [
            head.eq(queue.r_data),
            queue.w_data.eq(Cat(self.push.payload[i] for i in kept)),
            queue.w_en.eq(self.push.valid),
            self.push.ready.eq(queue.w_rdy),
            self.instr.payload.eq(Cat(head[place[i]] if i in place else Const(0, 1) for i in range(len(self.instr.payload)))),
            self.present.eq(queue.r_rdy),
            self.waits.eq(ticket_waits(self.instr.payload, self.retired)),
            self.instr.valid.eq(self.run & self.present & (self.waits == 0)),
            queue.r_en.eq(self.instr.valid & self.instr.ready),
        ]
        return m
