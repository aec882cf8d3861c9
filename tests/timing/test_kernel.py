"""Tickets in the cycle model: it stops where the hardware stops."""

import pytest
from support.hand_programs import HandProgram, end, load, store

from squeezelerator.sim.engines.model import run_model
from squeezelerator.spec.isa import LOAD, STORE, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.kernel import TimingError

CFG = MachineConfig(n=4)


@pytest.mark.parametrize("instructions", [
    [load(), Instruction("END", {}, {LOAD: 2})],
    [load({STORE: 1}), store({LOAD: 1}, row=CFG.sector_rows), Instruction("END", {}, {LOAD: 1})],
    [load({LOAD: 1}), end([load()])],
])  # fmt: skip
def test_a_ticket_of_the_future_is_waited_for(instructions):
    # It was taken for one long past: the model finished a program that is STUCK on the RTL (tests/rtl/test_machine_faults.py).
    program = HandProgram(CFG, instructions)
    with pytest.raises(TimingError, match="^the program waits for something that never comes$"):
        run_model(program, bytearray(program.mem_bytes))


def test_a_ticket_of_another_units_near_future_is_met():
    program = HandProgram(CFG, [load({STORE: 1}), store(row=CFG.sector_rows), end([load(), store()])])
    result = run_model(program, bytearray(program.mem_bytes))
    assert result.starts[LOAD][0] > result.starts[STORE][0]
