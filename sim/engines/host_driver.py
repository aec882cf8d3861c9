"""The host of the simulated machine: a cocotb test that sets the registers, starts the program and reads the counters.

It runs inside the simulator; what it is to do comes in a JSON file named by the plusarg ``task``, what it finds goes to the file
named there. Nothing here happens every cycle.
"""

import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, ReadOnly, RisingEdge, Timer

from squeezelerator.spec.registers import COUNTERS, counter_offset, offset_of

PERIOD_NS = 2


class LiteMaster:
    """AXI4-Lite transactions, one at a time."""

    def __init__(self, dut):
        self.dut = dut
        for name in ("awvalid", "wvalid", "arvalid"):
            getattr(dut, f"s_axi_{name}").value = 0
        for name in ("awprot", "arprot", "awaddr", "araddr", "wdata"):
            getattr(dut, f"s_axi_{name}").value = 0
        dut.s_axi_wstrb.value = 15
        dut.s_axi_bready.value = 1
        dut.s_axi_rready.value = 1

    async def _until(self, name):
        """Wait for the next rising clock edge at which ``name`` is high; called at a falling edge."""
        signal = getattr(self.dut, f"s_axi_{name}")
        while not int(signal.value):
            await FallingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)

    async def write(self, offset, value):
        """Write a register; returns the response."""
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.s_axi_awaddr.value, dut.s_axi_awvalid.value = offset, 1
        await self._until("awready")
        dut.s_axi_awvalid.value = 0
        await FallingEdge(dut.clk)
        dut.s_axi_wdata.value, dut.s_axi_wvalid.value = value, 1
        await self._until("wready")
        dut.s_axi_wvalid.value = 0
        await FallingEdge(dut.clk)
        while not int(dut.s_axi_bvalid.value):
            await FallingEdge(dut.clk)
        response = int(dut.s_axi_bresp.value)
        await RisingEdge(dut.clk)
        return response

    async def read(self, offset):
        """Read a register; returns (value, response)."""
        dut = self.dut
        await FallingEdge(dut.clk)
        dut.s_axi_araddr.value, dut.s_axi_arvalid.value = offset, 1
        await self._until("arready")
        dut.s_axi_arvalid.value = 0
        await FallingEdge(dut.clk)
        while not int(dut.s_axi_rvalid.value):
            await FallingEdge(dut.clk)
        answer = int(dut.s_axi_rdata.value), int(dut.s_axi_rresp.value)
        await RisingEdge(dut.clk)
        return answer


async def wait_for_interrupt(dut, limit):
    """True when the interrupt comes, False after ``limit`` cycles."""
    if int(dut.irq.value):
        return True
    timeout = Timer(limit * PERIOD_NS, "ns")
    return await First(RisingEdge(dut.irq), timeout) is not timeout


@cocotb.test()
async def run_program(dut):
    """One or more programs, one after the other, on the same machine."""
    task = json.loads(Path(cocotb.plusargs["task"]).read_text())
    dut.clk.value = 0
    dut.rst.value = 1
    dut.dump.value = 0
    host = LiteMaster(dut)
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns", impl="gpi").start())
    await ClockCycles(dut.clk, 4)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    runs = []
    for number in range(task.get("repeat", 1)):
        for name, value in task["registers"].items():
            await host.write(offset_of(name), value)
        await host.write(offset_of("IRQ_ENABLE"), 3)
        await host.write(offset_of("CTRL"), 1)
        in_time = await wait_for_interrupt(dut, task["limit"])
        await ClockCycles(dut.clk, task.get("settle", 20))
        run = {"in_time": in_time}
        for name in ("STATUS", "ERROR_DETAIL", "IRQ_STATUS", "ID", "VERSION", "FINGERPRINT"):
            run[name] = (await host.read(offset_of(name)))[0]
        counters = {}
        for counter in COUNTERS:
            low, high = [(await host.read(counter_offset(counter.name) + half))[0] for half in (0, 4)]
            counters[counter.name] = high << 32 | low
        run["counters"] = counters
        await host.write(offset_of("IRQ_STATUS"), 3)
        await ClockCycles(dut.clk, 2)
        await ReadOnly()
        run["irq_cleared"] = not int(dut.irq.value)
        runs.append(run)
        if number + 1 < task.get("repeat", 1):
            await FallingEdge(dut.clk)
    await FallingEdge(dut.clk)
    dut.dump.value = 1
    await FallingEdge(dut.clk)
    dut.dump.value = 0
    await FallingEdge(dut.clk)
    Path(task["result"]).write_text(json.dumps(runs))
