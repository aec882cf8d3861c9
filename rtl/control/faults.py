"""How units report what stops the machine."""

from amaranth.hdl import Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from squeezelerator.spec.registers import ERRORS, FAULT_UNITS

__all__ = ["CODE", "FaultPort", "first_fault"]

#: Error codes by name.
CODE = {e.name: e.code for e in ERRORS}


class FaultPort(wiring.Signature):
    """A report: ``valid`` while the fault lasts (one cycle is enough), its ``code`` and ``detail``."""

    def __init__(self):
        super().__init__({"valid": Out(1), "code": Out(4), "detail": Out(32)})


def first_fault(m, faults, report, unit):
    """Connect ``report`` (a FaultPort) and ``unit`` to the first valid fault in ``faults``: {unit name: FaultPort}, a cycle later."""
    valid, code, detail, which = 0, 0, 0, 0
    for name, fault in reversed(faults.items()):
        valid = valid | fault.valid
        code = Mux(fault.valid, fault.code, code)
        detail = Mux(fault.valid, fault.detail, detail)
        which = Mux(fault.valid, FAULT_UNITS.index(name), which)
    for target, value, name in ((report.valid, valid, "valid"), (report.code, code, "code"), (report.detail, detail, "detail"),
                                (unit, which, "unit")):
        kept = Signal(target.shape(), name=f"fault_{name}")
        m.d.sync += kept.eq(value)
        m.d.comb += target.eq(kept)
