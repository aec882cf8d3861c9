"""What can be said of one instruction by its fields alone."""

from squeezelerator.spec.constants.dma import PAGE_BYTES
from squeezelerator.spec.constants.units import pool_positions
from squeezelerator.spec.isa import BY_NAME, LOAD, MODE_OS, STORE, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.footprint import Transfer

__all__ = ["contradiction", "first_bad_burst", "refused", "work"]


def first_bad_burst(cfg: MachineConfig, transfer: Transfer, limit: int, longest: int) -> int | None:
    """Offset of the first burst of a transfer that is not aligned or goes beyond ``limit``, None if all are in order."""
    beat = cfg.bus_bytes
    for line in range(transfer.lines):
        offset, left = (transfer.start + line * transfer.pitch) & 0xFFFFFFFF, transfer.size // beat
        while left:
            beats = min(left, longest, (PAGE_BYTES - offset % PAGE_BYTES) // beat)
            if offset % beat or beats > (limit - offset) // beat:
                return offset
            offset, left = (offset + beats * beat) & 0xFFFFFFFF, left - beats
    return None


def work(i: Instruction, cfg: MachineConfig) -> int:
    """A bound of an instruction's cycles, but for what it waits for."""
    f = i.fields
    if i.unit in (LOAD, STORE):
        return f["rows"] * cfg.row_beats * f["lines"]
    if i.op == "OS":
        return f["records"] * f["nrows"] * f["windows"] + f["values"]
    if i.op == "WS":
        return f["tiles"] * max(cfg.n, f["out_w"] * f["out_h"])
    if i.op == "DRAIN":
        return f["channels"] * f["nrows"] if f["mode"] == MODE_OS else f["out_w"] * f["out_h"]
    return pool_positions(f)


def contradiction(i: Instruction, cfg: MachineConfig) -> str:
    """How an instruction's fields contradict each other in a way that the hardware does not look for; empty if they do not."""
    f = i.fields
    if i.op == "OS" and f["windows"] != -(-((f["seg_len"] - 1) * f["stride_x"] + 1) // cfg.n):
        return "windows that do not fit the segments"
    if "seg0" in f and f.get("mode", MODE_OS) == MODE_OS and f["seg0"] >= f["segs"]:
        return "begins behind the last segment"
    if i.op == "WS" and (f["tiles"] != f["blocks"] * f["kh"] * f["kw"] or f["out_w"] * f["out_h"] > cfg.ws_pixels):
        return "tiles that are not blocks * kh * kw, or too many pixels"
    entries = 0 if i.op != "DRAIN" else f["channels"] if f["mode"] == MODE_OS else -(-f["out_w"] * f["out_h"] // cfg.n)
    return "drains entries that there are not" if f.get("entry0", 0) + entries > cfg.rf else ""


def refused(i: Instruction, cfg: MachineConfig) -> bool:
    """Whether FETCH refuses a field."""
    for field in BY_NAME[i.op].fields:
        low, high = field.limits(cfg)
        if (field.mode is None or i["mode"] == field.mode) and not low <= i[field.name] <= high:
            return True
    return False
