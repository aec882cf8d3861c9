"""The report as one HTML page: text and tables that need no script, figures that plotly draws, everything inside the file."""

import json
from collections.abc import Collection
from html import escape
from importlib import resources

import plotly
from plotly.offline import get_plotlyjs

from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.html.contents import Contents
from squeezelerator.sim.html.figures import COLOURS, figures

__all__ = ["page"]

#: Clock for which images a second are given.
_MHZ = 100


def _file(name: str) -> str:
    return (resources.files(__package__ or __name__) / name).read_text(encoding="utf-8")


def _tiles(contents: Contents) -> str:
    found, cfg = contents.findings, contents.cfg
    total = found.total
    cycles = total.cycles["model"]
    ideal = found.explanation.total.parts[Cause.IDEAL] / (cycles * cfg.n**2)
    tiles = [
        (f"{cycles:,}", "cycles"),
        (f"{_MHZ * 1e6 / cycles:,.1f}", f"images a second at {_MHZ} MHz"),
        (f"{100 * ideal:.1f}%", "of the cycles are ideal work"),
        (f"{total.macs / cycles:,.1f}", f"MACs a cycle, zeros included; the array has {cfg.n**2} multipliers"),
        (f"{total.macs:,}", f"MACs, {total.nonzero_macs:,} with non-zero weights"),
        (f"{2 * total.dram_words / 1e6:,.2f} MB", f"DRAM traffic, {total.dram_words:,} words"),
        (f"{total.energy:.3g}", "energy, in units of one multiplication"),
        (found.explanation.total.bound, "bound by"),
    ]
    return '<div class="tiles">' + "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in tiles) + "</div>"  # fmt: skip


def _advice(contents: Contents) -> str:
    if not contents.advice:
        return "<p>No single cause costs enough to be worth a line.</p>"
    lines = "".join(
        f'<li><span class="tag">{escape(item.changes)}</span>{escape(item.text)} <b>Estimate: up to {item.cycles:,} cycles '
        f"({100 * item.share:.1f}%).</b></li>" for item in contents.advice)  # fmt: skip
    return f"<ol>{lines}</ol>"


def _causes(contents: Contents) -> str:
    total = contents.findings.explanation.total
    lines = "".join(
        f'<tr><td><span class="swatch" style="background:{COLOURS[cause]}"></span>{escape(cause)}</td><td>{count:,}</td>'
        f'<td>{100 * count / total.total_cycles:.1f}%</td><td class="words">{escape(cause.doc)}</td></tr>'
        for cause, count in total.cycles.items() if count)  # fmt: skip
    return (f'<div class="scroll"><table><tr><th>cause</th><th>cycles</th><th></th><th></th></tr>{lines}'
            f"<tr><th>total</th><th>{total.total_cycles:,}</th><th></th><th></th></tr></table></div>")  # fmt: skip


def _words(contents: Contents) -> str:
    total = contents.findings.explanation.total
    lines = "".join(f"<tr><td>{escape(kind)}</td><td>{count:,}</td><td>{100 * count / total.total_words:.1f}%</td></tr>"
                    for kind, count in total.words.items() if count)  # fmt: skip
    return (f'<div class="scroll"><table><tr><th>DRAM words</th><th></th><th></th></tr>{lines}<tr><th>total</th>'
            f"<th>{total.total_words:,}</th><th></th></tr></table></div>")  # fmt: skip


def _layers(contents: Contents) -> str:
    found = contents.findings
    titles = ("layer", "dataflow", "MACs", "non-zero", "cycles", "MACs a cycle", "DRAM words", "energy", "bound by")
    head = "".join(f"<th>{title}</th>" for title in titles)
    lines = []
    for row in found.rows:
        rate = row.macs / row.cycles["model"] if row.macs and row.cycles["model"] else None
        cells = [row.name, row.dataflow, f"{row.macs:,}", f"{row.nonzero_macs:,}", f"{row.cycles['model']:,}",
                 f"{rate:.1f}" if rate is not None else "", f"{row.dram_words:,}", f"{row.energy:.3g}",
                 found.explanation.layers[row.name].bound]  # fmt: skip
        body = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f'<tr data-layer="{escape(row.name)}" tabindex="0">{body}</tr>')
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>\n"


