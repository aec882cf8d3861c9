"""The report's figures, for plotly; colours of text and background are the page's (dark or light)."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from squeezelerator.models.quantisation.report import LAYER_SNR, LayerReport
from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.explain.decomposition import LayerExplanation
from squeezelerator.sim.html.contents import Contents
from squeezelerator.sim.results.compare import LayerRow
from squeezelerator.spec.events import DRAM_WORDS

__all__ = ["COLOURS", "ENERGY", "figures", "snr_figure"]

COLOURS = {
    Cause.IDEAL: "#2a9d5c", Cause.ROWS: "#f2b134", Cause.COLUMNS: "#e07b39", Cause.ZEROS: "#b5543c", Cause.HEADERS: "#8e6bbf",
    Cause.LOADS: "#5b7fd6", Cause.DRAIN: "#2bb3c0", Cause.DRAM: "#d1495b", Cause.FETCH: "#c77dba", Cause.POOL: "#7a8f3c",
    Cause.CONTROL: "#8a8f98",
}  # fmt: skip

#: Colours of what can bound a layer.
_BOUNDS = {"multipliers": "#2a9d5c", "operand loads": "#5b7fd6", "drain": "#2bb3c0", "DRAM": "#d1495b", "pool": "#7a8f3c",
           "control": "#8a8f98"}  # fmt: skip

#: Events by where their energy is spent, with a colour.
ENERGY = (
    ("DRAM", DRAM_WORDS, "#d1495b"),
    ("buffers", ("act_read_words", "act_write_words", "weight_words", "weight_write_words", "bias_write_words"), "#5b7fd6"),
    ("register files", ("rf_words",), "#f2b134"),
    ("PE to PE", ("neighbour_words",), "#8e6bbf"),
    ("multiplications", ("macs",), "#2a9d5c"),
)

#: Pixels of a layer's bar and of what stands around them.
_BAR, _AROUND = 17, 110


def _layout(height: int, **more: object) -> dict:
    return {"height": height, "margin": {"l": 10, "r": 20, "t": 30, "b": 45}, "autosize": True,
            "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "traceorder": "normal"}, **more}  # fmt: skip


def _by_layer(title: str, count: int) -> dict:
    """Layout of bars by layer, the first on top."""
    return _layout(_AROUND + _BAR * count, barmode="stack", bargap=0.25, xaxis={"title": {"text": title}, "side": "bottom"},
                   yaxis={"autorange": "reversed", "automargin": True, "tickfont": {"size": 10}, "type": "category", "dtick": 1,
                          "fixedrange": True})  # fmt: skip


def _shown(contents: Contents) -> list[LayerExplanation]:
    """Layers that take time or move words."""
    return [item for item in contents.findings.explanation.layers.values() if item.total_cycles or item.total_words]


def cycles_figure(contents: Contents) -> go.Figure:
    """Cycles of each layer by cause, and what bounds it."""
    items = _shown(contents)
    names = [item.name for item in items]
    bars = []
    for cause in Cause:
        counts = [item.cycles[cause] for item in items]
        if any(counts):
            bars.append(go.Bar(name=cause, orientation="h", y=names, x=counts, marker={"color": COLOURS[cause]},
                               hovertemplate=f"%{{y}}<br>{cause}: %{{x:,}} cycles<extra></extra>"))  # fmt: skip
    bars.append(go.Scatter(y=names, x=[item.total_cycles for item in items], mode="text", text=[f" {item.bound}" for item in items],
                           textposition="middle right", textfont={"size": 9}, cliponaxis=False, showlegend=False, hoverinfo="skip"))
    return go.Figure(bars, _by_layer("cycles (what bounds the layer stands beside its bar)", len(items)))


def total_figure(contents: Contents) -> go.Figure:
    """Cycles of the whole run by cause, in one bar."""
    total = contents.findings.explanation.total
    bars = [go.Bar(name=cause, orientation="h", y=["all"], x=[count], marker={"color": COLOURS[cause]},
                   text=f"{100 * count / total.total_cycles:.1f}%", textposition="inside", insidetextanchor="middle", textangle=0,
                   hovertemplate=f"{cause}: %{{x:,}} cycles<extra></extra>")
            for cause, count in total.cycles.items() if count]  # fmt: skip
    layout = _layout(190, barmode="stack", xaxis={"title": {"text": "cycles"}}, yaxis={"visible": False, "fixedrange": True})
    return go.Figure(bars, layout)


def energy_figure(contents: Contents) -> go.Figure:
    """Energy of each layer by where it is spent."""
    rows = [row for row in contents.findings.rows if row.energy]
    costs: Mapping[str, float] = contents.findings.costs
    bars = []
    for name, events, colour in ENERGY:
        spent = [sum(costs.get(event, 0) * row.events.get(event, 0) for event in events) for row in rows]
        if any(spent):
            bars.append(go.Bar(name=name, orientation="h", y=[row.name for row in rows], x=spent, marker={"color": colour},
                               hovertemplate=f"%{{y}}<br>{name}: %{{x:,.4g}}<extra></extra>"))  # fmt: skip
    return go.Figure(bars, _by_layer("energy in units of one multiplication", len(rows)))


def _points(bound: str, colour: str, rows: Sequence[LayerRow], total: int) -> go.Scatter:
    """A point for each layer that is bound by the same; the larger, the more of the ``total`` cycles it takes."""
    names = [row.name for row in rows]
    return go.Scatter(
        name=f"bound by: {bound}", x=[row.events["macs"] / (2 * row.dram_words) for row in rows],
        y=[row.events["macs"] / row.cycles["model"] for row in rows], mode="markers", text=names, customdata=names,
        marker={"color": colour, "size": [7 + 16 * (row.cycles["model"] / total) ** 0.5 for row in rows], "opacity": 0.8},
        hovertemplate="%{text}<br>%{x:.3g} multiplications a byte<br>%{y:.1f} a cycle<extra></extra>")  # fmt: skip


def roofline_figure(contents: Contents) -> go.Figure:
    """Multiplications a cycle against multiplications a byte, with the limits of the array and of the bus."""
    cfg = contents.cfg
    rows = [row for row in contents.findings.rows if row.events.get("macs") and row.cycles.get("model") and row.dram_words]
    bound = {item.name: item.bound for item in contents.findings.explanation.layers.values()}
    x = [row.events["macs"] / (2 * row.dram_words) for row in rows]
    peak, corner = cfg.n**2, cfg.n**2 / cfg.bus_bytes
    low, high = min([*x, corner]) / 2, max([*x, corner]) * 2
    roof = go.Scatter(x=[low, corner, high], y=[low * cfg.bus_bytes, peak, peak], mode="lines", name="limits of bus and array",
                      line={"color": "#8a8f98", "width": 2}, hoverinfo="skip")  # fmt: skip
    points = []
    for name, colour in _BOUNDS.items():
        chosen = [row for row in rows if bound.get(row.name) == name]
        if chosen:
            points.append(_points(name, colour, chosen, contents.findings.total.cycles["model"]))
    layout = _layout(430, xaxis={"type": "log", "title": {"text": "non-zero multiplications for each byte of DRAM traffic"}},
                     yaxis={"type": "log", "automargin": True, "title": {"text": "non-zero multiplications a cycle"}})  # fmt: skip
    return go.Figure([roof, *points], layout)


def occupancy_figure(contents: Contents) -> go.Figure:
    """KiB of activation and weight buffer in use over time, with their sizes."""
    found = contents.occupancy
    cycles = np.asarray(found.cycles, np.int32)
    traces = []
    for name, rows, size, colour in (("activations", found.activations, found.act_rows, "#2a9d5c"),
                                     ("weights", found.weights, found.weight_rows, "#e07b39")):
        kib = found.row_bytes / 1024
        traces.append(go.Scatter(name=f"{name} in use", x=cycles, y=np.asarray(rows * kib, np.float32), mode="lines",
                                 line={"shape": "hv", "color": colour, "width": 1.5},
                                 hovertemplate="cycle %{x:,}<br>%{y:.1f} KiB<extra></extra>"))  # fmt: skip
        traces.append(go.Scatter(name=f"size for {name}", x=[0, int(cycles[-1])], y=[size * kib] * 2, mode="lines", hoverinfo="skip",
                                 line={"color": colour, "dash": "dot", "width": 1}))  # fmt: skip
    layout = _layout(330, xaxis={"title": {"text": "cycle"}},
                     yaxis={"title": {"text": "KiB"}, "rangemode": "tozero", "automargin": True})  # fmt: skip
    return go.Figure(traces, layout)


def _decibels(snr: float) -> str:
    return f"{snr:.1f} dB" if np.isfinite(snr) else "exact"


def snr_figure(rows: Sequence[LayerReport]) -> go.Figure | None:
    """Signal to noise of each layer against float; None where that is not known."""
    reports = [row for row in rows if row.channels]
    if not reports:
        return None
    snr = np.array([row.snr for row in reports])
    exact = ~np.isfinite(snr)
    heights = np.where(exact, max(snr[~exact], default=100.0), snr)  # exact ones as high as the best
    bars = go.Bar(x=[row.name for row in reports], y=heights.tolist(),
                  marker={"color": np.where(snr < LAYER_SNR, "#d1495b", "#5b7fd6").tolist()},
                  customdata=[[_decibels(row.snr), row.saturated] for row in reports],
                  hovertemplate="%{x}<br>%{customdata[0]}, %{customdata[1]:,} outputs saturated<extra></extra>")  # fmt: skip
    layout = _layout(330, yaxis={"title": {"text": "signal to noise, dB"}, "automargin": True},
                     xaxis={"automargin": True, "tickfont": {"size": 9}})  # fmt: skip
    return go.Figure(bars, layout)


def figures(contents: Contents) -> dict[str, go.Figure]:
    """{name: figure}; the timeline is drawn by the page itself, which shows more of it the closer one looks."""
    found: Sequence[tuple[str, go.Figure | None]] = (
        ("total", total_figure(contents)), ("cycles", cycles_figure(contents)), ("roofline", roofline_figure(contents)),
        ("energy", energy_figure(contents)), ("occupancy", occupancy_figure(contents)), ("snr", snr_figure(contents.findings.snr)),
    )  # fmt: skip
    return {name: figure for name, figure in found if figure is not None}
