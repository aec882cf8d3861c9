"""The engine ``rtl``: runs a program on the generated Verilog with cocotb and Verilator."""

import dataclasses
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import numpy as np

import squeezelerator
from squeezelerator.rtl.verilog import generate
from squeezelerator.sim.engines.verilator_runner import CoverageBuild, SimulationError, VerilatorBuild
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.isa import INSTRUCTION_BYTES, UNITS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.spec.program import Program
from squeezelerator.spec.registers import ERRORS, FAULT_UNITS

__all__ = [
    "MEMORY_BASE", "Faults", "RtlError", "RtlOptions", "RtlProgram", "RtlResult", "Simulation", "SimulationError", "build_rtl", "error_of",
    "job_registers", "run_rtl", "simulate",
]

#: Where the program's memory lies in the simulated machine's address space (sim/bench/bench.v).
MEMORY_BASE = 0x1_4000_0000
#: Smallest memory that is built, so that nearly all programs share one build; what a program does not use costs next to nothing.
SMALLEST_MEMORY = 64 << 20
BENCH = Path(__file__).parent / "bench"
#: What the bench of random programs (sim.fuzz) sets for each of them, without building another simulator.
PUBLIC = {"reference_memory": ["store", "latency", "stall", "noise", "read_error", "write_error"], "axi_check": ["limit"]}
#: The folder of the package ``squeezelerator``.
PACKAGE = Path(squeezelerator.__path__[0])


@dataclasses.dataclass(frozen=True)
class Faults:
    """What the memory is to do wrong: the read or write burst (counted from 0) that is answered with an error."""

    read_error: int | None = None
    write_error: int | None = None


