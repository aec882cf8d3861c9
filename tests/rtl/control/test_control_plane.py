"""Abort, limits, queued jobs and resets on the whole machine, with transfers in flight."""

import random

import pytest
from support.machine_programs import CODE, SIZE, execute, image_of, ordered_copies, random_copies
from support.machines import MACHINES

from squeezelerator.sim.engines.rtl import MEMORY_BASE, Faults, RtlOptions, job_registers, simulate
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.isa import INSTRUCTION_BYTES, STORE, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.registers import ERRORS, FAULT_UNITS, LIMIT_UNIT, REGISTERS

CFG = MachineConfig(n=3)
START, ABORT, RESET = 1, 2, 4
DONE, ERROR, ABORTED = 1, 2, 4
#: STATUS of a machine that has been reset and has nothing to do.
FRESH = 1 << 6
STATUS = {f.name: f for f in next(r for r in REGISTERS if r.name == "STATUS").fields}


def field(status, name):
    f = STATUS[name]
    return status >> f.lsb & (1 << f.width) - 1


def endless():
    """4e12 cycles, without any transaction once it runs."""
    return [Instruction("POOL", {"in_w": 1, "in_h": 1, "kh": 31, "kw": 31, "stride_x": 1, "stride_y": 1, "out_w": 1, "out_h": 65535,
                                 "blocks": 65535, "mult": 1}), Instruction("END", {}, {3: 1})]


def job(count, offset=CODE, start=START, **changed):
    registers = {**job_registers(offset, count, SIZE), **changed}
    return [["write", name, value] for name, value in registers.items()] + ([["write", "CTRL", start]] if start else [])


def run(script, image, cfg=CFG, **memory):
    return simulate(cfg, image, SIZE, {"script": [["write", "IRQ_ENABLE", 7], *script]}, RtlOptions(**memory))


#: Ends whatever happened before with a program of which the result is known, whose answers are the last two.
def afterwards(count):
    return [["write", "IRQ_STATUS", 7], ["write", "IRQ_ENABLE", 7], *job(count), ["irq", 60_000], ["read", "STATUS"]]


def test_abort_ends_an_endless_program_and_the_next_one_runs_without_a_reset():
    copies = ordered_copies(CFG, random.Random(1), 6)
    image = bytearray(image_of(copies))
    code = b"".join(i.encode() for i in endless())
    image[CODE + 0x4000 : CODE + 0x4000 + len(code)] = code
    found = run([*job(2, CODE + 0x4000), ["cycles", 700], ["read", "STATUS"], ["write", "CTRL", ABORT], ["irq", 100], ["read", "STATUS"],
                 ["read", "IRQ_STATUS"], ["read", "ERROR_DETAIL"], ["read", "ERROR_JOB"], ["read", "JOBS"], *afterwards(len(copies)),
                 ["read", "JOBS"]], bytes(image))
    before, came, status, irq, detail, number, jobs, came_again, after, jobs_after = found.answers
    assert field(before, "busy") and not field(before, "idle")
    assert came and irq == ABORTED
    assert field(status, "aborted") and field(status, "idle") and not status & 0b110
    assert ERRORS[field(status, "code")].name == "ABORT" and FAULT_UNITS[field(status, "unit")] == "control"
    assert (detail, number, jobs & 0xFFFF) == (0, 0, 1)
    assert came_again and after & 0b1111110 == 2 | FRESH
    assert jobs_after & 0xFFFF == 2
    assert found.memory == execute(CFG, copies, bytes(image))


