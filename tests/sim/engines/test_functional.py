"""What the functional model, and with it the cycle model, does where random programs found it differ from the hardware."""

import random

import numpy as np
import pytest
from support.machine_programs import CODE, SIZE, TARGET, image_of
from support.machines import MACHINES

from squeezelerator.sim.engines.functional import FunctionalError, run_functional
from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.rtl import RtlProgram, run_rtl
from squeezelerator.sim.fuzz.program_builder import RandomProgram
from squeezelerator.spec.isa import ACT_CLIP, DRAIN, LOAD, MEM_BIAS, MODE_WS, STORE, Instruction


def program(cfg, instructions):
    return RandomProgram(cfg, instructions, image_of(instructions), CODE, SIZE)


def test_a_row_is_padded_with_zeros_in_memory():
    cfg = MACHINES[3]
    assert cfg.row_bytes > 2 * cfg.n
    made = program(cfg, [Instruction("STORE", {"rows": 3, "lines": 1, "dram": TARGET}), Instruction("END", {}, {STORE: 1})])
    memory = bytearray(made.image)
    memory[TARGET : TARGET + 4 * cfg.row_bytes] = random.Random(1).randbytes(4 * cfg.row_bytes)
    found = run_rtl(cfg, RtlProgram(bytes(memory), CODE, 2, SIZE)).memory
    assert run_model(made, bytearray(memory)).memory == found
    assert found[TARGET : TARGET + 3 * cfg.row_bytes] == bytes(3 * cfg.row_bytes)
    assert found[TARGET + 3 * cfg.row_bytes :] == memory[TARGET + 3 * cfg.row_bytes :]


def test_the_second_activation_needs_no_residual():
    # An empty bank and a bias of 7 leave 7, which the bound of the second activation makes 5.
    cfg = MACHINES[3]
    bias = np.zeros((2, cfg.row_bytes // 2), np.uint16)
    bias[0] = 7
    made = program(cfg, [
        Instruction("LOAD", {"mem": MEM_BIAS, "rows": 2, "lines": 1}),
        Instruction("DRAIN", {"mode": MODE_WS, "out_w": 1, "out_h": 1, "post_act": ACT_CLIP, "post_parm": 5}, {LOAD: 1}),
        Instruction("STORE", {"rows": 1, "lines": 1, "dram": TARGET}, {DRAIN: 1}),
        Instruction("END", {}, {LOAD: 1, DRAIN: 1, STORE: 1})])
    memory = bytearray(made.image)
    memory[: bias.nbytes] = bias.tobytes()
    found = run_rtl(cfg, RtlProgram(bytes(memory), CODE, 4, SIZE)).memory
    assert run_model(made, bytearray(memory)).memory == found
    assert np.frombuffer(found, np.int16, cfg.n, TARGET).tolist() == [5] * cfg.n


@pytest.mark.parametrize("run", [run_model, run_functional])
def test_a_wait_for_a_later_instruction_is_refused(run):
    # The hardware executes STORE after the second LOAD; in program order it would store something else.
    load = Instruction("LOAD", {"rows": 2, "lines": 1})
    made = program(MACHINES[4], [load, Instruction("STORE", {"rows": 2, "lines": 1, "dram": TARGET}, {LOAD: 2}), load,
                                 Instruction("END", {}, {LOAD: 2, STORE: 1})])
    with pytest.raises(FunctionalError, match=r"^instruction 1 \(STORE, None\): waits for load number 2, and only 1 come before it$"):
        run(made, bytearray(made.image))
    made.instructions[1].tickets[LOAD] = 1
    run(made, bytearray(made.image))
