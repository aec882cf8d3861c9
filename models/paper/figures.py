"""Figures 6, 7 and 8 of the paper, as PNG and SVG."""

import math
from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from squeezelerator.models.paper.evaluate import Evaluation
from squeezelerator.models.paper.published import LARGE, SMALL, TABLE_3, VARIANTS
from squeezelerator.models.paper.tables import RESOLUTIONS, block_cycles, fastest_cycles
from squeezelerator.models.paper.this_machine import Measurements

_COLOURS = {"os": "#3b75af", "ws": "#e08b3a"}
_FAMILY_COLOURS = {"sqnxt": "#3b75af", "squee": "#c0504d", "tiny_": "#7f6084", "mobil": "#4e9a51", "alexn": "#666666"}
_BLOCK_COLOURS = ("#999999", "#1f4e79", "#3b75af", "#7fb0d8", "#c5dff0", "#444444")
_VERSIONS = {name: f"v{number}" for number, name in enumerate(VARIANTS, start=1)}


def _save(figure: Figure, folder: Path, name: str) -> None:
    """Write both formats, without dates or random ids, so that equal results are equal files."""
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None}, bbox_inches="tight")


def _layer_times(axis: Axes, network: str, configuration: str, evaluation: Evaluation, measured: Measurements) -> Axes:
    """Draw one network of figure 6 into ``axis``; returns the right axis, which shows MACs a cycle."""
    costs = evaluation.results[network, configuration].costs
    axis.bar(range(len(costs)), [cost.cycles / 1e3 for cost in costs], color=[_COLOURS[cost.dataflow] for cost in costs])
    here = measured.get((network, configuration, "auto"))
    points = [(at, here.layers[cost.layer.name] / 1e3) for at, cost in enumerate(costs) if cost.layer.name in here.layers] if here else []
    if points:
        axis.plot(*zip(*points, strict=True), ".", color="black", markersize=3)
    axis.set_yscale("log")
    axis.set_title(f"{_VERSIONS[network]}, {configuration}", fontsize=10)
    right = axis.twinx()
    right.plot([cost.layer.macs / cost.cycles for cost in costs], ":", color="#4e9a51", linewidth=0.8)
    right.set_ylim(0)
    return right


def figure6(evaluation: Evaluation, measured: Measurements, folder: Path) -> None:
    """Time of each layer (bars, by dataflow) and MACs a cycle (dots) for v1 to v5 on both arrays."""
    figure = Figure(figsize=(15, 14))
    axes = figure.subplots(len(VARIANTS), 2, sharex="col")
    for column, configuration in enumerate((LARGE, SMALL)):
        for row, network in enumerate(VARIANTS):
            axis = axes[row][column]
            right = _layer_times(axis, network, configuration, evaluation, measured)
            if column == 0:
                axis.set_ylabel("1000 cycles")
            else:
                right.set_ylabel("MACs a cycle")
    for axis in axes[-1]:
        axis.set_xlabel("convolution or FC layer")
    handles: list[Artist] = [Rectangle((0, 0), 1, 1, color=colour) for colour in _COLOURS.values()]
    handles.append(Line2D([], [], linestyle=":", color="#4e9a51"))
    labels = ["output stationary", "weight stationary", "MACs a cycle (right axis)"]
    if measured:
        handles.append(Line2D([], [], linestyle="", marker=".", color="black"))
        labels.append("this machine")
    figure.legend(handles, labels, loc="upper center", ncols=4, bbox_to_anchor=(0.5, 0.93))
    _save(figure, folder, "figure6")


def figure7(evaluation: Evaluation, measured: Measurements, folder: Path) -> None:
    """Top-1 accuracy against energy and against time at 16x16; circle areas follow the square root of the model's
    size.
    """
    figure = Figure(figsize=(15, 8))
    axes = figure.subplots(1, 2, sharey=True)
    fastest = fastest_cycles(measured, LARGE)
    for axis, quantity, label in (
        (axes[0], "energy", "energy at 16x16 (units of one MAC)"),
        (axes[1], "time", "time at 16x16 (relative to the fastest)"),
    ):
        for number, row in enumerate(TABLE_3, start=1):
            area = 250 * math.sqrt(row.params)
            colour = _FAMILY_COLOURS[row.network[:5]]
            published = getattr(row, quantity)[LARGE]
            reproduced = getattr(evaluation, quantity)(row.network, LARGE)
            axis.scatter(published, row.top1, s=area, color=colour, alpha=0.45, linewidths=0)
            axis.scatter(reproduced, row.top1, s=area, facecolors="none", edgecolors=colour)
            axis.annotate(str(number), (published, row.top1), fontsize=8, ha="center", va="center")
            here = measured.get((row.network, LARGE, "auto"))
            value = (here.cycles / fastest if quantity == "time" and fastest else here.energy) if here else None
            if value:
                axis.plot(value, row.top1, "x", color="black", markersize=5)
        axis.set_xscale("log")
        axis.margins(0.1)
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("top-1 accuracy, published (%)")
    marks = "filled: published; outlined: reproduced" + ("; crosses: this machine" if measured else "")
    key = "\n".join(f"{number:2}  {row.title}" for number, row in enumerate(TABLE_3, start=1))
    axes[1].text(1.03, 0.98, key, transform=axes[1].transAxes, va="top", fontsize=9, linespacing=1.6)
    figure.suptitle(f"{marks}; circle area by the square root of the parameters", fontsize=10, y=0.93)
    _save(figure, folder, "figure7")


def figure8(evaluation: Evaluation, folder: Path) -> None:
    """Time of v1 to v5 by block of equal input resolution, on both arrays."""
    figure = Figure(figsize=(12, 5))
    axes = figure.subplots(1, 2)
    for axis, configuration in zip(axes, (LARGE, SMALL), strict=True):
        shares = [block_cycles(evaluation, network, configuration) for network in VARIANTS]
        bottom = [0.0] * len(VARIANTS)
        for label, colour, heights in zip(RESOLUTIONS, _BLOCK_COLOURS, zip(*shares, strict=True), strict=True):
            heights = [height / 1e6 for height in heights]
            axis.bar(list(_VERSIONS.values()), heights, bottom=bottom, color=colour, label=label)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        axis.set_title(configuration)
        axis.set_ylabel("million cycles")
    axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    _save(figure, folder, "figure8")


def draw(evaluation: Evaluation, measured: Measurements, folder: Path) -> tuple[str, str, str]:
    """Write all figures; returns their names."""
    figure6(evaluation, measured, folder)
    figure7(evaluation, measured, folder)
    figure8(evaluation, folder)
    return "figure6", "figure7", "figure8"
