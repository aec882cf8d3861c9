"""What stops the machine: each error on the Verilog, reported, with the interrupt, and without harm to the next program."""

import dataclasses
import random
import struct

import pytest
from support.machine_programs import CODE, SIZE, TARGET, image_of, ordered_copies
from support.machines import MACHINES

from squeezelerator.sim.engines.rtl import Faults, RtlError, RtlOptions, RtlProgram, run_rtl
from squeezelerator.spec.isa import ARRAY, DRAIN, INSTRUCTION_BYTES, LOAD, POOL, STORE, Instruction
from squeezelerator.spec.platform.memory import DramProfile

#: Without functions: POOL's writes come when the cases below say.
CFG = dataclasses.replace(MACHINES[3], functions=False)


class Raw:
    """An instruction that no encoder makes."""

    def __init__(self, opcode):
        self.opcode = opcode

    def encode_unchecked(self):
        return self.opcode.to_bytes(INSTRUCTION_BYTES, "little")


def load(**fields):
    return Instruction("LOAD", {"rows": 2, "lines": 1, **fields})


def store(**fields):
    return Instruction("STORE", {"rows": 2, "lines": 1, "dram": TARGET, **fields})


#: Rows of the weight buffer, for the beginning of the memory: a header of one weight (channel 0 at tap (0, 0)), the weight, a header
#: without any, and one of two weights.
STREAM = b"".join(struct.pack("<3h", *row).ljust(CFG.row_bytes, b"\0")
                  for row in ((0, 0, 1), (0, 0, 0), (5, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 5), (0, 0, 0)))  # fmt: skip


def run(program, *, count=None, offset=CODE, mem_bytes=SIZE, repeat=1, limit=20_000, **memory):
    image = STREAM + image_of(program)[len(STREAM) :]
    result = run_rtl(CFG, RtlProgram(image, offset, len(program) if count is None else count, mem_bytes),
                     RtlOptions(limit=limit, repeat=repeat, **memory))
    assert result.interrupt_cleared
    assert result.status & 0x7F == (1 << 6 | (4 if result.error else 2))
    return result


END = Instruction("END", {})


@pytest.mark.parametrize(("program", "error"), [
    ([load(), Raw(0), END], RtlError("OPCODE", "fetch", 1)),
    ([Raw(8)], RtlError("OPCODE", "fetch", 0)),
    ([Raw(255)], RtlError("OPCODE", "fetch", 0)),
    ([load(), load()], RtlError("PROGRAM", "fetch", 2)),
    ([load(rows=0), Instruction("END", {}, {LOAD: 1})], RtlError("OPERAND", "fetch", 0)),
    ([load(lines=0), Instruction("END", {}, {LOAD: 1})], RtlError("OPERAND", "fetch", 0)),
    ([load(mem=3), Instruction("END", {}, {LOAD: 1})], RtlError("OPERAND", "fetch", 0)),
    ([store(rows=0), Instruction("END", {}, {4: 1})], RtlError("OPERAND", "fetch", 0)),
    ([load(dram=SIZE), Instruction("END", {}, {LOAD: 1})], RtlError("ADDRESS", "load", SIZE)),
    ([load(dram=SIZE - 16), Instruction("END", {}, {LOAD: 1})], RtlError("ADDRESS", "load", SIZE)),
    ([load(dram=8), Instruction("END", {}, {LOAD: 1})], RtlError("ADDRESS", "load", 8)),
    ([load(dram=0xFFFFFFF0), Instruction("END", {}, {LOAD: 1})], RtlError("ADDRESS", "load", 0xFFFFFFF0)),
    ([load(lines=3, dram_pitch=SIZE - 16), Instruction("END", {}, {LOAD: 1})], RtlError("ADDRESS", "load", SIZE)),
    ([store(dram=SIZE - 16), Instruction("END", {}, {4: 1})], RtlError("ADDRESS", "store", SIZE)),
    ([store(dram=4), Instruction("END", {}, {4: 1})], RtlError("ADDRESS", "store", 4)),
    ([load(row=CFG.act_rows - 1), Instruction("END", {}, {LOAD: 1})], RtlError("ROW", "load", 0)),
    ([store(row=CFG.act_rows), Instruction("END", {}, {4: 1})], RtlError("ROW", "buffer", 1 << STORE)),
    ([load(), load(mem=1, row=CFG.weight_rows - 1), Instruction("END", {}, {LOAD: 2})], RtlError("ROW", "load", 1)),
    ([load(mem=2, row=CFG.bias_rows), Instruction("END", {}, {LOAD: 1})], RtlError("ROW", "load", 0)),
])
def test_programs_that_cannot_be_executed(program, error):
    assert run(program).error == error


