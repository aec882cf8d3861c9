"""The counter bank: units only declare what they count."""

import functools
import operator
from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.spec.registers import COUNTER_BITS, COUNTERS

__all__ = ["CounterBank"]

#: Bits of the widest step that may be added to a count of which only the low bits are a register.
MOST_STEP_BITS = 16


class CounterBank(wiring.Component):
    """One counter for each entry of ``spec.registers.COUNTERS``.

    Every cycle of ``run`` adds, to each counter, the increments of all its sources. An increment of cycle t is in the count in t + 2;
    the counts stand still from two cycles after ``run`` falls. ``value`` follows ``index`` by one cycle.

    Only the low bits of a count are a register; the others lie in a memory, where one counter after the other is visited, a cycle each.
    The register has bits enough to overflow only once from visit to visit; a bit remembers that it did until the visit adds it. Counters
    with steps of more than ``MOST_STEP_BITS`` bits are registers as a whole.

    Parameters
    ----------
    sources : list of (name, Signal)
        Increments: a counter's name and a value; several of the same name are added up.

    Members
    -------
    run : increments are counted.
    index, value : the counter to be read, and its count a cycle later.

    Raises
    ------
    ValueError
        A source that is not in the table.
    """

    run: Signal
    index: Signal
    value: Signal

    def __init__(self, *, sources: Sequence[tuple[str, Value]]) -> None:
        names = [c.name for c in COUNTERS]
        for name, _ in sources:
            if name not in names:
                raise ValueError(f"no counter {name!r} in squeezelerator/spec/registers.py")
        self.sources = sources
        super().__init__({
            "run": In(1),
            "index": In(range(len(COUNTERS))),
            "value": Out(COUNTER_BITS),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counted = Signal()
        m.d.sync += counted.eq(self.run)
        steps: list[Value] = [Const(0, 1)] * len(COUNTERS)
        for number, counter in enumerate(COUNTERS):
            values = [value for name, value in self.sources if name == counter.name]
            if values:
                total = functools.reduce(operator.add, values)
                step = steps[number] = Signal(total.shape(), name=counter.name + "_step")
                m.d.sync += step.eq(total)
        low_bits = max(len(step) for step in steps if len(step) <= MOST_STEP_BITS) + (len(COUNTERS) - 1).bit_length()

        # The memory is not reset: in the first round what a counter has in it counts as zero until it is visited.
        visit = Signal(range(len(COUNTERS)))
        first = Signal(init=1)
        with m.If(visit == len(COUNTERS) - 1):
            m.d.sync += [visit.eq(0), first.eq(0)]
        with m.Else():
            m.d.sync += visit.eq(visit + 1)

        lows, overflows, wide = [], [], {}
        for number, (counter, step) in enumerate(zip(COUNTERS, steps, strict=True)):
            if len(step) > MOST_STEP_BITS:
                count = Signal(COUNTER_BITS, name=counter.name)
                overflow = Const(0, 1)
                wide[number] = count[low_bits:]
            else:
                count = Signal(low_bits, name=counter.name)
                following = Signal(low_bits + 1, name=counter.name + "_next")
                overflow = Signal(name=counter.name + "_overflow")
                m.d.comb += following.eq(count + step)
                m.d.sync += overflow.eq((counted & following[-1]) | (overflow & (visit != number)))
            with m.If(counted):
                m.d.sync += count.eq(count + step)
            lows.append(count[:low_bits])
            overflows.append(overflow)

        m.submodules.high = high = memory.Memory(shape=COUNTER_BITS - low_bits, depth=len(COUNTERS), init=[])
        write, visited, read = high.write_port(), high.read_port(domain="comb"), high.read_port(domain="comb")
        upper = Signal(COUNTER_BITS - low_bits)
        m.d.comb += [
            visited.addr.eq(visit), write.addr.eq(visit), write.en.eq(1),
            write.data.eq(Mux(first, 0, visited.data) + Array(overflows)[visit]),
            read.addr.eq(self.index),
            upper.eq(Mux(~first | (self.index < visit), read.data, 0)),
        ]
        for number, value in wide.items():
            with m.If(self.index == number):
                m.d.comb += upper.eq(value)
        m.d.sync += self.value.eq(Cat(Array(lows)[self.index], (upper + Array(overflows)[self.index])[: len(upper)]))
        return m
