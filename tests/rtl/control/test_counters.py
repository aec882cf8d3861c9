"""The counter bank: exact in every cycle, also where the part of a count that lies in the memory changes."""

import random

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.sim import Simulator

from squeezelerator.rtl.control.counters import CounterBank
from squeezelerator.spec.registers import COUNTERS

NAMES = [c.name for c in COUNTERS]


def test_counts_are_exact_while_they_run_and_begin_again_with_a_reset():
    # Steps of one bit: the registers overflow as often as they can.
    events = {name: Signal(36 if name == "zeros_skipped" else 1, name=f"event_{name}") for name in NAMES[:-1]}
    extra = Signal(name="extra")
    bank = CounterBank(sources=[*events.items(), ("macs", extra)])
    rst = Signal()
    m = Module()
    m.submodules.bank = ResetInserter(rst)(bank)
    rng = random.Random(1)
    log = []  # increments of every cycle in which ``run`` was high
    failures = []

    async def bench(ctx):
        for length, busy in ((300, 1), (40, 1), (2000, 0.97)):
            ctx.set(rst, 1)
            ctx.set(bank.run, 0)
            await ctx.tick().repeat(2)
            ctx.set(rst, 0)
            # counts[t]: what is in the count in cycle t.
            counts = [dict.fromkeys(NAMES, 0)] * 2
            for cycle in range(length + 30):
                run = cycle < length
                ctx.set(bank.run, run)
                steps = {name: int(rng.random() < busy) * rng.randint(1, (1 << len(signal)) - 1) for name, signal in events.items()}
                more = int(rng.random() < busy)
                for name, signal in events.items():
                    ctx.set(signal, steps[name])
                ctx.set(extra, more)
                index = rng.randrange(len(NAMES))
                ctx.set(bank.index, index)
                now = counts[cycle]
                added = {name: now_next + (steps.get(name, 0) + (more if name == "macs" else 0)) * run
                         for name, now_next in counts[cycle + 1].items()}
                counts.append(added)
                await ctx.tick()
                value = ctx.get(bank.value)
                if value != now[NAMES[index]]:
                    failures.append((cycle, NAMES[index], value, now[NAMES[index]]))
            log.append(counts[-1])

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert not failures
    assert log[0]["cycles"] == 300 and log[0]["macs"] == 600
    assert log[2]["macs"] > 3000
    assert log[2][NAMES[-1]] == 0
