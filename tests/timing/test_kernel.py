"""Tickets in the cycle model: it stops where the hardware stops."""

import pytest
from support.hand_programs import HandProgram, end, load, store

from squeezelerator.sim.engines.functional import FunctionalError
from squeezelerator.sim.engines.model import run_model
from squeezelerator.spec.isa import LOAD, STORE, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.kernel import TimingError, simulate

CFG = MachineConfig(n=4)


@pytest.mark.parametrize("instructions", [
    [load(), Instruction("END", {}, {LOAD: 2})],
    [load({STORE: 1}), store({LOAD: 1}, row=CFG.sector_rows), Instruction("END", {}, {LOAD: 1})],
    [load({LOAD: 1}), end([load()])],
])  # fmt: skip
def test_a_ticket_of_the_future_is_waited_for(instructions):
    # It was taken for one long past: the model finished a program that is STUCK on the RTL (tests/rtl/test_machine_faults.py).
    with pytest.raises(TimingError, match="^the program waits for something that never comes$"):
        simulate(CFG, HandProgram(CFG, instructions).instructions, {})


def test_a_ticket_of_another_units_near_future_is_met():
    program = HandProgram(CFG, [load({STORE: 1}), store(row=CFG.sector_rows), end([load(), store()])])
    found = simulate(CFG, program.instructions, {})
    assert found.starts[LOAD][0] > found.starts[STORE][0]
    # What it computes is another question: the functional model goes through a program in its order, so it refuses this one.
    with pytest.raises(FunctionalError, match="waits for store number 1, and only 0 come before it"):
        run_model(program, bytearray(program.mem_bytes))
