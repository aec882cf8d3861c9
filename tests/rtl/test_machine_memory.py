"""The whole machine on its memory port: programs of LOAD and STORE on the Verilog, in Verilator."""

import random

import pytest
from support.machine_programs import CODE, SIZE, copies_of_copies, execute, image_of, ordered_copies, random_copies

from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, run_rtl
from squeezelerator.spec.constants.dma import store_fifo_rows
from squeezelerator.spec.isa import LOAD, STORE, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.timing.kernel import simulate

#: One small machine for the tests of every day; rows of three words that do not fill a beat.
SMALL = MachineConfig(n=3)
FIFO = store_fifo_rows(SMALL)
#: Rows of several beats, rows that are not a power of two, wide and narrow buses.
OTHERS = [MachineConfig(n=5, bus_bits=64), MachineConfig(n=2, bus_bits=256), MachineConfig(n=8), MachineConfig(n=9, bus_bits=64)]


def random_memory(rng):
    """The reference memory with some latency, or one that takes its time for beats and between bursts."""
    latency = rng.choice([1, 2, 5, 30, 100, 100, 300])
    if rng.random() < 0.5:
        return DramProfile("test", latency=latency)
    return DramProfile("test", latency, rng.choice([None, 1, 3, 4, 8, 16]), rng.choice([0, 1, 9, 50]), rng.choice([0, 1, 8, 30]))


def check_timing(cfg, seed):
    rng = random.Random(seed)
    program = random_copies(cfg, rng, rng.choice([5, 30, 100]))
    offset = CODE + 64 * rng.randrange(64)
    memory = random_memory(rng)
    result = run_rtl(cfg, RtlProgram(image_of(program, offset=offset, seed=seed), offset, len(program), SIZE),
                     RtlOptions(memory=memory, limit=4_000_000))
    assert result.error is None
    timeline = simulate(cfg, program, {}, prog_offset=offset, memory=memory)
    assert result.starts == timeline.starts
    assert result.retires == timeline.retires
    assert result.cycles == timeline.cycles == result.counters["stall_fetch"]
    beats = {name: sum(i["rows"] * i["lines"] for i in program if i.op == name) * cfg.row_beats for name in ("LOAD", "STORE")}
    assert result.counters["dram_read_words"] == beats["LOAD"] * cfg.bus_words
    assert result.counters["dram_write_words"] == beats["STORE"] * cfg.bus_words
    assert result.counters["dram_fetch_words"] == timeline.fetch_beats * cfg.bus_words == 32 * len(program)
    assert result.counters["act_write_words"] == beats["LOAD"] // cfg.row_beats * cfg.n
    assert result.counters["act_read_words"] == beats["STORE"] // cfg.row_beats * cfg.n


@pytest.mark.parametrize("seed", range(8))
def test_every_cycle_is_the_models(seed):
    check_timing(SMALL, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("cfg", OTHERS, ids=lambda cfg: f"n{cfg.n}-bus{cfg.bus_bits}")
def test_every_cycle_is_the_models_on_other_machines(cfg, seed):
    check_timing(cfg, seed)


def check_data(cfg, seed, stall, make=ordered_copies):
    rng = random.Random(seed)
    program = make(cfg, rng, 40)
    image = image_of(program, seed=seed)
    latency = rng.choice([1, 7, 100])
    result = run_rtl(cfg, RtlProgram(image, CODE, len(program), SIZE),
                     RtlOptions(memory=DramProfile("test", latency=latency), stall=stall, seed=seed + 1, limit=400_000))
    assert result.error is None
    assert result.memory == execute(cfg, program, image)
    assert [len(times) for times in result.retires] == [40, 0, 0, 0, 40]
    assert result.interrupt_cleared
    # What a stalling memory does not change: how much is transferred.
    assert result.counters["dram_fetch_words"] == 32 * len(program)


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.1), (2, 0.5), (3, 0.9)])
def test_copies_arrive_whatever_the_memory_does(seed, stall):
    check_data(SMALL, seed, stall)


@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.1), (2, 0.5), (3, 0.9)])
def test_what_is_loaded_again_has_been_written(seed, stall):
    check_data(SMALL, seed, stall, copies_of_copies)


@pytest.mark.parametrize("rows", [5, FIFO, FIFO + 1, SMALL.sector_rows])
def test_a_store_is_over_for_others_when_its_rows_are_read(rows):
    store = {"row": 0, "rows": rows, "lines": 1, "dram": 0x20000}
    for written in (0, 1):
        load = {"row": 0, "rows": 1, "lines": 1, "dram": 0, "written": written}
        program = [Instruction("STORE", dict(store)), Instruction("LOAD", load, {STORE: 1}), Instruction("END", {}, {LOAD: 1, STORE: 1})]
        result = run_rtl(SMALL, RtlProgram(image_of(program), CODE, len(program), SIZE), RtlOptions(limit=100_000))
        (start,), (retired,), (loaded,) = result.starts[STORE], result.retires[STORE], result.starts[LOAD]
        if written:
            assert loaded == retired + 1
        elif rows <= FIFO:
            assert loaded == start + rows + 2
        else:
            # The last row is read when that before it whose place it takes has left.
            assert loaded == retired + 1 - FIFO * SMALL.row_beats
        assert result.cycles > retired
        timeline = simulate(SMALL, program, {}, prog_offset=CODE)
        assert (result.starts, result.retires, result.cycles) == (timeline.starts, timeline.retires, timeline.cycles)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "stall"), [(0, 0.0), (1, 0.1), (2, 0.5), (3, 0.9)])
@pytest.mark.parametrize("cfg", OTHERS, ids=lambda cfg: f"n{cfg.n}-bus{cfg.bus_bits}")
def test_copies_arrive_on_other_machines(cfg, seed, stall):
    check_data(cfg, seed, stall)


def test_a_program_can_be_run_again():
    program = ordered_copies(SMALL, random.Random(9), 6)
    image = image_of(program)
    once = run_rtl(SMALL, RtlProgram(image, CODE, len(program), SIZE), RtlOptions(limit=100_000))
    thrice = run_rtl(SMALL, RtlProgram(image, CODE, len(program), SIZE), RtlOptions(limit=100_000, repeat=3))
    assert thrice.memory == once.memory
    assert thrice.counters == once.counters
    assert thrice.starts == once.starts


def test_more_retirements_than_a_ticket_has_bits():
    # 16-bit tickets wrap around: the model's unwrapping is checked here without 65536 simulated instructions.
    rng = random.Random(4)
    program = ordered_copies(SMALL, rng, 33_000)
    encoded = [type(instr).decode(instr.encode()) for instr in program]
    whole, reduced = (simulate(SMALL, p, {}, memory=DramProfile("test", latency=3)) for p in (program, encoded))
    assert whole.retires == reduced.retires
    assert len(whole.retires[LOAD]) == len(whole.retires[STORE]) == 33_000
