"""DRAIN: every write, every cycle, every counter of random instructions."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.unit_bench import Responder, pack, run_unit
from support.unit_model import drain

from squeezelerator.rtl.buffer.ports import DRAIN_LATENCY, ROW_READ_LATENCY
from squeezelerator.rtl.postprocess.drain import DrainUnit
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.timing.drain import DrainTiming

BIAS_ROWS = 64


def random_view(rng, name, n):
    """Where results or residuals lie."""
    return {f"{name}_base": rng.randrange(65536), f"{name}_pitch": rng.randrange(200), f"{name}_plane": rng.randrange(3000),
            f"{name}_wrap_line": rng.choice([0, 65535, rng.randrange(n + 1)]), f"{name}_wrap_rows": rng.randrange(1000)}


def random_drain(rng, cfg):
    """A DRAIN with sensible fields, often a small or a lopsided one."""
    n = cfg.n
    small = rng.random() < 0.4
    fields = {
        "mode": rng.randrange(2), "bank": rng.randrange(2), "bias_row": rng.randrange(BIAS_ROWS - 2 * cfg.rf - 4),
        "shift": rng.choice([0, 40, rng.randrange(41)]), "act": rng.randrange(4), "parm": rng.randrange(65536),
        "residual": rng.randrange(2), "post_act": rng.randrange(3), "post_parm": rng.randrange(65536),
        **random_view(rng, "out", n), **random_view(rng, "res", n),
    }
    if fields["mode"]:
        out_w = rng.randrange(1, 3 if small else 2 * n)
        out_h = rng.randrange(1, max(2, n * cfg.rf // out_w))
        entry0 = rng.randrange(max(1, cfg.rf - out_w * out_h // n))
        return Instruction("DRAIN", {**fields, "out_w": out_w, "out_h": out_h, "entry0": entry0})
    segs, seg_len = rng.randrange(1, 5), rng.randrange(1, n + 1)
    channels = rng.randrange(1, cfg.rf + 1)
    return Instruction("DRAIN", {
        **fields, "segs": segs, "seg_len": seg_len, "seg0": rng.randrange(segs),
        "out_w": rng.choice([segs * seg_len, rng.randrange(1, segs * seg_len + 1)]),
        "nrows": rng.randrange(1, 2 if small else n + 1), "channels": channels,
        "entry0": rng.randrange(cfg.rf - channels + 1),
        "lane0": rng.choice([n - 1, rng.randrange(n)]),
    })


def run(cfg, instructions, seed):
    """Runs the instructions on the RTL and compares it with the model of the unit."""
    rng = random.Random(seed)
    gen = np.random.default_rng(seed)
    n, acc = cfg.n, cfg.acc_bits
    sums = gen.integers(-(1 << acc - 1), 1 << acc - 1, (2, 64, n, n))
    sums >>= gen.integers(0, acc, sums.shape)
    sums[gen.random(sums.shape) < 0.05] = -(1 << acc - 1)
    sums[gen.random(sums.shape) < 0.05] = (1 << acc - 1) - 1
    biases = gen.integers(-32768, 32768, (BIAS_ROWS, n))
    activations = gen.choice([-32768, 32767, -1, 0, 1, 1000, -1000], (65536, n))
    dut = DrainUnit(cfg=cfg)

    def residual(row, col, lane, mask):
        words = [activations[(row + j) % 65536, lane] if col else activations[row, j] for j in range(n)]
        return pack([word if mask >> j & 1 else rng.getrandbits(16) for j, word in enumerate(words)], 16)

    responders = [
        Responder(dut.acc, ("bank", "k", "row"), DRAIN_LATENCY, lambda bank, k, row: pack(sums[bank, k, row], acc), rng),
        Responder(dut.bias, ("row",), ROW_READ_LATENCY, lambda row: pack(biases[row], 16), rng),
        Responder(dut.res, ("row", "col", "lane", "mask"), cfg.read_latency, residual, rng),
    ]
    expected = [
        (row, col, lane, len(values), values)
        for ins in instructions
        for row, col, lane, values in drain(cfg, ins, lambda k, i, b=ins["bank"]: sums[b, k, i], biases, activations)
    ]
    run_unit(dut, DrainTiming(cfg), instructions, responders, dut.out, expected, rng)


@pytest.mark.parametrize(("n", "rf", "count"), [(2, 4, 600), (3, 5, 400), (4, 8, 200), (5, 16, 80), (8, 16, 30), (16, 4, 20)])
def test_random_instructions(n, rf, count):
    cfg = MachineConfig(n=n, rf=rf)
    rng = random.Random(n)
    run(cfg, [random_drain(rng, cfg) for _ in range(count)], n)


def test_one_step_blocks_follow_each_other():
    cfg = MachineConfig(n=2, rf=8)
    plain = {"segs": 1, "seg_len": 2, "out_w": 2, "nrows": 1, "out_plane": 50, "res_plane": 70, "residual": 1}
    fields = [{**plain, "lane0": lane0, "channels": channels} for lane0 in range(2) for channels in range(1, 6)]
    fields += [{"mode": 1, "out_w": 1, "out_h": 1, "bias_row": row} for row in (1, 5)]
    run(cfg, [Instruction("DRAIN", dict(f)) for f in fields * 2], 7)


def test_a_full_register_file_of_a_full_array():
    cfg = MachineConfig(n=3, rf=64)
    full = {"segs": 1, "seg_len": 3, "out_w": 3, "nrows": 3, "channels": 64, "out_pitch": 3, "out_plane": 9, "lane0": 2}
    run(cfg, [Instruction("DRAIN", dict(full)), Instruction("DRAIN", {"mode": 1, "out_w": 3, "out_h": 64, "bank": 1})], 8)


def test_senseless_bounds_end_all_the_same():
    cfg = MachineConfig(n=2, rf=4)
    dut = DrainUnit(cfg=cfg)
    retired = 0

    async def testbench(ctx):
        nonlocal retired
        ctx.set(dut.instr.payload, int.from_bytes(Instruction("DRAIN", {"lane0": 63}).encode_unchecked(), "little"))
        ctx.set(dut.instr.valid, 1)
        for _ in range(4300):
            retired += ctx.get(dut.retire)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert retired == 2
