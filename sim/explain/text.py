"""``--explain``: where cycles and words go, as text."""

from collections.abc import Collection

from squeezelerator.common.errors import UserError
from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.explain.decomposition import Explanation, LayerExplanation
from squeezelerator.sim.results.report import columns

__all__ = ["ALL", "TOTAL", "ExplainError", "check_layer", "explanation_text"]

#: What ``--explain`` takes for the table of all layers, and for the whole network. A layer of that name comes first.
ALL, TOTAL = "all", "total"


class ExplainError(UserError, ValueError):
    """There is nothing to explain; the message is one line."""


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else ""


def _one(item: LayerExplanation) -> str:
    total, words = item.total_cycles, item.total_words
    width = max(len(f"{max(total, words):,}"), 1)
    lines = [f"{item.name}: {total:,} cycles, bound by: {item.bound}"]
    lines += [f"  {cause:18s}{count:{width},}  {_share(count, total):>6s}  {cause.doc}" for cause, count in item.cycles.items() if count]
    lines.append(f"{item.name}: {words:,} DRAM words")
    lines += [f"  {kind:18s}{count:{width},}  {_share(count, words):>6s}" for kind, count in item.words.items() if count]
    return "\n".join(lines)


def _all(explanation: Explanation) -> str:
    """A row for each layer, a column for each cause that occurs."""
    total = explanation.total
    causes = [cause for cause in Cause if total.cycles[cause]]
    rows = [["layer", "bound by", "cycles", *causes, "DRAM words", "read again"]]
    for item in (*explanation.layers.values(), total):
        cycles = item.cycles
        again = sum(count for kind, count in item.words.items() if kind.endswith("again"))
        rows.append([item.name, item.bound, f"{item.total_cycles:,}", *(f"{cycles[cause]:,}" for cause in causes),
                     f"{item.total_words:,}", f"{again:,}"])  # fmt: skip
    shares = ["", "", "", *(_share(total.cycles[cause], total.total_cycles) for cause in causes), "", ""]
    return columns([*rows[:-1], shares, rows[-1]], left={0, 1})


def check_layer(layer: str, names: Collection[str]) -> None:
    """Raise :class:`ExplainError` if there is nothing called ``layer`` to explain; ``names`` are the network's layers."""
    if layer not in (*names, ALL, TOTAL):
        raise ExplainError(f"--explain: there is no layer {layer!r}; there are {', '.join(names)}, and {ALL} and {TOTAL}")


def explanation_text(explanation: Explanation, layer: str) -> str:
    """One layer's cycles and words, with :data:`TOTAL` the whole network's, with :data:`ALL` those of all layers as a table.

    Raises
    ------
    ExplainError
        If there is no such layer.
    """
    check_layer(layer, explanation.layers)
    if layer in explanation.layers:
        return _one(explanation.layers[layer])
    return _all(explanation) if layer == ALL else _one(explanation.total)
