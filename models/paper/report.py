"""The tables and figures together in one page, ``index.html``, that opens without a server."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from squeezelerator.models.paper.assumptions import STRUCTURE
from squeezelerator.models.paper.energy import UNIT_COSTS
from squeezelerator.models.paper.tables import Table
from squeezelerator.models.paper.this_machine import Measurements

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-size:13px;display:block;overflow-x:auto}"
    "th,td{padding:3px 9px;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}th{border-bottom:2px solid #888}"
    "img{max-width:100%}li{margin:.2em 0}"
)


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f"<h2>{escape(table.title)}</h2>{notes}<table><tr>{head}</tr>\n{body}</table>"
        f'<p><a href="{table.name}.csv">{table.name}.csv</a></p>\n'
    )


def _figure(name: str, caption: str) -> str:
    number = name.removeprefix("figure")
    return (
        f'<h2>Figure {number}</h2><p>{escape(caption)}</p><p><img src="{name}.svg" alt="Figure {number}"></p>'
        f'<p><a href="{name}.png">PNG</a> <a href="{name}.svg">SVG</a> <a href="{name}.csv">CSV</a></p>\n'
    )


CAPTIONS = {
    "figure6": "Time of each layer and MACs a cycle for v1 to v5 of 1.0-SqNxt-23, on the model of the paper's machine. "
    "OS skips zero weights, so a layer can do more MACs a cycle than there are multipliers.",
    "figure7": "Accuracy against energy and against time. Circle areas follow the square root of the model's size.",
    "figure8": "Time by block of equal input resolution.",
}


def write_page(folder: Path, tables: Sequence[Table], assumptions: Table, figures: Sequence[str], measured: Measurements) -> None:
    """Write ``index.html`` into ``folder``: ``tables`` and figures, then the ``assumptions`` table."""
    costs = ", ".join(f"{name} {cost}" for name, cost in UNIT_COSTS.items())
    intro = (
        "Published: as printed in the SqueezeNext paper. The paper's machine: a model of its accelerator, derived "
        "from its text and its table 3; each layer passes through DRAM. This machine: the accelerator that "
        "this project generates"
        + (
            ", from simulation reports."
            if measured
            else "; no reports were given to this run, so its columns are empty."
        )
    )
    structure = "".join(f"<li>{escape(item)}</li>" for item in STRUCTURE)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>SqueezeNext on the Squeezelerator</title>',
        f"<style>{_STYLE}</style><h1>SqueezeNext on the Squeezelerator: published and reproduced</h1>",
        f"<p>{escape(intro)}</p>\n",
        *(_table(table) for table in tables),
        *(_figure(name, CAPTIONS[name]) for name in figures),
        _table(assumptions),
        (
            f"<h2>Assumptions without a number</h2><ul>{structure}</ul>"
            f"<p>Unit energies relative to one MAC, per 16-bit word (Eyeriss, ISCA 2016): {escape(costs)}.</p></html>\n"
        ),
    ]
    (folder / "index.html").write_text("".join(parts), encoding="utf-8")
