"""The check of field ranges, against the table."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from squeezelerator.rtl.control.ranges import out_of_range
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig


def words(cfg, rng):
    """(word, whether a field is out of its range) of every operation with every limited field at, below and above its limits."""
    for op in isa.machine_ops(cfg):
        modes = (0, 1) if any(f.name == "mode" for f in op.fields) else (None,)
        for mode in modes:
            inside = {f.name: f.limits(cfg) for f in op.fields}
            base = {name: rng.randint(low, high) for name, (low, high) in inside.items()}
            if mode is not None:
                base["mode"] = mode
            yield isa.Instruction(op.name, dict(base)), False
            for f in op.fields:
                low, high = f.limits(cfg)
                for value in (low - 1, low, high, high + 1):
                    if f.name != "mode" and f.span[0] <= value <= f.span[1]:
                        counts = f.mode is None or f.mode == mode
                        yield isa.Instruction(op.name, {**base, f.name: value}), counts and not low <= value <= high


@pytest.mark.parametrize("cfg", [MachineConfig(n=3, rf=17, functions=True), MachineConfig(n=16)])
def test_every_limit_of_the_table_is_checked(cfg):
    m = Module()
    word, bad = Signal(512), Signal()
    m.d.comb += bad.eq(out_of_range(word, cfg))
    cases = list(words(cfg, random.Random(1)))
    assert sum(refused for _, refused in cases) > 30

    async def bench(ctx):
        for instr, refused in cases:
            ctx.set(word, int.from_bytes(instr.encode_unchecked(), "little"))
            assert ctx.get(bad) == refused, str(instr)
        # An opcode that does not exist has no fields, whatever it has in common with one that does.
        for opcode in {0, 255, *(op.code + bit for op in isa.OPS for bit in (8, 16, 128))} - set(isa.BY_CODE):
            ctx.set(word, opcode)
            assert not ctx.get(bad)

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
