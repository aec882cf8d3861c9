"""The table that `python -m sim` prints, and its JSON."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from squeezelerator.sim.results.compare import LayerRow, Totals
from squeezelerator.spec.events import event
from squeezelerator.spec.machine import MachineConfig

__all__ = ["as_json", "columns", "table"]

def _stalls(stalls: Mapping[str, int]) -> str:
    """The stall causes that matter, largest first."""
    found = sorted(((cycles, event(cause).stall) for cause, cycles in stalls.items() if cycles), reverse=True)
    return " ".join(f"{name} {cycles:,}" for cycles, name in found[:3])


def _cells(name: str, dataflow: str, row: LayerRow | Totals, engines: Sequence[str]) -> list[str]:
    cycles = [row.cycles.get(engine, 0) for engine in engines]
    rate = f"{row.macs / cycles[0]:.1f}" if cycles and cycles[0] and row.macs else ""
    return [name, dataflow, f"{row.macs:,}", f"{row.nonzero_macs:,}", *(f"{c:,}" for c in cycles), rate,
            f"{row.dram_words:,}", f"{row.energy:.3g}", _stalls(row.stalls)]


def table(rows: Sequence[LayerRow], total: Totals, engines: Sequence[str]) -> str:
    """The rows and their total as text; ``engines`` are the timed ones."""
    head = ["layer", "flow", "MACs", "non-zero", *(f"cycles {e}" for e in engines), "MACs/cycle", "DRAM words", "energy", "stalls"]
    body = [_cells(r.name, r.dataflow, r, engines) for r in rows]
    body.append(_cells("total", "", total, engines))
    return columns([head, *body], left={0, 1, len(head) - 1})


def columns(lines: Sequence[Sequence[str]], left: Collection[int]) -> str:
    """A table as text: ``lines`` of cells, first the head, last the total; ``left`` are the columns that are flush left."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=False))).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    head, *body, total = map(line, lines)
    return "\n".join([head, rule, *body, rule, total])


def as_json(network: str, cfg: MachineConfig, rows: Sequence[LayerRow], total: Totals) -> dict[str, Any]:
    """The run as plain dicts and lists."""
    def clean(item: LayerRow | Totals) -> dict[str, Any]:
        found = dataclasses.asdict(item)
        found["energy"] = round(found["energy"], 3)
        return found

    return {"network": network, "pe": cfg.n, "config": cfg.as_dict(), "layers": [clean(r) for r in rows], "totals": clean(total)}
