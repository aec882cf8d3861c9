"""Runs a unit on a list of instructions, beside memories that answer on time, and compares cycles, writes and counters."""

from collections import deque

from amaranth.sim import Simulator

from squeezelerator.spec.isa import INSTRUCTION_BYTES


def pack(values, width):
    """Packs signed or unsigned numbers, the first in the lowest bits."""
    return sum((int(v) & (1 << width) - 1) << width * j for j, v in enumerate(values))


def unpack(value, width, count):
    """The ``count`` signed numbers of ``width`` bits in ``value``."""
    parts = [value >> width * j & (1 << width) - 1 for j in range(count)]
    return [part - (part >> width - 1 << width) for part in parts]


class Responder:
    """A memory behind a read port: ``answer(request)`` gives the data that comes ``latency`` cycles later, else junk."""

    def __init__(self, port, members, latency, answer, rng):
        self.port, self.members, self.latency = port, members, latency
        self.answer, self.rng = answer, rng
        self.queue = deque([None] * latency)

    def before(self, ctx):
        """Puts the answer that is due on the port."""
        due = self.queue.popleft()
        width = len(self.port.data)
        ctx.set(self.port.data, self.rng.getrandbits(width) if due is None else due)

    def after(self, ctx):
        """Takes this cycle's request."""
        request = None
        if ctx.get(self.port.en):
            request = self.answer(*(ctx.get(getattr(self.port, name)) for name in self.members))
        self.queue.append(request)


def run_unit(dut, timing, instructions, responders, write_port, expected, rng):
    """Offers the instructions with random pauses, half of them none.

    ``expected``: all writes in order, as (row, col, lane, words in use, values). Raises AssertionError for the first
    difference in acceptance, retirement, writes or counters.
    """
    words = [int.from_bytes(ins.encode_unchecked(), "little") for ins in instructions]
    assert all(len(ins.encode_unchecked()) == INSTRUCTION_BYTES for ins in instructions)
    n = len(write_port.mask)

    async def testbench(ctx):
        counts = dict.fromkeys(dut.events(dut.cfg), 0)
        offered, pause, ready_at = 0, rng.randrange(3), 0
        retires = deque()
        writes = deque(expected)
        cycle = 0
        while offered < len(words) or retires:
            for responder in responders:
                responder.before(ctx)
            valid = offered < len(words) and pause == 0
            ctx.set(dut.instr.valid, valid)
            ctx.set(dut.instr.payload, words[offered] if valid else rng.getrandbits(512))
            assert ctx.get(dut.instr.ready) == (cycle >= ready_at), f"ready in cycle {cycle}, expected from {ready_at} on"
            if valid and cycle >= ready_at:
                ready_at, retire_at = timing.accept(instructions[offered], cycle)
                assert not retires or retires[-1] < retire_at
                retires.append(retire_at)
                offered += 1
                pause = rng.choice([0, 0, rng.randrange(4), rng.randrange(30)])
            elif pause:
                pause -= 1
            for responder in responders:
                responder.after(ctx)
            if ctx.get(write_port.en):
                assert writes, f"unexpected write in cycle {cycle}"
                row, col, lane, used, values = writes.popleft()
                got = tuple(ctx.get(getattr(write_port, name)) for name in ("row", "col", "mask"))
                assert got == (row, col, (1 << used) - 1), f"cycle {cycle}"
                assert not col or ctx.get(write_port.lane) == lane, f"cycle {cycle}"
                assert unpack(ctx.get(write_port.data), 16, n)[:used] == values, f"cycle {cycle}"
            for name in counts:
                counts[name] += ctx.get(getattr(dut, f"ev_{name}"))
            if retires and retires[0] == cycle:
                assert ctx.get(dut.retire), f"no retirement in cycle {cycle}"
                retires.popleft()
            else:
                assert not ctx.get(dut.retire), f"retirement in cycle {cycle}, expected {list(retires)}"
            await ctx.tick()
            cycle += 1
        assert not writes, f"{len(writes)} writes are missing"
        totals = dict.fromkeys(dut.events(dut.cfg), 0)
        for ins in instructions:
            for name, value in timing.counters(ins).items():
                totals[name] += value
        assert counts == totals

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
