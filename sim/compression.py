"""The command ``python -m models.compress NETWORK --weights FILE``: compress a network and show what every step brings.

It stands above the models because the steps are measured on the machine, of which :mod:`models.compress` knows nothing.

Every step's cycles and energy are those of the quantised network on the machine; in the dense step nothing is skipped, as in
``python -m sim.dense``.
"""

import dataclasses
import functools
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence

import numpy as np

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.files import check_writable, write_whole
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.errors import CompileError
from squeezelerator.models import digits, evaluate, importers
from squeezelerator.models.arithmetic.dense import without_zeros
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.compress.errors import CompressError
from squeezelerator.models.compress.settings import settings
from squeezelerator.models.compress.table import compress, lines, steps
from squeezelerator.models.pictures import images
from squeezelerator.models.quantisation.formats import noise_inputs, quantise, quantise_input
from squeezelerator.models.sources import CALIBRATION_IMAGES, load_source, load_table, spread_of
from squeezelerator.sim.engines.run import run_program_engine
from squeezelerator.spec.energy import energy, read_costs
from squeezelerator.spec.machine import MachineConfig


def _parser() -> ArgumentParser:
    parser = OneLineParser(prog=program_name("models.compress"), description="Compress a network and show what every step brings.")
    parser.add_argument("network", help="a network's name, a layer table (.csv) or an ONNX file")
    parser.add_argument("--weights", metavar="FILE", help="weight file (.npz, .pth, .safetensors, .net, .sqz)")
    parser.add_argument("--sparsity", metavar="SHARE", help="share of weights to prune; of single layers too: 0.6,conv1=0.2,... or "
                        "conv1=0.2,... (default: the zeros that are there)")
    parser.add_argument("--scope", choices=("layer", "network"), default="layer", help="where the share holds (default %(default)s)")
    parser.add_argument("--bits", metavar="BITS", default="6", help="bits of a shared weight, 1 to 8; of single layers too: "
                        "6,conv1=8,... (default %(default)s)")
    parser.add_argument("--data", metavar="DIR", default=os.environ.get("DATA"),
                        help="folder with labels.csv, for calibration and accuracy (default: the variable DATA)")
    parser.add_argument("--preprocessing", choices=tuple(images.PREPROCESSINGS), help="of pictures; default: what the weights need")
    parser.add_argument("--pe", type=int, default=16, metavar="N", help="PEs a side of the machine (default %(default)s)")
    parser.add_argument("--no-machine", action="store_true", help="leave out cycles and energy")
    parser.add_argument("--jobs", type=int, metavar="N", help="processes for the accuracy (default: one a core)")
    parser.add_argument("-o", "--output", metavar="FILE.sqz", help="write the compressed network there")
    return parser


def _float_network(options: Namespace) -> FloatNetwork:
    if not options.network.lower().endswith(".onnx") and options.weights:
        return importers.load_weights(options.weights, load_table(options.network))
    net = load_source(options.network, options.weights).net
    if net is None:
        raise CompressError(f"{options.network} has no trained weights here: name them with --weights FILE")
    return net


def _machine(options: Namespace, inputs: Sequence[np.ndarray]) -> Callable[[FloatNetwork, bool], tuple[int | None, float | None]]:
    """A function from a float network, and whether its zeros count as weights, to (cycles, energy) by the exact cycle model."""
    cfg, costs, known = MachineConfig(n=options.pe), read_costs(), {}

    def measure(net: FloatNetwork, dense: bool) -> tuple[int | None, float | None]:
        quantised = quantise(net, inputs)
        if dense:
            quantised = without_zeros(quantised)
        # The machine skips zeros and is otherwise the same for all values: where zeros are decides, and sharing leaves them there.
        zeros = b"".join(np.packbits(numbers.weight == 0).tobytes() for numbers in quantised.quant.values() if numbers.weight is not None)
        if zeros not in known:
            try:
                program = compile_network(quantised, cfg)
            except CompileError as error:
                _say(f"no cycles and energy: {error}")
                return None, None
            run = run_program_engine("model", program, quantise_input(quantised, inputs[0]))
            known[zeros] = run.result.cycles, energy(run.result.counters, costs)
        return known[zeros]

    return measure


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _pictures(options: Namespace, net: FloatNetwork) -> tuple[list[np.ndarray], Sequence[int]] | None:
    """Labelled ``(inputs, labels)`` for the accuracy; None where there are none."""
    if net.table == digits.NETWORK.table:
        inputs, _, labels = digits.test_digits()
        return inputs, labels.tolist()
    return evaluate.labelled_inputs(options.data, net.table.input_shape, net.preprocessing) if options.data else None


def _accuracy(net: FloatNetwork, inputs: list[np.ndarray], pictures: tuple[list[np.ndarray], Sequence[int]],
              jobs: int | None) -> evaluate.Accuracy:  # fmt: skip
    """Accuracy in 16 bits of a float network on labelled ``pictures``, calibrated on ``inputs``."""
    ranked = evaluate.rank_all(evaluate.rank_quantised, quantise(net, inputs), pictures[0], jobs)
    return evaluate.accuracy(ranked, pictures[1])


def _run(options: Namespace) -> None:
    if options.jobs is not None and options.jobs < 1:
        raise CompressError(f"--jobs must be at least 1, not {options.jobs}")
    if options.output:
        check_writable(options.output)
    net = _float_network(options)
    net = dataclasses.replace(net, preprocessing=options.preprocessing or net.preprocessing)
    sparsity, bits = settings(options, net.table)
    pictures = _pictures(options, net)
    inputs, measure_accuracy = noise_inputs(net.table, spread=spread_of(net)), None
    if pictures:
        inputs = pictures[0][:: -(-len(pictures[0]) // CALIBRATION_IMAGES)]
        measure_accuracy = functools.partial(_accuracy, inputs=inputs, pictures=pictures, jobs=options.jobs)
    measure_machine = None if options.no_machine else _machine(options, inputs)
    _say("pruning, sharing, coding ...")
    compressed = compress(net, sparsity=sparsity, scope=options.scope, bits=bits)
    if options.output:
        write_whole(options.output, lambda file: file.write(compressed[2]))
    rows = steps(net, compressed, measure_accuracy=measure_accuracy, measure_machine=measure_machine, say=_say)
    print("\n".join(lines(rows)))
    if measure_machine:
        print("dense: every weight is stored and multiplied; the zeros among them run as the smallest weights there are")


@command("models.compress")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    _run(options)
    return 0