def test_packed_weights_that_leave_the_buffer():
    # Twenty rows of DRAM are many packed ones, whatever lies there.
    cfg = MACHINES[6]
    assert cfg.unpacks and not CFG.unpacks
    for row, count, error in ((cfg.weight_rows - 5, 5, None), (cfg.weight_rows - 5, 6, RtlError("ROW", "load", 1)),
                              (cfg.weight_rows, 0, None), (65535, 1, RtlError("ROW", "load", 1))):
        packed = load(mem=3, row=row, row_pitch=count, rows=20, dram=64)
        program = [load(), packed, load(), Instruction("END", {}, {LOAD: 3})]
        result = run_rtl(cfg, RtlProgram(image_of(program), CODE, len(program), SIZE), RtlOptions(limit=20_000))
        assert result.error == error and result.interrupt_cleared
        assert error or result.counters["weight_write_words"] == count * cfg.n


def test_the_program_must_lie_in_the_memory():
    assert run([END], offset=CODE + 4).error == RtlError("ADDRESS", "fetch", CODE + 4)
    assert run([END], offset=SIZE).error == RtlError("ADDRESS", "fetch", SIZE)
    assert run([END], mem_bytes=CODE + 32).error == RtlError("ADDRESS", "fetch", CODE)
    assert run([END], count=0).error == RtlError("PROGRAM", "fetch", 0)


def test_nothing_outside_the_memory_is_asked_for():
    # The second burst would begin at the end; the bench reports every request that leaves the memory.
    result = run([store(rows=100, dram=SIZE - 1024), Instruction("END", {}, {4: 1})])
    assert result.error == RtlError("ADDRESS", "store", SIZE)


def test_error_responses():
    program = ordered_copies(CFG, random.Random(1), 12)
    assert run(program).error is None
    assert run(program, faults=Faults(read_error=0)).error == RtlError("READ", "fetch", 0)
    assert run(program, faults=Faults(write_error=0)).error.code == "WRITE"
    assert run(program, faults=Faults(write_error=5)).error.unit == "store"
    units = {run(program, faults=Faults(read_error=k)).error.unit for k in range(4, 9)}
    assert units <= {"fetch", "load"}
    assert "load" in units


def test_stalls_do_not_hide_an_error():
    program = ordered_copies(CFG, random.Random(2), 12)
    for seed in range(3):
        assert run(program, faults=Faults(write_error=3), stall=0.5, seed=seed).error.code == "WRITE"


def test_a_conflict_in_the_buffer_stops_the_machine():
    # LOAD and STORE do not share a port, so that two readers have to meet: STORE and POOL in one sector.
    pool = Instruction("POOL", {"in_w": 40, "in_h": 1, "kw": 1, "kh": 1, "stride_x": 1, "stride_y": 1, "out_w": 40, "out_h": 1,
                                "blocks": 1, "out_base": CFG.sector_rows, "mult": 1})
    program = [store(rows=40), pool, Instruction("END", {}, {3: 1, 4: 1})]
    assert run(program).error == RtlError("CONFLICT", "buffer", 1 << POOL | 1 << STORE)


def test_the_next_program_starts_clean():
    # Halted with transactions on their way, the machine waits for them before the next start.
    many = [load(row=0, rows=20, dram=64 * i) for i in range(6)]
    program = [*many, Raw(77), END]
    first, again = run(program), run(program, repeat=4, memory=DramProfile("test", latency=300))
    assert first.error == again.error == RtlError("OPCODE", "fetch", 6)
    assert run(program, repeat=3, stall=0.7).error == first.error


def pool(tickets=None, **fields):
    """One column of two outputs, each a copy of one pixel."""
    return Instruction("POOL", {"in_w": 1, "in_h": 2, "in_pitch": 1, "kw": 1, "kh": 1, "stride_x": 1, "stride_y": 1, "out_w": 1,
                                "out_h": 2, "blocks": 1, **fields}, tickets or {})


