"""The sequencer by itself: what ends a job, what becomes of those that wait, and starts in the very cycle of a failure."""

import pytest
from amaranth.sim import Simulator

from squeezelerator.rtl.control.faults import CODE
from squeezelerator.rtl.control.sequencer import QUIET_CYCLES, Sequencer
from squeezelerator.spec.registers import FAULT_UNITS, LIMIT_UNIT


def run(bench):
    dut = Sequencer()

    async def testbench(ctx):
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(QUIET_CYCLES + 1)
        await bench(ctx, dut)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


async def pulse(ctx, *signals):
    """All of ``signals`` are 1 for one cycle."""
    for signal in signals:
        ctx.set(signal, 1)
    await ctx.tick()
    for signal in signals:
        ctx.set(signal, 0)


async def start(ctx, dut, count=1):
    """Start jobs, and wait until the first one runs."""
    for _ in range(count):
        await pulse(ctx, dut.start)
    while not ctx.get(dut.run):
        await ctx.tick()


async def settle(ctx, dut):
    """Wait until the bus has been quiet for long enough."""
    await ctx.tick().repeat(QUIET_CYCLES + 6)


def fail(ctx, dut, code="ROW", unit="buffer", detail=5):
    ctx.set(dut.fault.code, CODE[code])
    ctx.set(dut.fault.detail, detail)
    ctx.set(dut.fault_unit, FAULT_UNITS.index(unit))
    return dut.fault.valid


def test_a_job_that_fails_takes_those_with_it_that_wait():
    async def bench(ctx, dut):
        await start(ctx, dut, 3)
        assert ctx.get(dut.waiting) == 2
        await pulse(ctx, fail(ctx, dut))
        await settle(ctx, dut)
        assert ctx.get(dut.idle) and ctx.get(dut.error) and not ctx.get(dut.waiting) and ctx.get(dut.ended) == 1
        assert (ctx.get(dut.code), ctx.get(dut.unit), ctx.get(dut.detail)) == (CODE["ROW"], FAULT_UNITS.index("buffer"), 5)
        assert ctx.get(dut.failed) == 0

    run(bench)


@pytest.mark.parametrize("what", ["fault", "abort"])
def test_a_start_in_the_cycle_of_the_failure_is_not_lost(what):
    async def bench(ctx, dut):
        await start(ctx, dut, 2)
        await pulse(ctx, dut.start, fail(ctx, dut) if what == "fault" else dut.abort)
        assert ctx.get(dut.waiting) == 1
        await settle(ctx, dut)
        assert ctx.get(dut.run) and not ctx.get(dut.waiting) and ctx.get(dut.ended) == 1

    run(bench)


def test_an_abort_behind_the_end_drops_what_waits():
    async def bench(ctx, dut):
        await start(ctx, dut, 2)
        ctx.set(dut.bus_idle, 0)
        await pulse(ctx, dut.finish)
        await ctx.tick().repeat(3)
        assert ctx.get(dut.stopping) and ctx.get(dut.waiting) == 1
        await pulse(ctx, dut.abort)
        assert not ctx.get(dut.waiting)
        ctx.set(dut.bus_idle, 1)
        await settle(ctx, dut)
        assert ctx.get(dut.idle) and ctx.get(dut.done) and not ctx.get(dut.aborted) and ctx.get(dut.ended) == 1

    run(bench)


@pytest.mark.parametrize(("code", "error"), [("WRITE", True), ("READ", True), ("STUCK", False)])
def test_only_an_error_of_the_bus_counts_after_the_end(code, error):
    async def bench(ctx, dut):
        await start(ctx, dut)
        ctx.set(dut.bus_idle, 0)
        await pulse(ctx, dut.finish)
        await ctx.tick().repeat(2)
        await pulse(ctx, fail(ctx, dut, code, "store", 3))
        ctx.set(dut.bus_idle, 1)
        raised = 0
        for _ in range(QUIET_CYCLES + 6):
            raised |= ctx.get(dut.raised)
            await ctx.tick()
        assert ctx.get(dut.error) == error and ctx.get(dut.done) == (not error) and raised == (2 if error else 1)
        assert not error or (ctx.get(dut.code), ctx.get(dut.detail)) == (CODE[code], 3)

    run(bench)


def test_errors_count_before_the_end_and_the_limit_counts_cycles():
    async def bench(ctx, dut):
        await start(ctx, dut)
        await pulse(ctx, fail(ctx, dut), dut.finish)
        await settle(ctx, dut)
        assert ctx.get(dut.error) and not ctx.get(dut.done)
        ctx.set(dut.job.cycle_limit, 1)
        await start(ctx, dut)
        assert not ctx.get(dut.error)
        cycles = 0
        while ctx.get(dut.run):
            await ctx.tick()
            cycles += 1
        assert LIMIT_UNIT <= cycles <= LIMIT_UNIT + 3
        await settle(ctx, dut)
        assert ctx.get(dut.code) == CODE["LIMIT"] and ctx.get(dut.failed) == 1 and ctx.get(dut.cycles) == cycles
        # The end in the cycle in which the limit is found is an end.
        await start(ctx, dut)
        await ctx.tick().repeat(cycles - 1)
        await pulse(ctx, dut.finish)
        await settle(ctx, dut)
        assert ctx.get(dut.done) and ctx.get(dut.ended) == 3

    run(bench)
