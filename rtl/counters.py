"""The counter bank: units only declare what they count."""

from amaranth.hdl import Array, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .registers import COUNTER_BITS, COUNTERS

__all__ = ["CounterBank"]


class CounterBank(wiring.Component):
    """One counter for each entry of ``rtl.registers.COUNTERS``.

    Every cycle of ``run`` adds, to each counter, the increments of all its sources. An increment of cycle t is in the count in t + 2;
    the counts stand still from two cycles after ``run`` falls. ``value`` follows ``index`` by one cycle.

    Parameters
    ----------
    sources : list of (name, Signal)
        Increments: a counter's name and a value; several of the same name are added up.

    Raises
    ------
    ValueError
        A source that is not in the table.
    """

    def __init__(self, sources):
        names = [c.name for c in COUNTERS]
        for name, _ in sources:
            if name not in names:
                raise ValueError(f"no counter {name!r} in rtl/registers.py")
        self.sources = sources
        super().__init__({
            "run": In(1),
            "index": In(range(len(COUNTERS))),
            "value": Out(COUNTER_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        counted = Signal()
        m.d.sync += counted.eq(self.run)
        counts = []
        for counter in COUNTERS:
            total = sum((value for name, value in self.sources if name == counter.name), 0)
            count = Signal(COUNTER_BITS, name=counter.name)
            counts.append(count)
            if isinstance(total, int):
                continue
            step = Signal(total.shape(), name=counter.name + "_step")
            m.d.sync += step.eq(total)
            with m.If(counted):
                m.d.sync += count.eq(count + step)
        m.d.sync += self.value.eq(Array(counts)[self.index])
        return m
