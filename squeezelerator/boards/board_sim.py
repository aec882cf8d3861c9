"""Runs a network on the simulated system of a board: ``python -m boards.board_sim tiny_all --board ulx3s --pe 2``.

The program is loaded over the serial port by the driver that a board has, and every layer that leaves the chip is compared with the golden
model.
"""

import sys
import time
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from squeezelerator.boards.simulation import build_simulation
from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.options import add_network_options, compile_options_of, machine_of, memory_option, source_of
from squeezelerator.host.board import Board
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.models.sources import Source
from squeezelerator.sim.engines.model import count_program
from squeezelerator.sim.engines.run import run_golden_engine
from squeezelerator.sim.results.compare import differences
from squeezelerator.sim.results.inputs import Expected, read_input
from squeezelerator.spec.events import STALLS
from squeezelerator.spec.platform.boards import board_record
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.program import Program

__all__ = ["main"]

#: Bytes of a word of the counters of the memory port.
WORD_BYTES = 2
#: Seconds that the program may take: what is simulated is slow.
LIMIT_S = 3600.0


def _parser() -> ArgumentParser:
    parser = OneLineParser(prog=program_name("boards.board_sim"), description="Run a network on the simulated system of a board.")
    add_network_options(parser)
    parser.set_defaults(network="tiny_all", pe=2, board="ulx3s")
    parser.add_argument("--input", "--image", metavar="FILE", help="picture or array, prepared as the weights need it; default: a "
                        "synthetic pattern")  # fmt: skip
    parser.add_argument("--raw", action="store_true", help="--input is int16 in the network's own format")
    parser.add_argument("--images", action=BooleanOptionalAction, default=None,
                        help="with an image unpacker (default: on the board's smaller machines)")
    parser.add_argument("--build-only", action="store_true", help="stop when the simulated system is built (for sim:FOLDER)")
    parser.add_argument("-o", "--output", metavar="DIR", help="folder of the system (default build/boards/BOARD-peN-sim)")
    return parser


def _print_prediction(program: Program, memory: DramProfile, cycles: int) -> None:
    """Print what the cycle model says of the program on the memory that stands for the board's."""
    predicted = count_program(program, dram=memory)["cycles"]
    print(f"cycle model on memory {memory.name}: {predicted:,} cycles, {predicted / cycles - 1:+.1%}")


def _report(board: Board, golden: dict[str, np.ndarray], found: dict[str, np.ndarray], mhz: float) -> bool:
    """Print times, counters and what differs; returns whether anything does."""
    times, counters = board.times, board.counters()
    cycles = counters["cycles"]
    print(f"loaded {times.loaded:,} bytes (read back) in {times.load:.1f} s, wrote the input in {times.write:.1f} s, ran "
          f"{times.run:.1f} s, read {times.fetched:,} bytes in {times.read:.1f} s")
    print(f"{cycles:,} cycles, {1e6 * mhz / cycles:.1f} a second at {mhz:g} MHz; simulated {cycles / max(times.run, 1e-9):,.0f} a second")
    moved = sum(WORD_BYTES * counters[name] for name in ("dram_read_words", "dram_fetch_words", "dram_write_words"))
    print(f"memory: {moved:,} bytes, {moved / cycles:.2f} a cycle; stalls: "
          + ", ".join(f"{name} {counters[name]:,}" for name in STALLS if name in counters))
    outputs = {"golden": {name: golden[name] for name in found}, "board": found}
    differing = differences(outputs)
    for name, first, second, wrong, words in differing:
        print(f"DIFFERENT: {name}: {wrong} of {words} words between {first} and {second}")
    print(f"outputs: {len(found)} layers that leave the chip, {'differences found' if differing else 'all equal the golden model'}")
    return bool(differing)


def _input(args: Namespace, source: Source) -> np.ndarray:
    net = source.quantised
    if args.input:
        return read_input([args.input], Expected(source.ports, net.input_frac, source.preprocessing), raw=args.raw)
    return synthetic_input(net.table, args.seed)


@command("boards.board_sim")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, 1 where the board and the golden model differ, 2 for the user's mistake."""
    args = _parser().parse_args(argv)
    board, cfg = board_record(args.board).with_images(args.images), machine_of(args)

    def say(text: str) -> None:
        print(f"{program_name('boards.board_sim')}: {text}", file=sys.stderr, flush=True)

    started = time.monotonic()
    say(f"building the simulated {board.title} with {cfg.n} x {cfg.n} PEs, unless it is there")
    folder = build_simulation(board, cfg, Path(args.output or f"build/boards/{board.name}-pe{cfg.n}-sim"))
    say(f"{folder} after {time.monotonic() - started:.0f} s")
    if args.build_only:
        print(f"sim:{folder}")
        return 0
    source = source_of(args)
    net = source.quantised
    x = _input(args, source)
    program = compile_network(net, cfg, compile_options_of(args))
    golden = run_golden_engine(net, x).outputs
    with Board.open(f"sim:{folder}", timeout=10.0) as system:
        say(f"loading {net.table.name}, {len(program.instructions)} instructions")
        system.load(program)
        found = system.run(x, all_layers=True, timeout=LIMIT_S)
        differing = _report(system, golden, found, system.system["clock_hz"] / 1e6)
        _print_prediction(program, memory_option(args), system.counters()["cycles"])
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
