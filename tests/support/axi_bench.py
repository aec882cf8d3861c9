"""A cocotb bench made of somebody else's AXI models: the machine's memory and its host are those of cocotbext-axi.

What it is to run comes in a JSON file named by the environment variable TASK; answers go to the file named there. Every channel pauses
at random.
"""

import json
import logging
import os
import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, First, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from squeezelerator.spec.registers import offset_of

BASE = 0x1_4000_0000
IDLE = 1 << 6


class ShortMemory:
    """The memory behind the port: accesses beyond its end are noted and fail, as do reads or writes whose number is in ``bad``."""

    def __init__(self, image, base=BASE):
        self.bytes = bytearray(image)
        self.base = base
        self.outside = 0
        self.bad = {"read": set(), "write": set()}
        self.count = {"read": 0, "write": 0}

    def _place(self, kind, address, length):
        number, self.count[kind] = self.count[kind], self.count[kind] + 1
        at = address - self.base
        if not 0 <= at <= len(self.bytes) - length:
            self.outside += 1
            raise ValueError("outside the memory")
        if number in self.bad[kind]:
            raise ValueError("bad on purpose")
        return at

    async def read(self, address, length, **kwargs):
        """Bytes for a read burst."""
        at = self._place("read", address, length)
        return bytes(self.bytes[at : at + length])

    async def write(self, address, data, **kwargs):
        """Takes the bytes of a write burst."""
        at = self._place("write", address, len(data))
        self.bytes[at : at + len(data)] = data


def pauses(rng, share):
    """An endless sequence: whether a channel pauses in a cycle."""
    while True:
        yield rng.random() < share


def pause_everything(rng, share, *interfaces):
    """Random pauses on every channel of a master's or slave's halves."""
    for interface in interfaces:
        for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel"):
            if hasattr(interface, name):
                getattr(interface, name).set_pause_generator(pauses(random.Random(rng.random()), share))


class Bench:
    """The machine with its host and its memory."""

    def __init__(self, dut, image, seed, share):
        self.dut = dut
        self.rng = random.Random(seed)
        self.memory = ShortMemory(image)
        cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.bus_rst)
        self.slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.bus_rst, target=self.memory)
        pause_everything(self.rng, share, self.host.write_if, self.host.read_if, self.slave.write_if, self.slave.read_if)

    async def reset(self):
        """Power-on: both resets."""
        self.dut.rst.value = self.dut.bus_rst.value = 1
        await ClockCycles(self.dut.clk, 4)
        self.dut.rst.value = self.dut.bus_rst.value = 0
        await ClockCycles(self.dut.clk, 2)

    async def write(self, name, value):
        """Write a register."""
        await self.host.write_dword(offset_of(name), value)

    async def read(self, name):
        """Read a register."""
        return await self.host.read_dword(offset_of(name))

    async def start(self, job):
        """Set the registers of ``job`` and start it."""
        for name, value in {"IRQ_STATUS": 7, "IRQ_ENABLE": 7, **job}.items():
            await self.write(name, value)
        await self.write("CTRL", 1)

    async def end(self, limit=60_000):
        """STATUS after the interrupt."""
        if not int(self.dut.irq.value):
            timeout = ClockCycles(self.dut.clk, limit)
            if await First(RisingEdge(self.dut.irq), timeout) is timeout:
                raise TimeoutError(f"no interrupt within {limit} cycles")
        return await self.read("STATUS")

    async def stop(self, how):
        """End what runs by ``abort``, ``reset`` (the register bit) or ``rst`` (the input), then wait until the machine is idle."""
        if how == "rst":
            self.dut.rst.value = 1
            await ClockCycles(self.dut.clk, 2)
            self.dut.rst.value = 0
        else:
            await self.write("CTRL", {"abort": 2, "reset": 4}[how])
        for _ in range(2000):
            if await self.read("STATUS") & IDLE:
                return
        raise TimeoutError("the machine does not become idle")


@cocotb.test()
async def run_steps(dut):
    """The steps of the task, one answer each."""
    logging.getLogger("cocotb").setLevel(logging.ERROR)
    task = json.loads(Path(os.environ["TASK"]).read_text())
    bench = Bench(dut, Path(task["image"]).read_bytes(), task["seed"], task["pause"])
    await bench.reset()
    answers = []
    for step in task["steps"]:
        bench.memory.count = {"read": 0, "write": 0}
        bench.memory.bad = {"read": set(step.get("bad_reads", [])), "write": set(step.get("bad_writes", []))}
        await bench.start(step["job"])
        if "stop" in step:
            await ClockCycles(dut.clk, step["after"])
            await bench.stop(step["stop"])
            answers.append([await bench.read("STATUS"), 0, await bench.read("BUS")])
        else:
            status = await bench.end()
            answers.append([status, await bench.read("ERROR_DETAIL"), await bench.read("BUS")])
    Path(task["memory"]).write_bytes(bench.memory.bytes)
    Path(task["result"]).write_text(json.dumps({"answers": answers, "outside": bench.memory.outside}))