def drain(tickets=None, **fields):
    """The same as WS sums."""
    return Instruction("DRAIN", {"mode": 1, "out_w": 1, "out_h": 2, **fields}, tickets or {})


def os_pass(tickets, **fields):
    """The weight of STREAM times one pixel."""
    return Instruction("OS", {"in_w": 1, "in_h": 1, "stride_x": 1, "stride_y": 1, "seg_len": 1, "segs": 1, "nrows": 1, "windows": 1,
                              "hdr_row": 0, "val_row": 2, "records": 1, "values": 1, "first": 1, "pixels": 1, **fields}, tickets)


LAST_ROW = CFG.act_rows - 1


@pytest.mark.parametrize(("program", "code", "writers"), [
    ([pool(out_base=LAST_ROW, out_pitch=1), Instruction("END", {}, {POOL: 1})], "ROW", (POOL,)),
    ([drain(out_base=LAST_ROW, out_pitch=1), Instruction("END", {}, {DRAIN: 1})], "ROW", (DRAIN,)),
    ([load(), load(mem=1, rows=3), os_pass({LOAD: 2}), Instruction("DRAIN", {
        "out_base": LAST_ROW, "out_pitch": 2, "out_w": 1, "channels": 1, "seg_len": 1, "segs": 1, "nrows": 2}, {ARRAY: 1}),
      Instruction("END", {}, {DRAIN: 1})], "ROW", (DRAIN,)),
    # Both wait for the LOAD, so that their second and last writes meet; the first ones lie in sectors of their own.
    ([load(row=3 * CFG.sector_rows),
      drain({LOAD: 1}, out_base=0, out_pitch=CFG.sector_rows),
      pool({LOAD: 1}, in_base=3 * CFG.sector_rows + 2, out_base=2 * CFG.sector_rows, out_pitch=65536 - CFG.sector_rows),
      Instruction("END", {}, {DRAIN: 1, POOL: 1})], "CONFLICT", (DRAIN, POOL)),
])
def test_a_fault_of_the_last_write_before_the_end_is_not_lost(program, code, writers):
    assert run(program).error == RtlError(code, "buffer", sum(1 << 8 + unit for unit in writers))


@pytest.mark.parametrize(("program", "waiting"), [
    # END waits for a LOAD that does not exist; LOAD and STORE for each other.
    ([load(), Instruction("END", {}, {LOAD: 2})], 0),
    ([Instruction("LOAD", load().fields, {STORE: 1}), Instruction("STORE", store().fields, {LOAD: 1}),
      Instruction("END", {}, {LOAD: 1})], 1 << LOAD | 1 << STORE),
    # A header without weights, and one that announces more weights than the instruction has.
    ([load(), load(mem=1, rows=5), os_pass({LOAD: 2}, hdr_row=3), Instruction("END", {}, {ARRAY: 1})], 0),
    ([load(), load(mem=1, rows=7), os_pass({LOAD: 2}, hdr_row=5), Instruction("END", {}, {ARRAY: 1})], 0),
    ([load(), os_pass({LOAD: 2}), Instruction("END", {}, {ARRAY: 1})], 1 << ARRAY),
])
def test_a_program_that_cannot_end_is_halted(program, waiting):
    assert run(program).error == RtlError("STUCK", "watchdog", waiting)


def test_a_memory_that_answers_very_late_is_waited_for():
    program = ordered_copies(CFG, random.Random(3), 2)
    result = run(program, memory=DramProfile("test", latency=20_000), limit=400_000)
    assert result.error is None and result.cycles > 60_000


@pytest.mark.parametrize("stop", [
    Instruction("POOL", {**pool().fields, "stride_y": 9}), Instruction("POOL", {**pool().fields, "kh": 0}),
    drain(shift=41), Instruction("OS", {**os_pass({}).fields, "stride_y": 9}),
    Instruction("OS", {**os_pass({}).fields, "skipped": 1 << 24}),
])
def test_a_field_out_of_its_range_is_an_error_and_not_another_result(stop):
    assert run([load(), load(), stop, END]).error == RtlError("OPERAND", "fetch", 2)
