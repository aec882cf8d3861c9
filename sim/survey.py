"""``python -m sim.survey``: the networks of the paper's Table 3 on both machines; writes docs/results.json and docs/results.md.

With ``--objective energy`` docs/results_energy.json is written instead of the first; the page shows both.

Each network is compiled (``--effort high``), run on the cycle model, compared with the golden model and, with ``--rtl``, run whole on
the Verilog too, which must agree in every output and every cycle. Results are merged into the JSON file, so that the long runs can be
made in pieces.
"""

import itertools
import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.errors import UserError
from squeezelerator.common.output import write_file
from squeezelerator.common.progress import print_line, progress
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.search.configuration import OBJECTIVES
from squeezelerator.compiler.search.configuration import VERSION as SCHEDULES
from squeezelerator.models.networks import zoo
from squeezelerator.models.paper.evaluate import evaluate
from squeezelerator.models.paper.published import TABLE_3
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.sim.engines.model import ModelResult
from squeezelerator.sim.engines.run import EngineError, run_golden_engine, run_program_engine
from squeezelerator.sim.results.compare import differences, layer_rows, totals
from squeezelerator.spec.energy import read_costs
from squeezelerator.spec.machine import ISA_VERSION, MachineConfig

__all__ = ["TABLE3", "main", "page", "survey_one"]

#: The networks of Table 3, in its order.
TABLE3 = ("alexnet", "squeezenet1_0", "squeezenet1_1", "tiny_darknet", "sqnxt23", "sqnxt23v2", "sqnxt23v3", "sqnxt23v4", "sqnxt23v5",
          "mobilenet", "sqnxt23_w2", "sqnxt23v4_w2", "sqnxt23v5_w2")

Reports = dict[tuple[str, int, str], dict[str, Any]]
"""Reports by network, PEs a side and dataflow."""

#: Marks figures of an earlier version.
_OLD = "†"


def survey_one(name: str, pe: int, dataflow: str, engines: Sequence[str], objective: str = "cycles") -> dict[str, Any]:
    """A report (a dict as in ``python -m sim --json``, shortened) of one network.

    Raises EngineError if the engines differ.
    """
    cfg = MachineConfig(n=pe)
    net = synthetic(zoo.get(name))
    x = synthetic_input(net.table)
    program = compile_network(net, cfg, dataflow=dataflow, objective=objective, effort="high")
    runs = {engine: run_program_engine(engine, program, x) for engine in engines}
    found = differences({**{engine: run.outputs for engine, run in runs.items()}, "golden": run_golden_engine(net, x).outputs})
    timed = {engine: run.result for engine, run in runs.items()}
    cycles = {engine: result.cycles for engine, result in timed.items()}
    if found or len(set(cycles.values())) != 1:
        raise EngineError(f"{name}, PE={pe}: the engines differ: {len(found)} outputs, cycles {cycles}")
    model = timed["model"]
    rows = layer_rows(net, program, timed, model.per_layer if isinstance(model, ModelResult) else {}, read_costs())
    total = totals(rows, timed, 0, read_costs())
    return {
        "network": name, "pe": pe, "dataflow": dataflow, "isa": ISA_VERSION, "schedules": SCHEDULES, "sectors": cfg.sectors,
        "instructions": len(program.instructions),
        "totals": {"macs": total.macs, "nonzero_macs": total.nonzero_macs, "cycles": cycles, "dram_words": total.dram_words,
                   "energy": round(total.energy), "mismatches": 0},
        "layers": [{"name": r.name, "dataflow": r.dataflow, "cycles": r.cycles} for r in rows],
    }


def _gains(name: str, pe: int, cycles: int, energy: float) -> tuple[float, float]:
    """(the paper's machine's cycles over ours, published energy over ours)."""
    configuration = f"{pe}x{pe}"
    row = next(row for row in TABLE_3 if row.network == name)
    return evaluate(name, configuration).cycles / cycles, row.energy[configuration] / energy


def _age(report: dict[str, Any]) -> str:
    """A mark on what was measured before the instruction set, the schedules or the machine changed, or without their versions."""
    # Once all machines had eight sectors.
    found = report.get("isa"), report.get("schedules"), report.get("sectors", 8)
    return "" if found == (ISA_VERSION, SCHEDULES, MachineConfig(n=report["pe"]).sectors) else _OLD


