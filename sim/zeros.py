"""``python -m sim.zeros``: how cycles follow the non-zero weights, one layer after the other, in OS and WS."""

import dataclasses
import sys
from collections.abc import Sequence

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.progress import print_line, progress
from squeezelerator.compiler.api import compile_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.models.sources import load_table
from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.rtl import RtlProgram, run_rtl
from squeezelerator.sim.engines.run import ENGINES, load_memory
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer import NETWORK_INPUT
from squeezelerator.spec.network.layer_table import LayerTable

__all__ = ["alone", "cycles_at", "main"]

SPARSITIES = (0.0, 0.4, 0.66, 0.9)


def alone(table: LayerTable, name: str) -> LayerTable:
    """The LayerTable of one layer of ``table`` as a network of its own, reading the network's input."""
    layer = dataclasses.replace(table.by_name[name], inputs=(NETWORK_INPUT,))
    return LayerTable(f"{table.name}_{name}", layer.in_shape, (layer,))


def cycles_at(table: LayerTable, cfg: MachineConfig, sparsity: float, dataflow: str, engine: str) -> tuple[dict[str, int], int]:
    """(counters, cycles) of ``table`` with synthetic weights of the given share of zeros."""
    net = synthetic(table, 0, sparsity)
    program = compile_network(net, cfg, dataflow=dataflow)
    memory = load_memory(program, synthetic_input(table))
    if engine == "rtl":
        result = run_rtl(cfg, RtlProgram.of(program, memory))
    else:
        result = run_model(program, memory)
    return result.counters, result.cycles


@command("sim.zeros")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("sim.zeros"), description=__doc__)
    parser.add_argument("--network", default="sqnxt23v5")
    parser.add_argument("--layer", nargs="*", default=["stage3_block2_sep3x1", "stage3_block2_expand"], help="layers of the network")
    parser.add_argument("--pe", type=int, default=16, metavar="N")
    parser.add_argument("--engine", choices=[e for e in ENGINES if e != "golden"], default="model")
    args = parser.parse_args(argv)
    cfg = MachineConfig(n=args.pe)
    table = load_table(args.network)
    for name in args.layer:
        if name not in table.by_name:
            raise zoo.UnknownNetwork(f"{args.network} has no layer {name!r}; it has {', '.join(table.by_name)}")
    columns = "".join(f" {title:>10s}" for title in ("OS array", "OS total", "WS array", "WS total"))
    print(f"{'layer':24s} {'zeros':>6s}{columns}   (cycles, {args.engine})")
    for name, sparsity in progress([(name, share) for name in args.layer for share in SPARSITIES], "zeros", unit="row"):
        cells = []
        for dataflow in ("os", "ws"):
            counters, cycles = cycles_at(alone(table, name), cfg, sparsity, dataflow, args.engine)
            cells += [counters["array_compute"] + counters["array_fill"], cycles]
        print_line(f"{name:24s} {sparsity:6.0%} " + " ".join(f"{c:10,d}" for c in cells))
    return 0


if __name__ == "__main__":
    sys.exit(main())
