"""A board with a machine on it: loads programs, runs them, fetches results."""

import dataclasses
import itertools
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from squeezelerator.host.link import BoardError, Link, LinkError, open_link
from squeezelerator.host.memory import check_memory, initialise, write_checked
from squeezelerator.host.pictures import Picture
from squeezelerator.host.unpacker import Unpacker
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.machine import ISA_VERSION
from squeezelerator.spec.program import Program, TensorMap, load_program
from squeezelerator.spec.registers import COUNTERS, ERRORS, FAULT_UNITS, ID_VALUE, REGISTERS, counter_offset, offset_of

__all__ = ["Board", "BoardError", "Input", "Times", "program_of"]

#: What an input may be: int16 (C, H, W), or a picture.
Input = np.ndarray | Picture

#: Seconds that an abort or a reset may take until the bus is quiet.
QUIET_LIMIT_S = 10.0
#: Seconds between two looks at STATUS.
POLL_S = 0.002
#: The address of a program's memory is a multiple of this.
_PAGE = 4096
#: Tries to reach the machine after opening.
OPEN_TRIES = 3


@dataclasses.dataclass
class Times:
    """Seconds that loading, writing the input, running (as the host sees it) and reading results took; bytes loaded, sent for the last
    input and read."""

    load: float = 0.0
    write: float = 0.0
    run: float = 0.0
    read: float = 0.0
    loaded: int = 0
    sent: int = 0
    fetched: int = 0


def _fields(register: str, value: int) -> dict[str, int]:
    entry = next(r for r in REGISTERS if r.name == register)
    return {field.name: value >> field.lsb & ((1 << field.width) - 1) for field in entry.fields}


def _bit(register: str, name: str) -> int:
    return 1 << next(f.lsb for r in REGISTERS if r.name == register for f in r.fields if f.name == name)


