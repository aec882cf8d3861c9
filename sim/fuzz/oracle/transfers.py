"""The faults of LOAD and STORE: places in DRAM and rows of buffers that do not exist."""

import numpy as np

from squeezelerator.sim.engines.rtl import RtlError
from squeezelerator.sim.fuzz.instructions import first_bad_burst
from squeezelerator.sim.fuzz.oracle.outcome import UndefinedError
from squeezelerator.spec.isa import STORE, UNITS, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import Transfer

__all__ = ["row_fault", "transfer_fault", "transfer_of"]

#: The value of LOAD's field ``mem`` whose target has no rows.
_NO_ROWS = 3


def transfer_of(i: Instruction, cfg: MachineConfig) -> Transfer:
    """What a LOAD or STORE moves in DRAM."""
    f = i.fields
    return Transfer(f["dram"], f["rows"] * cfg.row_bytes, f["lines"], f["dram_pitch"])


def transfer_fault(i: Instruction, cfg: MachineConfig, limit: int) -> RtlError | None:
    """The error ADDRESS of a LOAD or STORE in a memory of ``limit`` bytes, None if it stays inside."""
    bad = first_bad_burst(cfg, transfer_of(i, cfg), limit, cfg.burst_beats)
    return None if bad is None or i.unit is None else RtlError("ADDRESS", UNITS[i.unit], bad)


def row_fault(i: Instruction, cfg: MachineConfig) -> bool:
    """Whether a LOAD or STORE names a row of a buffer that does not exist.

    Raises
    ------
    UndefinedError
        If its rows go on at row 0: they are counted modulo 65536.
    """
    f = i.fields
    if i.unit != STORE and f["mem"] == _NO_ROWS:
        return False
    rows = cfg.act_rows if i.unit == STORE else (cfg.act_rows, cfg.weight_rows, cfg.bias_rows)[f["mem"]]
    last = (f["row"] + np.arange(f["lines"]) * f["row_pitch"]) % 65536 + f["rows"] - 1
    if int(last.max()) >= rows:
        return True
    if f["row"] + (f["lines"] - 1) * f["row_pitch"] >= 65536:
        raise UndefinedError("a transfer's rows begin anew at row 0")
    return False
