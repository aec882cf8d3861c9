"""The command line of ``python -m sim``."""

import dataclasses
import importlib
import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from squeezelerator.common.command_line import command, program_name
from squeezelerator.common.files import check_folder
from squeezelerator.common.output import write_file
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.compiler.options import (
    OneLineParser,
    OptionError,
    add_network_options,
    compile_options_of,
    machine_of,
    memory_option,
    preprocessing_of,
    source_of,
)
from squeezelerator.models.arithmetic.ports import Ports, default_ports, ports_from
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.quantisation.formats import quantise_input
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.models.sources import Source, usual_preprocessing
from squeezelerator.sim.engines.model import ModelResult
from squeezelerator.sim.engines.rtl import RtlResult
from squeezelerator.sim.engines.run import ENGINES, EngineError, EngineRun, run_golden_engine, run_program_engine
from squeezelerator.sim.explain.decomposition import Explanation, explain
from squeezelerator.sim.explain.text import check_layer, explanation_text
from squeezelerator.sim.html.contents import Findings, gather
from squeezelerator.sim.results.compare import LayerRow, Totals, differences, layer_rows, totals
from squeezelerator.sim.results.dump import dump
from squeezelerator.sim.results.inputs import Expected, check_output, read_input, read_inputs
from squeezelerator.sim.results.report import as_json, table
from squeezelerator.sim.results.scores import Outputs, show_outputs
from squeezelerator.sim.results.trace import chrome_trace
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.program import Program, ProgramError

if TYPE_CHECKING:
    from squeezelerator.models.importers.onnx.host_parts import HostRun

__all__ = ["main"]

#: Writes the report; imported where one is wanted, because it needs a package that nothing else does.
_PAGE = "squeezelerator.sim.html.page"

def _parser() -> ArgumentParser:
    parser = OneLineParser(prog=program_name("sim"), description="Run a network (or PROG.bin) on the engines.")
    add_network_options(parser)
    parser.add_argument("--engine", default="model,golden", metavar="LIST",
                        help="engines, separated by commas: rtl, model, golden (default model,golden)")
    parser.add_argument("--input", "--image", metavar="[NAME=]FILE", action="append",
                        help="real numbers in the network's own units and layout (.npy, .npz), or a picture, prepared as the weights need "
                        "it; of several inputs each by its name, or one .npz with all; default: a synthetic pattern")
    parser.add_argument("--raw", action="store_true", help="--input and --output are int16 in the machine's formats, (C, H, W)")
    parser.add_argument("--classes", metavar="FILE", help="names of the classes: a CSV with the columns index and name, or one name a line")
    parser.add_argument("--data", metavar="DIR", default=os.environ.get("DATA"),
                        help="folder with imagenet_classes.csv (default: the variable DATA)")
    parser.add_argument("--memory-latency", type=int, metavar="L", help="cycles until DRAM answers (the memory's own: 100)")
    parser.add_argument("--memory-stall", type=float, default=0.0, metavar="P",
                        help="probability with which DRAM withholds each handshake (0; RTL only)")
    parser.add_argument("--dump", metavar="DIR", help="write layer table, weights, input and every output")
    parser.add_argument("--json", metavar="FILE", help="write the table as JSON")
    parser.add_argument("--explain", metavar="LAYER", help="print where the cycles and DRAM words of a layer go and what bounds it; "
                        "all: a table of all layers")  # fmt: skip
    parser.add_argument("--html", metavar="FILE", help="write a report: one page that opens in a browser, without a network")
    parser.add_argument("--trace", metavar="FILE", help="write a timeline of all units (Chrome trace format, opens in Perfetto)")
    parser.add_argument("--output", metavar="FILE", help="write the outputs, float32: all under their names (.npz), or a single one (.npy)")
    parser.add_argument("--waves", nargs="?", const="build/waves.vcd", metavar="FILE", help="write a VCD of the RTL's signals")
    return parser


