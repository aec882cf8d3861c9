"""The tables of the evaluation as lists of rows (a header first), and their CSV files."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from squeezelerator.models.networks import zoo
from squeezelerator.models.paper.evaluate import ENERGY_LIMITS, TIME_LIMITS, Evaluation, sensitivities
from squeezelerator.models.paper.published import (
    CLAIMS,
    CONFIGURATIONS,
    CONV1_SHARE,
    LARGE,
    TABLE_1,
    TABLE_2,
    TABLE_3,
    VARIANTS,
    Accuracy,
    Claim,
)
from squeezelerator.models.paper.this_machine import Measurements
from squeezelerator.spec.network.layer import Layer


@dataclass(frozen=True)
class Table:
    """A table of strings: file name without ending, title, notes, header and rows."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        """Write ``NAME.csv`` into ``folder``."""
        with open(folder / f"{self.name}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows((self.header, *self.rows))


def _percent(value: float) -> str:
    return f"{100 * value:+.1f}%"


def _accuracy_table(number: int, published: Sequence[Accuracy]) -> Table:
    alexnet = zoo.network("alexnet").trainable_params
    rows = []
    for row in published:
        network = zoo.network(row.network)
        counted = network.trainable_params
        rows.append(
            (
                row.title,
                row.network,
                f"{row.top1:.2f}",
                f"{row.top5:.2f}",
                f"{row.params}",
                f"{counted / 1e6:.3f}",
                _percent(counted / 1e6 / row.params - 1),
                f"{row.compression}" if row.compression else "",
                f"{alexnet / counted:.1f}",
                "; ".join(filter(None, (network.inferred and f"inferred: {network.inferred}", network.note))),
            )
        )
    return Table(
        f"table{number}",
        f"Table {number}: parameters and compression",
        (
            "model",
            "network",
            "top-1 % (published)",
            "top-5 % (published)",
            "params 1e6 published",
            "params 1e6 counted",
            "difference",
            "compression published",
            "compression counted",
            "remarks",
        ),
        tuple(rows),
        ("Accuracies are quoted as published. Parameters are all trained numbers; compression is against AlexNet's.",),
    )


def accuracy_tables() -> tuple[Table, Table]:
    """Tables 1 and 2 of the paper."""
    return _accuracy_table(1, TABLE_1), _accuracy_table(2, TABLE_2)


def _this_machine(measured: Measurements, network: str, configuration: str, fastest: float | None,
                  dataflow: str = "auto") -> tuple[str, str, str]:
    """Cycles, time and energy of this machine as strings, empty where nothing was measured."""
    found = measured.get((network, configuration, dataflow))
    if found is None or fastest is None:
        return "", "", ""
    return f"{found.cycles:.0f}", f"{found.cycles / fastest:.2f}", f"{found.energy:.3g}" if found.energy else ""


def fastest_cycles(measured: Measurements, configuration: str) -> float | None:
    """Cycles of the fastest network of table 3 that was measured in a configuration; ``None`` without one."""
    networks = {row.network for row in TABLE_3}
    cycles = [
        item.cycles
        for (network, where, dataflow), item in measured.items()
        if where == configuration and dataflow == "auto" and network in networks
    ]
    return min(cycles, default=None)


def simulated_table(evaluation: Evaluation, measured: Measurements) -> Table:
    """Table 3 of the paper: times and energies, published, on the paper's machine and on this one."""
    rows = []
    for configuration in CONFIGURATIONS:
        fastest = fastest_cycles(measured, configuration)
        for row in TABLE_3:
            result = evaluation.results[row.network, configuration]
            time, energy = evaluation.time(row.network, configuration), result.energy
            rows.append(
                (
                    row.title,
                    configuration,
                    f"{row.time[configuration]:.2f}",
                    f"{time:.2f}",
                    _percent(time / row.time[configuration] - 1),
                    f"{row.energy[configuration]:.1e}",
                    f"{energy:.2e}",
                    _percent(energy / row.energy[configuration] - 1),
                    f"{result.cycles:.0f}",
                    f"{result.accesses.dram:.0f}",
                    *_this_machine(measured, row.network, configuration, fastest),
                )
            )
    notes = []
    for quantity, (mean, largest) in (("time", TIME_LIMITS), ("energy", ENERGY_LIMITS)):
        found = evaluation.summary(quantity)
        notes.append(
            f"{quantity}: mean error {100 * found[0]:.1f}% (at most {100 * mean:.1f}%), "
            f"largest {100 * found[1]:.1f}% (at most {100 * largest:.0f}%)"
        )
    return Table(
        "table3",
        "Table 3: time and energy",
        (
            "model",
            "array",
            "time published",
            "time",
            "time error",
            "energy published",
            "energy",
            "energy error",
            "cycles",
            "DRAM words",
            "this machine: cycles",
            "this machine: time",
            "this machine: energy",
        ),
        tuple(rows),
        (
            *notes,
            (
                "Time is relative to the fastest network of the configuration, energy in units of one MAC. "
                "Unmarked columns are the model of the paper's machine."
            ),
        ),
    )


