# amaranth: UnusedElaboratable=no
"""The activation buffer and the plain row memory against arrays of numpy."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from squeezelerator.rtl.buffer.act_buffer import ActBuffer
from squeezelerator.rtl.buffer.bank_access import BankAccess
from squeezelerator.rtl.buffer.row_memory import RowMemory
from squeezelerator.spec.machine import MachineConfig

READS = ("rd_array", "rd_residual", "rd_pool", "rd_store")
WRITES = ("wr_drain", "wr_load", "wr_pool")
COLUMNS = ("rd_array", "rd_residual", "wr_drain")
LATENCY = 3


def positions(cfg, name, access):
    """(row, lane) of each wanted position of an access; rows are signed."""
    row, col, lane, mask = access
    row -= (row & 0x8000) << 1
    col = col and name in COLUMNS
    return {j: (row + j, lane) if col else (row, j) for j in range(cfg.n) if mask >> j & 1}


def cells(cfg, places):
    """Memory (sector, bank) of each place that exists; whether one does not."""
    inside = {(row // cfg.sector_rows, (row + lane) % cfg.n) for row, lane in places if 0 <= row < cfg.act_rows}
    return inside, any(not 0 <= row < cfg.act_rows for row, _ in places)


def conflicts(cfg, accesses):
    """Whether accesses of one kind meet; those that know only rows meet already in a sector."""
    seen, sectors = set(), set()
    for name, access in accesses.items():
        inside, _ = cells(cfg, positions(cfg, name, access).values())
        touched = {sector for sector, _ in inside}
        if inside & seen or (name not in COLUMNS and touched & sectors):
            return True
        seen |= inside
        if name not in COLUMNS:
            sectors |= touched
    return False


def random_access(rng, cfg, *, wild):
    """Row, column flag, lane and mask, often at the edges of sectors."""
    n = cfg.n
    if rng.random() < 0.5:
        row = rng.randrange(cfg.sectors + 1) * cfg.sector_rows + rng.randrange(-n, n)
    else:
        row = rng.randrange(cfg.act_rows)
    if wild and rng.random() < 0.1:
        row = rng.randrange(65536)
    row %= 65536
    mask = rng.choice([(1 << n) - 1, rng.randrange(1 << n)])
    return row, rng.randrange(2), rng.randrange(n), mask


def clean(cfg, name, access):
    """The access with those positions masked off whose row does not exist."""
    good = [j for j, (row, _) in positions(cfg, name, access).items() if 0 <= row < cfg.act_rows]
    return *access[:3], sum(1 << j for j in good)


def drive(ctx, port, access, data=None):
    """Put an access (None: idle) on a port."""
    ctx.set(port.en, access is not None)
    if access is not None:
        for member, value in zip(("row", "col", "lane", "mask"), access, strict=True):
            ctx.set(getattr(port, member), value)
    if data is not None:
        ctx.set(port.data, sum(int(word) << 16 * j for j, word in enumerate(data)))


def simulate(dut, testbench):
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(testbench)
    sim.run()


def machine(n):
    return MachineConfig(n=n, rf=4, sectors=8 if n < 4 else 4)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
def test_words_arrive_where_they_were_written(n):
    cfg = machine(n)
    rng = random.Random(n)
    dut = ActBuffer(cfg=cfg, instance=False)
    # Column accesses may hang over the ends, so that the model keeps no rows there: they are masked.
    state = np.zeros((cfg.act_rows, n), dtype=np.int64)
    compared = 0

    async def testbench(ctx):
        nonlocal compared
        pending = []
        for cycle in range(cfg.act_rows + 400):
            reads = {name: clean(cfg, name, random_access(rng, cfg, wild=False)) for name in READS if rng.random() < 0.7}
            writes = {name: clean(cfg, name, random_access(rng, cfg, wild=False)) for name in WRITES if rng.random() < 0.7}
            if cycle < cfg.act_rows:
                reads, writes = {}, {"wr_load": (cycle, 1, 3 % n, (1 << n) - 1)}
            while conflicts(cfg, reads):
                reads.pop(rng.choice(list(reads)))
            while conflicts(cfg, writes):
                writes.pop(rng.choice(list(writes)))
            for name in READS:
                drive(ctx, getattr(dut, name), reads.get(name))
                if name in reads:
                    wanted = {j: state[place] for j, place in positions(cfg, name, reads[name]).items()}
                    pending.append((cycle + LATENCY, name, wanted))
            for name in WRITES:
                data = [rng.randrange(65536) for _ in range(n)]
                drive(ctx, getattr(dut, name), writes.get(name), data)
                if name in writes:
                    for j, place in positions(cfg, name, writes[name]).items():
                        state[place] = data[j]
            while pending and pending[0][0] == cycle:
                _, name, wanted = pending.pop(0)
                got = ctx.get(getattr(dut, name).data)
                for j, word in wanted.items():
                    assert got >> 16 * j & 0xFFFF == word, f"cycle {cycle}, {name}, position {j}"
                    compared += 1
            assert (ctx.get(dut.fault_conflict), ctx.get(dut.fault_row)) == (0, 0), f"cycle {cycle}"
            await ctx.tick()

    simulate(dut, testbench)
    assert compared > 300 * n


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_faults_are_reported_exactly(n):
    cfg = machine(n)
    rng = random.Random(100 + n)
    dut = ActBuffer(cfg=cfg, instance=False)
    seen = set()

    async def testbench(ctx):
        expected, expected_ports = [(0, 0)] * 3, [0] * 3
        for cycle in range(700):
            chance = rng.choice([0.2, 0.6])
            accesses = {name: random_access(rng, cfg, wild=True) for name in READS + WRITES if rng.random() < chance}
            if cycle % 3 == 0:
                accesses = {name: clean(cfg, name, access) for name, access in accesses.items()}
            for name in READS + WRITES:
                drive(ctx, getattr(dut, name), accesses.get(name))
            reads = {name: access for name, access in accesses.items() if name in READS}
            writes = {name: access for name, access in accesses.items() if name in WRITES}
            conflict = conflicts(cfg, reads) or conflicts(cfg, writes)
            missed = {name for name, access in accesses.items() if cells(cfg, positions(cfg, name, access).values())[1]}
            expected.append((int(conflict), int(bool(missed))))
            expected_ports.append(sum(1 << bit for bit, name in enumerate(READS + WRITES) if name in (missed or accesses)))
            got = ctx.get(dut.fault_conflict), ctx.get(dut.fault_row)
            assert got == expected[cycle], f"cycle {cycle}"
            assert not any(got) or ctx.get(dut.fault_ports) == expected_ports[cycle], f"cycle {cycle}"
            seen.add(got)
            await ctx.tick()

    simulate(dut, testbench)
    assert seen == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_row_memory_reads_back_and_refuses_rows_outside():
    cfg = MachineConfig(n=3)
    dut = RowMemory(cfg=cfg, rows=11, instance=False)
    rng = random.Random(1)
    state = {}

    async def testbench(ctx):
        wanted, fault = None, 0
        for cycle in range(300):
            if wanted is not None:
                assert ctx.get(dut.rd.data) == wanted, f"cycle {cycle}"
            assert ctx.get(dut.fault_row) == fault, f"cycle {cycle}"
            read, write = rng.randrange(13), rng.randrange(13)
            read_en, write_en = rng.randrange(2), rng.randrange(2)
            data = rng.getrandbits(48)
            for port, en, row in ((dut.rd, read_en, read), (dut.wr, write_en, write)):
                ctx.set(port.en, en)
                ctx.set(port.row, row)
            ctx.set(dut.wr.data, data)
            wanted = state.get(read) if read_en else None
            fault = int((read_en and read >= 11) or (write_en and write >= 11))
            if write_en and write < 11:
                state[write] = data
            await ctx.tick()

    simulate(dut, testbench)
    assert set(state) == set(range(11))


def changed(**values):
    """A machine that MachineConfig itself would refuse."""
    cfg = MachineConfig(n=8)
    vars(cfg).update(values)
    return cfg


def test_wrong_parameters_are_refused():
    with pytest.raises(ValueError, match=r"^RowMemory: rows must be a whole number from 1 to 65536, not 0$"):
        RowMemory(cfg=MachineConfig(n=3), rows=0)
    with pytest.raises(ValueError, match=r"^ActBuffer: cfg\.read_latency must be a whole number from 3 to 3, not 4$"):
        ActBuffer(cfg=changed(read_latency=4))
    cfg = changed(sector_rows=6)
    with pytest.raises(ValueError, match=r"^BankAccess: cfg\.sector_rows must be a whole number from 8 to 65536, not 6$"):
        BankAccess(cfg=cfg, columns=True)
    with pytest.raises(TypeError, match=r"^BankAccess: cfg must be a MachineConfig, not 8$"):
        BankAccess(cfg=8, columns=True)
    with pytest.raises(TypeError, match=r"^RowMemory: instance must be True or False, not 1$"):
        RowMemory(cfg=cfg, rows=11, instance=1)