class Board:
    """A board that is connected; use :meth:`open`, and ``with`` to close it.

    Parameters
    ----------
    link : Link
    system : dict
        The contents of ``system.json``.
    """

    def __init__(self, link: Link, system: dict[str, Any]) -> None:
        self.link = link
        self.system = system
        self.program: Program | None = None
        self.times = Times()
        self._check = 0
        #: Places of the program's memory on the bus; with a second one the next input is written while the machine runs.
        self._places: list[int] = []
        self._unpacker = Unpacker(link, system)

    @classmethod
    def open(cls, url: str, *, system: str | Path | None = None, timeout: float = 2.0, memory_test: bool = True) -> Self:
        """Connect to the board at ``url``, end whatever its machine does, initialise and test its memory.

        Parameters
        ----------
        url : str
            ``serial://DEVICE``, ``socket://HOST:PORT``, ``etherbone://HOST:PORT`` or ``sim:FOLDER``.
        system : path or None
            ``system.json`` of the bitstream; not needed for ``sim:``.
        timeout : float
            Seconds within which an answer must make progress.
        memory_test : bool

        Raises
        ------
        BoardError
            No board, busy, no machine in it, another bitstream than ``system`` describes, memory that fails.
        """
        link, description = open_link(url, system, timeout)
        board = cls(link, description)
        try:
            board._connect()
            initialise(link, description)
            if memory_test:
                check_memory(link, description["memory"])
        except BaseException:
            link.close()
            raise
        return board

    def close(self) -> None:
        """Let go of the board; a program that runs goes on."""
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # Registers.

    def _register(self, name: str) -> int:
        return self.link.read_word(self.system["registers"] + offset_of(name))

    def _set(self, name: str, value: int) -> None:
        self.link.write_word(self.system["registers"] + offset_of(name), value)

    def status(self) -> dict[str, int]:
        """The fields of STATUS."""
        return _fields("STATUS", self._register("STATUS"))

    def _identity(self, tries: int) -> int:
        """The register ID, as soon as the link is in step."""
        self.link.drain()
        try:
            return self._register("ID")
        except LinkError:
            if tries == 1:
                raise
            return self._identity(tries - 1)

    def _connect(self) -> None:
        found = self._identity(OPEN_TRIES)
        if found != ID_VALUE:
            raise BoardError(f"{self.link.name}: no Squeezelerator answers: its ID reads {found:#010x}, not {ID_VALUE:#010x}")
        version, fingerprint = self._register("VERSION"), self._register("FINGERPRINT")
        if version != ISA_VERSION:
            raise BoardError(f"{self.link.name}: the bitstream has version {version} of the instruction set, this driver {ISA_VERSION}")
        if fingerprint != self.system["fingerprint"]:
            raise BoardError(f"{self.link.name}: the bitstream is another one than system.json describes (fingerprint "
                             f"{fingerprint:08x}, not {self.system['fingerprint']:08x})")
        if not self.status()["idle"]:
            self.abort()

    def _until_idle(self, what: str) -> None:
        end = time.monotonic() + QUIET_LIMIT_S
        while not self.status()["idle"]:
            if time.monotonic() > end:
                raise BoardError(f"{self.link.name}: the machine is not idle {QUIET_LIMIT_S:g} s after {what}")
            time.sleep(POLL_S)

    def abort(self) -> None:
        """End the program that runs and drop those that wait; returns when the memory is the host's."""
        self._set("CTRL", _bit("CTRL", "abort"))
        self._until_idle("an abort")

    def reset(self) -> None:
        """Reset the machine; the memory keeps its contents."""
        self._set("CTRL", _bit("CTRL", "reset"))
        self._until_idle("a reset")

    def counters(self) -> dict[str, int]:
        """{counter: count} of the last program.

        Raises
        ------
        BoardError
            A program runs: counts that are read one after the other would belong to different moments, and with a batch to two programs.
        """
        if not self.status()["idle"]:
            raise BoardError(f"{self.link.name}: counters are read when no program runs, and one does")
        base = self.system["registers"]
        # Every low half is read before its high half: one burst has them in this order.
        data = np.frombuffer(self.link.read(base + counter_offset(COUNTERS[0].name), 8 * len(COUNTERS)), "<u8")
        return {counter.name: int(value) for counter, value in zip(COUNTERS, data, strict=True)}

    # Programs.

    def load(self, program: Program | bytes | str | Path) -> Program:
        """Put a program (or a program file, or its bytes) into the memory, and read it back; returns the Program.

        Raises
        ------
        BoardError
            The program is for another machine or larger than the memory; the link or the memory failed.
        """
        program = program_of(program)
        for _ in self.load_steps(program):
            pass
        return program

    def load_steps(self, program: Program) -> Iterator[int]:
        """As :meth:`load`; yields the bytes that have arrived after each piece, for those who show progress."""
        if program.cfg.fingerprint != self.system["fingerprint"]:
            difference = _machine_difference(program, self.system["machine"])
            raise BoardError(f"{self.link.name}: the program is for another machine: {difference}")
        memory = self.system["memory"]
        if program.mem_bytes > memory["bytes"]:
            raise BoardError(f"{self.link.name}: the program takes {program.mem_bytes:,} bytes, the board's memory has {memory['bytes']:,}")
        if not self.status()["idle"]:
            self.abort()
        self.program, self._places = None, []
        self._unpacker.forget()
        started, done = time.monotonic(), 0
        for written in self._write_program(program, memory["base"]):
            done = written
            yield written
        self.program, self._check, self._places = program, program_check(program.code), [memory["base"]]
        self.times.load, self.times.loaded = time.monotonic() - started, done

    def _write_program(self, program: Program, base: int) -> Iterator[int]:
        """Write constants and instructions of a program whose memory begins at ``base``; yields the bytes that have arrived."""
        done = 0
        for offset, data in ((program.constants_offset, program.constants), (program.prog_offset, program.code)):
            for written in write_checked(self.link, base + offset, data):
                yield done + written
            done += len(data)

    def _loaded(self) -> Program:
        if self.program is None:
            raise BoardError(f"{self.link.name}: no program is loaded")
        return self.program

    def _start(self, program: Program, base: int) -> None:
        for name, value in (("MEM_BASE_LO", base & 0xFFFF_FFFF), ("MEM_BASE_HI", base >> 32), ("MEM_SIZE", program.mem_bytes),
                            ("PROG_OFFSET", program.prog_offset), ("PROG_COUNT", len(program.instructions)), ("PROG_CHECK", self._check)):
            self._set(name, value)
        self._set("CTRL", _bit("CTRL", "start"))

    def _finish(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not (status := self.status())["idle"]:
            if time.monotonic() > end:
                self.abort()
                raise BoardError(f"{self.link.name}: the program was aborted: it had not ended after {seconds:g} s")
            time.sleep(POLL_S)
        if not status["done"]:
            raise self._failure(status)

    def _failure(self, status: dict[str, int]) -> BoardError:
        """The error that STATUS tells of."""
        code = next((e for e in ERRORS if e.code == status["code"]), None)
        unit = FAULT_UNITS[status["unit"]] if status["unit"] < len(FAULT_UNITS) else "an unknown unit"
        if code is None or code.code == 0:
            return BoardError(f"{self.link.name}: the program did not run (STATUS {status})")
        detail = self._register("ERROR_DETAIL")
        return BoardError(f"{self.link.name}: the program was halted: {code.name}, {code.doc} (unit {unit}; {code.detail}: {detail:#x})")

    def run(self, x: Input | dict[str, Input], *, all_layers: bool = False, timeout: float = 600.0) -> dict[str, np.ndarray]:
        """Run the loaded program on ``x``; returns {name: int16 (C, H, W)}.

        Parameters
        ----------
        x : ndarray or Picture, or dict of str to these
            int16 (C, H, W) or a picture, or one for each input of the program. From the second one on, pictures go over the link as bytes
            if the board has an image unpacker.
        all_layers : bool
            Fetch everything that left the chip, not only the network's results.
        timeout : float
            Seconds after which the program is aborted.

        Raises
        ------
        BoardError
            No program, input of another shape, halted by an error, time-out, broken link.
        """
        program, base, started = self._loaded(), self.system["memory"]["base"], time.monotonic()
        self._write_inputs(program, base, x)
        self.times.write = time.monotonic() - started
        started = time.monotonic()
        self._start(program, base)
        self._finish(timeout)
        self.times.run = time.monotonic() - started
        started = time.monotonic()
        found = self._results(program, base, all_layers=all_layers)
        self.times.read = time.monotonic() - started
        return found

    def _write_inputs(self, program: Program, base: int, x: Input | dict[str, Input]) -> None:
        inputs = x if isinstance(x, dict) else {program.inputs[0].name: x}
        self.times.sent = 0
        for tensor in program.inputs:
            if tensor.name not in inputs:
                raise BoardError(f"the program needs the input {tensor.name}")
            self._write_input(program, tensor, base + tensor.offset, inputs[tensor.name])

    def _write_input(self, program: Program, tensor: TensorMap, address: int, x: Input) -> None:
        if isinstance(x, Picture) and self._unpacker.takes(program, tensor, address, x):
            self.times.sent += self._unpacker.write(tensor, address, x)
            return
        try:
            data = tensor.pack(x.values() if isinstance(x, Picture) else x)
        except ValueError as error:
            raise BoardError(f"{error}") from None
        for _ in write_checked(self.link, address, data):
            pass
        self.times.sent += len(data)
        self._unpacker.padded(address)

    def _results(self, program: Program, base: int, *, all_layers: bool) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        self.times.fetched = 0
        for tensor in program.outputs:
            if all_layers or tensor.name in program.results:
                data = self.link.read(base + tensor.offset, tensor.size)
                found[tensor.name] = dataclasses.replace(tensor, offset=0).unpack(data)
                self.times.fetched += tensor.size
        return found

    def run_batch(self, batch: Iterable[Input | dict[str, Input]], *, timeout: float = 600.0) -> Iterator[dict[str, np.ndarray]]:
        """The results of :meth:`run` for each of ``batch``, in order.

        Where the memory holds the program twice, the next input is written, and its job queued, while the machine still runs the one
        before; the second copy is loaded with the first batch. ``timeout`` is for each input. Raises as :meth:`run`, after an abort.
        """
        program = self._loaded()
        self._second_place(program)
        if not self.status()["idle"]:
            self.abort()
        first, waiting = self._register("JOBS"), 0
        places = itertools.cycle(self._places)
        running: list[int] = []
        try:
            for x in batch:
                if len(running) == len(self._places):
                    yield self._next_result(program, running.pop(0), first, waiting := waiting + 1, timeout)
                running.append(next(places))
                self._write_inputs(program, running[-1], x)
                self._start(program, running[-1])
            while running:
                yield self._next_result(program, running.pop(0), first, waiting := waiting + 1, timeout)
        finally:
            # Also where whoever asked for the results has lost interest, or an input is none.
            if running:
                self.abort()

    def _second_place(self, program: Program) -> None:
        memory = self.system["memory"]
        base = memory["base"] + -(-program.mem_bytes // _PAGE) * _PAGE
        if len(self._places) == 1 and base + program.mem_bytes <= memory["base"] + memory["bytes"]:
            for _ in self._write_program(program, base):
                pass
            self._places.append(base)

    def _next_result(self, program: Program, base: int, first: int, number: int, seconds: float) -> dict[str, np.ndarray]:
        """The results at ``base`` as soon as ``number`` jobs have ended since JOBS was ``first``."""
        end = time.monotonic() + seconds
        while True:
            ended = (_fields("JOBS", self._register("JOBS"))["ended"] - _fields("JOBS", first)["ended"]) & 0xFFFF
            status = self.status()
            if status["error"] or status["aborted"]:
                raise self._failure(status)
            if ended >= number:
                return self._results(program, base, all_layers=False)
            if time.monotonic() > end:
                self.abort()
                raise BoardError(f"{self.link.name}: the program was aborted: it had not ended after {seconds:g} s")
            time.sleep(POLL_S)


def program_of(program: Program | bytes | str | Path) -> Program:
    """A program, whatever it is given as. Raises BoardError or ProgramError."""
    if isinstance(program, Program):
        return program
    if isinstance(program, bytes):
        return load_program(program)
    try:
        return load_program(Path(program).read_bytes())
    except OSError as error:
        raise BoardError(f"cannot read {program}: {error.strerror}") from None


def _machine_difference(program: Program, machine: dict[str, Any]) -> str:
    found = program.cfg.as_dict()
    return ", ".join(f"{key}={value} there, {machine.get(key)} on the board" for key, value in found.items() if machine.get(key) != value)