def hybrid_table(evaluation: Evaluation, measured: Measurements) -> Table:
    """Speed-ups of choosing the dataflow for each layer over one dataflow for all, on both machines."""
    rows = []
    for configuration in CONFIGURATIONS:
        for row in TABLE_3:
            result = evaluation.results[row.network, configuration]
            chosen = [cost.dataflow for cost in result.costs]
            auto, *single = (measured.get((row.network, configuration, kind)) for kind in ("auto", "os", "ws"))
            speedups = [f"{here.cycles / auto.cycles:.2f}" if auto and here else "" for here in single]
            rows.append(
                (
                    row.title,
                    configuration,
                    str(chosen.count("os")),
                    str(chosen.count("ws")),
                    f"{result.cycles_os / result.cycles:.2f}",
                    f"{result.cycles_ws / result.cycles:.2f}",
                    *speedups,
                )
            )
    return Table(
        "hybrid",
        "Hybrid dataflow against a single one",
        (
            "model",
            "array",
            "layers in OS",
            "layers in WS",
            "faster than OS only",
            "faster than WS only",
            "this machine: faster than OS only",
            "this machine: faster than WS only",
        ),
        tuple(rows),
    )


def _ratio(claim: Claim, value: float) -> str:
    return f"{100 * (1 - 1 / value):.0f}%" if claim.saving else f"{value:.2f}x"


def _claim_row(claim: Claim, evaluation: Evaluation, measured: Measurements) -> tuple[str, ...]:
    """A claim: as claimed, from the paper's own table 3, reproduced, and on this machine."""
    published = {row.network: row for row in TABLE_3}
    than, network = (getattr(published[name], claim.quantity)[LARGE] for name in (claim.than, claim.network))
    model = getattr(evaluation, claim.quantity)
    here = [measured.get((name, LARGE, "auto")) for name in (claim.than, claim.network)]
    values = [getattr(item, "cycles" if claim.quantity == "time" else "energy") if item else None for item in here]
    return (
        claim.text,
        f"{100 * claim.value:.0f}%" if claim.saving else f"{claim.value}x",
        _ratio(claim, than / network),
        _ratio(claim, model(claim.than, LARGE) / model(claim.network, LARGE)),
        _ratio(claim, values[0] / values[1]) if values[0] and values[1] else "",
    )


def claims_table(evaluation: Evaluation, measured: Measurements) -> Table:
    """The claims of the paper's text: as claimed, from its own table 3, reproduced, and on this machine."""
    published = {row.network: row for row in TABLE_3}
    rows = [_claim_row(claim, evaluation, measured) for claim in CLAIMS]
    result = evaluation.results["sqnxt23", LARGE]
    here = measured.get(("sqnxt23", LARGE, "auto"))
    share = f"{100 * here.layers['conv1'] / here.cycles:.0f}%" if here and here.layers.get("conv1") else ""
    rows.append(
        (
            "conv1 takes 26% of the baseline's time",
            f"{100 * CONV1_SHARE:.0f}%",
            "",
            f"{100 * result.costs[0].cycles / result.cycles:.0f}%",
            share,
        )
    )
    v1, v2, v5 = (published[f"sqnxt23{version}"] for version in ("", "v2", "v5"))
    return Table(
        "claims",
        "The claims in words (16x16)",
        ("claim", "claimed", "from the published table 3", "reproduced on the paper's machine", "on this machine"),
        tuple(rows),
        (
            (
                "The 12% and 17% do not follow from the published table against the baseline (v1), which gives "
                f"{100 * (1 - v5.time[LARGE] / v1.time[LARGE]):.0f}% and "
                f"{100 * (1 - v5.energy[LARGE] / v1.energy[LARGE]):.0f}%; "
                f"they do against v2: {100 * (1 - v5.time[LARGE] / v2.time[LARGE]):.0f}% and "
                f"{100 * (1 - v5.energy[LARGE] / v2.energy[LARGE]):.0f}%."
            ),
            (
                "The 26% has no published layer times to compare with. The model charges every layer the same time "
                "to start and finish, which "
                "lowers the share of the largest layer."
            ),
        ),
    )


