"""Requantisation, activation and residual, word for word, at the extremes too."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.unit_model import post

from squeezelerator.rtl.postprocess.post import POST_LATENCY, RESIDUAL_OFFSET, Post
from squeezelerator.spec.functions.activations import AFTER_SUM, ActivationCode
from squeezelerator.spec.machine import MachineConfig

SETTINGS = ("shift", "act", "parm", "residual", "post_act", "post_parm")


def interesting(rng, bits):
    """A signed number of ``bits`` bits: an extreme, near zero, near a power of two, or any."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    power = 1 << rng.randrange(bits - 1)
    value = rng.choice([low, low + 1, high, high - 1, rng.randrange(-3, 4), power, -power, power - 1, -power - 1,
                        rng.randrange(low, high + 1), rng.randrange(low, high + 1) >> rng.randrange(bits)])
    return max(low, min(high, value))


def pack(values, width):
    return sum((int(v) & (1 << width) - 1) << width * j for j, v in enumerate(values))


@pytest.mark.parametrize(("n", "acc_bits"), [(2, 40), (3, 34), (5, 48)])
def test_every_lane_computes_the_definition(n, acc_bits):
    cfg = MachineConfig(n=n, acc_bits=acc_bits)
    rng = random.Random(n)
    dut = Post(cfg=cfg)
    cases = []
    for _ in range(1500):
        cases.append({
            "acc": [interesting(rng, acc_bits) for _ in range(n)], "bias": [interesting(rng, 32) for _ in range(n)],
            "res": [interesting(rng, 16) for _ in range(n)],
            "shift": rng.choice([0, 0, 1, 8, 16, 31, 40, rng.randrange(41)]), "act": rng.choice(list(ActivationCode)),
            "parm": rng.choice([0, 1, 6 << 8, 3277, 32767, 65535, rng.randrange(65536)]),
            "residual": rng.randrange(2), "post_act": rng.randrange(AFTER_SUM.most + 1),
            "post_parm": rng.choice([0, 1, 32767, 65535, rng.randrange(65536)]),
        })
    seen = set()

    async def testbench(ctx):
        for cycle in range(len(cases) + POST_LATENCY):
            if cycle < len(cases):
                case = cases[cycle]
                ctx.set(dut.acc, pack(case["acc"], acc_bits))
                ctx.set(dut.bias, pack(case["bias"], 32))
                for name in SETTINGS:
                    ctx.set(getattr(dut, name), case[name])
            if 0 <= cycle - RESIDUAL_OFFSET < len(cases):
                ctx.set(dut.res, pack(cases[cycle - RESIDUAL_OFFSET]["res"], 16))
            if cycle >= POST_LATENCY:
                case = cases[cycle - POST_LATENCY]
                acc, bias, res = (np.array(case[name], dtype=np.int64) for name in ("acc", "bias", "res"))
                want = post(acc, bias, res, **{name: case[name] for name in SETTINGS})
                assert ctx.get(dut.data) == pack(want, 16), case
                seen.update(int(v) for v in want)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()
    assert {-32768, 32767, 0, 1, -1} <= seen