def _engines(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ENGINES:
            raise EngineError(f"unknown engine {name!r}; there are {', '.join(ENGINES)}")
    if not names:
        raise EngineError(f"no engine named; there are {', '.join(ENGINES)}")
    return [name for name in ENGINES if name in names]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _memory(args: Namespace) -> DramProfile:
    """The memory that the options describe; raises UnknownMemory."""
    memory = memory_option(args)
    return memory if args.memory_latency is None else dataclasses.replace(memory, latency=args.memory_latency)


def _check_options(args: Namespace, engines: Sequence[str]) -> None:
    if args.trace and set(engines) <= {"golden"}:
        raise EngineError("--trace needs an engine that knows time: --engine rtl or model")
    if args.explain and "model" not in engines:
        raise EngineError("--explain needs the cycle model: --engine model")
    if args.html:
        if "model" not in engines:
            raise EngineError("--html needs the cycle model: --engine model")
        if args.network and args.network.endswith(".bin"):
            raise EngineError("--html needs the network that the program was compiled from: python -m sim NETWORK --html FILE")
        importlib.import_module(_PAGE)  # if its plotting library is missing, that is said before the run
    if not 0 <= args.memory_stall < 1:
        raise EngineError(f"--memory-stall takes a probability from 0 to below 1, not {args.memory_stall}")
    _memory(args)


def _run_timed(engine: str, program: Program, x: np.ndarray, args: Namespace) -> EngineRun:
    _say(f"{engine}: running {len(program.instructions)} instructions ...")
    run = run_program_engine(engine, program, x, memory=_memory(args),
                             stall=args.memory_stall if engine == "rtl" else 0.0, seed=args.seed, waves=args.waves)
    speed = f", {run.result.cycles / run.result.wall_s:,.0f} cycles a second" if run.result.wall_s else ""
    _say(f"{engine}: {run.result.cycles:,} cycles in {run.wall_s:.1f} s{speed}")
    return run


def _check_outputs(args: Namespace) -> None:
    """An output that cannot be written should say so before a long run, not after it."""
    for path in (args.json, args.output, args.trace, args.html):
        folder = Path(path).parent if path else None
        if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise EngineError(f"cannot write {path}: {folder} is not a folder that can be written to")
    if args.dump:
        # It is made when there is something to put there.
        try:
            check_folder(args.dump)
        except OSError as error:
            raise EngineError(f"cannot write {args.dump}: {error.strerror}") from None


def _input(args: Namespace, source: Source) -> np.ndarray:
    """The network's input, int16 (C, H, W): from a file, or a synthetic pattern."""
    net = source.quantised
    if args.input:
        return read_input(args.input, Expected(source.ports, net.input_frac, source.preprocessing), raw=args.raw)
    if args.raw and not args.output:
        raise OptionError("--raw is about --input and --output, and neither is given")
    return synthetic_input(net.table, args.seed)


def _host_run(args: Namespace, source: Source) -> "HostRun | None":
    """What the host has computed before the machine begins; ``None`` where it has no part in the network."""
    if source.host is None:
        return None
    if args.raw:
        raise OptionError("--raw is about the machine's own input and output; with --host-fallback the host computes a part of the network")
    if not args.input:
        return source.host.noise_runs(1, 1.0, args.seed)[0]
    return source.host.start(read_inputs(args.input, Expected(source.host.ports, 0, source.preprocessing)))


def _host_and_input(args: Namespace, source: Source) -> "tuple[HostRun | None, np.ndarray]":
    """The host's run, if it has one, and the machine's input."""
    host = _host_run(args, source)
    return host, _input(args, source) if host is None else quantise_input(source.quantised, host.machine_input)


def _print_host(source: Source) -> None:
    if source.host is not None:
        print("\n".join(source.host.report()))


@dataclasses.dataclass(frozen=True)
class _Found:
    """What the engines found: ``runs`` of all, ``timed`` of those that know time, ``differing`` outputs, the table's rows and total."""

    runs: dict[str, EngineRun]
    timed: dict[str, ModelResult | RtlResult]
    differing: list[tuple[str, str, str, int, int]]
    rows: list[LayerRow]
    total: Totals
    explanation: Explanation | None


def _run_engines(net: QuantNetwork, program: Program | None, x: np.ndarray, args: Namespace, engines: Sequence[str],
                 costs: Mapping[str, float]) -> _Found:
    """Run the engines; ``program`` is None where only the golden model runs."""
    made: dict[str, EngineRun] = {}
    # The quick engines first: what they find is known while the RTL runs.
    for engine in sorted(engines, key=("golden", "model", "rtl").index):
        made[engine] = run_golden_engine(net, x) if program is None or engine == "golden" else _run_timed(engine, program, x, args)
    return _findings(net, program, {engine: made[engine] for engine in engines}, costs)


def _findings(net: QuantNetwork, program: Program | None, runs: dict[str, EngineRun], costs: Mapping[str, float]) -> _Found:
    timed = {engine: run.result for engine, run in runs.items() if run.result is not None}
    differing = differences({engine: run.outputs for engine, run in runs.items()})
    model = timed.get("model")
    per_layer = model.per_layer if isinstance(model, ModelResult) else {}
    rows = layer_rows(net, program, timed, per_layer, costs) if program is not None and timed else []
    explanation = explain(program, model) if program is not None and isinstance(model, ModelResult) else None
    return _Found(runs, timed, differing, rows, totals(rows, timed, sum(wrong for *_, wrong, _ in differing), costs), explanation)


def _print_times(found: _Found) -> bool:
    """Print how cycles and counters of RTL and model differ; returns whether they do."""
    gap = found.total.cycles["rtl"] - found.total.cycles["model"]
    layers = sum(r.cycles["rtl"] != r.cycles["model"] for r in found.rows)
    model = found.timed["model"].counters
    counters = [n for n, c in found.timed["rtl"].counters.items() if model.get(n) != c]
    print(f"cycles: RTL minus model {gap}, layers that differ {layers}" + (f", counters that differ {counters}" if counters else ""))
    return bool(gap or layers or counters)


def _print_comparison(found: _Found, stalling: bool) -> bool:
    """Print where the engines differ; returns whether they do. With a ``stalling`` memory RTL and model may differ in cycles."""
    for name, first, second, wrong, words in found.differing:
        print(f"DIFFERENT: {name}: {wrong} of {words} words between {first} and {second}")
    failed = bool(found.differing)
    if len(found.timed) == 2 and not stalling:
        failed |= _print_times(found)
    if len(found.runs) > 1:
        compared = set.intersection(*(set(run.outputs) for run in found.runs.values()))
        print(f"outputs: {' = '.join(found.runs) if not found.differing else 'differences found'} on {len(compared)} layers that leave "
              f"the chip, mismatching words {found.total.mismatches}")
    return failed


def _explained(found: _Found) -> dict[str, Any]:
    """The decomposition for JSON."""
    if found.explanation is None:
        return {}
    items = {name: item.as_dict() for name, item in found.explanation.layers.items()}
    return {"explanation": {"layers": items, "total": found.explanation.total.as_dict()}}


def _check_names(args: Namespace, source: Source) -> None:
    """Outputs and layers that the options name must be those of the network."""
    if args.output:
        check_output(args.output, source.output_names)
    if args.explain:
        check_layer(args.explain, [layer.name for layer in source.quantised.table.layers])


def _compiled(net: QuantNetwork, cfg: MachineConfig, options: CompileOptions) -> Program:
    program = compile_network(net, cfg, options)
    _say(f"compiled {net.table.name} for {cfg.n}x{cfg.n}, {cfg.buffer_kib:g} KiB: {len(program.instructions)} instructions, "
         f"{program.mem_bytes:,} bytes of memory" + (", synthetic weights" if net.synthetic else ""))
    return program


def _print_cycles(args: Namespace, found: _Found) -> None:
    if found.timed:
        print(table(found.rows, found.total, list(found.timed)))
    if args.explain and found.explanation:
        print(explanation_text(found.explanation, args.explain))


def _write_report(path: str, run: tuple[Source, Program], found: _Found, made_up: Sequence[str], costs: Mapping[str, float]) -> None:
    """Write the report of a run in which ``made_up`` (input, weights) was synthetic."""
    source, program = run
    model = found.timed.get("model")
    if found.explanation is None or not isinstance(model, ModelResult):
        raise EngineError("--html needs the cycle model: --engine model")
    notes = [f"The {' and the '.join(made_up)} of this run {'are' if made_up != ['input'] else 'is'} synthetic."] if made_up else []
    notes += [f"Engines differ: {wrong} of {words} words of {name} between {one} and {other}." for name, one, other, wrong, words in
              found.differing]  # fmt: skip
    findings = Findings(rows=found.rows, total=found.total, explanation=found.explanation, compared=list(found.runs), costs=costs,
                        notes=notes, snr=source.layer_reports())  # fmt: skip
    write_file(path, importlib.import_module(_PAGE).page(gather(program, model, findings)).encode())
    print(f"report: {path} (open it in a browser)")


def _run_network(args: Namespace, engines: Sequence[str]) -> int:
    cfg = machine_of(args)
    source = source_of(args)
    net = source.quantised
    options = compile_options_of(args)
    host, x = _host_and_input(args, source)
    _check_names(args, source)
    program = _compiled(net, cfg, options) if set(engines) != {"golden"} else None
    found = _run_engines(net, program, x, args, engines, options.energy_costs)
    _print_cycles(args, found)
    _print_host(source)
    failed = _print_comparison(found, stalling=args.memory_stall > 0)
    made_up = ["input"] * (not args.input) + ["weights"] * net.synthetic
    maps = next(iter(found.runs.values())).outputs
    show_outputs(args, Outputs(source.ports, maps, {name: net.frac_of(name) for name in net.quant}, made_up, host))
    if args.dump:
        dump(args.dump, net, x, found.runs, source.preprocessing)
    if args.trace and program is not None:
        write_file(args.trace, chrome_trace(program, found.timed).encode())
    if args.html and program is not None:
        _write_report(args.html, (source, program), found, made_up, options.energy_costs)
    if args.json:
        text = json.dumps(as_json(net.table.name, cfg, found.rows, found.total) | _explained(found), indent=1) + "\n"
        write_file(args.json, text.encode())
    return 1 if failed else 0


def _check_output(args: Namespace, ports: Ports) -> None:
    if args.output:
        check_output(args.output, [port.name for port in ports.outputs])


def _run_binary(args: Namespace, engines: Sequence[str]) -> int:
    if len(engines) != 1 or engines[0] == "golden":
        raise EngineError("a compiled program runs on one engine: --engine rtl or --engine model")
    try:
        data = Path(args.network).read_bytes()
    except OSError as error:
        raise ProgramError(f"cannot read {args.network}: {error.strerror}") from None
    program = Program.load(data)
    if not args.input:
        raise EngineError("a compiled program needs its input: --input FILE")
    entry, numbers = program.inputs[0], program.quantisation
    ports = ports_from(numbers["ports"]) if "ports" in numbers else default_ports((entry.c, entry.h, entry.w), tuple(program.results))
    _check_output(args, ports)
    usual = numbers.get("preprocessing") or usual_preprocessing(program.table)
    expected = Expected(ports, entry.frac, preprocessing_of(args, usual) or usual)
    x = read_input(args.input, expected, raw=args.raw)
    if args.explain:
        check_layer(args.explain, program.layers)
    run = _run_timed(engines[0], program, x, args)
    if args.explain and isinstance(run.result, ModelResult):
        print(explanation_text(explain(program, run.result), args.explain))
    show_outputs(args, Outputs(ports, run.outputs, numbers["frac_out"], ["weights"] * bool(numbers["synthetic"])))
    return 0


@command("sim")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, 1 if engines differ, 2 for an error of the user's."""
    args = _parser().parse_args(argv)
    engines = _engines(args.engine)
    _check_options(args, engines)
    _check_outputs(args)
    if args.network is None:
        raise OptionError("which network? python -m compiler --list names them")
    if args.network.endswith(".bin"):
        return _run_binary(args, engines)
    return _run_network(args, engines)
