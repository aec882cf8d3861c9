"""Ends programs that would never end: tickets that wait for each other, or weight streams whose headers and values disagree."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.control.faults import CODE, FaultPort, FaultReport
from squeezelerator.rtl.primitives.parameters import check_range
from squeezelerator.spec.registers import STUCK_CYCLES

__all__ = ["Watchdog"]


class Watchdog(wiring.Component):
    """Counts consecutive cycles in which nothing happens, and reports the fault STUCK after ``STUCK_CYCLES`` of them.

    Waiting for memory is no reason to halt: a transaction on its way counts as activity, however late its answer is.

    Latency: the fault follows the last of these cycles by one.

    Parameters
    ----------
    units : int
        Units with a queue, 1 to 32.

    Members
    -------
    run : a program runs.
    active : something happens: a transaction on its way, a result, a multiplication, an instruction that retires.
    waiting : bit i: an instruction waits in front of unit i; reported as the error's detail.
    fault : STUCK, once the count is full.
    """

    run: Signal
    active: Signal
    waiting: Signal
    fault: FaultReport

    def __init__(self, *, units: int) -> None:
        check_range("Watchdog", "units", units, 1, 32)
        super().__init__({"run": In(1), "active": In(1), "waiting": In(units), "fault": Out(FaultPort())})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        idle = Signal(range(STUCK_CYCLES + 1))
        m.d.comb += [
            self.fault.valid.eq(idle == STUCK_CYCLES), self.fault.code.eq(CODE["STUCK"]), self.fault.detail.eq(self.waiting),
        ]
        with m.If(self.active | ~self.run):
            m.d.sync += idle.eq(0)
        with m.Elif(~self.fault.valid):
            m.d.sync += idle.eq(idle + 1)
        return m
