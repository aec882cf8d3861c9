"""Runs a program on a board: ``squeezelerator run prog.bin --board serial:///dev/ttyUSB0 --system system.json --image photo.jpg``."""

import sys
from collections.abc import Sequence

import numpy as np

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.output import write_file
from squeezelerator.common.progress import progress
from squeezelerator.host.board import Board, program_of
from squeezelerator.host.pictures import inputs_from

__all__ = ["main"]

#: Scores that are printed.
BEST = 5


def _print_results(found: dict[str, np.ndarray], frac: dict[str, int]) -> None:
    for name, values in found.items():
        if values.shape[1:] != (1, 1):
            print(f"{name}: int16 {values.shape}; --output FILE.npz has it")
            continue
        scores = values.reshape(-1)
        print(f"{name}: highest scores")
        for index in np.argsort(-scores.astype(int), kind="stable")[:BEST]:
            print(f"  {index:5d}  {scores[index] / (1 << frac[name]):.4f}")


@command("host.run")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("host.run"), description="Run a compiled program on a board.")
    parser.add_argument("program", metavar="PROG.bin", help="what the compiler wrote")
    parser.add_argument("--board", required=True, metavar="URL",
                        help="serial://DEVICE, socket://HOST:PORT, etherbone://HOST:PORT or sim:FOLDER (make board-sim)")
    parser.add_argument("--system", metavar="FILE", help="the bitstream's system.json; sim: needs none")
    parser.add_argument("--image", "--input", required=True, action="append", metavar="[NAME=]FILE",
                        help="a picture, or an int16 .npy (C, H, W), may be given several times; of a program with several inputs real "
                        "numbers (.npy) in the network's own units and layout, each by its name")
    parser.add_argument("--output", metavar="FILE", help="write the results (.npz; of several inputs with their number in the names)")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="S", help="seconds after which the program is aborted (600)")
    args = parser.parse_args(argv)
    program = program_of(args.program)
    runs = inputs_from(args.image, program)
    frac = {tensor.name: tensor.frac for tensor in program.outputs}
    kept = {}
    with Board.open(args.board, system=args.system) as board:
        for _ in progress(board.load_steps(program), "loading", unit="piece"):
            pass
        for number, (title, x) in enumerate(runs):
            found = board.run(x, timeout=args.timeout)
            cycles = board.counters()["cycles"]
            print(f"{title}: {cycles:,} cycles, {board.system['clock_hz'] / cycles:.2f} frames a second without the link")
            _print_results(found, frac)
            kept.update({name if len(runs) == 1 else f"{name}_{number}": values for name, values in found.items()})
    if args.output:
        import io
        data = io.BytesIO()
        np.savez(data, **kept)
        write_file(args.output, data.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(main())
