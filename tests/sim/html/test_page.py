"""The report: one file without a link to anything outside, whose figures show the numbers of the table."""

import json
import sys
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest

from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.report import LayerReport
from squeezelerator.sim.command import main
from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.html.figures import ENERGY, snr_figure
from squeezelerator.spec.events import EVENTS


class Page(HTMLParser):
    """Text of the embedded data, links, ids and headings of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids, self.headings, self.rows, self.open = [], set(), [], [], []
        self.data = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [value for name, value in attrs.items() if name in ("src", "href", "srcset", "action", "data")]
        self.ids.add(attrs.get("id"))
        if "data-layer" in attrs:
            self.rows.append(attrs["data-layer"])
        if tag not in ("meta", "link", "br"):
            self.open.append((tag, attrs.get("id")))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        if self.open and self.open[-1] == ("script", "report-data"):
            self.data += text
        if self.open and self.open[-1][0] == "h2":
            self.headings.append(text)


def report(tmp_path, capsys, *words):
    path, table = tmp_path / "r.html", tmp_path / "r.json"
    assert main([*words, "--engine", "model,golden", "--html", str(path), "--json", str(table)]) == 0
    assert f"report: {path} (open it in a browser)" in capsys.readouterr().out
    text = path.read_text()
    page = Page(text)
    assert not page.open
    return text, page, json.loads(page.data), json.loads(table.read_text())


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    path, table = folder / "r.html", folder / "r.json"
    assert main(["tiny_all", "--pe", "4", "--html", str(path), "--json", str(table)]) == 0
    text = path.read_text()
    page = Page(text)
    return text, page, json.loads(page.data), json.loads(table.read_text())


def test_it_is_one_well_formed_file(found):
    text, page, data, _ = found
    assert not page.open
    assert set(page.links) == {"data:,"}
    assert page.headings[0] == "What would gain most"
    assert {f"figure-{name}" for name in data["figures"]} | {"figure-timeline", "layer"} <= page.ids
    assert len(text) < 6_000_000


def test_figures_are_valid_and_show_the_numbers_of_the_table(found):
    _, _, data, table = found
    figures = {name: go.Figure(figure) for name, figure in data["figures"].items()}  # the constructor checks everything
    assert set(figures) == {"total", "cycles", "roofline", "energy", "occupancy"}
    total = table["totals"]["cycles"]["model"]
    assert sum(trace.x[0] for trace in figures["total"].data) == total
    cycles = {}
    for trace in figures["cycles"].data:
        if trace.type == "bar":
            assert trace.name in list(Cause)
            for name, count in zip(trace.y, trace.x, strict=True):
                cycles[name] = cycles.get(name, 0) + count
    expected = {row["name"]: row["cycles"]["model"] for row in table["layers"] if row["cycles"]["model"] or row["dram_words"]}
    assert cycles == expected
    energy = {}
    for trace in figures["energy"].data:
        for name, spent in zip(trace.y, trace.x, strict=True):
            energy[name] = energy.get(name, 0) + spent
    assert energy == pytest.approx({row["name"]: row["energy"] for row in table["layers"] if row["energy"]})
    roof, *points = figures["roofline"].data
    assert (roof.x[1], roof.y[1]) == (1, 16)
    assert {name for trace in points for name in trace.text} == {row["name"] for row in table["layers"] if row["events"].get("macs")}


def test_energy_of_every_event_is_drawn():
    assert sorted(name for _, events, _ in ENERGY for name in events) == sorted(event.name for event in EVENTS if event.cost is not None)


def test_every_layer_has_its_row_and_its_decomposition(found):
    _, page, data, table = found
    names = [layer.name for layer in zoo.get("tiny_all").layers]
    assert page.rows == names == list(data["layers"])
    assert data["layers"] == table["explanation"]["layers"]


@pytest.mark.slow
def test_signal_to_noise_where_there_are_float_weights(tmp_path, capsys):
    _, _, data, _ = report(tmp_path, capsys, "digits", "--pe", "4")
    bars = go.Figure(data["figures"]["snr"]).data[0]
    assert len(bars.x) and all(value > 20 for value in bars.y)


def test_signal_to_noise_of_each_layer():
    row = {"frac_in": 8, "frac_weight": 8, "frac_out": 8, "shift": 8, "outputs": 10, "weak_channels": 0}
    found = {"a": (50.0, 3, 2), "b": (20.0, 0, 2), "c": (float("inf"), 0, 2), "d": (9.0, 0, 0)}
    rows = [LayerReport(name=name, snr=snr, saturated=many, channels=channels, **row) for name, (snr, many, channels) in found.items()]
    bars = snr_figure(rows).data[0]
    assert (list(bars.x), list(bars.y)) == (["a", "b", "c"], [50, 20, 50])
    assert bars.marker.color[0] == bars.marker.color[2] != bars.marker.color[1]
    assert bars.customdata[0] == ["50.0 dB", 3] and bars.customdata[2] == ["exact", 0]
    assert snr_figure([]) is None


@pytest.mark.parametrize("words, error", [
    (["tiny_all", "--engine", "golden"], "--html needs the cycle model: --engine model"),
    (["p.bin", "--engine", "model"], "--html needs the network that the program was compiled from: python -m sim NETWORK --html FILE"),
])
def test_errors_are_one_line(tmp_path, capsys, words, error):
    assert main([*words, "--html", str(tmp_path / "r.html")]) == 2
    assert capsys.readouterr().err == f"python -m sim: {error}\n"
    assert not list(tmp_path.iterdir())


def test_without_plotly_one_line_names_the_extra(tmp_path, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("squeezelerator.sim.html.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert main(["tiny_all", "--html", str(tmp_path / "r.html")]) == 2
    text = capsys.readouterr()
    assert text.err == "python -m sim: plotly is not installed; pip install 'squeezelerator[report]' brings it\n" and not text.out
