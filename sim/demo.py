"""``python -m sim.demo``: classifies handwritten digits on the generated Verilog with the network that the project ships trained."""

import sys
from collections.abc import Sequence

import numpy as np

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.progress import print_line, progress
from squeezelerator.compiler.api import compile_network
from squeezelerator.models import digits
from squeezelerator.models.quantisation.formats import quantise_input
from squeezelerator.sim.engines.run import EngineError, run_golden_engine, run_program_engine
from squeezelerator.spec.machine import MachineConfig

__all__ = ["main"]


def _show(number: int, pixels: np.ndarray, label: int, scores: np.ndarray, cycles: int, engine: str) -> None:
    """Print a digit beside its scores."""
    best = int(np.argmax(scores))
    bars = np.maximum(scores - scores.min(), 0) * 30 // max(1, int(scores.max() - scores.min()))
    lines = digits.picture(pixels)
    print_line(f"\ndigit {number}: label {label}, classified as {best} in {cycles:,} cycles ({engine})")
    for row in range(max(len(lines), len(scores))):
        picture = lines[row] if row < len(lines) else ""
        score = f"{row}  {scores[row]:>6d} {'#' * int(bars[row])}" if row < len(scores) else ""
        print_line(f"  {picture:16s}   {score}")


@command("sim.demo")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, 1 if an engine differs from the golden model, 2 for an error of the user's."""
    parser = OneLineParser(prog=program_name("sim.demo"), description=(__doc__ or "").replace("`", ""))
    parser.add_argument("--count", type=int, default=5, help="test digits to classify (5)")
    parser.add_argument("--pe", type=int, default=4, metavar="N", help="PEs a side (4)")
    parser.add_argument("--engine", choices=("rtl", "model"), default="rtl")
    parser.add_argument("--quiet", action="store_true", help="only the summary")
    args = parser.parse_args(argv)
    most = len(digits.test_digits()[2])
    if not 1 <= args.count <= most:
        raise EngineError(f"--count takes 1 to {most} digits, not {args.count}")
    net = digits.quantised_digits()
    program = compile_network(net, MachineConfig(n=args.pe))
    correct = different = 0
    inputs, pixels, labels = digits.test_digits(args.count)
    shown = progress(list(zip(inputs, pixels, labels, strict=False)), args.engine, unit="digit")
    for number, (x, picture, label) in enumerate(shown):
        quantised = quantise_input(net, x)
        run = run_program_engine(args.engine, program, quantised)
        scores = run.outputs[program.results[0]].reshape(-1)
        expected = run_golden_engine(net, quantised).outputs[program.results[0]].reshape(-1)
        different += not np.array_equal(scores, expected)
        correct += int(np.argmax(scores)) == label
        if not args.quiet:
            _show(number, picture, label, scores.astype(int), run.result.cycles, args.engine)
    print(f"\n{correct} of {len(inputs)} right; outputs that differ from the golden model: {different}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