def assumptions_table(evaluation: Evaluation) -> Table:
    """What every alternative assumption does to the errors of table 3."""
    first = [*evaluation.summary("time"), *evaluation.summary("energy")]
    rows = [("as assumed", "", "", "", *(f"{100 * value:.1f}%" for value in first))]
    for alternative, default, time, energy in sensitivities():
        rows.append(
            (
                alternative.field,
                str(default),
                alternative.source,
                str(alternative.value),
                *(f"{100 * value:.1f}%" for value in (*time, *energy)),
            )
        )
    return Table(
        "assumptions",
        "Assumptions, and what changing them does",
        (
            "assumption",
            "value",
            "from",
            "changed to",
            "time: mean error",
            "time: largest",
            "energy: mean error",
            "energy: largest",
        ),
        tuple(rows),
    )


def layers_table(evaluation: Evaluation) -> Table:
    """Figure 6's numbers: every layer of v1 to v5 on both configurations of the paper's machine."""
    rows = []
    for configuration in CONFIGURATIONS:
        for network in VARIANTS:
            for cost in evaluation.results[network, configuration].costs:
                rows.append(
                    (
                        network,
                        configuration,
                        cost.layer.name,
                        cost.dataflow,
                        str(cost.layer.macs),
                        f"{cost.cycles:.0f}",
                        f"{cost.layer.macs / cost.cycles:.2f}",
                        f"{cost.dram_words:.0f}",
                    )
                )
    return Table(
        "figure6",
        "Figure 6: layers",
        ("network", "array", "layer", "dataflow", "MACs", "cycles", "MACs a cycle", "DRAM words"),
        tuple(rows),
    )


RESOLUTIONS = ("conv1", "block1 (55, 56)", "block2 (28)", "block3 (14)", "block4 (7)", "fc")


def block_of(layer: Layer) -> int:
    """Index into ``RESOLUTIONS``: layers of equal input height and width."""
    return {227: 0, 56: 1, 55: 1, 28: 2, 14: 3, 7: 4, 1: 5}[layer.h_i]


def block_cycles(evaluation: Evaluation, network: str, configuration: str) -> list[float]:
    """Cycles of a SqueezeNext by block of equal input resolution, in the order of ``RESOLUTIONS``."""
    cycles = [0.0] * len(RESOLUTIONS)
    for cost in evaluation.results[network, configuration].costs:
        cycles[block_of(cost.layer)] += cost.cycles
    return cycles


def blocks_table(evaluation: Evaluation) -> Table:
    """Figure 8's numbers: cycles by block."""
    rows = tuple(
        (network, configuration, *(f"{cycles:.0f}" for cycles in block_cycles(evaluation, network, configuration)))
        for configuration in CONFIGURATIONS
        for network in VARIANTS
    )
    return Table("figure8", "Figure 8: cycles by block", ("network", "array", *RESOLUTIONS), rows)


def spectrum_table(evaluation: Evaluation, measured: Measurements) -> Table:
    """Figure 7's numbers: accuracy, energy and time at 16x16, published and reproduced."""
    fastest = fastest_cycles(measured, LARGE)
    rows = tuple(
        (
            row.title,
            f"{row.top1:.2f}",
            f"{row.params}",
            f"{row.time[LARGE]:.2f}",
            f"{evaluation.time(row.network, LARGE):.2f}",
            f"{row.energy[LARGE]:.1e}",
            f"{evaluation.energy(row.network, LARGE):.2e}",
            *_this_machine(measured, row.network, LARGE, fastest)[1:],
        )
        for row in TABLE_3
    )
    return Table(
        "figure7",
        "Figure 7: accuracy, energy and time at 16x16",
        (
            "model",
            "top-1 %",
            "params 1e6",
            "time published",
            "time",
            "energy published",
            "energy",
            "this machine: time",
            "this machine: energy",
        ),
        rows,
    )