def test_the_limit_ends_a_program_and_does_not_end_a_shorter_one():
    image = image_of(endless())
    script = [*job(2, CYCLE_LIMIT=3), ["irq", 3 * LIMIT_UNIT + 200], ["read", "STATUS"], ["read", "JOB_CYCLES_LO"], ["counter", "cycles"]]
    came, status, cycles, counted = run(script, image).answers
    assert came and field(status, "error") and ERRORS[field(status, "code")].name == "LIMIT"
    assert 3 * LIMIT_UNIT <= cycles == counted <= 3 * LIMIT_UNIT + 4
    copies = ordered_copies(CFG, random.Random(1), 10)
    script = [*job(len(copies), CYCLE_LIMIT=1 + 60_000 // LIMIT_UNIT), ["irq", 60_000], ["read", "STATUS"]]
    assert run(script, image_of(copies)).answers == [True, 2 | FRESH]


@pytest.mark.parametrize("n", [3, 6])
@pytest.mark.parametrize("how", ["abort", "reset", "rst"])
def test_stopped_at_any_time_the_machine_is_ready_again(n, how):
    # The bench reports every rule of AXI that is broken on the way, and every request outside the memory.
    cfg = MACHINES[n]
    rng = random.Random(f"{n} {how}")
    program = random_copies(cfg, rng, 30)
    image = image_of(program)
    stop = {"abort": ["write", "CTRL", ABORT], "reset": ["write", "CTRL", RESET], "rst": ["rst", 2]}[how]
    last = ordered_copies(cfg, rng, 5)
    at = CODE + 0x8000
    image = bytearray(image)
    code = b"".join(i.encode() for i in last)
    image[at : at + len(code)] = code
    script = []
    for _ in range(12):
        script += [["write", "IRQ_ENABLE", 7], *job(len(program)), ["cycles", rng.randrange(1, 700)], stop,
                   ["until", "STATUS", FRESH, FRESH, 2000], ["read", "BUS"]]
    # Once more, without waiting: a start that comes too early is queued.
    script += [*job(len(program)), ["cycles", 150], stop, ["write", "IRQ_ENABLE", 7], ["write", "IRQ_STATUS", 7],
               *job(len(last), at), ["until", "STATUS", FRESH, FRESH, 20_000], ["read", "JOBS"]]
    found = run(script, bytes(image), cfg=cfg, stall=0.3, seed=n)
    *rounds, status, jobs = found.answers
    for ready, still_open in zip(rounds[::2], rounds[1::2], strict=True):
        assert ready is not None and still_open == 0
        assert how == "abort" or ready == FRESH
    assert status & 0xFF == 2 | FRESH
    assert jobs & 0xFFFF == (14 if how == "abort" else 1)


def test_a_reset_with_late_answers_leaves_the_result_of_the_next_program_alone():
    program = ordered_copies(CFG, random.Random(5), 8)
    image = image_of(program)
    script = [*job(len(program)), ["cycles", 330], ["rst", 2], ["read", "BUS"], *afterwards(len(program))]
    found = run(script, image, memory=DramProfile("test", latency=300))
    still_open, came, status = found.answers
    assert still_open & 0x3F3F, "nothing was open when the reset came"
    assert came and status == 2 | FRESH
    assert found.memory == execute(CFG, program, image)


def test_registers_written_while_a_job_runs_belong_to_the_next():
    # Two programs at two bases; the second is written while the first runs, and a third is refused nowhere.
    first, second = ordered_copies(CFG, random.Random(6), 8), ordered_copies(CFG, random.Random(7), 8)
    image = bytearray(image_of(first))
    at = CODE + 0x4000
    code = b"".join(i.encode() for i in second)
    image[at : at + len(code)] = code
    script = [*job(len(first)), *job(len(second), at, MEM_SIZE=SIZE - 64, AXI_ATTR=0x100), ["read", "JOBS"],
              *job(9, 0, start=0, MEM_SIZE=64, MEM_BASE_LO=MEMORY_BASE & 0xFFFFFFFF ^ 0x10000),
              ["until", "JOBS", 0xFFFF, 2, 5000], ["until", "STATUS", FRESH, FRESH, 100], ["read", "IRQ_STATUS"], ["read", "JOB_CYCLES_LO"],
              ["counter", "cycles"]]
    found = run(script, bytes(image))
    jobs, _, status, irq, cycles, counted = found.answers
    assert jobs == 1 << 16 | 2 << 24
    assert status == 2 | FRESH and irq == DONE and cycles == counted > 500
    assert found.memory == execute(CFG, second, execute(CFG, first, bytes(image)))


def test_starts_beyond_the_places_are_refused_and_nothing_restarts():
    program = ordered_copies(CFG, random.Random(8), 8)
    script = [*job(len(program)), *[["write", "CTRL", START]] * 3, ["read", "STATUS"], ["read", "JOBS"],
              ["until", "STATUS", FRESH, FRESH, 5000], ["read", "JOBS"], ["write", "CTRL", START], ["read", "STATUS"]]
    status, jobs, ended, jobs_after, again = run(script, image_of(program)).answers
    assert field(status, "refused") and jobs == 2 << 16 | 2 << 24
    assert ended == 2 | FRESH | 1 << 4 and jobs_after == 3 | 2 << 24
    assert not field(again, "refused")


def test_a_failure_takes_the_waiting_jobs_with_it():
    bad = [Instruction("LOAD", {"rows": 0, "lines": 1}), Instruction("END", {}, {0: 1})]
    script = [*job(len(bad)), *[["write", "CTRL", START]] * 2, ["until", "STATUS", FRESH, FRESH, 5000], ["read", "JOBS"],
              ["read", "ERROR_JOB"], ["read", "IRQ_STATUS"]]
    status, jobs, number, irq = run(script, image_of(bad)).answers
    assert field(status, "error") and jobs == 1 | 2 << 24 and number == 0 and irq == ERROR


def test_the_error_interrupt_comes_when_no_write_is_in_flight():
    program = [Instruction("STORE", {"rows": 40, "lines": 10, "row": 0, "row_pitch": 0, "dram": 0x20000, "dram_pitch": 0x1000}),
               Instruction("LOAD", {"rows": 1, "lines": 1, "dram": SIZE}), Instruction("END", {}, {STORE: 1})]
    script = [*job(len(program)), ["irq", 5000], ["read", "BUS"], ["read", "STATUS"]]
    came, still_open, status = run(script, image_of(program)).answers
    assert came and still_open == 0 and field(status, "error") and field(status, "idle")


def test_a_write_that_fails_after_the_end_is_an_error():
    # END does not wait for the STORE's responses, so that it is reached first.
    program = [Instruction("STORE", {"rows": 4, "lines": 1, "dram": 0x20000}), Instruction("END", {}, {})]
    script = [*job(len(program)), ["irq", 5000], ["read", "STATUS"]]
    assert run(script, image_of(program), memory=DramProfile("test", latency=400)).answers == [True, 2 | FRESH]
    came, status = run(script, image_of(program), memory=DramProfile("test", latency=400), faults=Faults(write_error=0)).answers
    assert came and ERRORS[field(status, "code")].name == "WRITE" and field(status, "error")


def test_an_abort_of_nothing_is_answered():
    script = [["write", "CTRL", ABORT], ["irq", 50], ["read", "IRQ_STATUS"], ["read", "STATUS"]]
    assert run(script, bytes(64)).answers == [True, ABORTED, FRESH]


def test_a_damaged_instruction_stream_is_noticed():
    program = ordered_copies(CFG, random.Random(9), 4)
    image = bytearray(image_of(program))
    code = slice(CODE, CODE + INSTRUCTION_BYTES * len(program))
    check = program_check(bytes(image[code]))
    # A bit that no unit looks at, in any instruction, END too; the checksum itself; a program that does not end with END.
    for at in (0, 3, len(program) - 1):
        image[CODE + INSTRUCTION_BYTES * at + 63] ^= 0x80
        script = [["irq", 5000], ["read", "STATUS"], ["read", "ERROR_DETAIL"]]
        wrong, free = (run([*job(len(program), PROG_CHECK=value), *script], bytes(image)) for value in (check, 0))
        found = program_check(bytes(image[code]))
        assert ERRORS[field(wrong.answers[1], "code")].name == "CHECKSUM" and field(wrong.answers[1], "error")
        assert wrong.answers[2] == found != check
        assert free.answers[:2] == [True, 2 | FRESH]
        image[CODE + INSTRUCTION_BYTES * at + 63] ^= 0x80
    right, longer = (run([*job(count, PROG_CHECK=check), ["irq", 5000], ["read", "STATUS"]], bytes(image)).answers[1]
                     for count in (len(program), len(program) + 1))
    assert right == 2 | FRESH and ERRORS[field(longer, "code")].name == "CHECKSUM"
