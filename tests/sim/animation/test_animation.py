"""The animation shows what the RTL does: its numbers are the trace's, the trace's are the registers', and the sums come out right."""

from html.parser import HTMLParser

import numpy as np
import pytest

from squeezelerator.rtl.array import pe_array
from squeezelerator.rtl.array.pe import PE
from squeezelerator.sim.animation import __main__ as command
from squeezelerator.sim.animation import trace as tracing
from squeezelerator.sim.animation.example import CFG, EXAMPLE, os_case, ws_case
from squeezelerator.sim.animation.frames import frames

CASES = {"OS": os_case(EXAMPLE), "WS": ws_case(EXAMPLE)}
PLACES = [(row, column) for row in range(2) for column in range(2)]


class Shown(HTMLParser):
    """{dataflow: [{(PE or None, what): text} of each frame]} of a page."""

    def __init__(self, text):
        super().__init__()
        self.frames, self.flow, self.pe, self.what, self.groups = {}, None, None, None, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "section":
            self.flow = attrs["id"]
            self.frames[self.flow] = []
        elif tag == "g":
            if "data-cycle" in attrs:
                assert int(attrs["data-cycle"]) == len(self.frames[self.flow])
                self.frames[self.flow].append({})
            self.pe = attrs.get("data-pe")
            self.groups.append(self.pe)
        elif "data-what" in attrs:
            self.what = attrs["data-what"]
            self.frames[self.flow][-1][self.pe, self.what] = ""

    def handle_endtag(self, tag):
        if tag == "g":
            self.groups.pop()
            self.pe = None
        elif tag == "text":
            self.what = None

    def handle_data(self, text):
        if self.what is not None:
            self.frames[self.flow][-1][self.pe, self.what] += text


def number(value, bits):
    return value - (1 << bits) if value >> bits - 1 else value


#: All PEs that were made, and for each run the ports of its PEs in every cycle.
MADE, SEEN = [], []


class Watched(PE):
    """PEs that can be found."""

    def __init__(self, **options):
        super().__init__(**options)
        MADE.append(self)


class Watching(tracing.Simulator):
    """A simulator that also reads the PEs' ports in every cycle."""

    def run(self):
        pes, seen = MADE[-4:], []
        SEEN.append(seen)

        async def watch(ctx):
            while True:
                seen.append([tuple(ctx.get(getattr(pe, name)) for name in ("following", "stream", "sum_out", "swap")) for pe in pes])
                await ctx.tick()

        self.add_testbench(watch, background=True)
        super().run()


@pytest.fixture(scope="module")
def runs():
    """{dataflow: (trace, ports of the four PEs in every cycle)}"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pe_array, "PE", Watched)
        patch.setattr(tracing, "Simulator", Watching)
        return {dataflow: (tracing.trace(case), SEEN[-1]) for dataflow, case in CASES.items()}


@pytest.fixture
def traced(runs, monkeypatch):
    """The command shows runs that were simulated before."""
    monkeypatch.setattr(command, "trace", lambda case: runs[case.dataflow][0])


@pytest.fixture
def page(tmp_path, traced):
    assert command.main(["-o", str(tmp_path / "a.html")]) == 0
    return (tmp_path / "a.html").read_text()


@pytest.mark.parametrize("dataflow", CASES)
def test_every_number_on_the_page_is_the_traces(page, runs, dataflow):
    shown, found = Shown(page).frames[dataflow], runs[dataflow][0]
    assert len(shown) == len(found.cycles) == found.retired + 2
    banks = {place: {} for place in PLACES}
    for frame, values in zip(shown, found.cycles, strict=True):
        for row, column in PLACES:
            def of(name, bits, place=(row, column), values=values):
                return number(values[f"pes.pe_{place[0]}_{place[1]}.{name}"], bits)

            mine = {what: text for (pe, what), text in frame.items() if pe == f"{row} {column}"}
            assert (mine["next"], mine["stationary"]) == (str(of("next", 16)), str(of("stationary", 16)))
            assert (mine["product"], mine["sum"]) == (str(of("product", 32)), str(of("sum", 40)))
            bank = banks[row, column]
            written = of("write0", 2) and (of("write_addr", 3), of("kept", 40))
            for entry in range(CFG.rf):
                text = str(bank.get(entry, "-")) + (f" <- {written[1]}" if written and written[0] == entry else "")
                assert mine[f"entry {entry}"] == text
            if written:
                bank[written[0]] = written[1]
        for row in range(2):
            assert frame[None, f"stream {row}"] in ("", str(number(values[f"pes.pe_{row}_1.stream"], 16)))
    # The PEs' register files hold the convolution in the end.
    kept = {(entry, row): [banks[row, column][entry] for column in range(2)] for entry in banks[0, 0] for row in range(2)}
    assert kept == CASES[dataflow].sums


@pytest.mark.parametrize("dataflow", CASES)
def test_the_trace_is_what_the_ports_of_the_pes_show(runs, dataflow):
    found, seen = runs[dataflow]
    assert len(seen) >= len(found.cycles)
    for ports, values in zip(seen, found.cycles, strict=False):
        # PEs are made column by column.
        for (column, row), port in zip(PLACES, ports, strict=True):
            pe = f"pes.pe_{row}_{column}"
            expected = number(values[f"{pe}.next"], 16), number(values[f"{pe}.stream"], 16), number(values[f"{pe}.sum"], 40)
            assert port == (*expected, values[f"{pe}.swap"])


def test_streams_are_shown_while_the_array_multiplies(runs):
    for dataflow, (found, _) in runs.items():
        shown = frames(found)
        streams = [[frame.streams[row] for frame in shown if frame.streams[row] is not None] for row in range(2)]
        if dataflow == "OS":
            assert streams == [[2, 3, -1, 4, 1]] * 2  # the weights that are not zero, by input channel and kernel line
        else:
            lines = EXAMPLE.pixels
            assert streams == [np.concatenate([lines[row, :2].ravel(), lines[row, 1:].ravel()]).tolist() for row in range(2)]
        assert [frame.cycle for frame in shown if frame.retires] == [len(shown) - 2]
        assert all(frame.text for frame in shown)


def test_the_page_is_written_where_one_says(tmp_path, capsys, monkeypatch, page):
    capsys.readouterr()
    assert "src=" not in page and 'href="http' not in page
    monkeypatch.chdir(tmp_path)
    assert command.main([]) == 0
    assert (tmp_path / "build/animation.html").read_text() == page
    assert capsys.readouterr().out.startswith("animation: build/animation.html (OS 29 cycles, WS 22 cycles;")
    assert command.main(["-o", "nowhere/a.html"]) == 2
    assert capsys.readouterr().err == "python -m sim.animation: cannot write nowhere/a.html: No such file or directory\n"
