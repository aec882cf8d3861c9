"""Registers and run control over AXI4-Lite."""

import pytest
from amaranth.hdl import DomainRenamer
from amaranth.sim import Simulator

from squeezelerator.rtl.control.host_port import Control
from squeezelerator.rtl.control.sequencer import QUIET_CYCLES
from squeezelerator.spec.machine import ISA_VERSION, MachineConfig
from squeezelerator.spec.registers import COUNTERS, JOB_PLACES, REGISTERS, config_values, counter_offset, offset_of

CFG = MachineConfig(n=3)


async def read(ctx, dut, offset, pause=0):
    """(value, response) of a register."""
    bus = dut.bus
    ctx.set(bus.araddr, offset)
    ctx.set(bus.arvalid, 1)
    await ctx.tick().until(bus.arready)
    ctx.set(bus.arvalid, 0)
    await ctx.tick().repeat(pause + 1)
    while not ctx.get(bus.rvalid):
        await ctx.tick()
    ctx.set(bus.rready, 1)
    answer = ctx.get(bus.rdata), ctx.get(bus.rresp)
    await ctx.tick()
    ctx.set(bus.rready, 0)
    return answer


async def write(ctx, dut, offset, value, *, strobe=15, first="address", pause=0):
    """Response to a write whose address or data comes ``pause`` cycles before the other."""
    bus = dut.bus
    ctx.set(bus.awaddr, offset)
    ctx.set(bus.wdata, value)
    ctx.set(bus.wstrb, strobe)
    order = [("awvalid", "awready"), ("wvalid", "wready")]
    for valid, ready in order if first == "address" else order[::-1]:
        ctx.set(getattr(bus, valid), 1)
        await ctx.tick().until(getattr(bus, ready))
        ctx.set(getattr(bus, valid), 0)
        if pause:
            await ctx.tick().repeat(pause)
    while not ctx.get(bus.bvalid):
        await ctx.tick()
    await ctx.tick().repeat(pause + 1)
    assert ctx.get(bus.bvalid)
    ctx.set(bus.bready, 1)
    response = ctx.get(bus.bresp)
    await ctx.tick()
    ctx.set(bus.bready, 0)
    assert not ctx.get(bus.bvalid)
    return response


def run(bench):
    dut = Control(cfg=CFG)

    async def testbench(ctx):
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(QUIET_CYCLES + 1)
        await bench(ctx, dut)

    sim = Simulator(DomainRenamer({"bus": "sync"})(dut))
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def test_constants():
    async def bench(ctx, dut):
        for name, value in config_values(CFG, ISA_VERSION).items():
            assert await read(ctx, dut, offset_of(name)) == (value, 0), name

    run(bench)


@pytest.mark.parametrize("first", ["address", "data"])
@pytest.mark.parametrize("pause", [0, 3])
def test_writable_registers_keep_what_is_written(first, pause):
    async def bench(ctx, dut):
        written = {}
        for number, register in enumerate(r for r in REGISTERS if r.access == "rw"):
            value = 0x9ABCDEF7 ^ number << 20
            assert await write(ctx, dut, register.offset, value, first=first, pause=pause) == 0
            kept = {"IRQ_ENABLE": 7, "PROG_COUNT": 0xFFFFFF, "MEM_BASE_LO": 0xFFFFF000, "AXI_ATTR": 0x7FF}.get(register.name, 0xFFFFFFFF)
            written[register.offset] = value & kept
        for offset, value in written.items():
            assert await read(ctx, dut, offset, pause) == (value, 0)
        assert ctx.get(dut.job.mem_base) == 0
        await write(ctx, dut, offset_of("CTRL"), 1)
        await ctx.tick().until(dut.run)
        assert ctx.get(dut.job.mem_base) == (written[offset_of("MEM_BASE_HI")] << 32 | written[offset_of("MEM_BASE_LO")]) >> 12

    run(bench)


def test_strobes_choose_bytes():
    async def bench(ctx, dut):
        offset = offset_of("MEM_SIZE")
        await write(ctx, dut, offset, 0x11223344)
        await write(ctx, dut, offset, 0xAABBCCDD, strobe=0b0101)
        assert (await read(ctx, dut, offset))[0] == 0x11BB33DD

    run(bench)


def test_addresses_without_a_register_answer_with_an_error():
    async def bench(ctx, dut):
        beyond = counter_offset(COUNTERS[-1].name) + 8
        for offset in (0x018, 0x068, beyond, 0xFFC):
            assert (await read(ctx, dut, offset))[1] == 2
            assert await write(ctx, dut, offset, 1) == 2
        assert await write(ctx, dut, offset_of("STATUS"), 7) == 2

    run(bench)


