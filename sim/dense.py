"""``python -m sim.dense``: what a network's zero weights save, layer by layer.

The network is run as it is, and again with its zero weights replaced by 1 and -1 of the same format, so that nothing can be skipped. Each
of the two is compiled by itself, run on the cycle model (or the Verilog, which takes the same cycles) and compared with the golden model.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from squeezelerator.common.command_line import command, program_name
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.compiler.options import (
    OneLineParser,
    add_network_options,
    compile_options_of,
    machine_of,
    source_of,
)
from squeezelerator.models.arithmetic.dense import without_zeros, zero_share
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.sim.engines.run import run_golden_engine, run_program_engine
from squeezelerator.sim.results.compare import differences, layer_rows
from squeezelerator.sim.results.report import columns
from squeezelerator.spec.energy import energy
from squeezelerator.spec.machine import MachineConfig

__all__ = ["Run", "main", "measure", "table"]


@dataclass(frozen=True)
class Run:
    """One of the two networks on the machine: ``rows`` its layers (``LayerRow``), ``wrong`` the differing outputs."""

    rows: list
    cycles: int
    energy: float
    wrong: list


def measure(net: QuantNetwork, cfg: MachineConfig, engine: str, options: CompileOptions) -> Run:
    """The :class:`Run` of a quantised network; ``options``: CompileOptions."""
    x = synthetic_input(net.table)
    program = compile_network(net, cfg, options)
    run = run_program_engine(engine, program, x)
    wrong = differences({engine: run.outputs, "golden": run_golden_engine(net, x).outputs})
    rows = layer_rows(net, program, {engine: run.result}, {}, options.energy_costs)
    return Run(rows, run.result.cycles, energy(run.result.counters, options.energy_costs), wrong)


def _cells(name: str, zeros: str, flows: Iterable[str], cycles: int, dense: int) -> list[str]:
    saved = dense - cycles
    return [name, zeros, *flows, f"{cycles:,}", f"{dense:,}", f"{saved:,}", f"{100 * saved / dense:.1f}%" if dense else ""]


def table(net: QuantNetwork, found: Run, dense: Run) -> str:
    """Text of the table: the network ``net``, its :class:`Run`, and that of the same network without zeros."""
    lines = [["layer", "zeros", "flow", "flow dense", "cycles", "cycles dense", "saved", "saved"]]
    zeros = weights = 0
    for layer, row, other in zip(net.table.layers, found.rows, dense.rows, strict=True):
        share = ""
        if layer.has_weights:
            weight, _ = net.quant[layer.name].arrays()
            share = f"{100 * zero_share(weight):.1f}%"
            zeros, weights = zeros + zero_share(weight) * weight.size, weights + weight.size
        (cycles,), (others,) = row.cycles.values(), other.cycles.values()
        lines.append(_cells(layer.name, share, (row.dataflow, other.dataflow), cycles, others))
    share = f"{100 * zeros / weights:.1f}%" if weights else ""
    lines.append(_cells("total", share, ("", ""), found.cycles, dense.cycles))
    return columns(lines, left={0, 2, 3})


@command("sim.dense")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, 1 if an output differs from the golden model's, 2 for an error of the user's."""
    parser = OneLineParser(prog=program_name("sim.dense"), description="What a network's zero weights save, layer by layer.")
    add_network_options(parser)
    parser.add_argument("--engine", choices=("model", "rtl"), default="model", help="what counts the cycles (model)")
    args = parser.parse_args(argv)
    cfg, options = machine_of(args), compile_options_of(args)
    net = source_of(args).quantised
    runs = []
    for title, item in (("as it is", net), ("without zeros", without_zeros(net))):
        print(f"{net.table.name} {title}: compiling and running ...", file=sys.stderr, flush=True)
        runs.append(measure(item, cfg, args.engine, options))
    found, dense = runs
    print(table(net, found, dense))
    print(f"dense takes {dense.cycles / found.cycles:.2f} times the cycles and {dense.energy / found.energy:.2f} times the energy "
          f"({dense.energy:.3g} against {found.energy:.3g})")
    wrong = found.wrong + dense.wrong
    for name, first, second, words, size in wrong:
        print(f"DIFFERENT: {name}: {words} of {size} words between {first} and {second}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
