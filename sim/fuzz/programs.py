"""Random programs over the whole instruction set.

Every program is legal (:mod:`sim.fuzz.program_builder`). The choices come from a :class:`~sim.fuzz.choices.Choices`: a random number
generator, or Hypothesis in the tests, which can then make a failing program smaller.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np

from squeezelerator.sim.fuzz.choices import Choices
from squeezelerator.sim.fuzz.program_builder import ProgramBuilder, RandomProgram
from squeezelerator.spec.functions.activations import AFTER_SUM, ActivationCode
from squeezelerator.spec.isa import MEM_ACT, POOL, Op, ops_of
from squeezelerator.spec.machine import MachineConfig

__all__ = ["random_program"]

#: Fields of POOL's instructions with fewer values in a random program than the machine accepts, so that it stays short.
SMALL = {"kw": 4, "kh": 3, "shift": 40}


class _Builder(ProgramBuilder):
    """With the instructions that compute."""

    def _records(self, records: int, stride_y: int, blocks: int, steps: tuple[int, int]) -> tuple[list[np.ndarray], int]:
        """Rows of headers and of values of an OS stream, and its number of values; ``steps``: rows to the next block and line."""
        cfg, n, (plane, pitch) = self.cfg, self.n, steps
        headers, values = [], 0
        kx = ky = lane = block = 0
        rng = np.random.default_rng(self.number(0, 9))
        for _ in range(records):
            if headers and self.flag():
                # Below the record before, as the neighbour link wants it.
                ky += self.choice([1, 1, 2, stride_y, 2 * stride_y])
            else:
                kx, ky, lane, block = self.number(0, 3), self.number(0, 2), self.number(0, n - 1), self.number(0, blocks - 1)
            few = self.flag()
            chosen = rng.random(cfg.rf) < (2 / cfg.rf if few else 0.6)
            chosen[rng.integers(cfg.rf)] = True
            bitmap = sum(1 << int(k) for k in np.flatnonzero(chosen))
            headers += [(block * plane + ky * pitch + kx) & 0xFFFF, lane | kx << 5 | ky << 10]
            headers += [bitmap >> 16 * i & 0xFFFF for i in range(cfg.bitmap_words)]
            values += bitmap.bit_count()
        streams = [np.array(headers, np.uint16), rng.choice([0x8000, 0x7FFF, 0xFFFF, 1, 0x1234, 0xEDCB], values).astype(np.uint16)]
        return [np.resize(np.append(s, np.zeros(-len(s) % n, np.uint16)), (-(-len(s) // n), n)) for s in streams], values

    def os(self) -> None:
        n = self.n
        blocks = self.number(1, 2)
        found = self.input(blocks, named=False)
        if found is None:
            return
        fields, rows, plane, pitch = found
        seg_len, nrows = self.number(1, n), self.number(1, n)
        segs = self.number(1, 4)
        bank, first = self.number(0, 1), self.number(0, 1)
        held = self.holds[bank]
        if held is None or held[0] == "WS":
            held, first = None, 1
        records = self.number(1, 6)
        lines, values = self._records(records, fields["stride_y"], blocks, (plane, pitch))
        row = self.weights(np.concatenate(lines))
        if row is None:
            return
        most_rows, most_lanes = (n, n) if first or held is None else held[1:]
        self.holds[bank] = ("OS", min(nrows, most_rows), min(seg_len, most_lanes))
        fields |= {
            "seg_len": seg_len, "segs": segs, "seg0": self.number(0, segs - 1), "nrows": nrows,
            "windows": -(-((seg_len - 1) * fields["stride_x"] + 1) // n), "hdr_row": row, "val_row": row + len(lines[0]),
            "records": records, "bank": bank, "first": first, "pixels": nrows * seg_len, "skipped": self.number(0, 1000), "values": values,
        }
        used = range(row, row + len(lines[0]) + len(lines[1]))
        self.add("OS", fields, {("act", r) for r in rows} | {("weight", r) for r in used}, {("bank", bank)})

    def ws(self) -> None:
        cfg, n = self.cfg, self.n
        blocks, kw, kh = self.number(1, 2), self.number(1, 3), self.number(1, 2)
        found = self.input(blocks)
        if found is None:
            return
        fields, rows, _, _ = found
        out_w, out_h = self.number(1, 5), self.number(1, 4)
        if out_w * out_h > cfg.ws_pixels:
            return
        bank, first = self.number(0, 1), self.number(0, 1)
        held = self.holds[bank]
        if held is None or held[0] == "OS" or held[1] < out_w * out_h:
            held, first = None, 1
        tiles = blocks * kw * kh
        rng = np.random.default_rng(self.number(0, 9))
        weights = rng.integers(0, 65536, (tiles * n, n)) * (rng.random((tiles * n, n)) >= self.choice([0, 0.4, 0.9]))
        row = self.weights(weights.astype(np.uint16))
        if row is None:
            return
        self.holds[bank] = ("WS", out_w * out_h if first or held is None else held[1])
        fields |= {"out_w": out_w, "out_h": out_h, "kw": kw, "kh": kh, "blocks": blocks, "val_row": row, "tiles": tiles, "bank": bank,
                   "first": first}
        used = range(row, row + tiles * n)
        self.add("WS", fields, {("act", r) for r in rows} | {("weight", r) for r in used}, {("bank", bank)})

    def drain(self) -> None:
        cfg, n = self.cfg, self.n
        bank = self.number(0, 1)
        held = self.holds[bank]
        fields = {"bank": bank, "shift": self.number(0, 40), "act": self.number(0, max(ActivationCode)),
                  "post_act": self.number(0, AFTER_SUM.most),
                  "parm": self.number(0, 32767), "post_parm": self.number(0, 32767), "residual": self.number(0, 1)}
        if held and held[0] == "WS":
            blocks, lines, columns = 1, self.number(1, 4), self.number(1, 5)
            if lines * columns > held[1]:
                return
            fields |= {"mode": 1, "out_w": columns, "out_h": lines, "entry0": self.number(0, (held[1] - lines * columns) // n)}
        else:
            nrows, seg_len = (held[1], held[2]) if held else (n, n)
            nrows, seg_len, segs = self.number(1, nrows), self.number(1, seg_len), self.number(1, 4)
            seg0 = self.number(0, segs - 1)
            channels, lane0 = self.number(1, cfg.rf), self.number(0, n - 1)
            entry0 = self.number(0, cfg.rf - channels)
            columns = self.number(1, segs * seg_len)
            blocks, lines = (lane0 + channels - 1) // n + 1, (seg0 + nrows - 1) // segs + 1
            fields |= {"mode": 0, "channels": channels, "entry0": entry0, "lane0": lane0, "seg_len": seg_len, "segs": segs, "seg0": seg0,
                       "nrows": nrows, "out_w": columns}
        if 2 * blocks > cfg.bias_rows:
            return
        bias_row = self.number(0, cfg.bias_rows - 2 * blocks)
        out = self.region("out_", blocks, lines, columns)
        if out is None:
            return
        other = self.region("res_", blocks, lines, columns, taken=out[1]) if fields["residual"] else ({}, set())
        if other is None:
            return
        fields |= out[0] | other[0] | {"bias_row": bias_row}
        reads = {("act", r) for r in other[1]} | {("bias", r) for r in range(bias_row, bias_row + 2 * blocks)} | {("bank", bank)}
        self.add("DRAIN", fields, reads, {("act", r) for r in out[1]})

    def _factor(self, blocks: int, out_h: int, out_w: int) -> tuple[dict[str, int], set[int]] | None:
        """Fields and rows of MUL's other map, or None if there is no room."""
        broadcast = self.number(0, 1)
        found = self.region("other_", blocks, out_h, 1 if broadcast else out_w)
        return found and (found[0] | {"broadcast": broadcast}, found[1])

    def _rest(self, op: Op, fields: dict[str, int]) -> None:
        """Add what ``fields`` lacks."""
        for f in op.fields:
            if f.name not in fields:
                low, high = f.limits(self.cfg)
                fields[f.name] = self.number(low, min(high, SMALL.get(f.name, high)))

    def pool(self, op: Op) -> None:
        """An instruction of POOL: a map that it writes, one that it reads if it does, and anything in its other fields."""
        if not op.writes_map:
            self.add(op.name, {f.name: self.number(*f.limits(self.cfg)) for f in op.fields}, set(), set())
            return
        blocks = self.number(1, 2)
        found = self.input(blocks) if op.reads_map else ({}, set(), 0, 0)
        if found is None:
            return
        fields, rows, _, _ = found
        out_w, out_h = self.number(1, 4), self.number(1, 4)
        other = self._factor(blocks, out_h, out_w) if op.name == "MUL" else ({}, set())
        if other is None:
            return
        fields, rows = fields | other[0], rows | other[1]
        out = self.region("out_", blocks, out_h, out_w, taken=rows)
        if out is None:
            return
        fields |= out[0] | {"out_w": out_w, "out_h": out_h, "blocks": blocks}
        self._rest(op, fields)
        self.add(op.name, fields, {("act", r) for r in rows}, {("act", r) for r in out[1]})


def random_program(choices: Choices, machines: Mapping[int, MachineConfig]) -> RandomProgram:
    """A legal program for one of ``machines`` ({N: MachineConfig})."""
    builder = _Builder(choices, machines[choices.choice(sorted(machines))])
    builder.load(MEM_ACT)
    for _ in range(choices.number(1, 12)):
        choices.choice([builder.load, builder.store, builder.os, builder.os, builder.ws, builder.drain, builder.drain,
                        *(partial(builder.pool, op) for op in ops_of(POOL, builder.cfg))])()
    builder.show()
    return builder.finish()
