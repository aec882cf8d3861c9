"""The proof of a program's tickets: against the plainest way, and every hole that was found in it."""

import copy
import random

import pytest
from support.hand_programs import CODE, CONSTANTS, HandProgram, end, load, pool, store

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE, UNITS, WRITTEN, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import Footprints
from squeezelerator.spec.verification.verify import VerifyError, verify

CFG = MachineConfig(n=4)
FAR = CFG.sector_rows  # a row of another sector
BEAT = CFG.bus_bytes


def proved(*instructions):
    verify(HandProgram(CFG, [*instructions, end(instructions)]))


def refused(message, *instructions, last=None):
    with pytest.raises(VerifyError, match=message):
        verify(HandProgram(CFG, [*instructions, last or end(instructions)]))


def test_a_pool_of_what_a_pool_has_written():
    # A unit's results are on their way when its next instruction begins to read.
    first = pool(in_base=0, out_base=FAR)
    refused(r"^instruction 1 \(POOL\): may run beside pool number 1, which uses the same act$", first, pool(in_base=FAR, out_base=2 * FAR))
    proved(first, pool({POOL: 1}, in_base=FAR, out_base=2 * FAR))
    proved(first, pool(in_base=0, out_base=FAR))  # reading the same and writing the same in order needs nothing


def drain(tickets=None, **fields):
    return Instruction("DRAIN", {"mode": 1, "out_w": 1, "out_h": 1, **fields}, tickets or {})


def test_a_drain_that_adds_what_a_drain_has_written():
    ones = dict.fromkeys(("in_w", "in_h", "in_pitch", "stride_y", "stride_x", "out_w", "out_h", "kw", "kh", "blocks", "tiles", "first"), 1)
    begin, first = Instruction("WS", ones), drain({ARRAY: 1}, out_base=FAR)
    refused("^instruction 2 .*may run beside drain number 1, which uses the same act$",
            begin, first, drain(residual=1, res_base=FAR, out_base=2 * FAR))
    proved(begin, first, drain({DRAIN: 1}, residual=1, res_base=FAR, out_base=2 * FAR))


def loads(count):
    return [load() for _ in range(count)]


def test_a_ticket_older_than_half_its_range():
    # 16 bits with a sign: 32768 behind counts as still to come, and the machine would wait for ever.
    old = [*loads(32769), store({LOAD: 2})]
    assert Instruction.decode(old[-1].encode()).tickets == {LOAD: 2}
    proved(*loads(32768), store({LOAD: 32768}))
    refused(r"^instruction 32769 \(STORE\): waits for load number 65537, and only 32769 come before it$", *loads(32769), store({LOAD: 1}))


def test_a_ticket_that_grows_too_old_while_it_is_waited_for():
    waiting = [load(), pool({LOAD: 1}, in_base=FAR, out_base=2 * FAR)]
    refused("^instruction 1: may still wait for load number 1 when number 32769 has retired$", *waiting, *loads(32768))
    proved(*waiting, *loads(32767))
    proved(*waiting, load({POOL: 1}), *loads(32767))


def test_a_ticket_of_the_future():
    refused(r"^instruction 0 \(LOAD\): waits for store number 1, and only 0 come before it$", load({STORE: 1}), store({LOAD: 1}, row=FAR))
    refused(r"^instruction 1 \(END\): waits for load number 2, and only 1 come before it$", load(), last=Instruction("END", {}, {LOAD: 2}))
    refused("^instruction 0 .*waits for load number 1, and only 0 come", load({LOAD: 1}))


def test_the_end():
    refused(r"^instruction 1 \(END\): the program ends before all units are done$", load(), last=Instruction("END", {}))
    refused("^has END as instruction 0 of 2$", Instruction("END", {}))
    with pytest.raises(VerifyError, match="^has no END$"):
        verify(HandProgram(CFG, [load()]))


def test_ports():
    refused("may run beside load number 1, which uses the same port$", load(row=0), pool(in_base=FAR, out_base=1))
    refused("may run beside store number 1, which uses the same port$", store(row=0), pool(in_base=1, out_base=FAR))
    proved(load(row=0), pool(in_base=FAR, out_base=2 * FAR))


def test_dram():
    kept = {"row": 0, "dram": 64}
    again = {"row": FAR, "dram": 64, "written": 1}
    refused("may run beside store number 1, which uses the same dram$", store(**kept), load({STORE: 1}, row=FAR, dram=64))
    proved(store(**kept), load({STORE: 1}, **again))
    proved(store(**kept), load(row=FAR, dram=64 + BEAT))
    refused("may run beside load number 1, which uses the same dram$", load(row=FAR, dram=64), store(**kept))
    # Lines apart from each other touch what is in them only.
    lines = {"lines": 2, "row_pitch": 1, "dram_pitch": 4 * BEAT}
    proved(store(row=0, dram=0, **lines), load(row=FAR, dram=BEAT, **lines))
    refused("store number 1", store(row=0, dram=0, **lines), load(row=FAR, dram=4 * BEAT))


