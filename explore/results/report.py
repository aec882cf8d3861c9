"""The report: one HTML file that needs nothing else, with the front, plots whose points say what they are, sensitivities and marks."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from squeezelerator.explore.evaluation.area import area_errors
from squeezelerator.explore.evaluation.point import Row
from squeezelerator.explore.results.compare import Pair, errors
from squeezelerator.explore.results.pareto import by_machine, dominates, front, marked
from squeezelerator.explore.results.rows import text_of
from squeezelerator.explore.results.sensitivity import effects
from squeezelerator.explore.space.space import Space

__all__ = ["Findings", "page"]

_STYLE = ("body{font-family:sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse;margin:1em 0}"
          "td,th{padding:.2em .7em;border-bottom:1px solid #ccc;text-align:right}td.t,th.t{text-align:left}code{white-space:pre}")
#: Rows of the front that the page's table shows; the files have all.
_SHOWN = 200


@dataclass(frozen=True)
class Findings:
    """What an exploration found.

    Parameters
    ----------
    space : Space
    rows : sequence of Row
    pairs : sequence of Pair
        Estimates beside whole networks.
    command : str
        The command that made it, without options of this run: the beginning of those that reproduce points.
    """

    space: Space
    rows: Sequence[Row]
    pairs: Sequence[Pair]
    command: str

    def reproduce(self, row: Row) -> str:
        """The command that works out a row again, by itself."""
        return f"{self.command} --point {row.number}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f'<{tag}{" class=t" if not _is_number(cell) else ""}>{cell}</{tag}>' for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _is_number(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:1] in "+-" or not cell


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.4g}"


def _hover(space: Space, row: Row) -> str:
    values = [f"{one.name} {text_of(row.values[one.name])}" for one in space.varied]
    return "<br>".join([f"point {row.number}", *values, *(f"{name} {_number(value)}" for name, value in row.metrics.items())])


def _label(items: Iterable[tuple[str, object]], space: Space) -> str:
    """A machine's name: the values of its parameters that vary."""
    varied = {one.name for one in space.varied}
    return ", ".join(f"{name.split('.')[1]} {value}" for name, value in items if name in varied) or "all"


def _places(rows: Sequence[Row], x: str, y: str) -> dict[str, list[float]]:
    """Where a plot of the metrics ``x`` and ``y`` has the rows."""
    return {"x": [row.metrics[x] for row in rows], "y": [row.metrics[y] for row in rows]}


def _plots(findings: Findings) -> str:
    """A plot for each pair of the first objective with another: points by machine, the front of all as a line."""
    # Imported late: the command starts without it.
    from plotly import graph_objects, io

    space, found = findings.space, []
    names = [*space.objectives, "parameters"] if len(space.objectives) == 1 else list(space.objectives)
    for other in names[1:]:
        figure = graph_objects.Figure()
        for machine, rows in by_machine(findings.rows).items():
            good, label = [row for row in rows if row.ok], _label(machine, space)
            hover = [_hover(space, row) for row in good]
            figure.add_trace(graph_objects.Scattergl(
                **_places(good, other, names[0]), mode="markers", marker={"size": 5}, name=label, text=hover, hoverinfo="text"))
            line = _places(front(good, (names[0], other)), other, names[0])
            figure.add_trace(graph_objects.Scattergl(**line, mode="lines", line={"width": 1}, name=f"front, {label}", hoverinfo="skip"))
        for mark, row in marked(space, [row for row in findings.rows if row.ok]):
            figure.add_annotation(x=row.metrics[other], y=row.metrics[names[0]], text=mark.name, showarrow=True, arrowhead=1)
        figure.update_layout(xaxis_title=other, yaxis_title=names[0], height=600)
        # The first plot brings the library; the page must work without a network.
        found.append(io.to_html(figure, full_html=False, include_plotlyjs=not found))
    return "".join(found)


