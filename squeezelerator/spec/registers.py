"""The registers, as one table: hardware, host driver, C header and reference page read it. Plain Python.

All registers are 32 bits wide and lie in the 4 KiB that the AXI4-Lite port decodes; the others answer with SLVERR. The counters
are 64 bits wide; they count from the start of a program and stop with it. A read of the low half keeps the high half of the same moment for
the next read of it. What the state machine behind CTRL and STATUS does is in ``docs/control.md``.
"""

import dataclasses
from typing import Any

from squeezelerator.spec.events import EVENTS
from squeezelerator.spec.isa import UNITS
from squeezelerator.spec.machine import MachineConfig

__all__ = [
    "ADDRESS_BITS", "AXI_ATTR_RESET", "COUNTERS", "COUNTER_BASE", "COUNTER_BITS", "ERRORS", "FAULT_UNITS", "ID_VALUE", "JOB_PLACES",
    "LIMIT_UNIT", "REGISTERS", "BitField", "ErrorCode", "Register", "c_header", "config_values", "counter_offset", "offset_of",
    "register_map",
]

#: Address bits of the AXI4-Lite port.
ADDRESS_BITS = 12
#: Value of the register ID: "SQZL".
ID_VALUE = 0x53515A4C
#: Width of a counter in hardware; the bits above read as 0.
COUNTER_BITS = 48
#: Cycles without any activity after which a program is halted. A pass of the array, a drain or a pooling window is active far more often.
STUCK_CYCLES = 1 << 14
#: Jobs that may wait while one runs.
JOB_PLACES = 2
#: Cycles that CYCLE_LIMIT counts in.
LIMIT_UNIT = 1024
#: Value of AXI_ATTR after a reset: bufferable and modifiable, unprivileged, non-secure, data.
AXI_ATTR_RESET = 0x233
#: Offset of the first counter.
COUNTER_BASE = 0x100


@dataclasses.dataclass(frozen=True)
class BitField:
    """``width`` bits of a register, from bit ``lsb`` on."""

    name: str
    lsb: int
    width: int
    doc: str


@dataclasses.dataclass(frozen=True)
class Register:
    """A register: byte ``offset``, ``access`` (ro: read only, rw, wo: write only, w1c: writing 1 clears a bit).

    ``latched``: a start takes the value along; writing it afterwards changes nothing for jobs that run or wait.
    """

    name: str
    offset: int
    access: str
    doc: str
    fields: tuple[BitField, ...] = ()
    latched: bool = False


@dataclasses.dataclass(frozen=True)
class ErrorCode:
    """Why the machine halted; ``detail`` says what the register ERROR_DETAIL then holds."""

    code: int
    name: str
    doc: str
    detail: str


#: Values of STATUS.unit: the five units in the order of ``spec.isa.UNITS``, then FETCH, the buffers, the watchdog and the host's side.
FAULT_UNITS = ("load", "array", "drain", "pool", "store", "fetch", "buffer", "watchdog", "control")

ERRORS = (
    ErrorCode(0, "NONE", "no error", "0"),
    ErrorCode(1, "OPCODE", "an instruction with an opcode that does not exist", "number of the instruction in the program"),
    ErrorCode(2, "OPERAND", "an instruction with a field out of the range that the table of instructions gives it; what it began is void",
              "number of the instruction in the program"),
    ErrorCode(3, "ADDRESS", "an access that is not aligned or leaves the program's memory; it was not issued",
              "byte offset in the program's memory"),
    ErrorCode(4, "READ", "an error response to an AXI read", "instructions that the unit has retired"),
    ErrorCode(5, "WRITE", "an error response to an AXI write", "instructions that the unit has retired"),
    ErrorCode(6, "ROW", "an access beyond the end of an on-chip memory",
              "found by LOAD: instructions that it has retired; by the buffers: bit i: unit i read there, bit 8 + i: unit i wrote there"),
    ErrorCode(7, "CONFLICT", "two units used the same port of the same bank of the activation buffer in one cycle",
              "bit i: unit i read in that cycle, bit 8 + i: unit i wrote"),
    ErrorCode(8, "PROGRAM", "the program ran out of instructions before END", "number of instructions"),
    ErrorCode(9, "STUCK", "the program can never end: tickets wait for each other, or a weight stream does not hold the values that "
              "its headers announce; found after "
              f"{STUCK_CYCLES:,} cycles in which nothing happened",
              "bit i: an instruction waits in front of unit i"),
    ErrorCode(10, "LIMIT", "the program ran for more cycles than CYCLE_LIMIT allows", "bit i: an instruction waits in front of unit i"),
    ErrorCode(11, "ABORT", "the host wrote CTRL.abort", "bit i: an instruction waits in front of unit i"),
    ErrorCode(12, "CHECKSUM", "the instructions read are not those of which PROG_CHECK is the checksum; found at END", "their checksum"),
)

