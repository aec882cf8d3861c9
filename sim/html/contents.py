"""What the report shows, gathered from a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from squeezelerator.models.quantisation.report import LayerReport
from squeezelerator.sim.engines.model import ModelResult
from squeezelerator.sim.explain.advice import Advice, advise
from squeezelerator.sim.explain.decomposition import Explanation
from squeezelerator.sim.explain.occupancy import Occupancy, occupancy
from squeezelerator.sim.html.timeline import intervals
from squeezelerator.sim.results.compare import LayerRow, Totals
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import Program

__all__ = ["Contents", "Findings", "gather"]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a run found.

    ``rows``, ``total`` : of the table of ``python -m sim``. ``notes`` : sentences about how much the figures mean. ``compared`` : the
    engines that ran. ``costs`` : unit costs of events. ``snr`` : signal to noise of each layer, empty where there are no float weights to
    compare with.
    """

    rows: Sequence[LayerRow]
    total: Totals
    explanation: Explanation
    compared: Sequence[str]
    costs: Mapping[str, float]
    notes: Sequence[str] = ()
    snr: Sequence[LayerReport] = ()


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Everything that the page shows."""

    network: str
    cfg: MachineConfig
    findings: Findings
    advice: Sequence[Advice]
    occupancy: Occupancy
    timeline: Mapping[str, object]


def gather(program: Program, result: ModelResult, findings: Findings) -> Contents:
    """The report's contents, from a run of the cycle model."""
    flows = {row.name: row.dataflow for row in findings.rows}
    return Contents(
        network=program.network, cfg=program.cfg, findings=findings,
        advice=advise(findings.explanation, program.table.layers, flows, program.cfg),
        occupancy=occupancy(program, result.timeline), timeline=intervals(program, result),
    )  # fmt: skip
