"""Where the functional model refuses an instruction: at the first value too much, and not before."""

import numpy as np
import pytest

from squeezelerator.sim.engines.functional import FunctionalError, Machine
from squeezelerator.spec.isa import ACT_NONE, MODE_OS, MODE_WS, Instruction
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4, acc_bits=34)
VIEW = dict.fromkeys(("in_w", "in_h", "in_pitch", "stride_y", "stride_x"), 1)
WS = {**VIEW, **dict.fromkeys(("out_w", "out_h", "kw", "kh", "blocks", "tiles"), 1)}
OS = {**VIEW, **dict.fromkeys(("seg_len", "segs", "nrows", "windows", "records", "values"), 1), "val_row": 4}
DRAIN = {"out_w": 1, "out_h": 1, "channels": 1, "seg_len": 1, "segs": 1, "nrows": 1, "act": ACT_NONE}
POOL = {**VIEW, **dict.fromkeys(("out_w", "out_h", "kw", "kh", "blocks"), 1)}


@pytest.fixture
def machine():
    return Machine(CFG, bytearray(4096))


def execute(machine, op, fields, **changed):
    machine.execute(Instruction(op, {**fields, **changed}))


def refused(message, machine, op, fields, **changed):
    with pytest.raises(FunctionalError, match=f"^{message}$"):
        execute(machine, op, fields, **changed)


@pytest.mark.parametrize("weight,last", [(1, (1 << 33) - 1), (-1, -(1 << 33))])
def test_sums_as_wide_as_the_accumulators(machine, weight, last):
    machine.act[0, 0], machine.weight[0, 0] = 1, weight & 0xFFFF
    machine.rf[0, 0, 0, 0] = last - weight
    execute(machine, "WS", WS, first=0)
    assert machine.rf[0, 0, 0, 0] == last
    refused("a sum leaves 34 bits", machine, "WS", WS, first=0)
    execute(machine, "WS", WS, first=1)
    assert machine.rf[0, 0, 0, 0] == weight


def test_pixels_of_a_bank(machine):
    execute(machine, "WS", WS, first=1, out_w=CFG.ws_pixels)
    refused(f"{CFG.ws_pixels + 1} pixels, a bank holds {CFG.ws_pixels}", machine, "WS", WS, first=1, out_w=CFG.ws_pixels + 1)


def test_entries_of_the_register_file(machine):
    for mode, fields in ((MODE_OS, {"channels": 2}), (MODE_WS, {"out_w": CFG.n + 1})):
        execute(machine, "DRAIN", DRAIN, mode=mode, entry0=CFG.rf - 2, **fields)
        refused(f"drains entry {CFG.rf + 1} of {CFG.rf}", machine, "DRAIN", DRAIN, mode=mode, entry0=CFG.rf - 1, **fields)


def test_rows_of_the_buffers(machine):
    execute(machine, "DRAIN", DRAIN, bias_row=CFG.bias_rows - 2)
    refused(f"bias row {CFG.bias_rows} of {CFG.bias_rows}", machine, "DRAIN", DRAIN, bias_row=CFG.bias_rows - 1)
    last = CFG.act_rows - 1
    for op, fields, base, what in (("DRAIN", DRAIN, "out_base", "reaches"), ("POOL", POOL, "out_base", "reaches"),
                                   ("POOL", POOL, "in_base", "reads"), ("WS", WS, "in_base", "reads")):
        execute(machine, op, fields, **{base: last})
        refused(f"{what} row {last + 1} of {last + 1}", machine, op, fields, **{base: last + 1})


@pytest.mark.parametrize("bitmaps,values,message", [
    ((0b11,), 1, "headers announce 2 values, the instruction 1"), ((0b1,), 2, "headers announce 1 values, the instruction 2"),
    ((0b1, 0), 1, "a record without weights"), ((0, 0b1), 1, "a record without weights"), ((0b11, 0b1), 3, None),
])  # fmt: skip
def test_weight_streams_hold_what_they_announce(machine, bitmaps, values, message):
    headers = np.zeros((len(bitmaps), CFG.header_words), np.uint16)
    headers[:, 2] = bitmaps
    machine.weight.reshape(-1)[: headers.size] = headers.reshape(-1)
    fields = {**OS, "first": 1, "records": len(bitmaps), "values": values}
    if message is None:
        execute(machine, "OS", fields)
    else:
        refused(message, machine, "OS", fields)