REGISTERS = (
    Register("ID", 0x000, "ro", "constant 0x53515A4C"),
    Register("VERSION", 0x004, "ro", "version of the instruction set"),
    Register("FINGERPRINT", 0x008, "ro", "hash of the configuration; a program carries the one it was compiled for"),
    Register("CONFIG0", 0x00C, "ro", "configuration", (
        BitField("n", 0, 6, "PEs a side"),
        BitField("rf", 8, 7, "partial sums in a register-file bank"),
        BitField("bus_bytes", 16, 6, "bytes in a beat of the memory port"),
        BitField("acc_bits", 24, 6, "bits of a partial sum"))),
    Register("CONFIG1", 0x010, "ro", "configuration", (
        BitField("weight_rows", 0, 16, "rows of the weight buffer"),
        BitField("bias_rows", 16, 16, "rows of the bias buffer"))),
    Register("CONFIG2", 0x014, "ro", "configuration", (
        BitField("sector_rows", 0, 16, "rows in a sector of the activation buffer"),
        BitField("sectors", 16, 8, "sectors"),
        BitField("queue_depth", 24, 8, "instructions that wait in front of a unit"))),
    Register("CTRL", 0x020, "wo", "control; of several bits, the last one in this list is obeyed", (
        BitField("start", 0, 1, "1: run a program after those that wait; refused (STATUS.refused) if JOBS.places wait already"),
        BitField("abort", 1, 1, "1: end the program that runs, drop those that wait, raise the interrupt aborted when the bus is quiet"),
        BitField("reset", 2, 1, "1: as the input rst: every register to its reset value, no job, when the bus is quiet"))),
    Register("STATUS", 0x024, "ro", "state of the machine, and how the last job ended", (
        BitField("busy", 0, 1, "a job runs or waits, or an AXI transaction is open"),
        BitField("done", 1, 1, "the last job reached END"),
        BitField("error", 2, 1, "the last job was halted by an error"),
        BitField("aborted", 3, 1, "the last job was aborted"),
        BitField("refused", 4, 1, "a start was refused since the last one that was accepted"),
        BitField("stopping", 5, 1, "no program runs; open AXI transactions are waited for"),
        BitField("idle", 6, 1, "not busy: no job, no open transaction; the memory is the host's"),
        BitField("code", 8, 4, "why the last job that failed was halted"),
        BitField("unit", 16, 4, "which unit found it"))),
    Register("ERROR_DETAIL", 0x028, "ro", "more about the last job that failed, see the error codes"),
    Register("IRQ_ENABLE", 0x02C, "rw", "interrupt enable", (
        BitField("done", 0, 1, "interrupt when a job has reached END"),
        BitField("error", 1, 1, "interrupt when a job has been halted"),
        BitField("aborted", 2, 1, "interrupt when an abort is complete"))),
    Register("IRQ_STATUS", 0x030, "w1c", "interrupts that wait; raised when the bus is quiet", (
        BitField("done", 0, 1, "a job reached END"),
        BitField("error", 1, 1, "a job was halted"),
        BitField("aborted", 2, 1, "an abort is complete"))),
    Register("JOBS", 0x034, "ro", "jobs since the last reset", (
        BitField("ended", 0, 16, "jobs that have ended, modulo 65536; also the number of the job that runs, the first being 0"),
        BitField("waiting", 16, 4, "jobs that wait"),
        BitField("places", 24, 4, "jobs that may wait"))),
    Register("ERROR_JOB", 0x038, "ro", "number of the last job that failed; 16 bits"),
    Register("BUS", 0x03C, "ro", "open AXI transactions", (
        BitField("reads", 0, 6, "reads"),
        BitField("writes", 8, 6, "writes"))),
    Register("MEM_BASE_LO", 0x040, "rw", "address of the program's memory, low half; bits 0 to 11 are always 0", latched=True),
    Register("MEM_BASE_HI", 0x044, "rw", "address of the program's memory, high half", latched=True),
    Register("MEM_SIZE", 0x048, "rw", "bytes of the program's memory; no access goes beyond it", latched=True),
    Register("PROG_OFFSET", 0x04C, "rw", "byte offset of the first instruction in the program's memory, a multiple of 64", latched=True),
    Register("PROG_COUNT", 0x050, "rw", "number of instructions; 24 bits", latched=True),
    Register("CYCLE_LIMIT", 0x054, "rw", f"halt the program when it has run for so many times {LIMIT_UNIT:,} cycles; 0: no limit",
             latched=True),
    Register("AXI_ATTR", 0x058, "rw", "attributes of the AXI4 requests", (
        BitField("arcache", 0, 4, "ARCACHE"),
        BitField("awcache", 4, 4, "AWCACHE"),
        BitField("prot", 8, 3, "ARPROT and AWPROT")), latched=True),
    Register("PROG_CHECK", 0x05C, "rw", "checksum of the PROG_COUNT instructions, the last of which is END (spec/checksum.py); "
             "0: it is not verified", latched=True),
    Register("JOB_CYCLES_LO", 0x060, "ro", "cycles that the last job to end ran, low half"),
    Register("JOB_CYCLES_HI", 0x064, "ro", "cycles that the last job to end ran, high half"),
    *(Register(f"RETIRED_{unit.upper()}", 0x070 + 4 * number, "ro",
               f"{unit.upper()} instructions retired in this job, modulo 65536; after a halt, the one at work has this number or "
               "the one before")
      for number, unit in enumerate(UNITS)),
)

