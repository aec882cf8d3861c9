"""ARRAY on Amaranth's simulator: random OS and WS instructions against numpy, and its timing against the model's."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from squeezelerator.rtl.array.array_unit import ArrayUnit
from squeezelerator.rtl.buffer.ports import DRAIN_LATENCY
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.weight_decode import decode_headers
from squeezelerator.timing.array import ArrayTiming, column_words

LANES = 1 << 16


def random_view(rng, n, rows, *, stride_x):
    in_w, in_h = rng.randint(1, 2 * n + 2), rng.randint(1, 6)
    pitch = in_w + rng.choice((0, 0, 3))
    fields = dict(in_w=in_w, in_h=in_h, in_pitch=pitch, y0=rng.randint(-2, 1), x0=rng.randint(-2, 1),
                  stride_y=rng.choice((1, 1, 2, 3)), stride_x=stride_x)
    if in_h > 2 and rng.random() < 0.3:
        ring = rng.randint(1, in_h - 1)
        fields["wrap_line"] = ring
        fields["wrap_rows"] = ring * pitch
    return fields


def random_os(rng, cfg, bank, act_rows, before=None):
    """An OS instruction and its records [(block offset rows, lane, ky, kx, {k: weight})].

    With the fields and records of another one ``before``, its records go on where those end.
    """
    n = cfg.n
    stride_x = rng.choice((1, 1, 1, 2, 3, 4))
    fields = random_view(rng, n, act_rows, stride_x=stride_x)
    plane = fields["in_pitch"] * fields["in_h"]
    seg_len = rng.randint(1, n)
    segs = rng.randint(1, 3)
    fields.update(seg_len=seg_len, segs=segs, seg0=rng.randrange(segs), nrows=rng.randint(1, n),
                  windows=-(-((seg_len - 1) * stride_x + 1) // n), bank=bank, first=1)
    records = []
    if before:
        fields, records = dict(before[0], bank=bank), list(before[1][-1:])
        plane = fields["in_pitch"] * fields["in_h"]
    past = len(records)
    channels = rng.randint(1, cfg.rf)
    for _ in range(rng.randint(1, 9)):
        density = rng.choice((0.1, 0.6, 1.0))
        weights = {k: rng.choice((-32768, 32767, rng.randint(-999, 999))) for k in range(channels) if rng.random() < density}
        weights = weights or {rng.randrange(channels): 7}
        record = (rng.randrange(3) * plane, rng.randrange(n), rng.randrange(3), rng.randrange(3), weights)
        if records and rng.random() < 0.7:
            # Like the record before but for the kernel line, as shifting needs it, or nearly so.
            ky = (records[-1][2] + rng.choice((0, 1, 1, 2, fields["stride_y"]))) % 60
            record = [*records[-1][:2], ky, records[-1][3], weights]
            other = rng.choice((0, 1, 3, 4, None, None, None, None, None, None))
            if other in (0, 1, 3):
                record[other] = (rng.randrange(3) * plane, rng.randrange(n), None, rng.randrange(3))[other]
            elif other == 4 and record[3]:
                record[0], record[3] = record[0] + 1, record[3] - 1  # the same row of the buffer at another column
        records.append(tuple(record))
    records = records[past:]
    fields["records"] = len(records)
    fields["values"] = sum(len(r[4]) for r in records)
    fields["pixels"] = fields["nrows"] * seg_len
    fields["skipped"] = rng.randrange(100)
    if not before:
        fields["in_base"] = rng.randrange(act_rows - 3 * plane - 8 * fields["in_pitch"] - 9) + 4 * fields["in_pitch"]
    return fields, records


def encode_stream(cfg, fields, records):
    headers, values = [], []
    for offset, lane, ky, kx, weights in records:
        bitmap = sum(1 << k for k in weights)
        headers += [(offset + ky * fields["in_pitch"] + kx) % LANES, lane | kx << 5 | ky << 10]
        headers += [bitmap >> 16 * i & 0xFFFF for i in range(cfg.bitmap_words)]
        values += [weights[k] & 0xFFFF for k in sorted(weights)]
    return headers, values


def line_row(fields, row, y):
    return row - fields["wrap_rows"] if "wrap_line" in fields and y >= fields["wrap_line"] else row


def run_os(cfg, fields, records, act):
    """{(k, array row): [partial sum of each column]} of an OS instruction with first = 1."""
    result = {}
    for offset, lane, ky, kx, weights in records:
        for i in range(fields["nrows"]):
            number = fields["seg0"] + i
            y = fields["y0"] + number // fields["segs"] * fields["stride_y"] + ky
            for j in range(fields["seg_len"]):
                column = number % fields["segs"] * fields["seg_len"] + j
                x = fields["x0"] + column * fields["stride_x"] + kx
                pixel = 0
                if 0 <= y < fields["in_h"] and 0 <= x < fields["in_w"]:
                    pixel = int(act[line_row(fields, fields["in_base"] + offset + y * fields["in_pitch"] + x, y), lane])
                for k, w in weights.items():
                    sums = result.setdefault((k, i), [0] * cfg.n)
                    sums[j] += w * pixel
    return result


def random_ws(rng, cfg, bank, act_rows):
    fields = random_view(rng, cfg.n, act_rows, stride_x=rng.choice((1, 1, 2, 4)))
    plane = fields["in_pitch"] * fields["in_h"]
    out_w = rng.randint(1, cfg.n + 2)
    out_h = rng.randint(1, max(1, min(4, cfg.ws_pixels // out_w)))
    blocks, kh, kw = rng.randint(1, 3), rng.randint(1, 2), rng.randint(1, 3)
    fields.update(out_w=out_w, out_h=out_h, kw=kw, kh=kh, blocks=blocks, in_plane=plane, tiles=blocks * kh * kw, bank=bank,
                  first=1, in_base=rng.randrange(act_rows - 3 * plane - 8 * fields["in_pitch"]) + 4 * fields["in_pitch"])
    tiles = [[[rng.choice((0, -32768, rng.randint(-999, 999))) for _ in range(cfg.n)] for _ in range(cfg.n)]
             for _ in range(fields["tiles"])]
    return fields, tiles


def run_ws(cfg, fields, tiles, act):
    result = {}
    number = 0
    for b in range(fields["blocks"]):
        for ky in range(fields["kh"]):
            for kx in range(fields["kw"]):
                for t in range(fields["out_w"] * fields["out_h"]):
                    y = fields["y0"] + t // fields["out_w"] * fields["stride_y"] + ky
                    x = fields["x0"] + t % fields["out_w"] * fields["stride_x"] + kx
                    if 0 <= y < fields["in_h"] and 0 <= x < fields["in_w"]:
                        row = fields["in_base"] + b * fields["in_plane"] + y * fields["in_pitch"] + x
                        pixel = [int(v) for v in act[line_row(fields, row, y)]]
                    else:
                        pixel = [0] * cfg.n
                    sums = result.setdefault((t // cfg.n, t % cfg.n), [0] * cfg.n)
                    for j in range(cfg.n):
                        sums[j] += sum(pixel[i] * tiles[number][i][j] for i in range(cfg.n))
                number += 1
    return result


class Bench:
    """Act and weight memories, an instruction feeder and a drain reader around an ArrayUnit."""

    def __init__(self, cfg, seed, count, *, modes):
        self.cfg = cfg
        self.rng = rng = random.Random(seed)
        self.act = np.array([[rng.choice((-32768, 32767, rng.randint(-999, 999))) for _ in range(cfg.n)] for _ in range(900)])
        self.weights = []  # rows of n words
        self.work = []
        self.chained = False  # whether all instructions add to the same sums
        before = None
        for index in range(count):
            mode = rng.choice(modes)
            bank = index & 1
            if mode == "OS":
                fields, records = before = random_os(rng, cfg, bank, len(self.act), before if rng.random() < 0.5 else None)
                headers, values = encode_stream(cfg, fields, records)
                fields["hdr_row"], fields["val_row"] = self._place(headers), self._place(values)
                expect = run_os(cfg, fields, records, self.act)
                extra = records
            else:
                fields, tiles = random_ws(rng, cfg, bank, len(self.act))
                fields["val_row"] = self._place([w & 0xFFFF for tile in tiles for row in tile for w in row])
                expect = run_ws(cfg, fields, tiles, self.act)
                extra = tiles
                before = None
            self.work.append((Instruction(mode, dict(fields)), expect, extra))

    def _place(self, words):
        first = len(self.weights)
        n = self.cfg.n
        words = words + [0xDEAD] * (-len(words) % n)
        self.weights += [words[i : i + n] for i in range(0, len(words), n)]
        return first

    def run(self, *, gaps):
        cfg, n = self.cfg, self.cfg.n
        dut = ArrayUnit(cfg=cfg, instance=False)
        sim = Simulator(dut)
        sim.add_clock(1e-6)
        self.accepts, self.retires, self.events = [], [], dict.fromkeys(dut.events(cfg), 0)
        self.computing = 0
        self.sums = []

        async def memories(ctx):
            pipeline = [0] * (cfg.read_latency + 1)
            weight = 0
            while True:
                await ctx.tick()
                cycle_data = 0
                if ctx.get(dut.rd.en):
                    row, col, lane, mask = (ctx.get(getattr(dut.rd, x)) for x in ("row", "col", "lane", "mask"))
                    for p in range(n):
                        value = 0xBEEF  # what was not asked for comes with something else
                        if mask >> p & 1:
                            value = self.act[row + p, lane] if col else self.act[row, p]
                        cycle_data |= (int(value) & 0xFFFF) << 16 * p
                pipeline = [cycle_data, *pipeline[:-1]]
                ctx.set(dut.rd.data, pipeline[-1])
                ctx.set(dut.wt.data, weight)
                if ctx.get(dut.wt.en):
                    weight = sum(w << 16 * i for i, w in enumerate(self.weights[ctx.get(dut.wt.row)]))

        async def watch(ctx):
            cycle = 0
            async for _, _, *values in ctx.tick().sample(
                    dut.instr.valid & dut.instr.ready, dut.retire, dut.computing,
                    *(getattr(dut, f"ev_{e}") for e in self.events)):
                if values[0]:
                    self.accepts.append(cycle)
                if values[1]:
                    self.retires.append(cycle)
                self.computing += values[2]
                for name, value in zip(self.events, values[3:], strict=False):
                    self.events[name] += value
                cycle += 1

        async def feed(ctx):
            for number, (instr, _, _) in enumerate(self.work):
                # A bank may be written again only when it has been read: two instructions may be in flight.
                while not self.chained and len(self.sums) < number - 1:
                    await ctx.tick()
                for _ in range(self.rng.choice(gaps)):
                    await ctx.tick()
                ctx.set(dut.instr.payload, int.from_bytes(instr.encode(), "little"))
                ctx.set(dut.instr.valid, 1)
                await ctx.tick().until(dut.instr.ready)
                ctx.set(dut.instr.valid, 0)

        async def drain(ctx):
            for number, (instr, expect, _) in enumerate(self.work):
                for _ in range(3000):
                    if len(self.retires) > number:
                        break
                    await ctx.tick()
                else:
                    raise AssertionError(f"instruction {number} does not retire: {instr}")
                requests = sorted(expect)
                if instr.op == "OS" and expect and not self.chained:
                    # Entries without a sum between those that have one, in any order.
                    empty = set(range(cfg.rf)) - {k for k, _ in expect}
                    requests += [(k, random.Random(number).randrange(n)) for k in sorted(empty)]
                    random.Random(number).shuffle(requests)
                sums = {}
                for cycle in range(len(requests) + DRAIN_LATENCY):
                    if cycle >= DRAIN_LATENCY:
                        data = ctx.get(dut.drain.data)
                        mask = (1 << cfg.acc_bits) - 1
                        values = [data >> cfg.acc_bits * j & mask for j in range(n)]
                        sums[requests[cycle - DRAIN_LATENCY]] = [v - (mask + 1) if v >> cfg.acc_bits - 1 else v for v in values]
                    ctx.set(dut.drain.en, cycle < len(requests))
                    if cycle < len(requests):
                        k, row = requests[cycle]
                        ctx.set(dut.drain.bank, instr["bank"])
                        ctx.set(dut.drain.k, k)
                        ctx.set(dut.drain.row, row)
                    await ctx.tick()
                for key in set(requests) - set(expect):
                    assert not any(sums.pop(key)), f"entry {key} of instruction {number} is not empty"
                self.sums.append(sums)

        sim.add_testbench(memories, background=True)
        sim.add_testbench(watch, background=True)
        sim.add_testbench(feed)
        sim.add_testbench(drain)
        sim.run()


@pytest.mark.parametrize("n,rf,seed,modes,gaps", [
    (4, 8, 1, ("OS",), (0,)),
    (4, 8, 2, ("WS",), (0,)),
    (3, 4, 3, ("OS", "WS"), (0, 0, 3)),
    (2, 5, 4, ("OS", "WS"), (0, 7)),
    (5, 17, 5, ("OS", "OS", "WS"), (0, 40)),
    (2, 4, 6, ("OS",), (0,)),
    (3, 16, 7, ("WS",), (0, 1)),
    (8, 8, 8, ("OS", "OS", "OS", "WS"), (0, 25)),
])
def test_sums_and_timing(n, rf, seed, modes, gaps):
    cfg = MachineConfig(n=n, rf=rf)
    bench = Bench(cfg, seed, 14, modes=modes)
    bench.run(gaps=gaps)

    for number, (instr, expect, _) in enumerate(bench.work):
        width = instr["seg_len"] if instr.op == "OS" else n
        got = {key: sums[:width] for key, sums in bench.sums[number].items()}
        assert got == {key: sums[:width] for key, sums in expect.items()}, f"instruction {number}: {instr}"

    streams = {id(i): decode_headers(cfg, np.array(encode_stream(cfg, i, extra)[0], np.uint16), len(extra))
               for i, _, extra in bench.work if i.op == "OS"}
    records_of = {id(i): extra for i, _, extra in bench.work}
    timing = ArrayTiming(cfg, lambda i: streams[id(i)], fresh_of=lambda i: len({k for r in records_of[id(i)] for k in r[4]}),
                         weights_of=lambda i: np.count_nonzero(records_of[id(i)]))
    totals = dict.fromkeys([*bench.events, "computing"], 0)
    for number, (instr, _, _) in enumerate(bench.work):
        t = bench.accepts[number]
        assert timing.ready_for(instr) <= t
        if len(gaps) == 1 and number == 1:
            assert timing.ready_for(instr) == t
        _, retire = timing.accept(instr, t)
        assert retire == bench.retires[number], f"instruction {number}: {instr}"
        for name, value in timing.counters(instr).items():
            totals[name] += value
    assert totals == {**bench.events, "computing": bench.computing}


def test_many_streams_wait_while_a_long_one_is_consumed():
    cfg = MachineConfig(n=4, rf=32)
    bench = Bench(cfg, 9, 0, modes=("OS",))
    bench.chained = True
    fields = dict(in_base=10, in_w=4, in_h=4, in_pitch=4, y0=0, x0=0, seg0=0, stride_y=1, stride_x=1, seg_len=4, segs=1, nrows=1,
                  windows=1, pixels=4)
    total = {}
    for number in range(24):
        # Each short stream's only record takes a single array row: as many as fit wait behind the long stream's values.
        records = [(0, lane, 0, 0, {k: bench.rng.randint(-999, 999) for k in range(32 if number == 0 else 1)})
                   for lane in (range(4) if number == 0 else (number % 4,))]  # fmt: skip
        headers, values = encode_stream(cfg, fields, records)
        row = {"hdr_row": bench._place(headers), "val_row": bench._place(values)}
        instr = Instruction("OS", {**fields, **row, "records": len(records), "values": len(values), "first": number == 0})
        for key, sums in run_os(cfg, fields, records, bench.act).items():
            total[key] = [a + b for a, b in zip(total.get(key, [0] * cfg.n), sums, strict=False)]
        bench.work.append((instr, {}, records))
    bench.work[-1] = bench.work[-1][0], total, bench.work[-1][2]
    bench.run(gaps=(0,))
    assert bench.sums[-1] == total


@pytest.mark.parametrize("segs,seg0", [(3, 1), (3, 2), (2, 1), (2, 0)])
def test_segments_begin_anywhere_in_a_line_and_one_or_two_lines_come_in(segs, seg0):
    cfg = MachineConfig(n=5, rf=4)
    bench = Bench(cfg, segs + seg0, 0, modes=("OS",))
    view = dict(in_base=60, in_w=12, in_h=9, in_pitch=12, y0=0, x0=0, stride_y=1, stride_x=1)
    # Kernel lines one and two apart: what is shifted is one or two lines of the array.
    records = [(0, 1, ky, 1, {k: bench.rng.randint(-999, 999) for k in range(4)}) for ky in (0, 1, 3, 5, 4)]
    headers, values = encode_stream(cfg, view, records)
    fields = {**view, "seg_len": 4, "segs": segs, "seg0": seg0, "nrows": 5, "windows": 1, "pixels": 20, "first": 1,
              "hdr_row": bench._place(headers), "val_row": bench._place(values), "records": len(records), "values": len(values)}
    bench.work.append((Instruction("OS", fields), run_os(cfg, fields, records, bench.act), records))
    bench.run(gaps=(0,))
    expected = bench.work[0][1]
    assert {key: sums[:4] for key, sums in bench.sums[0].items() if key in expected} == {key: sums[:4] for key, sums in expected.items()}


@pytest.mark.parametrize("n", [3, 5])
def test_tiles_of_one_pixel_follow_each_other_as_fast_as_their_weights(n):
    cfg = MachineConfig(n=n, rf=4)
    fields = dict(in_base=10, in_w=1, in_h=1, in_pitch=1, in_plane=1, y0=0, x0=0, stride_y=1, stride_x=1, out_w=1, out_h=1, kw=1, kh=1,
                  bank=0, first=1)
    took = []
    for count in (3, 9):
        bench = Bench(cfg, count, 0, modes=("WS",))
        tiles = [[[bench.rng.randint(-999, 999) for _ in range(n)] for _ in range(n)] for _ in range(count)]
        row = bench._place([w & 0xFFFF for tile in tiles for row in tile for w in row])
        instr = {**fields, "val_row": row, "blocks": count, "tiles": count}
        bench.work.append((Instruction("WS", instr), run_ws(cfg, instr, tiles, bench.act), tiles))
        bench.run(gaps=(0,))
        assert bench.sums[0] == bench.work[0][1]
        took.append(bench.retires[0] - bench.accepts[0])
    # Sums that are added to again are written four cycles after they were read.
    assert took[1] - took[0] == 6 * max(n, 4) == 6 * cfg.ws_tile_cycles


def test_column_words_counts_only_pixels_inside():
    instr = Instruction("OS", dict(in_w=5, in_h=4, in_pitch=5, y0=-1, x0=-1, stride_y=1, stride_x=1, seg_len=5, segs=1,
                                   seg0=0, nrows=4, windows=1))
    assert column_words(instr, 0, 0, 4) == 3 * 4
    assert column_words(instr, 1, 1, 4) == 4 * 5
    assert column_words(instr, 0, 2, 2) == 1 * 4
