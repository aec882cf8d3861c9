"""The AXI4-Lite port under a host that asks ahead and answers late: every transaction once, in order, answers that stand still."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from squeezelerator.rtl.control.lite_port import LitePort

#: What the registers behind the port answer.
BAD = 0x40


class Channel:
    """Sends items over a channel with VALID and READY, with pauses; an item that is offered stays until it is taken."""

    def __init__(self, bus, name, fields, rng):
        self.valid, self.ready = getattr(bus, f"{name}valid"), getattr(bus, f"{name}ready")
        self.fields, self.rng = fields, rng
        self.queue, self.sent, self.offered = deque(), 0, False

    def before(self, ctx):
        if self.queue and not self.offered and self.rng.randrange(3):
            self.offered = True
            for signal, value in zip(self.fields, self.queue[0], strict=True):
                ctx.set(signal, value)
        ctx.set(self.valid, self.offered)

    def after(self, ctx):
        if self.offered and ctx.get(self.ready):
            self.queue.popleft()
            self.sent, self.offered = self.sent + 1, False


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_doubled_or_changed(seed):
    rng = random.Random(seed)
    dut, count, failures = LitePort(), 60, []
    writes = [(rng.randrange(0, 0x80, 4), rng.getrandbits(32), rng.randrange(16)) for _ in range(count)]
    reads = [rng.randrange(0, 0x80, 4) for _ in range(count)]
    done, write_answers, read_answers = [], [], []

    async def bench(ctx):
        bus = dut.bus
        aw, w = Channel(bus, "aw", (bus.awaddr,), rng), Channel(bus, "w", (bus.wdata, bus.wstrb), rng)
        ar = Channel(bus, "ar", (bus.araddr,), rng)
        aw.queue.extend((address,) for address, _, _ in writes)
        w.queue.extend((word, strobe) for _, word, strobe in writes)
        ar.queue.extend((address,) for address in reads)
        waiting = {"b": None, "r": None}
        for _ in range(4000):
            for channel in (aw, w, ar):
                channel.before(ctx)
            ready = {"b": rng.randrange(4) == 0, "r": rng.randrange(4) == 0}
            ctx.set(bus.bready, ready["b"])
            ctx.set(bus.rready, ready["r"])
            ctx.set(dut.write_error, ctx.get(dut.write_address) >= BAD)
            ctx.set(dut.read_error, ctx.get(dut.read_address) >= BAD)
            ctx.set(dut.read_data, ctx.get(dut.read_address) * 3)
            if ctx.get(dut.write):
                done.append((ctx.get(dut.write_address), ctx.get(dut.word), ctx.get(dut.strobe)))
            for name, answers, what in (("b", write_answers, (bus.bresp,)), ("r", read_answers, (bus.rdata, bus.rresp))):
                valid, now = ctx.get(getattr(bus, f"{name}valid")), tuple(ctx.get(signal) for signal in what)
                if waiting[name] is not None and (not valid or now != waiting[name]):
                    failures.append(f"an answer on {name} changed while it waited")
                waiting[name] = now if valid and not ready[name] else None
                if valid and ready[name]:
                    answers.append(now)
            for channel in (aw, w, ar):
                channel.after(ctx)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    assert not failures
    assert done == writes and write_answers == [(2 * (address >= BAD),) for address, _, _ in writes]
    assert read_answers == [(address * 3, 2 * (address >= BAD)) for address in reads]
