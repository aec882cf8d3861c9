"""Queues, tickets and retire counters."""

import random

from amaranth.sim import Simulator

from squeezelerator.rtl.control.queues import InstructionQueue, RetireCounters, used_bits
from squeezelerator.spec import isa
from squeezelerator.spec.isa import Instruction


def word_of(instr):
    return int.from_bytes(instr.encode_unchecked(), "little")


def run(dut, bench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def test_used_bits_hold_every_field():
    rng = random.Random(1)
    for op in isa.OPS:
        fields = {f.name: rng.randrange(1 << f.width - 1) for f in op.fields}
        word = word_of(Instruction(op.name, fields, dict.fromkeys(range(5), 65535)))
        if op.unit is not None:
            assert word & ~used_bits(op.unit) == 0


def test_order_depth_and_timing():
    dut = InstructionQueue(unit=isa.LOAD, depth=4)
    words = [word_of(Instruction("LOAD", {"rows": i + 1, "dram": 16 * i})) for i in range(20)]

    async def bench(ctx):
        rng = random.Random(2)
        ctx.set(dut.run, 1)
        pushed, popped, held = 0, 0, 0
        while popped < len(words):
            push, pop = rng.random() < 0.7 and pushed < len(words), rng.random() < 0.4
            ctx.set(dut.push.valid, push)
            ctx.set(dut.push.payload, words[min(pushed, len(words) - 1)])
            ctx.set(dut.instr.ready, pop)
            assert ctx.get(dut.push.ready) == (held < 4)
            assert ctx.get(dut.instr.valid) == (held > 0)
            took = push and ctx.get(dut.push.ready)
            if pop and held:
                assert ctx.get(dut.instr.payload) == words[popped]
            gave = pop and held > 0
            await ctx.tick()
            pushed, popped, held = pushed + took, popped + gave, held + took - gave

    run(dut, bench)


def test_tickets_hold_an_instruction_back_until_the_count_is_reached():
    dut = InstructionQueue(unit=isa.ARRAY, depth=4)
    instr = Instruction("OS", {"records": 1}, {isa.LOAD: 3, isa.DRAIN: 65535})

    async def bench(ctx):
        ctx.set(dut.run, 1)
        ctx.set(dut.push.valid, 1)
        # A count that is not meant is no ticket.
        ctx.set(dut.push.payload, word_of(instr) | 7 << 16 * (1 + isa.POOL))
        await ctx.tick()
        ctx.set(dut.push.valid, 0)
        for load, drain, waits in ((2, 0, 0b001), (3, 65534, 0b100), (0, 65530, 0b101), (3, 65535, 0), (3, 2, 0), (32770, 1, 0),
                                   (65535, 1, 0b001)):
            ctx.set(dut.retiring[isa.LOAD], load)
            ctx.set(dut.retiring[isa.DRAIN], drain)
            await ctx.tick()
            assert ctx.get(dut.waits) == waits, (load, drain)
            assert ctx.get(dut.instr.valid) == (waits == 0)
        ctx.set(dut.retiring[isa.LOAD], 3)
        await ctx.tick()
        assert ctx.get(dut.instr.valid)
        ctx.set(dut.run, 0)
        assert not ctx.get(dut.instr.valid)

    run(dut, bench)


def test_loads_ticket_for_store_has_two_meanings():
    dut = InstructionQueue(unit=isa.LOAD, depth=4)
    words = [word_of(Instruction("LOAD", {"rows": 1, "written": written}, {isa.STORE: 2})) for written in (0, 1)]

    async def bench(ctx):
        ctx.set(dut.run, 1)
        ctx.set(dut.push.valid, 1)
        for word in words:
            ctx.set(dut.push.payload, word)
            await ctx.tick()
        ctx.set(dut.push.valid, 0)
        for pop, read, written, ready in ((0, 1, 0, False), (0, 2, 1, True), (0, 3, 1, True), (1, 3, 1, False), (0, 3, 1, False),
                                          (0, 3, 2, True)):
            ctx.set(dut.retiring[isa.STORE], read)
            ctx.set(dut.written, written)
            ctx.set(dut.instr.ready, pop)
            await ctx.tick()
            assert ctx.get(dut.instr.valid) == ready, (read, written)
            assert ctx.get(dut.waits) == (0 if ready else 1 << isa.STORE)

    run(dut, bench)


def test_retirements_show_one_cycle_later():
    dut = RetireCounters()

    async def bench(ctx):
        rng = random.Random(3)
        counts, reads = [0] * 5, 0
        for _ in range(50):
            pulses, read = rng.randrange(32), rng.randrange(2)
            ctx.set(dut.retire, pulses)
            ctx.set(dut.read, read)
            assert ctx.get(dut.reading) == reads + read
            reads += read
            assert [ctx.get(dut.retired[u]) for u in range(5)] == counts
            assert [ctx.get(dut.retiring[u]) for u in range(5)] == [count + (pulses >> u & 1) for u, count in enumerate(counts)]
            await ctx.tick()
            counts = [count + (pulses >> u & 1) for u, count in enumerate(counts)]
        # What is left when the program has ended changes no more.
        ctx.set(dut.run, 0)
        ctx.set(dut.retire, 31)
        await ctx.tick().repeat(3)
        assert [ctx.get(dut.retired[u]) for u in range(5)] == counts

    run(dut, bench)
