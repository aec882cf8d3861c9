"""The paper's evaluation: the model of its machine, its errors against the published table, and the files."""

import csv
import json
import xml.etree.ElementTree as ElementTree

import pytest

from squeezelerator.models.networks import zoo
from squeezelerator.models.paper import tables
from squeezelerator.models.paper.__main__ import main
from squeezelerator.models.paper.assumptions import ALTERNATIVES, Assumptions, machine
from squeezelerator.models.paper.energy import Accesses, accesses
from squeezelerator.models.paper.evaluate import ENERGY_LIMITS, TIME_LIMITS, Evaluation
from squeezelerator.models.paper.machine import layer_cost, os_cycles, ws_cycles
from squeezelerator.models.paper.published import CONFIGURATIONS, LARGE, SMALL, TABLE_1, TABLE_2, TABLE_3
from squeezelerator.models.paper.this_machine import ReportError, load_reports
from squeezelerator.spec.network.layer import Layer


def _layer(**changes):
    shape = {"w_i": 14, "h_i": 14, "c_i": 64, "w_o": 14, "h_o": 14, "c_o": 20}
    return Layer(name="x", type="Conv", inputs=("input",), **(shape | changes))


def test_cycles_of_a_pointwise_layer_by_hand():
    layer, large, small = _layer(), machine(LARGE), machine(SMALL)
    assert ws_cycles(layer, large) == 4 * 2 * (196 + 16)
    assert ws_cycles(layer, small) == 8 * 3 * (196 + 8)
    # Groups of 8, 8 and 4 filters; bringing in a channel takes longer than 0.6 of 8 cycles.
    assert os_cycles(layer, large) == 3 * 64 * 16 + 16 * 20
    assert os_cycles(layer, small) == 4 * (3 * 64 * 8 + 8 * 20)


def test_cycles_of_a_strided_kernel_by_hand():
    layer = _layer(k_w=3, k_h=3, p_w=1, p_h=1, s_x=2, s_y=2, w_o=7, h_o=7, c_o=16)
    assert os_cycles(layer, machine(SMALL)) == pytest.approx(2 * (64 * max(32, 0.6 * 9 * 8) + 8 * 8))
    assert ws_cycles(layer, machine(LARGE)) == 4 * 1 * 9 * (49 + 16)


def test_a_depthwise_layer_runs_group_by_group():
    layer = _layer(k_w=3, k_h=3, p_w=1, p_h=1, c_o=64, groups=64)
    assert ws_cycles(layer, machine(LARGE)) == 64 * 9 * (196 + 16)
    assert os_cycles(layer, machine(LARGE)) == 64 * (16 + 16)


def test_dram_words_and_the_layers_total():
    layer = _layer()
    cost = layer_cost(layer, machine(LARGE))
    assert cost.dataflow == "ws"
    assert cost.dram_words == 14 * 14 * (64 + 20) + 64 * 20
    assert cost.cycles == max(4 * 2 * 212, cost.dram_words / 8) + 1200
    streamed = layer_cost(layer, machine(SMALL), "os")
    assert streamed.dram_words == cost.dram_words + 3 * 64 * 20


def test_what_does_not_fit_the_buffer_is_fetched_again():
    layer = _layer(c_i=512, c_o=512)
    once = 2 * 14 * 14 * 512 + 512 * 512
    # 100,352 input words are two parts of the large buffer: the weights twice cost less than the input four times.
    assert layer_cost(layer, machine(LARGE), "ws").dram_words == once + 512 * 512
    assert layer_cost(layer, machine(LARGE, Assumptions(ws_refetch=False)), "ws").dram_words == once


def test_accesses_by_hand():
    layer, config = _layer(c_i=16, c_o=16), machine(LARGE)
    macs, words = 196 * 256, 2 * 196 * 16 + 256
    found = accesses(layer_cost(layer, config, "ws"), config)
    assert found == Accesses(macs=macs, rf=256, neighbour=macs, buffer=196 * 16 * 2 + 256, dram=words)
    found = accesses(layer_cost(layer, config, "os"), config)
    assert found == Accesses(
        macs=0.6 * macs,
        rf=1.2 * macs,
        neighbour=196 * 16 * 8,
        buffer=196 * 16 * 2 + 0.6 * 256 + 196 * 16,
        dram=words,
    )
    assert Accesses(1, 1, 1, 1, 1).energy == 210


@pytest.fixture(scope="module")
def evaluation():
    return Evaluation()


