"""``python -m models.compress NETWORK --weights FILE``: compress a network and show what every step brings."""

import os
import sys
from pathlib import Path

from models import digits, evaluate, images, importers
from models.command_line import OneLineParser
from models.compress.errors import CompressError
from models.compress.table import compress, lines, steps
from models.float_network import FloatNetwork
from models.quantise import noise_inputs, quantise, quantise_input
from models.sources import CALIBRATION_IMAGES, load_source, load_table, spread_of


def _parser():
    parser = OneLineParser(prog="python -m models.compress", description=__doc__)
    parser.add_argument("network", help="a network's name, a layer table (.csv) or an ONNX file")
    parser.add_argument("--weights", help="weight file (.npz, .pth, .safetensors, .net, .sqz)")
    parser.add_argument("--sparsity", type=float, help="share of weights to prune (default: the zeros that are there)")
    parser.add_argument("--scope", choices=("layer", "network"), default="layer", help="where the share holds (default %(default)s)")
    parser.add_argument("--bits", type=int, default=6, help="bits of a shared weight, 1 to 8 (default %(default)s)")
    parser.add_argument("--data", default=os.environ.get("DATA"), help="folder with labels.csv, for calibration and accuracy")
    parser.add_argument("--preprocessing", choices=tuple(images.PREPROCESSINGS))
    parser.add_argument("--pe", type=int, default=16, metavar="N", help="PEs a side of the machine (default %(default)s)")
    parser.add_argument("--no-machine", action="store_true", help="leave out cycles and energy")
    parser.add_argument("--jobs", type=int, help="processes for the accuracy (default: one a core)")
    parser.add_argument("-o", "--output", help="write the compressed network (.sqz) there")
    return parser


def _float_network(options):
    if options.network.lower().endswith(".onnx"):
        return importers.load_onnx(options.network)
    if options.weights:
        return importers.load_weights(options.weights, load_table(options.network))
    net = load_source(options.network).net
    if net is None:
        raise CompressError(f"{options.network} has no trained weights here: name them with --weights FILE")
    return net


def _machine(options, inputs):
    """A function from a float network to (cycles, energy) of one inference by the exact cycle model."""
    # The machine is not needed for compressing, and models know nothing of it otherwise.
    from compiler.api import compile_network
    from compiler.errors import CompileError
    from rtl.config import MachineConfig
    from sim.energy import energy, read_costs
    from sim.engines import run_program_engine

    cfg, costs = MachineConfig(n=options.pe), read_costs()

    def measure(net):
        quantised = quantise(net, inputs)
        try:
            program = compile_network(quantised, cfg)
        except CompileError as error:
            print(f"no cycles and energy: {error}", file=sys.stderr)
            return None, None
        run = run_program_engine("model", program, quantise_input(quantised, inputs[0]))
        return run.result.cycles, energy(run.result.counters, costs)

    return measure


def _run(options):
    net = _float_network(options)
    preprocessing = options.preprocessing or net.preprocessing
    net = FloatNetwork(net.table, net.params, preprocessing)
    inputs, measure_accuracy, pictures = noise_inputs(net.table, spread=spread_of(net)), None, None
    if net.table == digits.NETWORK.table:
        pictures, _, labels = digits.test_digits()
    elif options.data:
        pictures, labels = evaluate.labelled_inputs(options.data, net.table.input_shape, preprocessing)
    if pictures:
        inputs = pictures[:: -(-len(pictures) // CALIBRATION_IMAGES)]

        def measure_accuracy(item):
            quantised = quantise(item, inputs)
            return evaluate.accuracy(evaluate.rank_all(evaluate.rank_quantised, quantised, pictures, options.jobs), labels)

    pruned, shared, data = compress(net, sparsity=options.sparsity, scope=options.scope, bits=options.bits)
    if options.output:
        Path(options.output).write_bytes(data)
    measure_machine = None if options.no_machine else _machine(options, inputs)
    rows = steps(net, pruned, shared, data, measure_accuracy=measure_accuracy, measure_machine=measure_machine)
    print("\n".join(lines(rows)))


def main(arguments=None):
    """Command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except OSError as error:
        print(f"error: {error.filename or 'output'}: {error.strerror or error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
