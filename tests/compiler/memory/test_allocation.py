"""Allocation of the activation buffer: nothing that is alive at the same time overlaps."""

import itertools
import random

import pytest

from squeezelerator.compiler.ir.buffer import Buffer, Usage
from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.memory.allocate import AllocationError, allocate_group, low_conflict_allocations
from squeezelerator.compiler.memory.live_across import LiveRange, allocate_live_across
from squeezelerator.compiler.memory.sectors import candidate_bases
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4, buffer_kib=4)


def _overlap(low, rows, other, other_rows):
    return low < other + other_rows and other < low + rows


def test_maps_that_are_live_together_do_not_overlap():
    rand = random.Random(3)
    for _ in range(200):
        lives = {}
        for number in range(rand.randint(1, 8)):
            first, rows = rand.randrange(10), rand.randint(1, CFG.act_rows // 3)
            lives[Tensor(f"t{number}", 4, 1, 1, f"t{number}")] = LiveRange(rows, first, first + rand.randrange(4))
        try:
            bases = allocate_live_across(lives, CFG)
        except AllocationError:
            continue
        assert bases.keys() == lives.keys()
        for (a, low), (b, other) in itertools.combinations(bases.items(), 2):
            assert not (lives[a].meets(lives[b]) and _overlap(low, lives[a].rows, other, lives[b].rows))
        assert all(0 <= base <= CFG.act_rows - lives[tensor].rows for tensor, base in bases.items())


def test_a_map_that_cannot_fit_is_named():
    tensor = Tensor("conv1", 4, 1, 1, "conv1")
    with pytest.raises(AllocationError, match="layer conv1: "):
        allocate_live_across({tensor: LiveRange(CFG.act_rows + 1, 0, 0)}, CFG)


def _buffers(rand):
    buffers, usage = [], {}
    for number in range(rand.randint(1, 6)):
        buffer = Buffer([Tensor(f"t{number}", 4, 1, 1, f"t{number}")], 1, rand.randint(1, 6), rand.randint(1, CFG.act_rows // 20))
        first = rand.randrange(8)
        users = {(rand.choice((LOAD, DRAIN)), "write"), (ARRAY, "read")}
        buffers.append(buffer)
        usage[buffer] = Usage(first, first + rand.randrange(6), users)
    return buffers, usage


def _check(bases, usage, fixed):
    for buffer, base in bases.items():
        assert 0 <= base <= CFG.act_rows - buffer.rows
        assert not any(_overlap(base, buffer.rows, other.base, other.rows) for other in fixed)
    for (a, low), (b, other) in itertools.combinations(bases.items(), 2):
        together = usage[a].first <= usage[b].last and usage[b].first <= usage[a].last
        assert not (together and _overlap(low, a.rows, other, b.rows))


def test_buffers_of_a_group_do_not_overlap():
    rand = random.Random(4)
    for _ in range(60):
        buffers, usage = _buffers(rand)
        fixed = [Buffer([], 1, 1, rand.randint(1, CFG.act_rows // 4), base=rand.randrange(CFG.act_rows // 2))]
        for bases in low_conflict_allocations(buffers, usage, fixed, CFG, 3):
            _check(bases, usage, fixed)
        try:
            allocate_group(buffers, usage, fixed, [], CFG)
        except AllocationError:
            continue
        _check({buffer: buffer.base for buffer in buffers}, usage, fixed)


def test_candidate_bases_are_free():
    rand = random.Random(5)
    for _ in range(200):
        taken = [(low, low + rand.randint(1, 60)) for low in rand.sample(range(CFG.act_rows - 60), rand.randrange(6))]
        rows = rand.randint(1, 80)
        for base in candidate_bases(taken, rows, CFG):
            assert 0 <= base <= CFG.act_rows - rows
            assert not any(base < high and low < base + rows for low, high in taken)