def test_counters_are_read_in_halves():
    async def bench(ctx, dut):
        ctx.set(dut.counter_value, 0xABCD_12345678)
        offset = counter_offset("macs")
        assert await read(ctx, dut, offset) == (0x12345678, 0)
        assert await read(ctx, dut, offset + 4) == (0xABCD, 0)
        assert ctx.get(dut.counter_index) == [c.name for c in COUNTERS].index("macs")

    run(bench)


def test_the_halves_of_a_counter_belong_together():
    async def bench(ctx, dut):
        ctx.set(dut.counter_value, 0x0001_FFFFFFFF)
        offset = counter_offset("macs")
        assert await read(ctx, dut, offset) == (0xFFFFFFFF, 0)
        ctx.set(dut.counter_value, 0x0002_00000000)
        assert await read(ctx, dut, offset + 4) == (1, 0)

    run(bench)


IDLE, DONE, ERROR = 1 << 6, 1 << 1, 1 << 2


async def end(ctx, dut, **fault):
    """Ends the job that runs, by END or by a fault."""
    ctx.set(dut.fault.valid if fault else dut.finish, 1)
    for name, value in fault.items():
        ctx.set(dut.fault_unit if name == "unit" else getattr(dut.fault, name), value)
    await ctx.tick()
    assert not ctx.get(dut.run)
    ctx.set(dut.finish, 0)
    ctx.set(dut.fault.valid, 0)


def test_the_core_is_reset_before_a_job_and_the_outcome_waits_for_the_memory_port():
    async def bench(ctx, dut):
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == IDLE
        assert ctx.get(dut.core_reset) and not ctx.get(dut.run)
        await write(ctx, dut, offset_of("IRQ_ENABLE"), 1)
        await write(ctx, dut, offset_of("CTRL"), 1)
        assert ctx.get(dut.run) and not ctx.get(dut.core_reset)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == 1
        ctx.set(dut.bus_idle, 0)
        ctx.set(dut.writes, 5)
        await end(ctx, dut)
        for _ in range(3):
            await ctx.tick().repeat(QUIET_CYCLES)
            assert (await read(ctx, dut, offset_of("STATUS")))[0] == 1 | 1 << 5
            assert (await read(ctx, dut, offset_of("BUS")))[0] == 5 << 8
            assert not ctx.get(dut.irq) and not ctx.get(dut.core_reset)
        # Not quiet unless for QUIET_CYCLES together.
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(QUIET_CYCLES - 1)
        ctx.set(dut.bus_idle, 0)
        await ctx.tick()
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(QUIET_CYCLES - 1)
        assert not ctx.get(dut.irq)
        await ctx.tick()
        assert ctx.get(dut.irq) and ctx.get(dut.core_reset)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == DONE | IDLE
        assert (await read(ctx, dut, offset_of("IRQ_STATUS")))[0] == 1
        await write(ctx, dut, offset_of("IRQ_STATUS"), 6)
        assert ctx.get(dut.irq)
        await write(ctx, dut, offset_of("IRQ_STATUS"), 1)
        assert not ctx.get(dut.irq)

    run(bench)


def test_an_interrupt_cleared_in_the_cycle_in_which_it_is_raised_is_not_lost():
    async def bench(ctx, dut):
        await write(ctx, dut, offset_of("IRQ_ENABLE"), 1)
        lost = []
        for early in range(QUIET_CYCLES + 4):
            await write(ctx, dut, offset_of("CTRL"), 1)
            bus = dut.bus
            await end(ctx, dut)
            # A write that takes effect ``early`` cycles after the end; only one of them hits the cycle of the interrupt.
            for _ in range(early):
                await ctx.tick()
            ctx.set(bus.awaddr, offset_of("IRQ_STATUS"))
            ctx.set(bus.wdata, 1)
            ctx.set(bus.wstrb, 15)
            ctx.set(bus.awvalid, 1)
            ctx.set(bus.wvalid, 1)
            ctx.set(bus.bready, 1)
            before = ctx.get(dut.irq)
            await ctx.tick()
            ctx.set(bus.awvalid, 0)
            ctx.set(bus.wvalid, 0)
            before = before or ctx.get(dut.irq)
            await ctx.tick().repeat(QUIET_CYCLES + 4)
            ctx.set(bus.bready, 0)
            lost.append(not before and not ctx.get(dut.irq))
            await write(ctx, dut, offset_of("IRQ_STATUS"), 1)
        assert not any(lost)

    run(bench)


