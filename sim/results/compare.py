"""What the engines found, put side by side: outputs that differ, and a row for each layer."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.sim.engines.timed_run import PerLayer, TimedRun
from squeezelerator.sim.results.layer_cycles import layer_cycles
from squeezelerator.spec.energy import energy
from squeezelerator.spec.events import DRAM_WORDS, STALLS
from squeezelerator.spec.isa import ARRAY, POOL, ops_of
from squeezelerator.spec.program import Program

__all__ = ["LayerRow", "Totals", "dataflows", "differences", "layer_rows", "totals"]



@dataclasses.dataclass
class LayerRow:
    """One layer: ``cycles`` {engine: cycles}, ``stalls`` {cause: cycles}, ``events`` {counter: count}."""

    name: str
    dataflow: str
    macs: int
    nonzero_macs: int
    cycles: dict
    stalls: dict
    events: dict
    dram_words: int
    energy: float

    @property
    def macs_per_cycle(self) -> float | None:
        """Multiply-accumulates of the layer (zeros included) for each of its cycles; None where it took none."""
        cycles = next(iter(self.cycles.values()), 0)
        return self.macs / cycles if cycles else None


@dataclasses.dataclass
class Totals:
    """The whole run; ``mismatches`` counts output words in which any two engines differ."""

    macs: int
    nonzero_macs: int
    cycles: dict
    stalls: dict
    events: dict
    dram_words: int
    energy: float
    mismatches: int


def differences(outputs: Mapping[str, Mapping[str, np.ndarray]]) -> list[tuple[str, str, str, int, int]]:
    """Compare the engines' outputs.

    Parameters
    ----------
    outputs : dict of str to (dict of str to ndarray)
        For each engine its layers' outputs, int16 (C, H, W).

    Returns
    -------
    list of (layer, engine, engine, differing words, words)
        One entry for each pair of engines and layer that both have, where they differ; missing nothing that only one has.
    """
    found = []
    engines = list(outputs)
    for i, first in enumerate(engines):
        for second in engines[i + 1 :]:
            for name in outputs[first].keys() & outputs[second].keys():
                a, b = outputs[first][name], outputs[second][name]
                wrong = int((a != b).sum()) if a.shape == b.shape else max(a.size, b.size)
                if wrong:
                    found.append((name, first, second, wrong, int(a.size)))
    return sorted(found)


def dataflows(program: Program) -> dict[str | None, str]:
    """The dataflow of each layer, or what POOL does for it: "OS", "WS", "OS+WS", "pool"."""
    flows: dict[str | None, set[str]] = {}
    for instr, layer in zip(program.instructions, program.layer_of, strict=False):
        if instr.unit in (ARRAY, POOL) and instr.op != "TABLE":
            flows.setdefault(layer, set()).add(instr.op)
    names = {op.name: op.name.lower() for op in ops_of(POOL)}
    return {layer: "+".join(names.get(op, op) for op in sorted(ops)) for layer, ops in flows.items()}


def layer_rows(net: QuantNetwork, program: Program, runs: Mapping[str, TimedRun], per_layer: PerLayer,
               costs: Mapping[str, float]) -> list[LayerRow]:
    """A LayerRow for every layer of the network, in order.

    Parameters
    ----------
    net : QuantNetwork
    program : Program
    runs : dict of str to result
        For each timed engine ("rtl", "model") something with ``starts``, ``retires`` and ``cycles``.
    per_layer : dict of str to (dict of str to int)
        Event counts and stall cycles of each layer, from the cycle model.
    costs : dict of str to float
    """
    cycles = {engine: layer_cycles(program.cfg, program.instructions, program.layer_of, (run.starts, run.retires), run.cycles)
              for engine, run in runs.items()}
    flows = dataflows(program)
    rows = []
    for layer in net.table.layers:
        events = per_layer.get(layer.name, {})
        weight = net.quant[layer.name].weight if layer.has_weights else None
        share = np.count_nonzero(weight) / weight.size if weight is not None else 0
        rows.append(LayerRow(
            name=layer.name, dataflow=flows.get(layer.name, "-"), macs=layer.macs if layer.has_weights else 0,
            nonzero_macs=round(layer.macs * share) if layer.has_weights else 0,
            cycles={engine: found.get(layer.name, 0) for engine, found in cycles.items()},
            stalls={cause: events.get(cause, 0) for cause in STALLS},
            events={name: count for name, count in events.items() if name not in STALLS},
            dram_words=sum(events.get(name, 0) for name in DRAM_WORDS), energy=energy(events, costs)))
    return rows


def totals(rows: Sequence[LayerRow], runs: Mapping[str, TimedRun], mismatches: int, costs: Mapping[str, float]) -> Totals:
    """The Totals of a run; events and stalls are those of the first timed engine (the RTL's own counters if it ran)."""
    counters = next(iter(runs.values())).counters if runs else {}
    return Totals(
        macs=sum(r.macs for r in rows), nonzero_macs=sum(r.nonzero_macs for r in rows),
        cycles={engine: run.cycles for engine, run in runs.items()},
        stalls={cause: counters.get(cause, 0) for cause in STALLS},
        events={n: c for n, c in counters.items() if n not in STALLS},
        dram_words=sum(counters.get(name, 0) for name in DRAM_WORDS), energy=energy(counters, costs), mismatches=mismatches)


