"""Packed weights: the unpacker against plain lists, with gaps between the beats, and beside rows that are not packed."""

import functools
import operator
import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from squeezelerator.compiler.mapping.weight_packing import pack, packed_size
from squeezelerator.rtl.dma.unpack import Unpacker
from squeezelerator.spec.constants.dma import UNPACK_CYCLES, load_cycles
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.weight_decode import unpack

#: (N, bits of the bus): one and two words of bitmap, whole and broken beats, rows of two to eight beats.
MACHINES = [(5, 64), (8, 64), (9, 64), (9, 128), (12, 64), (16, 64), (16, 128), (17, 64), (17, 128), (17, 256), (24, 128), (32, 128),
            (32, 64), (32, 256)]
EDGES = [0x8000, 0x7FFF, 0xFFFF, 1]


def machine(n, bus):
    return MachineConfig(n=n, bus_bits=bus)


def random_rows(cfg, rng, count):
    """Rows of many kinds: without zeros, nothing but zeros, anything between."""
    rows = []
    for _ in range(count):
        sparsity = rng.choice([0, 0.1, 0.4, 0.6, 0.9, 1])
        rows.append([0 if rng.random() < sparsity else rng.choice([*EDGES, rng.randrange(1, 65536)]) for _ in range(cfg.n)])
    return rows