def _front_table(findings: Findings) -> str:
    space = findings.space
    rows = front(findings.rows, space.objectives)
    shown = [[str(row.number), *(text_of(row.values[one.name]) for one in space.varied),
              *(_number(row.metrics[name]) for name in space.objectives), f"<code>{html.escape(findings.reproduce(row))}</code>"]
             for row in rows[:_SHOWN]]  # fmt: skip
    more = f"<p>The first {_SHOWN} of {len(rows)}; front.csv has all.</p>" if len(rows) > _SHOWN else ""
    return _table(["point", *(one.name for one in space.varied), *space.objectives, "command"], shown) + more


def _effects_table(findings: Findings) -> str:
    return _table(["objective", "parameter", "share of variance", "least mean at", "greatest mean at", "greatest / least"], [
        [effect.objective, effect.parameter, f"{100 * effect.share:.1f}%", text_of(effect.best), text_of(effect.worst),
         f"{effect.ratio:.3f}"]
        for effect in effects(findings.space, findings.rows)])


def mark_lines(findings: Findings) -> list[list[str]]:
    """For each machine and mark: its name, its objectives with their ranks among the machine's rows, and who dominates it."""
    space, found = findings.space, []
    for machine, rows in by_machine(findings.rows).items():
        good = [row for row in rows if row.ok]
        for mark, row in marked(space, good):
            cells = [_label(machine, space), mark.name]
            for name in space.objectives:
                rank = 1 + sum(other.metrics[name] < row.metrics[name] for other in good)
                cells.append(f"{_number(row.metrics[name])} ({rank} of {len(good)})")
            better = [other for other in good if dominates(other, row, space.objectives)]
            best = min(better, key=lambda other: other.metrics[space.objectives[0]], default=None)
            cells.append(str(len(better)))
            cells.append("" if best is None else ", ".join(text_of(best.values[one.name]) for one in space.varied
                                                           if one.name.startswith("network.")))  # fmt: skip
            found.append(cells)
    return found


def mark_head(space: Space) -> list[str]:
    """The head of the table of :func:`mark_lines`."""
    return ["machine", "network", *(f"{name} (rank)" for name in space.objectives), "dominated by", "of these the first"]


def _errors_table(findings: Findings) -> str:
    lines = []
    for machine, rows in by_machine([pair.estimate for pair in findings.pairs]).items():
        numbers = {row.number for row in rows}
        lines += [[_label(machine, findings.space), one.metric, str(one.points), f"{one.mean:+.2f}%", f"{one.mean_size:.2f}%",
                   f"{one.worst:.2f}%", f"{one.rank_correlation:.3f}"]
                  for one in errors([pair for pair in findings.pairs if pair.estimate.number in numbers])]  # fmt: skip
    return _table(["machine", "metric", "points", "mean error", "mean size of errors", "worst", "rank correlation"], lines)


def _area_line() -> str:
    found = area_errors()
    return "; ".join(f"{name.replace('_', ' ')} {one.mean:.1f}% (worst {one.worst:.1f}%)" for name, one in found.items())


def page(findings: Findings) -> str:
    """The report as HTML."""
    space, rows = findings.space, findings.rows
    failed = [row for row in rows if not row.ok]
    parts: list[Any] = [
        f"<h1>{html.escape(space.title)}</h1>",
        f"<p>{len(rows):,} points of {space.size:,}, {len(failed):,} failed. Objectives: {', '.join(space.objectives)}; "
        "less is better.</p>",
        _plots(findings), "<h2>Pareto front</h2>", _front_table(findings), "<h2>Sensitivity</h2>", _effects_table(findings),
    ]  # fmt: skip
    if space.marks:
        parts += ["<h2>Marked points</h2>", _table(mark_head(space), mark_lines(findings))]
    if findings.pairs:
        parts += ["<h2>Error of estimates against whole networks</h2>", _errors_table(findings)]
    if failed:
        parts += ["<h2>Failed</h2>", _table(["point", "reason"], [[str(row.number), html.escape(row.reason)] for row in failed[:_SHOWN]])]
    parts.append(f"<p>Area is estimated; mean error of the model: {_area_line()}.</p>")
    return f"<!doctype html><meta charset=utf-8><title>{html.escape(space.title)}</title><style>{_STYLE}</style>{''.join(parts)}"
