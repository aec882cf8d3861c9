"""The checksum of instructions, against division bit by bit."""

import random

from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from squeezelerator.rtl.dma.checksum import checksum
from squeezelerator.spec.checksum import CHECK_START, program_check

GENERATOR = 1 << 32 | 1 << 22 | 1 << 2 | 1 << 1 | 1


def remainder(code):
    """The same by long division of the whole message."""
    words = [int.from_bytes(code[at : at + 4], "little") for at in range(0, len(code), 4)]
    words[0] ^= CHECK_START
    message = 0
    for word in [*words, 0]:
        message = message << 32 | word
    for bit in range(message.bit_length() - 1, 31, -1):
        if message >> bit & 1:
            message ^= GENERATOR << bit - 32
    return message


def test_it_is_the_remainder():
    rng = random.Random(1)
    for length in (4, 64, 128, 640):
        code = rng.randbytes(length)
        assert program_check(code) == remainder(code)


def test_two_flipped_bits_are_found():
    rng = random.Random(2)
    code = rng.randbytes(6400)
    whole = program_check(code)
    for _ in range(50):
        damaged = bytearray(code)
        for place in rng.sample(range(8 * len(code)), 2):
            damaged[place // 8] ^= 1 << place % 8
        assert program_check(bytes(damaged)) != whole


def test_the_hardware_takes_a_beat_at_a_time():
    rng = random.Random(3)
    for bits in (64, 128, 256):
        m = Module()
        data, check = Signal(bits), Signal(32, init=CHECK_START)
        m.d.sync += check.eq(checksum(m, check, data))
        code = rng.randbytes(bits)
        found = []

        async def bench(ctx, data=data, check=check, code=code, bits=bits, found=found):
            for at in range(0, len(code), bits // 8):
                ctx.set(data, int.from_bytes(code[at : at + bits // 8], "little"))
                await ctx.tick()
            found.append(ctx.get(check))

        sim = Simulator(m)
        sim.add_clock(1e-6)
        sim.add_testbench(bench)
        sim.run()
        assert found == [program_check(code)]