@dataclasses.dataclass(frozen=True)
class RtlProgram:
    """A program as the host hands it to the machine.

    Parameters
    ----------
    image : bytes
        What lies in the program's memory from its beginning on.
    offset, count : int
        Byte offset and number of the instructions.
    mem_bytes : int
        Size of the program's memory.
    """

    image: bytes
    offset: int
    count: int
    mem_bytes: int

    @classmethod
    def of(cls, program: Program, memory: bytes | bytearray) -> Self:
        """A compiled program with the content of its memory, inputs in place."""
        return cls(bytes(memory), program.prog_offset, len(program.instructions), program.mem_bytes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RtlOptions:
    """How a program is run.

    Parameters
    ----------
    memory : DramProfile
        The memory's timing.
    stall, seed : float, int
        Probability with which it withholds each handshake, and the seed of these.
    faults : Faults
        What the memory does wrong.
    waves : str or Path
        VCD file to write.
    coverage : str or Path
        Where to write Verilator's counts of lines and of bits that change.
    limit : int
        Cycles after which the program is given up.
    repeat : int
        How often the program is run on the same machine; the result is that of the last run.
    build_dir : str or Path
        Folder in which simulators are kept.
    """

    memory: DramProfile = REFERENCE
    stall: float = 0.0
    seed: int = 0
    faults: Faults = Faults()
    waves: str | Path | None = None
    coverage: str | Path | None = None
    limit: int = 100_000_000
    repeat: int = 1
    build_dir: str | Path = "build/verilator"


@dataclasses.dataclass(frozen=True)
class RtlError:
    """Why the machine halted: name of the code, of the unit, and the detail register."""

    code: str
    unit: str
    detail: int


@dataclasses.dataclass
class RtlResult:
    """What a run left behind.

    ``starts`` and ``retires``: for each unit the cycles in which its instructions were accepted and retired, cycle 0 being the first in
    which the program ran. ``status`` is the register STATUS, ``error`` an RtlError or None. ``wall_s`` is the simulation's own time.
    """

    memory: bytes
    cycles: int
    counters: dict[str, int]
    starts: list[list[int]]
    retires: list[list[int]]
    status: int
    error: RtlError | None
    interrupt_cleared: bool
    wall_s: float


def _verilog(cfg: MachineConfig, folder: str | Path) -> str:
    """The machine's Verilog, from ``folder`` if it was generated there by the same sources and is what it was."""
    sources = [path.read_bytes() for package in ("rtl", "spec") for path in sorted((PACKAGE / package).rglob("*.py"))]
    identity = repr((cfg, sources, importlib.metadata.version("amaranth")))
    path = Path(folder) / f"{hashlib.sha256(identity.encode()).hexdigest()[:16]}.v"
    checksum = path.with_suffix(".sha256")
    try:
        text = path.read_text()
        if checksum.read_text() == hashlib.sha256(text.encode()).hexdigest():
            return text
    except (OSError, UnicodeDecodeError):
        pass  # not there yet, or damaged
    path.parent.mkdir(parents=True, exist_ok=True)
    text = generate(cfg)[0]
    for target, content in ((path, text), (checksum, hashlib.sha256(text.encode()).hexdigest())):
        part = target.with_suffix(f"{target.suffix}.{os.getpid()}.part")
        part.write_text(content)
        part.replace(target)
    return text


def _counted(sources: dict[str, str]) -> dict[str, str]:
    """``sources`` without counting of the bench, and in the machine of nets that no one named (parts of expressions) and of lines by which
    Yosys makes every ``always`` run at the beginning."""
    def uncounted(text: str) -> str:
        return f"/*verilator coverage_off*/ {text} /*verilator coverage_on*/"
    net, trigger = r" *(?:input|output|wire|reg) (?:\[\S+\] )?\\(?:\$|port\$).*", r" *if \(\\\$auto\$verilog_backend.*"
    machine = re.sub(f"^(?:{net}|{trigger})$", lambda found: uncounted(found[0]), sources["squeezelerator.v"], flags=re.M)
    return {name: machine if name == "squeezelerator.v" else uncounted(text) for name, text in sources.items()}


def build_rtl(cfg: MachineConfig, *, mem_bytes: int = 0, waves: bool = False, coverage: bool = False,
              build_dir: str | Path = "build/verilator") -> VerilatorBuild:
    """The VerilatorBuild of machine ``cfg`` with at least ``mem_bytes`` of memory, built if need be."""
    size = SMALLEST_MEMORY
    while size < mem_bytes:
        size *= 2
    sources = {"squeezelerator.v": _verilog(cfg, build_dir)}
    for path in sorted(BENCH.glob("*.v")):
        sources[path.name] = path.read_text()
    build = (CoverageBuild if coverage else VerilatorBuild)(
        top="bench", sources=_counted(sources) if coverage else sources, shared=("squeezelerator_pe",), public=PUBLIC, waves=waves,
        root=build_dir, parameters={"DATA": cfg.bus_bits, "WORDS": size // cfg.bus_bytes, "MAX_BEATS": cfg.burst_beats})
    build.build()
    return build


def _write_image(path: Path, image: bytes, beat_bytes: int) -> None:
    """Write ``image`` as hexadecimal words for $readmemh."""
    padded = image + bytes(-len(image) % beat_bytes)
    words = np.frombuffer(padded, np.uint8).reshape(-1, beat_bytes)[:, ::-1]
    path.write_text(words.tobytes().hex("\n", beat_bytes) + "\n")


def _read_dump(path: Path, beat_bytes: int) -> bytes:
    """The bytes of a $writememh file."""
    lines = [line for line in path.read_text().splitlines() if line and line[0] not in "@/"]
    words = np.frombuffer(bytes.fromhex("".join(lines)), np.uint8).reshape(-1, beat_bytes)
    return words[:, ::-1].tobytes()


@dataclasses.dataclass
class _Trace:
    """What the bench wrote: starts and retires of each unit in the last program, and what was wrong on the memory port."""

    starts: list[list[int]] = dataclasses.field(default_factory=lambda: [[] for _ in UNITS])
    retires: list[list[int]] = dataclasses.field(default_factory=lambda: [[] for _ in UNITS])
    complaints: list[str] = dataclasses.field(default_factory=list)


def _read_trace(path: Path) -> _Trace:
    """The last program in a trace file: a letter and numbers a line (S start, R retire, E end of a program, V and L complaints)."""
    trace, ended = _Trace(), False
    for line in path.read_text().splitlines():
        kind, (number, cycle) = line[0], map(int, line[2:].split())
        if kind in "SR" and ended:
            trace, ended = _Trace(complaints=trace.complaints), False
        if kind == "S":
            trace.starts[number].append(cycle)
        elif kind == "R":
            trace.retires[number].append(cycle)
        elif kind == "E":
            ended = True
        elif kind == "V":
            trace.complaints.append(f"AXI rule {number} broken in cycle {cycle}")
        elif kind == "L":
            trace.complaints.append(f"write data late in cycle {cycle}")
    return trace


@dataclasses.dataclass
class Simulation:
    """What the host in the simulation found (``answers``, see ``host_driver``), the memory afterwards, starts and retirements of the last
    program, and the simulation's own time in seconds."""

    answers: list[Any]
    memory: bytes
    starts: list[list[int]]
    retires: list[list[int]]
    wall_s: float


def _plusargs(mem_bytes: int, options: RtlOptions, cfg: MachineConfig, folder: Path) -> list[str]:
    """The bench's own arguments: its memory, its faults and its files."""
    faults, memory, beat = options.faults, options.memory, cfg.bus_bytes
    return [
        f"+latency={memory.latency}", f"+interval={memory.beat_cycles(cfg)}", f"+opening={memory.opening}", f"+turning={memory.turning}",
        f"+stall={round(options.stall * 256)}", f"+memory_seed={options.seed}",
        f"+memory_bytes={mem_bytes}", f"+image={folder / 'image.hex'}", f"+dump={folder / 'dump.hex'}", "+dump_first=0",
        f"+dump_words={-(-mem_bytes // beat)}", f"+trace={folder / 'trace.txt'}", f"+task={folder / 'task.json'}",
        *([] if faults.read_error is None else [f"+read_error={faults.read_error}"]),
        *([] if faults.write_error is None else [f"+write_error={faults.write_error}"]),
    ]  # fmt: skip


def simulate(cfg: MachineConfig, image: bytes, mem_bytes: int, task: dict[str, Any], options: RtlOptions | None = None) -> Simulation:
    """Let the host of ``host_driver`` do its ``task`` with the Verilog of machine ``cfg``.

    Raises
    ------
    SimulationError
        The simulation could not be built, did not end, or the machine broke a rule of AXI.
    """
    options = options or RtlOptions()
    if not 0 <= options.stall < 1:
        raise SimulationError(f"the probability of a stall must be at least 0 and below 1, not {options.stall!r}")
    build = build_rtl(cfg, mem_bytes=mem_bytes, waves=options.waves is not None, coverage=options.coverage is not None,
                      build_dir=options.build_dir)
    with tempfile.TemporaryDirectory(prefix="run-", dir=build.folder) as name:
        folder = Path(name)
        _write_image(folder / "image.hex", image, cfg.bus_bytes)
        (folder / "task.json").write_text(json.dumps({**task, "result": str(folder / "result.json")}))
        began = time.monotonic()
        build.run(module="squeezelerator.sim.engines.host_driver", test_dir=folder,
                  plusargs=_plusargs(mem_bytes, options, cfg, folder),
                  environment={"PYTHONPATH": os.pathsep.join([str(PACKAGE.resolve().parent), *sys.path])})
        wall_s = time.monotonic() - began
        answers = json.loads((folder / "result.json").read_text())
        trace = _read_trace(folder / "trace.txt")
        memory = _read_dump(folder / "dump.hex", cfg.bus_bytes)[:mem_bytes]
        if options.waves is not None:
            shutil.move(folder / "dump.vcd", options.waves)
        if options.coverage is not None:
            shutil.move(folder / "coverage.dat", options.coverage)
    if trace.complaints:
        raise SimulationError(f"the machine misbehaved on its memory port: {trace.complaints[0]}")
    return Simulation(answers=answers, memory=memory, starts=trace.starts, retires=trace.retires, wall_s=wall_s)


def error_of(status: int, detail: int) -> RtlError:
    """The RtlError that the registers STATUS and ERROR_DETAIL describe."""
    return RtlError(ERRORS[status >> 8 & 15].name, FAULT_UNITS[status >> 16 & 15], detail)


def job_registers(prog_offset: int, prog_count: int, mem_bytes: int) -> dict[str, int]:
    """The registers of a job, by name."""
    return {
        "MEM_BASE_LO": MEMORY_BASE & 0xFFFFFFFF, "MEM_BASE_HI": MEMORY_BASE >> 32, "MEM_SIZE": mem_bytes,
        "PROG_OFFSET": prog_offset, "PROG_COUNT": prog_count,
    }


def run_rtl(cfg: MachineConfig, program: RtlProgram, options: RtlOptions | None = None) -> RtlResult:
    """Run a program on the Verilog of machine ``cfg``.

    Raises
    ------
    SimulationError
        As :func:`simulate`, or the program did not end in time.
    """
    options = options or RtlOptions()
    code = program.image[program.offset : program.offset + INSTRUCTION_BYTES * program.count]
    registers = {**job_registers(program.offset, program.count, program.mem_bytes), "PROG_CHECK": program_check(code)}
    task = {"registers": registers, "limit": options.limit, "repeat": options.repeat}
    found = simulate(cfg, program.image, program.mem_bytes, task, options)
    last = found.answers[-1]
    if not last["in_time"]:
        raise SimulationError(f"the program did not end within {options.limit} cycles")
    status = last["STATUS"]
    return RtlResult(
        memory=found.memory, cycles=last["counters"]["cycles"], counters=last["counters"], starts=found.starts, retires=found.retires,
        status=status, error=error_of(status, last["ERROR_DETAIL"]) if status & 4 else None, interrupt_cleared=last["irq_cleared"],
        wall_s=found.wall_s)
