"""The console command ``squeezelerator``: one sub-command for each command of the project.

Sub-commands are imported when they are called, so that this starts at once and without the packages that only some need.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from squeezelerator.common.command_line import OptionError, command, run_as

__all__ = ["COMMANDS", "main"]

#: Sub-command -> (module with its ``main``, what it does).
COMMANDS = {
    "compile": ("compiler.__main__", "compile a network into a program"),
    "sim": ("sim.command", "run a network or a program on the RTL, the cycle model and the golden model"),
    "explore": ("explore.__main__", "explore a space of networks and machines"),
    "verilog": ("rtl.verilog", "write a machine's Verilog, its description and a C header"),
    "synth": ("rtl.synth", "implement a machine on an FPGA"),
    "bitstream": ("boards.bitstream", "make a bitstream of a board's whole system"),
    "board-sim": ("boards.board_sim", "run a network on the simulated system of a board"),
    "frames": ("boards.frames", "frames a second of a program on a board, link included"),
    "flash": ("boards.flash", "put a bitstream onto a board"),
    "run": ("host.run", "run a program on a board"),
    "c-program": ("host.c_program", "write a program as a C header for the bare-metal driver"),
    "models": ("models.__main__", "list networks, print layer tables"),
    "quantise": ("models.quantise", "turn float weights into 16-bit weights"),
    "train": ("models.train", "train a network on a folder of pictures"),
    "evaluate": ("models.evaluate", "measure the accuracy of a network"),
    "compress": ("models.compress.__main__", "compress a network's weights"),
    "paper": ("models.paper.__main__", "write the paper's tables and figures"),
    "seeds": ("models.seeds.__main__", "list the figures of the texts that the project began with, beside its own"),
    "survey": ("sim.survey", "run the networks of the paper's Table 3"),
    "zeros": ("sim.zeros", "cycles against the share of zero weights"),
    "dense": ("sim.dense", "what a network's own zeros save"),
    "demo": ("sim.demo", "classify handwritten digits on the RTL"),
    "fuzz": ("sim.fuzz.__main__", "run random and damaged programs on the RTL"),
    "fuzz-files": ("sim.fuzz.files", "hand damaged files of every kind to their readers"),
    "schedules": ("sim.schedules", "compare compiled programs with a table of known ones"),
    "animation": ("sim.animation.__main__", "both dataflows on 2 x 2 PEs, cycle by cycle"),
    "digits": ("models.digits", "write the digits of the demonstration as pictures"),
    "reference": ("rtl.reference", "write the reference pages of instructions and registers"),
}


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}s}  {what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: squeezelerator COMMAND [OPTION ...]", "", *lines, "",
                      "squeezelerator COMMAND --help lists a command's options."])  # fmt: skip


def _version() -> str:
    try:
        return version("squeezelerator")
    except PackageNotFoundError:
        return "a checkout, not installed"


@command("squeezelerator")
def _main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else "--help"
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name in ("-V", "--version"):
        print(f"squeezelerator {_version()}")
        return 0
    if name not in COMMANDS:
        raise OptionError(f"unknown command {name!r}; there are {', '.join(COMMANDS)}")
    with run_as(f"squeezelerator {name}"):
        # What is missing for the import alone is said by this command, in the name of the other.
        return importlib.import_module(f"squeezelerator.{COMMANDS[name][0]}").main(words[1:])


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns its exit code."""
    with run_as("squeezelerator"):
        return _main(argv)