def packed_words(cfg, rows):
    """The words of packed rows, straight from the definition, before they are filled up to rows of DRAM."""
    words = []
    for row in rows:
        bitmap = sum(1 << i for i, word in enumerate(row) if word)
        some = [bitmap >> 16 * i & 0xFFFF for i in range(-(-cfg.n // 16))] + [word for word in row if word]
        words += some + [0] * (cfg.bus_words - len(some))
    return words


def filled(cfg, words):
    size = cfg.row_beats * cfg.bus_words
    return words + [0] * (-len(words) % size)


def decoded(cfg, words, count):
    """At most ``count`` rows of a stream that may be anything: [(row, number of its last beat)]."""
    rows, at = [], 0
    head = -(-cfg.n // 16)
    while len(rows) < count and at + head <= len(words):
        bitmap = sum(words[at + i] << 16 * i for i in range(head)) & (1 << cfg.n) - 1
        end = at + max(cfg.bus_words, head + bitmap.bit_count())
        if end > len(words):
            break
        values = iter(words[at + head : end])
        rows.append(([next(values) if bitmap >> i & 1 else 0 for i in range(cfg.n)], (end - 1) // cfg.bus_words))
        at = end
    return rows


def run(cfg, jobs, rng, gaps):
    """Give the unpacker ``jobs`` (packed, words, row, count); check each row, where it goes and when it comes."""
    dut = Unpacker(cfg=cfg)
    beats, expected = [], []
    for packed, words, row, count in jobs:
        groups = [words[i : i + cfg.bus_words] for i in range(0, len(words), cfg.bus_words)]
        if packed:
            rows = decoded(cfg, words, count)
        else:
            size = cfg.row_beats
            rows = [(functools.reduce(operator.iadd, groups[i : i + size], [])[: cfg.n], i + size - 1) for i in range(0, len(groups), size)]
        expected += [(len(beats) + last, row + i, values) for i, (values, last) in enumerate(rows)]
        for i, group in enumerate(groups):
            ends = (i + 1) % cfg.row_beats == 0
            # LOAD counts the rows of DRAM also where they are packed.
            beats.append((group, packed, i == 0, ends, row + i // cfg.row_beats, count))

    async def bench(ctx):
        due, sent, cycle, seen = {}, 0, 0, 0
        while sent < len(beats) or cycle <= max(due, default=0):
            valid = sent < len(beats) and rng.random() >= gaps
            ctx.set(dut.valid, valid)
            group, packed, first, ends, row, count = beats[sent] if valid else (
                [rng.randrange(65536)] * cfg.bus_words, rng.random() < 0.5, rng.random() < 0.5, 0, rng.randrange(65536), 1)
            for port, value in ((dut.packed, packed), (dut.first, first), (dut.ends, ends), (dut.row, row), (dut.count, count),
                                (dut.data, sum(word << 16 * i for i, word in enumerate(group)))):
                ctx.set(port, value)
            if valid:
                while seen < len(expected) and expected[seen][0] == sent:
                    assert cycle + load_cycles(cfg) not in due
                    due[cycle + load_cycles(cfg)] = expected[seen][1:]
                    seen += 1
                sent += 1
            assert ctx.get(dut.write) == (cycle in due), f"cycle {cycle}"
            if cycle in due:
                row, values = due[cycle]
                assert ctx.get(dut.write_row) == row & 0xFFFF
                assert [ctx.get(dut.words) >> 16 * i & 0xFFFF for i in range(cfg.n)] == values, f"cycle {cycle}"
            await ctx.tick()
            cycle += 1
        assert seen == len(expected)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


def random_job(cfg, rng):
    rows = random_rows(cfg, rng, rng.choice([1, 2, 5, 20]))
    where = rng.randrange(60000)
    if rng.random() < 0.3:
        size = cfg.row_beats * cfg.bus_words
        return False, functools.reduce(operator.iadd, (row + [rng.randrange(65536)] * (size - cfg.n) for row in rows), []), where, 0
    return True, filled(cfg, packed_words(cfg, rows)), where, len(rows)


@pytest.mark.parametrize(("n", "bus"), MACHINES)
def test_rows_come_out_as_they_were_packed(n, bus):
    cfg, rng = machine(n, bus), random.Random(n * bus)
    assert cfg.unpacks and load_cycles(cfg) == 1 + UNPACK_CYCLES
    run(cfg, [random_job(cfg, rng) for _ in range(12)], rng, 0)
    run(cfg, [random_job(cfg, rng) for _ in range(6)], rng, 0.4)


@pytest.mark.parametrize(("n", "bus"), [(8, 64), (16, 128), (17, 64), (24, 128)])
def test_a_stream_of_nonsense_writes_no_more_than_announced(n, bus):
    cfg, rng = machine(n, bus), random.Random(n)
    size = cfg.row_beats * cfg.bus_words
    jobs = []
    for _ in range(12):
        words = [rng.choice([0, 0xFFFF, rng.randrange(65536)]) for _ in range(size * rng.randrange(1, 9))]
        jobs += [(True, words, rng.randrange(65536), rng.choice([0, 1, 3, 1000])), random_job(cfg, rng)]
    run(cfg, jobs, rng, 0.2)


@pytest.mark.parametrize(("n", "bus"), MACHINES)
def test_every_kind_of_row_at_every_place_of_a_beat(n, bus):
    cfg, rng = machine(n, bus), random.Random(1)
    for count in (0, 1, cfg.bus_words - 1, cfg.n - 1, cfg.n):
        rows = []
        for _ in range(2 * cfg.bus_words + 1):
            row = [0] * cfg.n
            for i in rng.sample(range(cfg.n), count):
                row[i] = rng.choice(EDGES)
            rows.append(row)
        run(cfg, [(True, filled(cfg, packed_words(cfg, rows)), 7, len(rows))] * 2, rng, 0)


@pytest.mark.parametrize(("n", "bus"), MACHINES)
def test_packing_and_its_model(n, bus):
    cfg, rng = machine(n, bus), random.Random(n + bus)
    for count in (1, 2, 40):
        rows = random_rows(cfg, rng, count)
        words = filled(cfg, packed_words(cfg, rows))
        packed = pack(cfg, np.array(rows, np.uint16))
        assert packed.ravel().tolist() == words and packed.dtype == np.uint16
        assert len(packed) == packed_size(cfg, np.count_nonzero(np.array(rows), axis=1))
        assert unpack(cfg, packed.ravel())[:count].tolist() == rows
        nonsense = [rng.choice([0, 0xFFFF, rng.randrange(65536)]) for _ in range(len(words))]
        assert unpack(cfg, np.array(nonsense, np.uint16)).tolist() == [row for row, _ in decoded(cfg, nonsense, 10**6)]


@pytest.mark.parametrize(("n", "bus"), [(4, 64), (8, 128), (16, 256)])
def test_where_a_row_is_one_beat_there_is_nothing_to_unpack(n, bus):
    cfg = machine(n, bus)
    assert not cfg.unpacks and load_cycles(cfg) == 1
