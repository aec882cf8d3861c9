"""Many programs in one process of the simulator: the same results as one by one, and what goes wrong is noticed."""

import random

from support.machine_programs import CODE, SIZE, image_of, ordered_copies
from support.machines import MACHINES

from squeezelerator.sim.engines.batch import BatchJob, run_batch
from squeezelerator.sim.engines.rtl import Faults, RtlError, RtlOptions, RtlProgram, run_rtl
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.constants.dma import FETCH_DEPTH
from squeezelerator.spec.isa import INSTRUCTION_BYTES, LOAD, POOL, Instruction
from squeezelerator.spec.platform.memory import DramProfile

CFG = MACHINES[2]


def job(program, **changes):
    return BatchJob(**{"image": image_of(program), "mem_size": SIZE, "offset": CODE, "count": len(program), **changes})


def memory_after(job, result):
    memory = job.memory()
    for at, block in result.blocks.items():
        memory[at : at + len(block)] = block
    return bytes(memory)


def test_as_one_by_one():
    program = ordered_copies(CFG, random.Random(1), 12)
    jobs = [job(program), job(program, stall=128, seed=5), job(program, write_error=2), job(program, latency=7)]
    options = [RtlOptions(), RtlOptions(stall=0.5, seed=5), RtlOptions(faults=Faults(write_error=2)),
               RtlOptions(memory=DramProfile("test", latency=7))]  # fmt: skip
    for one, result, option in zip(jobs, run_batch(CFG, jobs), options, strict=True):
        alone = run_rtl(CFG, RtlProgram(one.image, CODE, len(program), SIZE), option)
        assert (result.error, result.status) == (alone.error, alone.status)
        assert result.cycles == alone.cycles or one.stall  # the pauses depend on when the program was started
        assert memory_after(one, result) == alone.memory
        assert not (result.hang or result.crash or result.busy or result.rule) and result.irq == (2 if alone.error else 1)


def test_no_program_sees_what_another_has_left():
    # The second stores rows that it has never loaded.
    first = ordered_copies(CFG, random.Random(1), 12)
    second = [Instruction("STORE", {"rows": 40, "lines": 1, "dram": 0}), Instruction("END", {}, {4: 1})]
    results = run_batch(CFG, [job(first), job(second)])
    assert memory_after(job(second), results[1])[: 40 * CFG.row_bytes] == bytes(40 * CFG.row_bytes)


def test_a_program_longer_than_what_fetch_holds():
    loads = [Instruction("LOAD", {"rows": 1, "lines": 1, "dram": 0}) for _ in range(3 * FETCH_DEPTH)]
    (result,) = run_batch(CFG, [job([*loads, Instruction("END", {}, {LOAD: len(loads)})], hang_limit=20_000)])
    assert not result.hang and result.error is None and result.retired[LOAD] == len(loads)


def test_what_is_outside_is_noticed():
    program = ordered_copies(CFG, random.Random(1), 12)
    (result,) = run_batch(CFG, [job(program, watched=CODE)])
    assert result.rule == 4 and result.rule_cycle > 0


def test_a_program_that_does_not_end_is_aborted():
    long = Instruction("POOL", {"in_w": 1, "in_h": 1, "kw": 31, "kh": 31, "stride_x": 1, "stride_y": 1, "out_w": 1, "out_h": 60000,
                                "blocks": 1})
    program = [long, Instruction("END", {}, {POOL: 1})]
    endless, limited = run_batch(CFG, [job(program, hang_limit=5000), job(program, hang_limit=5000, cycle_limit=2)])
    assert endless.hang and not endless.not_aborted and endless.error is None and endless.status & 8
    assert not limited.hang and limited.error.code == "LIMIT"


def test_patches_and_registers():
    program = [Instruction("LOAD", {"rows": 1, "lines": 1}), Instruction("END", {}, {LOAD: 1})]
    base = job(program)
    code = bytes(base.image[CODE : CODE + INSTRUCTION_BYTES * 2])
    jobs = [base, job(program, check=program_check(code)), job(program, check=1), job(program, offset=CODE + 4),
            job(program, patches=[(CODE, b"\xff")]), base]
    errors = [result.error for result in run_batch(CFG, jobs)]
    assert errors == [None, None, RtlError("CHECKSUM", "fetch", program_check(code)), RtlError("ADDRESS", "fetch", CODE + 4),
                      RtlError("OPCODE", "fetch", 0), None]
