"""An estimate of a program's cycles: one pass over its instructions, a few closed formulas each.

Good for comparing schedules and for the report; the cycle model in :mod:`sim` is the exact one. LOAD and STORE share the bus in
the order of the program; the instruction fetch does not appear on it.
"""

import dataclasses

import numpy as np

from squeezelerator.compiler.cost.bus import Bus
from squeezelerator.spec.dma_timing import load_cycles, store_fifo_rows
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, MODE_OS, POOL, STORE, UNITS

#: Cycles from the last operand to retirement (LOAD: and those from a row's last beat to its write).
_TAIL = {LOAD: 2, ARRAY: 12, DRAIN: 13, POOL: 12, STORE: 10}
_LATENCY = 105
_FETCH = 6


@dataclasses.dataclass
class ProgramEstimate:
    """``cycles`` in all; ``start`` and ``end`` of every instruction; busy cycles of every unit by name."""

    cycles: int
    start: np.ndarray
    end: np.ndarray
    busy: dict


def unit_cycles(instruction, cfg, records):
    """Cycles in which an instruction (or event) keeps its unit busy; ``records``: those of an OS stream."""
    f, name = instruction.fields, instruction.op
    if name in ("LOAD", "STORE"):
        return f["lines"] * f["rows"] * cfg.row_beats
    if name == "OS":
        return records.cycles(f["nrows"], f["segs"], f["windows"])
    if name == "WS":
        return f["tiles"] * max(cfg.n, f["out_w"] * f["out_h"])
    if name == "DRAIN":
        return f["channels"] * f["nrows"] if f["mode"] == MODE_OS else f["out_w"] * f["out_h"]
    return f["blocks"] * f["out_h"] * f["out_w"] * f["kh"] * f["kw"]


def estimate_program(instructions, cfg, records):
    """The :class:`ProgramEstimate` of a program.

    Parameters
    ----------
    instructions : list of spec.isa.Instruction
        With tickets that are not reduced.
    cfg : spec.machine.MachineConfig
    records : callable(int) -> compiler.mapping.weight_streams.Records
        The records of the OS instruction with this number.
    """
    count = len(instructions)
    start, end = [0] * count, [0] * count
    retired = [[0] for _ in UNITS]
    # What tickets stand for: of STORE, that the rows are read.
    done, held = [*retired[:STORE], [0]], store_fifo_rows(cfg) * cfg.row_beats
    accepted = [[] for _ in UNITS]
    free, dispatched, busy = [0] * len(UNITS), _LATENCY, [0] * len(UNITS)
    dataflow, bus = None, Bus()
    tail = _TAIL | {LOAD: _TAIL[LOAD] + load_cycles(cfg)}
    for i, instruction in enumerate(instructions):
        unit = instruction.unit
        begin = 0
        counted = retired if unit is None or instruction.fields.get("written") else done
        for other, needed in instruction.tickets.items():
            begin = max(begin, counted[other][needed] + 1)
        if unit is None:
            start[i] = end[i] = max(begin, dispatched)
            continue
        dispatched += _FETCH
        waiting = accepted[unit]
        if len(waiting) >= cfg.queue_depth:
            dispatched = max(dispatched, waiting[-cfg.queue_depth])
        begin = max(begin, dispatched + 2, free[unit])
        if unit == ARRAY and dataflow != instruction.op:
            begin, dataflow = max(begin, retired[ARRAY][-1] + 1), instruction.op
        work = unit_cycles(instruction, cfg, records(i) if instruction.op == "OS" else None)
        extra = _LATENCY if unit in (LOAD, STORE) else 0
        # The next transfer asks for its data while this one's is on its way.
        moves = unit in (LOAD, STORE)
        finish = bus.reserve(max(begin + extra, retired[unit][-1]), work) if moves else begin + work
        accepted[unit].append(begin)
        free[unit] = begin + work if unit not in (LOAD, STORE) else max(begin + 1, finish - extra - 1)
        start[i], end[i] = begin, finish + tail[unit]
        if unit == STORE:
            # The last row is read when that before it whose place it takes has left.
            left = (finish if work > held else retired[STORE][-1] - _TAIL[STORE] + work) - held
            done[STORE].append(max(begin + work // cfg.row_beats, left) + 2)
            free[STORE] = max(free[STORE], done[STORE][-1])  # it reads one instruction's rows after the other's
        retired[unit].append(end[i])
        busy[unit] += work
    return ProgramEstimate(max(end, default=0), np.array(start), np.array(end), dict(zip(UNITS, busy, strict=True)))
