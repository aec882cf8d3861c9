"""The host of the simulated machine: a cocotb test that sets the registers, starts the program and reads the counters.

It runs inside the simulator; what it is to do comes in a JSON file named by the plusarg ``task``, what it finds goes to the file
named there. Nothing here happens every cycle. A task with ``script`` is a list of steps instead of a program, see :func:`run_script`.
"""

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, First, ReadOnly, RisingEdge, Timer

from squeezelerator.spec.registers import COUNTERS, counter_offset, offset_of

PERIOD_NS = 2
#: Every bit of IRQ_ENABLE and IRQ_STATUS.
ALL_INTERRUPTS = 7


class LiteMaster:
    """AXI4-Lite transactions, one at a time."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        for name in ("awvalid", "wvalid", "arvalid"):
            getattr(dut, f"s_axi_{name}").value = 0
        for name in ("awprot", "arprot", "awaddr", "araddr", "wdata"):
            getattr(dut, f"s_axi_{name}").value = 0
        dut.s_axi_wstrb.value = 15
        dut.s_axi_bready.value = 1
        dut.s_axi_rready.value = 1

    async def _until(self, name: str) -> None:
        """Wait for the next rising clock edge at which ``name`` is high; called at a falling edge."""
        signal = getattr(self.dut, f"s_axi_{name}")
        while not int(signal.value):
            await FallingEdge(self.dut.clk)
        await RisingEdge(self.dut.clk)

    async def write(self, offset: int, value: int) -> int:
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

    async def read(self, offset: int) -> tuple[int, int]:
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

    async def counter(self, name: str) -> int:
        """Value of a counter: the low half first, which keeps the high half."""
        low, high = [(await self.read(counter_offset(name) + half))[0] for half in (0, 4)]
        return high << 32 | low

    async def until(self, name: str, mask: int, value: int, limit: int) -> int | None:
        """The register ``name`` once its bits in ``mask`` are ``value``; None after ``limit`` reads."""
        for _ in range(limit):
            found = (await self.read(offset_of(name)))[0]
            if found & mask == value:
                return found
        return None


async def wait_for_interrupt(dut: Any, limit: int) -> bool:
    """True when the interrupt comes, False after ``limit`` cycles."""
    if int(dut.irq.value):
        return True
    timeout = Timer(limit * PERIOD_NS, "ns")
    return await First(RisingEdge(dut.irq), timeout) is not timeout


async def run_programs(dut: Any, host: LiteMaster, task: dict[str, Any]) -> list[dict[str, Any]]:
    """One or more programs, one after the other, on the same machine; returns what each left behind."""
    runs = []
    for _ in range(task.get("repeat", 1)):
        for name, value in task["registers"].items():
            await host.write(offset_of(name), value)
        await host.write(offset_of("IRQ_ENABLE"), ALL_INTERRUPTS)
        await host.write(offset_of("CTRL"), 1)
        run: dict[str, Any] = {"in_time": await wait_for_interrupt(dut, task["limit"])}
        for name in ("STATUS", "ERROR_DETAIL", "IRQ_STATUS", "ID", "VERSION", "FINGERPRINT"):
            run[name] = (await host.read(offset_of(name)))[0]
        run["counters"] = {counter.name: await host.counter(counter.name) for counter in COUNTERS}
        await host.write(offset_of("IRQ_STATUS"), ALL_INTERRUPTS)
        await ClockCycles(dut.clk, 2)
        await ReadOnly()
        run["irq_cleared"] = not int(dut.irq.value)
        runs.append(run)
        await FallingEdge(dut.clk)
    return runs


async def run_script(dut: Any, host: LiteMaster, script: list[list[Any]]) -> list[Any]:
    """Steps of a host, as lists; returns what those that have an answer found, in order.

    ``["write", register, value]``; ``["read", register]``; ``["counter", name]``; ``["cycles", count]`` waits; ``["irq", limit]`` waits
    for the interrupt and answers whether it came within so many cycles; ``["until", register, mask, value, limit]`` reads until
    ``register & mask == value`` and answers with the register, or None after so many reads; ``["rst", cycles]`` resets the machine, but
    not the memory.
    """
    answers = []
    for kind, *what in script:
        if kind == "write":
            response = await host.write(offset_of(what[0]), what[1])
            if response:
                raise ValueError(f"the write to {what[0]} was answered with {response}")
        elif kind == "read":
            answers.append((await host.read(offset_of(what[0])))[0])
        elif kind == "counter":
            answers.append(await host.counter(what[0]))
        elif kind == "cycles":
            await ClockCycles(dut.clk, what[0])
        elif kind == "irq":
            answers.append(await wait_for_interrupt(dut, what[0]))
        elif kind == "until":
            answers.append(await host.until(*what))
        elif kind == "rst":
            await FallingEdge(dut.clk)
            dut.machine_rst.value = 1
            await ClockCycles(dut.clk, what[0])
            await FallingEdge(dut.clk)
            dut.machine_rst.value = 0
        else:
            raise ValueError(f"unknown step {kind!r}")
    return answers


@cocotb.test()
async def run_task(dut: Any) -> None:
    """What the task says, then the memory's contents."""
    task = json.loads(Path(str(cocotb.plusargs["task"])).read_text())
    dut.clk.value = 0
    dut.rst.value = 1
    dut.machine_rst.value = 0
    dut.dump.value = 0
    host = LiteMaster(dut)
    cocotb.start_soon(Clock(dut.clk, PERIOD_NS, unit="ns", impl="gpi").start())
    await ClockCycles(dut.clk, 4)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    found = await (run_script(dut, host, task["script"]) if "script" in task else run_programs(dut, host, task))
    await FallingEdge(dut.clk)
    dut.dump.value = 1
    await FallingEdge(dut.clk)
    dut.dump.value = 0
    await FallingEdge(dut.clk)
    Path(task["result"]).write_text(json.dumps(found))