def page(reports: Reports, lean: Reports | None = None) -> str:
    """The text of docs/results.md; ``lean``: reports of ``--objective energy``."""
    lines = [
        "# The networks of the paper's Table 3 on this machine\n",
        "<!-- Written by `python -m sim.survey`. -->\n",
        "Compiled with `--effort high`; synthetic weights with 40% zeros, reference memory (16 bytes a cycle, 100 cycles of latency). "
        "All outputs equal the golden "
        "model's. Where a network ran whole on the RTL its cycles equal the model's. Energy in units of one MAC (Eyeriss's costs).\n",
    ]
    for pe in (16, 8):
        lines.append(f"\n## {pe} x {pe}, {MachineConfig(n=pe).buffer_kib:g} KiB\n")
        lines += _table(reports, pe, {"OS only": "os", "WS only": "ws"})
        if any(key[1] == pe for key in lean or {}):
            lines.append(f"\n### {pe} x {pe}, compiled for energy (`--objective energy`)\n")
            lines += _table(lean or {}, pe, {})
    lines.append("\n\"Faster than published\": cycles of the paper's machine (`models.paper`, by analysis) over these cycles; \"energy "
                 "saved\": the published energy over this one.\n")  # fmt: skip
    lines.append("\n\"OS only\" and \"WS only\": how many times as long the network takes with one dataflow for all its layers.\n")
    if any(map(_age, reports.values())):
        lines.append(f"\n{_OLD} compiled by an earlier version of the compiler, or for an earlier version of the machine.\n")
    return "\n".join(lines)


def _table(reports: Reports, pe: int, others: Mapping[str, str]) -> list[str]:
    """Lines of the table of one machine; ``others``: columns that compare with reports of another dataflow, {title: dataflow}."""
    titles = ["MACs", "cycles", "on the RTL", "MACs a cycle", "DRAM words", "energy", *others, "faster than published", "energy saved"]
    lines, gains = [f"| network | {' | '.join(titles)} |", "| --- " + "| ---: " * len(titles) + "|"], []
    for name in TABLE3:
        report = reports.get((name, pe, "auto"))
        if report is None:
            continue
        total = report["totals"]
        cycles = total["cycles"]["model"]
        found = [reports.get((name, pe, flow)) for flow in others.values()]
        gains.append(_gains(name, pe, cycles, total["energy"]))
        cells = [
            name, f"{total['macs']:,}", f"{cycles:,}{_age(report)}", "equal" if "rtl" in total["cycles"] else "-",
            f"{total['macs'] / cycles:.1f}", f"{total['dram_words']:,}", f"{total['energy']:.3g}",
            *(f"{r['totals']['cycles']['model'] / cycles:.2f}x{_age(r)}" if r else "-" for r in found),
            *(f"{gain:.2f}x" for gain in gains[-1]),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    if len(gains) == len(TABLE3):
        faster, saved = (math.exp(sum(map(math.log, column)) / len(gains)) for column in zip(*gains, strict=True))
        lines.append(f"| geometric mean |{' |' * (len(titles) - 2)} {faster:.2f}x | {saved:.2f}x |")
    return lines


def _read(path: Path) -> Reports:
    if not path.exists():
        return {}
    return {(r["network"], r["pe"], r["dataflow"]): r for r in json.loads(path.read_text(encoding="utf-8"))}


@command("sim.survey")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("sim.survey"), description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default: all of Table 3")
    parser.add_argument("--pe", type=int, nargs="+", default=[16, 8])
    parser.add_argument("--dataflow", nargs="+", choices=["auto", "os", "ws"], default=["auto"])
    parser.add_argument("--objective", choices=OBJECTIVES, default="cycles", help="(cycles)")
    parser.add_argument("--rtl", action="store_true", help="run on the RTL too")
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="DIR")
    args = parser.parse_args(argv)
    files = {objective: args.docs / f"results{'' if objective == 'cycles' else '_' + objective}.json" for objective in OBJECTIVES}
    known = {objective: _read(path) for objective, path in files.items()}
    path, reports = files[args.objective], known[args.objective]
    failed = 0
    runs: Iterable[tuple[str, int, str]] = itertools.product(args.networks or TABLE3, args.pe, args.dataflow)
    for name, pe, dataflow in progress(list(runs), "survey", unit="run"):
        begin = time.perf_counter()
        try:
            report = survey_one(name, pe, dataflow, ("rtl", "model") if args.rtl else ("model",), args.objective)
        except UserError as error:
            print_line(f"{program_name('sim.survey')}: {name}, PE={pe}, {dataflow}: {error}", sys.stderr)
            failed = 2
            continue
        total = report["totals"]
        print_line(f"{name:14s} PE={pe:<3d} {dataflow:5s} {total['cycles']['model']:>12,} cycles  {total['dram_words']:>12,} DRAM "
                   f"words  energy {total['energy']:.3g}  ({time.perf_counter() - begin:.0f} s)")
        reports[zoo.canonical(name), pe, dataflow] = report
        ordered = [reports[key] for key in sorted(reports)]
        write_file(path, (json.dumps(ordered, separators=(",", ":")).replace('},{"network"', '},\n{"network"') + "\n").encode())
    write_file(args.docs / "results.md", page(known["cycles"], known["energy"]).encode())
    return failed


if __name__ == "__main__":
    sys.exit(main())