#: Every event has a counter; every event output of a unit has the name of one, and events of the same name are added up.
COUNTERS = EVENTS


def offset_of(name: str) -> int:
    """Byte offset of the register called ``name``."""
    return next(r.offset for r in REGISTERS if r.name == name)


def counter_offset(name: str) -> int:
    """Byte offset of the low half of the counter called ``name``."""
    return COUNTER_BASE + 8 * next(i for i, c in enumerate(COUNTERS) if c.name == name)


def config_values(cfg: MachineConfig, version: int) -> dict[str, int]:
    """Values of the registers that describe the machine ``cfg``: {register name: value}."""
    def pack(name: str, **values: int) -> int:
        register = next(r for r in REGISTERS if r.name == name)
        return sum(values[f.name] << f.lsb for f in register.fields)

    return {
        "ID": ID_VALUE,
        "VERSION": version,
        "FINGERPRINT": cfg.fingerprint,
        "CONFIG0": pack("CONFIG0", n=cfg.n, rf=cfg.rf, bus_bytes=cfg.bus_bytes, acc_bits=cfg.acc_bits),
        "CONFIG1": pack("CONFIG1", weight_rows=cfg.weight_rows, bias_rows=cfg.bias_rows),
        "CONFIG2": pack("CONFIG2", sector_rows=cfg.sector_rows, sectors=cfg.sectors, queue_depth=cfg.queue_depth),
    }


def register_map() -> dict[str, Any]:
    """The whole map as plain lists and dicts, for JSON."""
    return {
        "registers": [dataclasses.asdict(r) for r in REGISTERS],
        "counters": [{"name": c.name, "group": c.group.value, "doc": c.doc, "offset": counter_offset(c.name)} for c in COUNTERS],
        "errors": [dataclasses.asdict(e) for e in ERRORS],
        "units": list(FAULT_UNITS),
    }


def c_header() -> str:
    """The map as a C header."""
    lines = ["/* Registers of the Squeezelerator. Generated from squeezelerator/spec/registers.py. */", "#ifndef SQUEEZELERATOR_REGS_H",
             "#define SQUEEZELERATOR_REGS_H", "", f"#define SQZ_ID_VALUE 0x{ID_VALUE:08X}u", ""]
    for r in REGISTERS:
        lines.append(f"/* {r.access}: {r.doc} */")
        lines.append(f"#define SQZ_{r.name} 0x{r.offset:03X}u")
        for f in r.fields:
            lines.append(f"#define SQZ_{r.name}_{f.name.upper()}_SHIFT {f.lsb}")
            lines.append(f"#define SQZ_{r.name}_{f.name.upper()}_MASK 0x{((1 << f.width) - 1) << f.lsb:08X}u /* {f.doc} */")
    lines += ["", "/* 64-bit counters, low half first */"]
    lines += [f"#define SQZ_COUNTER_{c.name.upper()} 0x{counter_offset(c.name):03X}u /* {c.doc} */" for c in COUNTERS]
    lines += ["", "/* values of STATUS.code */"]
    lines += [f"#define SQZ_ERROR_{e.name} {e.code} /* {e.doc} */" for e in ERRORS]
    # For a table or a switch: X(code, text) for each.
    lines += ["#define SQZ_ERRORS(X) \\", *(f'  X(SQZ_ERROR_{e.name}, "{e.doc}") \\' for e in ERRORS), ""]
    lines += ["", "/* values of STATUS.unit */"]
    lines += [f"#define SQZ_UNIT_{name.upper()} {i}" for i, name in enumerate(FAULT_UNITS)]
    return "\n".join([*lines, "", "#endif", ""])


def _check_fields(register: Register) -> None:
    used = 0
    for f in register.fields:
        mask = ((1 << f.width) - 1) << f.lsb
        if used & mask or mask >> 32:
            raise ValueError(f"{register.name}.{f.name} overlaps")
        used |= mask


def check_table() -> None:
    """Raise ValueError if two registers or two fields overlap or a name appears twice."""
    offsets = [r.offset for r in REGISTERS] + [counter_offset(c.name) + half for c in COUNTERS for half in (0, 4)]
    names = [r.name for r in REGISTERS] + [c.name for c in COUNTERS]
    if len(set(offsets)) != len(offsets) or len(set(names)) != len(names) or max(offsets) >= 1 << ADDRESS_BITS:
        raise ValueError("registers overlap")
    for r in REGISTERS:
        _check_fields(r)


check_table()