@pytest.mark.parametrize("enabled", [0, 1, 2, 4, 6, 7])
def test_only_interrupts_that_are_enabled_show(enabled):
    async def bench(ctx, dut):
        await write(ctx, dut, offset_of("IRQ_ENABLE"), enabled)
        await write(ctx, dut, offset_of("CTRL"), 1)
        await end(ctx, dut)
        await ctx.tick().repeat(QUIET_CYCLES + 5)
        assert (await read(ctx, dut, offset_of("IRQ_STATUS")))[0] == 1
        assert ctx.get(dut.irq) == enabled & 1
        await write(ctx, dut, offset_of("IRQ_ENABLE"), 7)
        assert ctx.get(dut.irq)

    run(bench)


def test_a_start_while_busy_queues_or_is_refused_and_never_restarts():
    async def bench(ctx, dut):
        for number in range(5):
            await write(ctx, dut, offset_of("MEM_SIZE"), 1000 + number)
            await write(ctx, dut, offset_of("CTRL"), 1)
            assert ctx.get(dut.run) and ctx.get(dut.job.mem_size) == 1000
        assert (await read(ctx, dut, offset_of("JOBS")))[0] == JOB_PLACES << 16 | JOB_PLACES << 24
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == 1 | 1 << 4
        for number in range(1, 1 + JOB_PLACES):
            await end(ctx, dut)
            await ctx.tick().until(dut.run)
            assert ctx.get(dut.job.mem_size) == 1000 + number
            assert (await read(ctx, dut, offset_of("JOBS")))[0] == number | (JOB_PLACES - number) << 16 | JOB_PLACES << 24
        await end(ctx, dut)
        await ctx.tick().repeat(QUIET_CYCLES + 5)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == IDLE | DONE | 1 << 4
        await write(ctx, dut, offset_of("CTRL"), 1)
        assert ctx.get(dut.run) and ctx.get(dut.job.mem_size) == 1004

    run(bench)


def test_the_first_fault_is_kept_until_the_next_one():
    async def bench(ctx, dut):
        await write(ctx, dut, offset_of("IRQ_ENABLE"), 2)
        for number, (code, unit, detail) in enumerate(((3, 4, 0x1234), (5, 8, 0xFFFFFFFF))):
            # A job that ends, one that fails.
            await write(ctx, dut, offset_of("CTRL"), 1)
            await end(ctx, dut)
            await ctx.tick().repeat(QUIET_CYCLES + 5)
            status = (await read(ctx, dut, offset_of("STATUS")))[0]
            assert status & 0x7F == IDLE | DONE and (status >> 8 != 0) == (number > 0)
            await write(ctx, dut, offset_of("CTRL"), 1)
            ctx.set(dut.finish, 1)  # a fault goes before
            await end(ctx, dut, code=code, unit=unit, detail=detail)
            ctx.set(dut.fault.code, 9)
            ctx.set(dut.fault.valid, 1)  # what comes later is of no interest
            await ctx.tick()
            ctx.set(dut.fault.valid, 0)
            await ctx.tick().repeat(QUIET_CYCLES + 5)
            assert ctx.get(dut.irq)
            await write(ctx, dut, offset_of("IRQ_STATUS"), 7)
            assert (await read(ctx, dut, offset_of("STATUS")))[0] == IDLE | ERROR | code << 8 | unit << 16
            assert (await read(ctx, dut, offset_of("ERROR_DETAIL")))[0] == detail
            assert (await read(ctx, dut, offset_of("ERROR_JOB")))[0] == 1 + 2 * number

    run(bench)


def test_an_abort_drops_what_waits_and_is_answered_whatever_it_finds():
    async def bench(ctx, dut):
        async def irq_status():
            value = (await read(ctx, dut, offset_of("IRQ_STATUS")))[0]
            await write(ctx, dut, offset_of("IRQ_STATUS"), 7)
            return value

        await write(ctx, dut, offset_of("CTRL"), 1 | 2)  # the abort goes before
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == IDLE and await irq_status() == 4
        for _ in range(3):
            await write(ctx, dut, offset_of("CTRL"), 1)
        await write(ctx, dut, offset_of("CTRL"), 2)
        await ctx.tick().repeat(QUIET_CYCLES + 5)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == IDLE | 1 << 3 | 11 << 8 | 8 << 16 and await irq_status() == 4
        assert (await read(ctx, dut, offset_of("JOBS")))[0] == 1 | JOB_PLACES << 24
        # After END, with a write still open: done, and the abort is answered.
        await write(ctx, dut, offset_of("CTRL"), 1)
        ctx.set(dut.bus_idle, 0)
        await end(ctx, dut)
        await write(ctx, dut, offset_of("CTRL"), 2)
        assert await irq_status() == 0
        ctx.set(dut.bus_idle, 1)
        await ctx.tick().repeat(QUIET_CYCLES + 5)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] & 0xFF == IDLE | DONE and await irq_status() == 5

    run(bench)
