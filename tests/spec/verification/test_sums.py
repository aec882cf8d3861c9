"""Programs that drain sums which were never begun are refused: the hardware holds there what an earlier instruction left."""

import numpy as np
import pytest
from support.hand_programs import CODE, CONSTANTS, HandProgram, end, load

from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.sums import Sums
from squeezelerator.spec.verification.verify import VerifyError, verify

CFG = MachineConfig(n=4)
WINDOW = dict.fromkeys(("in_w", "in_h", "in_pitch", "stride_y", "stride_x"), 1)
#: Weight streams: the first record gives values to entry 0, the one in the next row to entries 1 and 2.
BITMAPS = (0b1, 0b110)


def constants():
    words = np.zeros((CODE - CONSTANTS) // 2, np.uint16)
    for row, bitmap in enumerate(BITMAPS):
        words[8 * row + 2] = bitmap
    return words.tobytes()


def os(stream=0, *, nrows=4, seg_len=4, first=1, bank=0):
    values = BITMAPS[stream].bit_count()
    return Instruction("OS", {**WINDOW, "seg_len": seg_len, "segs": 8, "nrows": nrows, "windows": 1, "hdr_row": stream, "records": 1,
                              "values": values, "first": first, "bank": bank})  # fmt: skip


def ws(pixels, *, first=1, bank=0):
    ones = dict.fromkeys(("out_h", "kw", "kh", "blocks", "tiles"), 1)
    return Instruction("WS", {**WINDOW, **ones, "out_w": pixels, "first": first, "bank": bank})


def drain_os(channels=1, *, entry0=0, nrows=4, seg_len=4, out_w=32, seg0=0, bank=0):
    return Instruction("DRAIN", {"channels": channels, "entry0": entry0, "nrows": nrows, "seg_len": seg_len, "segs": 8, "seg0": seg0,
                                 "out_w": out_w, "bank": bank})  # fmt: skip


def drain_ws(pixels, *, entry0=0, bank=0):
    return Instruction("DRAIN", {"mode": 1, "out_w": pixels, "out_h": 1, "entry0": entry0, "bank": bank})


def program(*instructions):
    """They follow each other one by one, behind a LOAD of the weights."""
    done = {LOAD: 1, ARRAY: 0, DRAIN: 0}
    for i in instructions:
        i.tickets.update({unit: count for unit, count in done.items() if count and unit != i.unit})
        done[i.unit] += 1
    code = [load(mem=1, rows=8, dram=CONSTANTS), *instructions]
    return HandProgram(CFG, [*code, end(code)], constants=constants())


def refused(where, *instructions):
    with pytest.raises(VerifyError, match=rf"^instruction {len(instructions)} \(DRAIN\): drains {where}, where no sum was begun$"):
        verify(program(*instructions))


def test_rows_that_the_instruction_that_began_the_bank_left_out():
    # Seed 11, number 606 of the damaged programs: an OS of three rows, and a WS that goes on in four.
    refused("entry 0 of bank 0 at array row 3, column 0", os(nrows=3), ws(4, first=0), drain_ws(4))
    refused("entry 0 of bank 0 at array row 3, column 0", os(nrows=3), os(first=0), drain_os())
    verify(program(os(nrows=3), ws(3, first=0), drain_ws(3)))
    verify(program(os(nrows=3), os(first=0), drain_os(nrows=3)))


def test_rows_and_columns_that_a_later_instruction_leaves_out():
    # Every array row adds whatever its registers hold; the sums of the rows that it does not use are lost.
    refused("entry 0 of bank 0 at array row 3, column 0", os(), os(first=0, nrows=3), drain_os())
    refused("entry 0 of bank 0 at array row 0, column 2", os(), os(first=0, seg_len=2), drain_os())
    verify(program(os(), os(1, first=0, nrows=3), drain_os()))  # of other entries
    verify(program(os(), os(first=0, nrows=3), os(), drain_os()))


def test_columns_behind_a_segment():
    refused("entry 0 of bank 0 at array row 0, column 3", os(seg_len=3), drain_os())
    refused("entry 0 of bank 0 at array row 0, column 3", os(seg_len=3), drain_ws(1))
    # Columns behind the output line are not drained: the second segment begins with column 4.
    verify(program(os(seg_len=3), drain_os(nrows=1, out_w=3)))
    verify(program(os(nrows=1), drain_os(nrows=2, out_w=4)))
    refused("entry 0 of bank 0 at array row 1, column 0", os(nrows=1), drain_os(nrows=2, out_w=5))
    refused("entry 0 of bank 0 at array row 1, column 0", os(nrows=1), drain_os(nrows=2, seg0=7))


def test_entries_without_weights_are_zero():
    Sums(CFG, fresh=True).add(drain_os(4), 0)  # behind a reset both banks are empty
    verify(program(os(nrows=1), drain_os(4, entry0=1)))
    verify(program(os(nrows=1), os(1, nrows=1), drain_os(1)))  # begun anew, entry 0 is empty again
    refused("entry 0 of bank 0 at array row 0, column 0", os(nrows=1, bank=1), drain_os(4))


def test_ws_in_entries_that_nothing_has_begun():
    # WS takes the entry's memory as it is unless `first` is set.
    refused("entry 0 of bank 0 at array row 0, column 0", ws(4, first=0), drain_ws(4))
    refused("entry 1 of bank 0 at array row 0, column 0", os(), ws(8, first=0), drain_ws(8))
    refused("entry 2 of bank 0 at array row 0, column 0", ws(8), drain_ws(4, entry0=2))
    refused("entry 1 of bank 1 at array row 1, column 0", ws(5, bank=1), drain_ws(6, bank=1))
    refused("entry 3 of bank 0 at array row 0, column 0", os(1), ws(4, first=0), drain_os(3, entry0=1))
    verify(program(ws(8), ws(4, first=0), drain_ws(8)))
    verify(program(ws(8), os(1, first=0), drain_os(2)))
    verify(program(ws(5), drain_ws(5)))


def test_what_another_program_left():
    refused("entry 0 of bank 1 at array row 0, column 0", ws(4), drain_ws(1, bank=1))
    verify(program(ws(4), ws(1, bank=1), drain_ws(1, bank=1)))
