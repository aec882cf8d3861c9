"""Registers and run control over AXI4-Lite."""

import pytest
from amaranth.sim import Simulator

from squeezelerator.rtl.control.host_port import Control
from squeezelerator.spec.machine import ISA_VERSION, MachineConfig
from squeezelerator.spec.registers import COUNTERS, REGISTERS, config_values, counter_offset, offset_of

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
    dut = Control(CFG)

    async def testbench(ctx):
        ctx.set(dut.idle, 1)
        await bench(ctx, dut)

    sim = Simulator(dut)
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
            kept = {"IRQ_ENABLE": 3, "PROG_COUNT": 0xFFFFFF, "MEM_BASE_LO": 0xFFFFF000}.get(register.name, 0xFFFFFFFF)
            written[register.offset] = value & kept
        for offset, value in written.items():
            assert await read(ctx, dut, offset, pause) == (value, 0)
        assert ctx.get(dut.mem_base) == (written[offset_of("MEM_BASE_HI")] << 32 | written[offset_of("MEM_BASE_LO")]) >> 12

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
        for offset in (0x018, 0x054, beyond, 0xFFC):
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


def test_start_waits_for_the_memory_port_then_resets_the_core_for_a_cycle():
    async def bench(ctx, dut):
        ctx.set(dut.idle, 0)
        await write(ctx, dut, offset_of("CTRL"), 1)
        await ctx.tick().repeat(5)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == 1
        assert not ctx.get(dut.core_reset) and not ctx.get(dut.run)
        ctx.set(dut.idle, 1)
        await ctx.tick()
        assert ctx.get(dut.core_reset) and not ctx.get(dut.run)
        await ctx.tick()
        assert not ctx.get(dut.core_reset) and ctx.get(dut.run)
        await write(ctx, dut, offset_of("CTRL"), 1)  # ignored
        ctx.set(dut.finish, 1)
        await ctx.tick()
        assert not ctx.get(dut.run)
        ctx.set(dut.finish, 0)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == 2
        assert (await read(ctx, dut, offset_of("IRQ_STATUS")))[0] == 1
        assert not ctx.get(dut.irq)
        await write(ctx, dut, offset_of("IRQ_ENABLE"), 1)
        assert ctx.get(dut.irq)
        await write(ctx, dut, offset_of("IRQ_STATUS"), 2)
        assert ctx.get(dut.irq)
        await write(ctx, dut, offset_of("IRQ_STATUS"), 1)
        assert not ctx.get(dut.irq)

    run(bench)


def test_the_first_fault_is_kept_until_the_next_start():
    async def bench(ctx, dut):
        await write(ctx, dut, offset_of("IRQ_ENABLE"), 2)
        await write(ctx, dut, offset_of("CTRL"), 1)
        await ctx.tick().until(dut.run)
        ctx.set(dut.finish, 1)  # a fault goes before
        ctx.set(dut.fault.valid, 1)
        ctx.set(dut.fault.code, 3)
        ctx.set(dut.fault.detail, 0x1234)
        ctx.set(dut.fault_unit, 4)
        await ctx.tick()
        ctx.set(dut.fault.code, 5)
        await ctx.tick()
        assert ctx.get(dut.irq) and not ctx.get(dut.run)
        assert (await read(ctx, dut, offset_of("STATUS")))[0] == 4 | 3 << 8 | 4 << 16
        assert (await read(ctx, dut, offset_of("ERROR_DETAIL")))[0] == 0x1234
        ctx.set(dut.fault.valid, 0)
        await write(ctx, dut, offset_of("CTRL"), 1)
        assert (await read(ctx, dut, offset_of("ERROR_DETAIL")))[0] == 0

    run(bench)
