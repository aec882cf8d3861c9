"""POOL: every write, every cycle, every counter of random instructions."""

import random

import numpy as np
import pytest
from support.unit_bench import Responder, pack, run_unit
from support.unit_model import FunctionTables, mul, pool

from squeezelerator.rtl.postprocess.pool import PoolUnit
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.pool import PoolTiming


def writes(cfg, instructions, activations):
    """Writes (row, N values) of all instructions, in order."""
    tables = FunctionTables()
    of = {"POOL": pool, "MUL": mul, "LOOKUP": tables.lookup, "TABLE": tables.table}
    for ins in instructions:
        yield from of[ins.op](cfg, ins, activations)


def random_pool(rng, budget):
    """A POOL of at most ``budget`` window positions, with padding, strides and rings."""
    while True:
        kh, kw = rng.choice([(1, 1), (1, 2), (2, 1), (3, 3), (rng.randrange(1, 6), rng.randrange(1, 6))])
        out_h, out_w, blocks = rng.randrange(1, 6), rng.randrange(1, 6), rng.randrange(1, 4)
        if kh * kw * out_h * out_w * blocks <= budget:
            break
    lines = rng.randrange(1, 12)
    return Instruction("POOL", {
        "in_base": rng.randrange(65536), "in_w": rng.randrange(1, 12), "in_h": lines, "in_pitch": rng.randrange(100),
        "wrap_line": rng.choice([0, 65535, rng.randrange(lines)]), "wrap_rows": rng.randrange(500),
        "y0": rng.randrange(-4, 4), "x0": rng.randrange(-4, 4),
        "stride_y": rng.randrange(1, 5), "stride_x": rng.randrange(1, 5), "in_plane": rng.randrange(2000),
        "kw": kw, "kh": kh, "kind": rng.randrange(2), "shift": rng.choice([0, 16, 40, rng.randrange(41)]),
        "mult": rng.choice([1, 65535, 65536 // (kh * kw) % 65536, rng.randrange(65536)]),
        "out_base": rng.randrange(65536), "out_pitch": rng.randrange(100), "out_plane": rng.randrange(2000),
        "out_wrap_line": rng.choice([0, 65535, rng.randrange(out_h + 1)]), "out_wrap_rows": rng.randrange(500),
        "out_w": out_w, "out_h": out_h, "blocks": blocks,
    })


def run(cfg, instructions, seed):
    """Runs the instructions on the RTL and compares it with the model of the unit."""
    rng = random.Random(seed)
    gen = np.random.default_rng(seed)
    activations = gen.integers(-32768, 32768, (65536, cfg.n)) >> gen.integers(0, 16, (65536, cfg.n))
    activations[gen.random(activations.shape) < 0.2] = -32768
    activations[gen.random(activations.shape) < 0.1] = 32767
    dut = PoolUnit(cfg=cfg)

    def read(row, col, mask):
        assert (col, mask) == (0, (1 << cfg.n) - 1)
        return pack(activations[row], 16)

    responders = [Responder(dut.rd, ("row", "col", "mask"), cfg.read_latency, read, rng)]
    expected = [(row, 0, 0, cfg.n, values) for row, values in writes(cfg, instructions, activations)]
    run_unit(dut, PoolTiming(cfg), instructions, responders, dut.wr, expected, rng)


@pytest.mark.parametrize(("n", "count"), [(2, 250), (3, 200), (4, 150), (5, 100), (8, 50), (16, 20)])
def test_random_instructions(n, count):
    rng = random.Random(n)
    run(MachineConfig(n=n), [random_pool(rng, 150) for _ in range(count)], n)


@pytest.mark.parametrize("kind", [0, 1])
def test_the_largest_window(kind):
    whole = {"in_w": 31, "in_h": 31, "in_pitch": 31, "kw": 31, "kh": 31, "stride_y": 1, "stride_x": 1, "kind": kind,
             "mult": 34, "shift": 15, "out_w": 1, "out_h": 1, "blocks": 1}
    lowest = np.full((65536, 2), -32768)
    cfg = MachineConfig(n=2)
    dut = PoolUnit(cfg=cfg)
    ins = Instruction("POOL", whole)
    rng = random.Random(0)
    responders = [Responder(dut.rd, ("row",), cfg.read_latency, lambda row: pack(lowest[row], 16), rng)]
    expected = [(row, 0, 0, 2, values) for row, values in pool(cfg, ins, lowest)]
    run_unit(dut, PoolTiming(cfg), [ins], responders, dut.wr, expected, rng)


def test_windows_that_see_no_input():
    outside = {"in_w": 2, "in_h": 2, "in_pitch": 2, "y0": 5, "x0": -9, "kw": 2, "kh": 2, "stride_y": 2, "stride_x": 2,
               "mult": 65535, "out_w": 2, "out_h": 2, "blocks": 2}
    run(MachineConfig(n=3), [Instruction("POOL", {**outside, "kind": kind}) for kind in (0, 1, 0)], 1)


# -- machines with functions --------------------------------------------------------------------------------------------------------------


def random_entries(rng):
    """Fields of the slopes and offsets of a TABLE, extreme ones among them."""
    return {f"{name}{entry}": rng.choice([-(1 << bits - 1), (1 << bits - 1) - 1, 0, rng.randrange(-(1 << bits - 1), 1 << bits - 1)])
            for entry in range(8) for name, bits in (("slope", 16), ("offset", 32))}  # fmt: skip


def random_function(rng):
    """A MUL or LOOKUP of a map like a POOL's, or a TABLE."""
    fields = random_pool(rng, 80).fields
    kept = {name: value for name, value in fields.items() if name not in ("kw", "kh", "kind", "mult")}
    name = rng.choice(["MUL", "LOOKUP", "LOOKUP", "TABLE"])
    if name == "MUL":
        kept |= {"broadcast": rng.randrange(2), "other_base": rng.randrange(65536), "other_pitch": rng.randrange(100),
                 "other_plane": rng.randrange(2000), "other_wrap_line": rng.choice([0, 65535, rng.randrange(8)]),
                 "other_wrap_rows": rng.randrange(500), "shift": rng.randrange(41)}
    elif name == "LOOKUP":
        kept |= {"segment": rng.randrange(9), "table": rng.randrange(2), "shift": rng.choice([0, 31, rng.randrange(32)])}
    else:
        kept = {"first": rng.randrange(512), **random_entries(rng)}
    return Instruction(name, kept)


@pytest.mark.parametrize(("n", "count"), [(2, 250), (3, 100), (5, 60)])
def test_products_and_tables_between_windows(n, count):
    """All mixed, one after the other without a gap where the bench leaves none: nothing of one instruction shows in another."""
    rng = random.Random(n)
    filled = [Instruction("TABLE", {"first": first, **random_entries(rng)}) for first in range(0, 512, 8)]
    mixed = [random_function(rng) if rng.randrange(3) else random_pool(rng, 60) for _ in range(count)]
    run(MachineConfig(n=n, functions=True), filled + mixed, n)


def test_a_table_is_replaced_behind_the_last_look_up():
    """The shortest instructions in turn: each LOOKUP sees the entries that stand before it, and no others."""
    rng = random.Random(9)
    single = {"in_w": 60, "in_h": 1, "in_pitch": 60, "stride_y": 1, "stride_x": 1, "out_w": 1, "out_h": 1, "blocks": 1}
    filled = [Instruction("TABLE", {"first": first, **random_entries(rng)}) for first in range(0, 512, 8)]
    turns = [Instruction("LOOKUP", {**single, "in_base": rng.randrange(65536), "segment": 8, "shift": 16}) if rng.randrange(2)
             else Instruction("TABLE", {"first": 8 * rng.randrange(32), **random_entries(rng)}) for _ in range(300)]  # fmt: skip
    run(MachineConfig(n=2, functions=True), filled + turns, 9)
