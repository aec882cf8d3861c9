"""What DRAIN and POOL compute, in plain integers and straight from the definitions; knows nothing of cycles."""

import numpy as np

from squeezelerator.spec.functions.activations import apply_code


def sat16(value):
    return np.clip(value, -32768, 32767)


def requantise(value, shift):
    """``value`` (int64) over 2**shift, halves up, saturated."""
    return sat16((value + ((1 << shift) >> 1)) >> shift)


def post(acc, bias, res, *, shift, act, parm, residual, post_act, post_parm):
    v = apply_code(act, requantise(acc + bias, shift), parm)
    return apply_code(post_act, sat16(v + res) if residual else v, post_parm)


def line_row(line, pitch, wrap_line, wrap_rows):
    """Row of a line relative to line 0."""
    return line * pitch - (wrap_rows if line >= wrap_line else 0)


def pass_biases(cfg, ins, bias_memory, block):
    """The N biases of channel block ``block`` of the pass."""
    low = bias_memory[ins["bias_row"] + 2 * block].astype(np.int64) & 0xFFFF
    high = bias_memory[ins["bias_row"] + 2 * block + 1].astype(np.int64)
    return (high << 16) + low


def drain_accesses(cfg, ins):
    """In order: (k, array row, line, column, words, block, lane) of every access of a DRAIN."""
    n = cfg.n
    if ins["mode"] == 1:
        for t in range(ins["out_w"] * ins["out_h"]):
            yield ins["entry0"] + t // n, t % n, t // ins["out_w"], t % ins["out_w"], n, 0, 0
        return
    for k in range(ins["channels"]):
        block, lane = divmod(ins["lane0"] + k, n)
        for i in range(ins["nrows"]):
            line, seg = divmod(ins["seg0"] + i, ins["segs"])
            column = seg * ins["seg_len"]
            yield ins["entry0"] + k, i, line, column, max(0, min(ins["seg_len"], ins["out_w"] - column)), block, lane


def drain(cfg, ins, sums, bias_memory, activations):
    """Writes of a DRAIN: (row, column flag, lane, values) each.

    ``sums(k, i)`` gives N partial sums, ``activations`` is indexed [row, lane].
    """
    for k, i, line, column, words, block, lane in drain_accesses(cfg, ins):
        out, res = (
            ins[f"{name}_base"] + block * ins[f"{name}_plane"] + column
            + line_row(line, ins[f"{name}_pitch"], ins[f"{name}_wrap_line"], ins[f"{name}_wrap_rows"])
            for name in ("out", "res"))
        biases = pass_biases(cfg, ins, bias_memory, block)
        if ins["mode"] == 0:
            biases = np.full(cfg.n, biases[lane])
            residual = [activations[(res + j) % 65536, lane] for j in range(words)]
        else:
            residual = activations[res % 65536]
        settings = {name: ins[name] for name in ("shift", "act", "parm", "residual", "post_act", "post_parm")}
        values = post(sums(k, i)[:words], biases[:words], np.asarray(residual, dtype=np.int64), **settings)
        yield out % 65536, int(ins["mode"] == 0), lane if ins["mode"] == 0 else 0, [int(v) for v in values]


def pool(cfg, ins, activations):
    """Writes of a POOL: (row, N values) each."""
    n = cfg.n
    for block in range(ins["blocks"]):
        for oy in range(ins["out_h"]):
            for ox in range(ins["out_w"]):
                inside = []
                for ky in range(ins["kh"]):
                    for kx in range(ins["kw"]):
                        y = ins["y0"] + oy * ins["stride_y"] + ky
                        x = ins["x0"] + ox * ins["stride_x"] + kx
                        if 0 <= y < ins["in_h"] and 0 <= x < ins["in_w"]:
                            row = ins["in_base"] + block * ins["in_plane"] + x
                            row += line_row(y, ins["in_pitch"], ins["wrap_line"], ins["wrap_rows"])
                            inside.append(activations[row % 65536])
                if ins["kind"] == 0:
                    values = np.max(inside, axis=0) if inside else np.full(n, -32768)
                else:
                    total = np.sum(inside, axis=0, dtype=np.int64) if inside else np.zeros(n, dtype=np.int64)
                    values = requantise(total * ins["mult"], ins["shift"])
                row = ins["out_base"] + block * ins["out_plane"] + ox
                row += line_row(oy, ins["out_pitch"], ins["out_wrap_line"], ins["out_wrap_rows"])
                yield row % 65536, [int(v) for v in values]


def places(ins):
    """(block, line, column, row that is written) of every result of an instruction of POOL."""
    for block, oy, ox in np.ndindex(ins["blocks"], ins["out_h"], ins["out_w"]):
        line = line_row(oy, ins["out_pitch"], ins["out_wrap_line"], ins["out_wrap_rows"])
        yield block, oy, ox, (ins["out_base"] + block * ins["out_plane"] + line + ox) % 65536


def element(ins, activations, block, oy, ox):
    """The N words of a MUL's or LOOKUP's map, int64; 0 outside it."""
    y, x = ins["y0"] + oy * ins["stride_y"], ins["x0"] + ox * ins["stride_x"]
    if not (0 <= y < ins["in_h"] and 0 <= x < ins["in_w"]):
        return np.zeros(activations.shape[1], np.int64)
    row = ins["in_base"] + block * ins["in_plane"] + x + line_row(y, ins["in_pitch"], ins["wrap_line"], ins["wrap_rows"])
    return activations[row % 65536].astype(np.int64)


def mul(cfg, ins, activations):
    """Writes of a MUL: (row, N values) each."""
    for block, oy, ox, target in places(ins):
        line = line_row(oy, ins["other_pitch"], ins["other_wrap_line"], ins["other_wrap_rows"])
        row = ins["other_base"] + block * ins["other_plane"] + line + (0 if ins["broadcast"] else ox)
        product = element(ins, activations, block, oy, ox) * activations[row % 65536]
        yield target, [int(v) for v in requantise(product, ins["shift"])]


class FunctionTables:
    """TABLE and LOOKUP: the tables' entries [slope, offset] by number."""

    def __init__(self):
        self.entries = {}

    def table(self, cfg, ins, activations):
        """A TABLE writes no rows."""
        for entry in range(8):
            self.entries[(ins["first"] + entry) % 512] = ins[f"slope{entry}"], ins[f"offset{entry}"]
        return ()

    def lookup(self, cfg, ins, activations):
        """Writes of a LOOKUP: (row, N values) each."""
        for block, oy, ox, target in places(ins):
            values = []
            for x in element(ins, activations, block, oy, ox).tolist():
                segment = min(127, max(-128, x // 2 ** ins["segment"]))
                slope, offset = self.entries[256 * ins["table"] + 128 + segment]
                values.append(int(requantise(np.int64(slope * x + offset), ins["shift"])))
            yield target, values
