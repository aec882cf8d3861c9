"""How units report what stops the machine."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from squeezelerator.spec.registers import ERRORS, FAULT_UNITS

__all__ = ["CODE", "FaultPort", "FaultReport", "first_fault"]

#: Error codes by name.
CODE = {e.name: e.code for e in ERRORS}


class FaultReport(wiring.PureInterface):
    """The interface that a :class:`FaultPort` creates."""

    valid: Signal
    code: Signal
    detail: Signal


class FaultPort(wiring.Signature):
    """A fault, from the unit that finds it.

    Members
    -------
    valid : the fault lasts; one cycle is enough.
    code : one of ``spec.registers.ERRORS``.
    detail : what that error code says that the register ERROR_DETAIL holds.
    """

    def __init__(self) -> None:
        super().__init__({"valid": Out(1), "code": Out(4), "detail": Out(32)})

    def create(self, *, path: tuple[str | int, ...] = (), src_loc_at: int = 0) -> FaultReport:
        """The interface."""
        return FaultReport(self, path=path, src_loc_at=1 + src_loc_at)


def first_fault(m: Module, faults: dict[str, FaultReport], report: FaultReport, unit: Signal) -> None:
    """Choose the fault that is reported.

    Latency: 1 cycle.

    Parameters
    ----------
    m : Module
        Where the registers go.
    faults : {unit name: FaultReport}
        All sources, in the order of precedence; the names are in ``spec.registers.FAULT_UNITS``.
    report : FaultReport
        Driven with the first valid one.
    unit : Signal
        Driven with the number of its unit.
    """
    valid, code, detail, which = 0, 0, 0, 0
    for name, fault in reversed(faults.items()):
        valid = valid | fault.valid
        code = Mux(fault.valid, fault.code, code)
        detail = Mux(fault.valid, fault.detail, detail)
        which = Mux(fault.valid, FAULT_UNITS.index(name), which)
    targets: tuple[tuple[Signal, Value | int, str], ...] = (
        (report.valid, valid, "valid"), (report.code, code, "code"), (report.detail, detail, "detail"), (unit, which, "unit"))
    for target, value, name in targets:
        kept = Signal(target.shape(), name=f"fault_{name}")
        m.d.sync += kept.eq(value)
        m.d.comb += target.eq(kept)
