"""Rows in use: from the acceptance of the writer to the last reader."""

import numpy as np
from support.hand_programs import HandProgram, end, load, pool, store

from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.explain.occupancy import occupancy
from squeezelerator.spec.isa import LOAD, POOL, STORE
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4)


def test_a_row_is_in_use_until_it_was_read():
    far = CFG.sector_rows
    steps = [load(row=0), pool({LOAD: 1}, in_base=0, out_base=far), store({POOL: 1}, row=far, dram=256),
             load({STORE: 1}, row=far), store({LOAD: 2}, row=far, dram=512)]  # fmt: skip
    program = HandProgram(CFG, [*steps, end(steps)])
    program.image = bytes(program.mem_bytes)
    result = run_model(program, bytearray(program.mem_bytes))
    found = occupancy(program, result.timeline, points=result.cycles)
    starts, reads = result.starts, result.timeline.reads
    expected = np.zeros(result.cycles, int)
    expected[starts[LOAD][0] : result.retires[POOL][0] + 1] += 1  # row 0
    expected[starts[POOL][0] : reads[0] + 1] += 1  # what POOL writes, until STORE has read it
    expected[starts[LOAD][1] : reads[1] + 1] += 1  # what takes its place
    if starts[LOAD][1] <= reads[0]:
        expected[starts[LOAD][1] : reads[0] + 1] -= 1
    np.testing.assert_array_equal(found.activations, expected)
    assert not found.weights.any() and found.act_rows == CFG.act_rows
    short = occupancy(program, result.timeline, points=10)
    assert len(short.cycles) <= 10 and short.activations.max() == 2