def test_programs_do_not_change_themselves():
    refused(f"stores to bytes {CONSTANTS} to {CONSTANTS + BEAT}, where constants are$", store(dram=CONSTANTS))
    refused(f"stores to bytes {CODE} to {CODE + BEAT}, where instructions are$", store(dram=CODE))


def test_a_field_out_of_range():
    refused(r"^instruction 1: POOL\.stride_y takes 1 to 4, not 9$", load(), pool(stride_y=9))


def test_memory_that_does_not_end_with_the_instructions():
    class Longer(HandProgram):
        mem_bytes = CODE + 1024

    with pytest.raises(VerifyError, match="^its 2 instructions do not end where its memory of 33792 bytes does$"):
        verify(Longer(CFG, [load(), end([load()])]))


# -- against the plainest way ----------------------------------------------------------------------------------------


def needed(program):
    """{(instruction, entry of the clocks, number)}: what must be over when an instruction starts, pair by pair."""
    footprints = Footprints(program.cfg, program.image, (program.constants_offset, program.constants_offset + len(program.constants)))
    earlier, found = [[] for _ in UNITS], set()
    for at, i in enumerate(program.instructions[:-1]):
        this = footprints.of(i)
        beats = {this.transfer.start + line * this.transfer.pitch + b for line in range(this.transfer.lines)
                 for b in range(0, this.transfer.size, program.cfg.bus_bytes)} if this.transfer else set()  # fmt: skip
        for unit, past in enumerate(earlier):
            for number, (other, places) in enumerate(past, 1):
                if unit == i.unit:
                    meets = unit in (DRAIN, POOL) and this.read & other.written
                else:
                    meets = (this.read | this.written) & other.written or this.written & other.read
                if meets:
                    found.add((at, unit, number))
                if {i.unit, unit} == {LOAD, STORE} and beats & places:
                    found.add((at, WRITTEN if unit == STORE else LOAD, number))
        earlier[i.unit].append((this, beats))
    return found


def guaranteed(program):
    """For each instruction {entry of the clocks: numbers} that its tickets, and those before it in its queue, guarantee."""
    starts, latest, found = [[] for _ in UNITS], [set() for _ in UNITS], []
    for i in program.instructions[:-1]:
        now = set(latest[i.unit])
        for unit, count in i.tickets.items():
            if count:
                now |= starts[unit][count - 1] | {(unit, number) for number in range(1, count + 1)}
                if unit == STORE and i.fields.get("written"):
                    now |= {(WRITTEN, number) for number in range(1, count + 1)}
        latest[i.unit] = now
        starts[i.unit].append(now)
        found.append(now)
    return found


@pytest.mark.parametrize("name,cfg", [
    ("tiny_all", MachineConfig(n=2, buffer_kib=1)), ("tiny_sqnxt", MachineConfig(n=6)), ("tiny_all", CFG)])  # fmt: skip
def test_weakened_programs(name, cfg):
    """One ticket less, or one that asks for less: refused exactly if a pair of instructions is then not ordered."""
    program = compile_network(synthetic(zoo.get(name)), cfg)
    pairs, rng, verdicts = needed(program), random.Random(1), []
    places = [(at, unit) for at, i in enumerate(program.instructions[:-1]) for unit in i.tickets]
    for at, unit in [(None, None), *rng.sample(places, min(len(places), 60))]:
        weaker = copy.deepcopy(program)
        if at is not None:
            tickets = weaker.instructions[at].tickets
            tickets[unit] -= rng.choice([1, 1, 2, tickets[unit]])
            tickets[unit] = max(0, tickets[unit])
        known = guaranteed(weaker)
        good = all((unit, number) in known[place] for place, unit, number in pairs)
        verdicts.append(good)
        if good:
            verify(weaker)
        else:
            with pytest.raises(VerifyError, match=r"^instruction \d+ \([A-Z]+\): may run beside [a-z]+ number \d+, which uses the same"):
                verify(weaker)
    assert verdicts[0] and verdicts.count(False) > 20


def test_all_units_occur():
    units = {i.unit for i in compile_network(synthetic(zoo.get("tiny_all")), CFG).instructions}
    assert units >= {LOAD, ARRAY, DRAIN, POOL, STORE}