def _figure(name: str, label: str) -> str:
    return f'<div class="figure" id="figure-{name}" role="img" aria-label="{escape(label)}"></div>'


def _note(text: str) -> str:
    return f'<p class="faint">{escape(text)}</p>'


_NOTES = {
    "advice": "From the decomposition below. Each estimate is an upper bound: all cycles of one cause in the layers named, as if nothing "
              "took their place; estimates do not add up.",
    "cycles": "Click a layer, here or in any figure, for its numbers.",
    "energy": "Events counted by the hardware, times the unit costs of the table of events.",
    "words": "\"Again\": was read before and has not been stored anew since.",
    "occupancy": "A row is in use from the acceptance of the instruction that writes it to the last that reads it.",
    "timeline": "Drag or scroll to zoom; the closer, the more is drawn by itself. Colours tell neighbouring layers apart.",
    "merged": " Neighbouring instructions of one layer are drawn as one.",
    "snr": "Layer by layer against the float network, from the same inputs, so that a layer has the noise of all before it; red: below "
           "what is warned of.",
    "no snr": "Not known: the weights are synthetic or were quantised before, so there is no float network to compare with.",
}  # fmt: skip


def _sections(contents: Contents, drawn: Collection[str]) -> str:
    cfg = contents.cfg
    roofline = (f"The limits are {cfg.n**2} multiplications and {cfg.bus_bytes} bytes a cycle. A point may lie above the slope: a layer's "
                "transfers may take place while another computes. The larger the point, the more cycles.")  # fmt: skip
    timeline = _NOTES["timeline"] + (_NOTES["merged"] if contents.timeline["merged"] else "")
    snr = [_note(_NOTES["snr"]), _figure("snr", "signal to noise by layer")] if "snr" in drawn else [_note(_NOTES["no snr"])]
    return "".join((
        _section("What would gain most", _note(_NOTES["advice"]), _advice(contents)),
        _section("Where the cycles go", _figure("total", "cycles by cause"), _causes(contents)),
        _section("Cycles by layer", _note(_NOTES["cycles"]), '<div id="layer" hidden></div>',
                 _figure("cycles", "cycles by layer and cause")),
        _section("Roofline", _note(roofline), _figure("roofline", "roofline, a point a layer")),
        _section("Energy by layer", _note(_NOTES["energy"]), _figure("energy", "energy by layer")),
        _section("DRAM words", _note(_NOTES["words"]), _words(contents)),
        _section("Buffers over time", _note(_NOTES["occupancy"]), _figure("occupancy", "buffer rows in use over time")),
        _section("Timeline of the units", _note(timeline), '<p><button id="whole" type="button">whole run</button></p>',
                 _figure("timeline", "timeline of the units")),
        _section("Quantisation", *snr),
        _section("All layers", _layers(contents)),
    ))  # fmt: skip


def page(contents: Contents) -> str:
    """The page's text."""
    cfg, found = contents.cfg, contents.findings
    drawn = figures(contents)
    plots = {name: json.loads(str(figure.update_layout(template="none").to_json())) for name, figure in drawn.items()}
    layers = {name: item.as_dict() for name, item in found.explanation.layers.items()}
    data = {"figures": plots, "layers": layers, "timeline": contents.timeline}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    title = f"{contents.network} on {cfg.n}x{cfg.n} PEs"
    machine = (f"{cfg.n}x{cfg.n} PEs, {cfg.buffer_kib:g} KiB on chip, {cfg.rf} partial sums a bank, bus of {cfg.bus_bits} bits. "
               f"Engines: {', '.join(found.compared)}.")  # fmt: skip
    notes = "".join(_note(note) for note in found.notes)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_file('report.css')}</style>\n"
        f"<!-- plotly.js of plotly {plotly.__version__}, MIT licence -->\n<script>{get_plotlyjs()}</script>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n<p>{escape(machine)}</p>\n{notes}{_tiles(contents)}\n{_sections(contents, drawn)}"
        f'<script type="application/json" id="report-data">{text}</script>\n<script>\n{_file("report.js")}</script>\n</body>\n</html>\n'
    )  # fmt: skip
