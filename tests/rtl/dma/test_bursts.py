"""The burst generator against its definition, with random back-pressure."""

import random

import pytest
from amaranth.sim import Simulator

from squeezelerator.rtl.dma.bursts import BurstGenerator
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.dma import burst_beats


def collect(cfg, *, offset, line_beats, lines, pitch, limit, max_beats, pause, rng, single=False):
    """([(offset, beats, final)], fault offset or None)."""
    dut = BurstGenerator(cfg=cfg, max_beats=max_beats, beats_width=20, single=single)
    values = {"offset": offset, "line_beats": line_beats, "limit": limit, **({} if single else {"lines": lines, "pitch": pitch})}
    bursts, fault = [], None

    async def bench(ctx):
        nonlocal fault
        for name, value in values.items():
            ctx.set(getattr(dut, name), value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        refused = False
        while True:
            ctx.set(dut.enable, rng.random() >= pause)
            ctx.set(dut.request.ready, rng.random() >= pause)
            space = max_beats if rng.random() >= pause else rng.randrange(max_beats + 1)
            ctx.set(dut.space, space)
            if ctx.get(dut.fault):
                fault = ctx.get(dut.request.payload.offset)
                assert not ctx.get(dut.request.valid)
                return
            if not ctx.get(dut.busy):
                return
            # Only a fault, reported a cycle later, keeps the next request from being there.
            assert not refused, "neither a request nor a fault"
            refused = pause == 0 and not ctx.get(dut.request.valid)
            assert not ctx.get(dut.request.valid) or ctx.get(dut.request.payload.beats) <= space
            if ctx.get(dut.request.valid) and ctx.get(dut.request.ready):
                bursts.append((ctx.get(dut.request.payload.offset), ctx.get(dut.request.payload.beats), ctx.get(dut.final)))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
    return bursts, fault


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_blocks_are_cut_as_defined(seed, single):
    rng = random.Random(seed)
    cfg = MachineConfig(n=4, bus_bits=rng.choice([64, 128, 256]))
    size = cfg.bus_bytes
    offset, pitch = rng.randrange(1000) * size, rng.randrange(600) * size
    line_beats, lines, most = rng.randrange(1, 400), 1 if single else rng.randrange(1, 5), rng.choice([1, 16, 64])
    bursts, fault = collect(cfg, offset=offset, line_beats=line_beats, lines=lines, pitch=pitch, limit=1 << 24, max_beats=most,
                            pause=rng.choice([0, 0.3]), rng=rng, single=single)
    expected = []
    for line in range(lines):
        at = offset + line * pitch
        for beats in burst_beats(at, line_beats, most=most, beat_bytes=size):
            assert at // 4096 == (at + beats * size - 1) // 4096
            expected.append((at, beats, 0))
            at += beats * size
    expected[-1] = (*expected[-1][:2], 1)
    assert fault is None
    assert bursts == expected


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize(("offset", "limit", "fault", "count"), [
    (0x100, 0x100, 0x100, 0),  # nothing fits
    (0x100, 0x200, None, 1),  # exactly
    (0x100, 0x1FF, 0x100, 0),  # one byte short
    (0xFC0, 0x1080, 0x1000, 1),  # the part before the 4 KiB boundary fits
    (0x108, 0x1000, 0x108, 0),  # not aligned
    (0xFFFFFFC0, 0xFFFFFFFF, 0xFFFFFFC0, 0),  # beyond 32 bits
])
def test_what_lies_outside_is_not_asked_for(offset, limit, fault, count, single):
    cfg = MachineConfig(n=4)
    bursts, found = collect(cfg, offset=offset, line_beats=16, lines=1, pitch=0, limit=limit, max_beats=64, pause=0,
                            rng=random.Random(0), single=single)
    assert found == fault
    assert len(bursts) == count