def test_table_3_is_reproduced_within_the_limits(evaluation):
    for quantity, limits in (("time", TIME_LIMITS), ("energy", ENERGY_LIMITS)):
        mean, largest = evaluation.summary(quantity)
        assert mean <= limits[0]
        assert largest <= limits[1]
        assert len(evaluation.errors(quantity)) == 26


def test_cycles_of_v5_are_those_of_the_analysis(evaluation):
    assert evaluation.results["sqnxt23v5", LARGE].cycles == pytest.approx(1.18e6, rel=0.005)
    assert evaluation.results["sqnxt23v5", SMALL].cycles == pytest.approx(3.29e6, rel=0.005)


def test_the_hybrid_is_never_slower_in_array_cycles(evaluation):
    for result in evaluation.results.values():
        for cost in result.costs:
            chosen = cost.ws_cycles if cost.dataflow == "ws" else cost.os_cycles
            assert chosen == min(cost.ws_cycles, cost.os_cycles)


def test_every_numeric_assumption_has_an_alternative():
    covered = {alternative.field for alternative in ALTERNATIVES}
    assert covered == set(Assumptions.__dataclass_fields__)
    assert all(alternative.apply(Assumptions()) != Assumptions() for alternative in ALTERNATIVES)


def test_published_rows_name_networks_of_the_zoo():
    for row in (*TABLE_1, *TABLE_2, *TABLE_3):
        assert zoo.canonical(row.title) == row.network


def test_blocks_sum_to_the_network(evaluation):
    for configuration in CONFIGURATIONS:
        blocks = tables.block_cycles(evaluation, "sqnxt23v3", configuration)
        assert sum(blocks) == pytest.approx(evaluation.results["sqnxt23v3", configuration].cycles)
        assert min(blocks) > 0


def _report(network="1.0-SqNxt-23v5", cycles=700_000, **changes):
    layers = [{"name": "conv1", "cycles": {"rtl": None, "model": 1000}}]
    totals = {"cycles": {"rtl": cycles, "model": cycles}, "energy": 1e9, "dram_words": 5}
    return {"network": network, "pe": 16, "layers": layers, "totals": totals} | changes


def test_files(tmp_path, capsys):
    reports = tmp_path / "reports.json"
    content = [_report(), _report(dataflow="os", totals={"cycles": 1_400_000}), _report("sqnxt23", 1_000_000)]
    reports.write_text(json.dumps(content))
    out = tmp_path / "deep" / "paper"
    assert main(["--out", str(out), "--machine", str(reports)]) == 0
    assert "mean error" in capsys.readouterr().out
    page = (out / "index.html").read_text()
    for number in (6, 7, 8):
        assert f'src="figure{number}.svg"' in page
        assert (out / f"figure{number}.png").read_bytes().startswith(b"\x89PNG")
        ElementTree.parse(out / f"figure{number}.svg")
        assert (out / f"figure{number}.csv").exists()
    for name in ("table1", "table2", "table3", "hybrid", "claims", "assumptions"):
        with open(out / f"{name}.csv", newline="") as file:
            header, *rows = csv.reader(file)
        assert len(set(header)) == len(header)
        assert all(len(row) == len(header) for row in rows)
        if name == "table3":
            (v5,) = (row for row in rows if row[0] == "1.0-SqNxt-23v5" and row[1] == LARGE)
            assert v5[-3:] == ["700000", "1.00", "1e+09"]
        if name == "hybrid":
            (v5,) = (row for row in rows if row[0] == "1.0-SqNxt-23v5" and row[1] == LARGE)
            assert v5[-2:] == ["2.00", ""]
        if name == "claims":
            assert [row[-1] for row in rows] == ["30%", "0%", "", "", "", "", "0%"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read: "),
        ("3", "is no report of a simulation: TypeError"),
        (json.dumps({"network": "sqnxt23"}), "is no report of a simulation: KeyError 'pe'"),
        (json.dumps(_report(cycles=0)), "sqnxt23v5 must have a positive number of cycles, not 0"),
        (json.dumps(_report(totals={"cycles": 3, "energy": -1})), "sqnxt23v5 must have a positive energy, not -1"),
    ],
)
def test_bad_reports(content, message, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(ReportError) as error:
        load_reports([path])
    assert str(error.value).startswith(f"{path}: {message}")
    assert "\n" not in str(error.value)


def test_errors_are_one_line(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file")]) == 2
    assert main(["--out", str(tmp_path / "x"), "--machine", str(tmp_path / "none.json")]) == 2
    assert not (tmp_path / "x").exists()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("python -m models.paper: ") for line in lines)
