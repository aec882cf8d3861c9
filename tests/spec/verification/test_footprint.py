"""What instructions touch, against loops over every position that they visit."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.hand_programs import CONSTANTS, HandProgram, load
from support.machines import MACHINES
from support.programs import SIZE, random_programs

from squeezelerator.sim.engines.functional import Machine
from squeezelerator.spec.isa import BY_NAME, MEM_PACKED, POOL, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import FootprintError, Footprints
from squeezelerator.spec.weight_decode import unpack


def input_rows(i, pixels, taps):
    """Rows that output pixels (line, column) read through ``taps`` (rows from the pixel, kx, ky)."""
    found = set()
    for line, column in pixels:
        for offset, kx, ky in taps:
            y, x = i["y0"] + line * i["stride_y"], i["x0"] + column * i["stride_x"]
            if 0 <= y + ky < i["in_h"] and 0 <= x + kx < i["in_w"]:
                wrap = i["wrap_rows"] if y + ky >= i["wrap_line"] else 0
                found.add((i["in_base"] + offset + y * i["in_pitch"] + x - wrap) % 65536)
    return found


def window(i):
    pixels = [(y, x) for y in range(i["out_h"]) for x in range(i["out_w"])]
    kh, kw = i.fields.get("kh", 1), i.fields.get("kw", 1)
    return input_rows(i, pixels, [(b * i["in_plane"] + ky * i["in_pitch"] + kx, kx, ky)
                                  for b in range(i["blocks"]) for ky in range(kh) for kx in range(kw)])  # fmt: skip


def segments(i):
    return [((i["seg0"] + row) // i["segs"], (i["seg0"] + row) % i["segs"] * i["seg_len"] + lane)
            for row in range(i["nrows"]) for lane in range(i["seg_len"])]  # fmt: skip


def output_rows(i, prefix, pixels, blocks):
    return {(i[f"{prefix}_base"] + b * i[f"{prefix}_plane"] + line * i[f"{prefix}_pitch"] + column
             - (i[f"{prefix}_wrap_rows"] if line >= i[f"{prefix}_wrap_line"] else 0)) % 65536
            for b in range(blocks) for line, column in pixels}  # fmt: skip


def plain(i, cfg, weight):
    """({(kind, row)} read, {(kind, row)} written)."""
    def rows(kind, cells):
        return {(kind, cell) for cell in cells}

    if i.op in ("LOAD", "STORE"):
        if i["mem"] == MEM_PACKED if i.op == "LOAD" else False:
            return set(), rows("weight", range(i["row"], i["row"] + i["row_pitch"]))
        cells = {i["row"] + line * i["row_pitch"] + r for line in range(i["lines"]) for r in range(i["rows"])}
        return (rows("act", cells), set()) if i.op == "STORE" else (set(), rows(("act", "weight", "bias")[i["mem"]], cells))
    if i.op == "OS":
        words = weight[i["hdr_row"] :].reshape(-1)[: i["records"] * cfg.header_words].reshape(-1, cfg.header_words).tolist()
        taps = [(w[0], w[1] >> 5 & 31, w[1] >> 10) for w in words]
        used = [*range(i["hdr_row"], i["hdr_row"] + -(-i["records"] * cfg.header_words // cfg.n)),
                *range(i["val_row"], i["val_row"] + -(-i["values"] // cfg.n))]  # fmt: skip
        return rows("act", input_rows(i, segments(i), taps)) | rows("weight", used), {("rf", i["bank"])}
    if i.op == "WS":
        weights = range(i["val_row"], i["val_row"] + i["tiles"] * cfg.n)
        return rows("act", window(i)) | rows("weight", weights), {("rf", i["bank"])}
    if i.unit == POOL:
        if i.op == "TABLE":
            return set(), set()
        pixels = [(y, x) for y in range(i["out_h"]) for x in range(i["out_w"])]
        read = rows("act", window(i) if BY_NAME[i.op].reads_map else ())
        if i.op == "MUL":
            read |= rows("act", output_rows(i, "other", [(y, 0) for y, _ in pixels] if i["broadcast"] else pixels, i["blocks"]))
        return read, rows("act", output_rows(i, "out", pixels, i["blocks"]))
    if i["mode"] == 0:
        pixels, blocks = [(y, x) for y, x in segments(i) if x < i["out_w"]], (i["lane0"] + i["channels"] - 1) // cfg.n + 1
    else:
        pixels, blocks = [(y, x) for y in range(i["out_h"]) for x in range(i["out_w"])], 1
    read = rows("bias", range(i["bias_row"], i["bias_row"] + 2 * blocks)) | {("rf", i["bank"])}
    if i["residual"]:
        read |= rows("act", output_rows(i, "res", pixels, blocks))
    return read, rows("act", output_rows(i, "out", pixels, blocks))


def bits(cells, ports, footprints):
    """The number in which :class:`Footprints` writes this down; ``ports``: first bit of the ports that reads or writes use."""
    first = {"act": 0, "weight": footprints.first_weight, "bias": footprints.first_bias, "rf": footprints.first_bank}
    used = {row // footprints.cfg.sector_rows for kind, row in cells if kind == "act"}
    return sum(1 << first[kind] + row for kind, row in cells), sum(1 << ports + sector for sector in used)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(program=random_programs(MACHINES))
def test_random_programs(program):
    cfg = program.cfg
    machine, footprints = Machine(cfg, bytearray(program.image)), Footprints(cfg, program.image, (0, SIZE))
    for i in program.instructions[:-1]:
        expected_read, expected_written = plain(i, cfg, machine.weight)
        machine.execute(i)
        try:
            found = footprints.of(i)
        except FootprintError as error:
            assert "packed weights have" in str(error)  # anything may be loaded as if it were packed weights
            return
        read, read_ports = bits(expected_read, footprints.first_port, footprints)
        written, write_ports = bits(expected_written, footprints.first_port + cfg.sectors, footprints)
        assert found.read == read, i
        assert found.written == written | read_ports | write_ports, i
        if found.transfer is not None:
            assert (found.transfer.start, found.transfer.size) == (i["dram"], i["rows"] * cfg.row_bytes)


CFG = MachineConfig(n=4)
WS = {**dict.fromkeys(("in_w", "in_h", "in_pitch", "stride_y", "stride_x", "out_w", "out_h", "kw", "kh", "blocks", "tiles"), 1)}
OS = {**dict.fromkeys(("in_w", "in_h", "in_pitch", "stride_y", "stride_x", "seg_len", "segs", "nrows", "windows", "records", "values"), 1)}
DRAIN = {"out_w": 1, "out_h": 1, "channels": 1, "seg_len": 1, "segs": 1, "nrows": 1}


@pytest.mark.parametrize("op,fields,message", [
    ("LOAD", {"rows": 2, "lines": 1, "row": CFG.act_rows - 1}, f"reaches act {CFG.act_rows} of {CFG.act_rows}"),
    ("LOAD", {"rows": 1, "lines": 3, "row_pitch": CFG.bias_rows // 2, "mem": 2, "dram": CONSTANTS},
     f"reaches bias {CFG.bias_rows} of {CFG.bias_rows}"),
    ("LOAD", {"rows": 1, "lines": 1, "row": CFG.weight_rows, "mem": 1, "dram": CONSTANTS}, "reaches weight"),
    ("LOAD", {"rows": 1, "lines": 1, "mem": 1, "dram": CONSTANTS - 16}, "loads weights that are not among the constants"),
    ("LOAD", {"rows": 1, "lines": 1, "dram": 8}, "a transfer is not aligned to beats"),
    ("LOAD", {"rows": 1, "lines": 2, "dram_pitch": 1 << 31}, "reaches byte 2147483664 of 32768 in DRAM"),
    ("STORE", {"rows": 1, "lines": 2, "row_pitch": CFG.act_rows}, f"reaches act {CFG.act_rows} of {CFG.act_rows}"),
    ("WS", {**WS, "tiles": 2}, "2 tiles instead of 1"),
    ("WS", {**WS, "out_w": CFG.ws_pixels, "out_h": 2}, f"{2 * CFG.ws_pixels} pixels, a bank holds {CFG.ws_pixels}"),
    ("WS", {**WS, "val_row": CFG.weight_rows - 3}, f"reaches weight {CFG.weight_rows} of {CFG.weight_rows}"),
    ("WS", {**WS, "in_base": CFG.act_rows}, f"reaches act {CFG.act_rows} of {CFG.act_rows}"),
    ("OS", {**OS, "windows": 2}, "2 windows do not fit segments of 1 columns"),
    ("OS", {**OS, "seg0": 1}, "begins with segment 1 of 1"),
    ("OS", {**OS, "val_row": CFG.weight_rows}, "a weight stream leaves the weight buffer"),
    ("OS", OS, "a record without weights"),
    ("DRAIN", {**DRAIN, "entry0": CFG.rf - 1, "channels": 2}, f"drains entry {CFG.rf} of {CFG.rf}"),
    ("DRAIN", {**DRAIN, "mode": 1, "entry0": CFG.rf - 1, "out_w": 5}, f"drains entry {CFG.rf} of {CFG.rf}"),
    ("DRAIN", {**DRAIN, "bias_row": CFG.bias_rows - 1}, f"reaches bias {CFG.bias_rows} of {CFG.bias_rows}"),
    ("DRAIN", {**DRAIN, "out_base": CFG.act_rows}, f"reaches act {CFG.act_rows} of {CFG.act_rows}"),
    ("POOL", {**WS, "out_pitch": CFG.act_rows, "out_h": 2, "out_base": 0}, f"reaches act {CFG.act_rows} of {CFG.act_rows}"),
])  # fmt: skip
def test_what_leaves_a_memory_or_contradicts_itself(op, fields, message):
    if op == "POOL":
        fields = {name: value for name, value in fields.items() if name != "tiles"}
    program = HandProgram(CFG, [])
    footprints = Footprints(CFG, bytes(program.mem_bytes), (CONSTANTS, program.prog_offset))
    with pytest.raises(FootprintError, match=f"^{message}"):
        footprints.of(Instruction(op, dict(fields)))


@pytest.mark.parametrize("bitmap,values,lane,message", [
    (0b11, 1, 0, "headers announce 2 values, the instruction 1"), (0b1, 2, 0, "headers announce 1 values, the instruction 2"),
    (0b1, 1, 4, "lane 4 of 4"), (0b1, 1, 3, None)])
def test_weight_streams_hold_what_they_announce(bitmap, values, lane, message):
    memory = np.zeros(0x8000 // 2, np.uint16)
    memory[CONSTANTS // 2 : CONSTANTS // 2 + 4] = 0, lane, bitmap, 0
    footprints = Footprints(CFG, memory.tobytes(), (CONSTANTS, 0x8000))
    footprints.of(load(mem=1, dram=CONSTANTS))
    instruction = Instruction("OS", {**OS, "values": values})
    if message is None:
        assert footprints.of(instruction).read & 1
    else:
        with pytest.raises(FootprintError, match=f"^{message}$"):
            footprints.of(instruction)


def test_an_empty_record_among_others():
    memory = np.zeros(0x8000 // 2, np.uint16)
    memory[CONSTANTS // 2 : CONSTANTS // 2 + 8] = 0, 0, 0b1, 0, 0, 1, 0, 0
    footprints = Footprints(CFG, memory.tobytes(), (CONSTANTS, 0x8000))
    footprints.of(load(mem=1, rows=2, dram=CONSTANTS))
    with pytest.raises(FootprintError, match="^a record without weights$"):
        footprints.of(Instruction("OS", {**OS, "records": 2}))


def test_packed_weights_that_miss_one_row():
    cfg = MachineConfig(n=16)
    # Bitmaps of zeros: rows without weights, as many as there are.
    memory = bytes(0x8000)
    whole = len(unpack(cfg, np.zeros(cfg.row_bytes // 2, np.uint16)))
    packed = {"mem": MEM_PACKED, "rows": 1, "lines": 1, "dram": CONSTANTS}
    footprints = Footprints(cfg, memory, (CONSTANTS, 0x8000))
    rows = footprints.of(Instruction("LOAD", {**packed, "row_pitch": whole})).written
    assert rows.bit_count() == whole
    with pytest.raises(FootprintError, match=f"^packed weights have {whole} of {whole + 1} rows$"):
        footprints.of(Instruction("LOAD", {**packed, "row_pitch": whole + 1}))
