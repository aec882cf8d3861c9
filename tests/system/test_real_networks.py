"""Trained SqueezeNets and photographs; skipped where the variable DATA names no folder that has them."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from squeezelerator.models import evaluate, importers
from squeezelerator.models.networks import zoo
from squeezelerator.models.pictures.images import read_labels
from squeezelerator.models.sources import load_source
from squeezelerator.sim.command import main
from squeezelerator.sim.dense import main as dense_main

#: For each network its weights, and of 100 photographs those that it gets right in float: first, and among the first five.
NETWORKS = {"squeezenet1_1": ("squeezenet_v1.1.npz", 63, 86), "squeezenet1_0": ("squeezenet_v1.0_deep_compression.net", 62, 84)}
ZEBRA = 340


@pytest.fixture
def data():
    """The folder with weights, ``images`` and ``imagenet_classes.csv``."""
    if not os.environ.get("DATA"):
        pytest.skip("the environment variable DATA names no folder of trained weights and photographs")
    folder = Path(os.environ["DATA"])
    for name in (*(file for file, *_ in NETWORKS.values()), "images/labels.csv", "imagenet_classes.csv"):
        if not (folder / name).exists():
            pytest.skip(f"DATA has no {name}")
    return folder


def _zebra(data):
    (name,) = [name for name, label in read_labels(data / "images" / "labels.csv") if label == ZEBRA]
    return data / "images" / name


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_a_hundred_photographs(network, data):
    file, first, five = NETWORKS[network]
    net = importers.load_weights(data / file, zoo.get(network))
    inputs, labels = evaluate.labelled_inputs(data, net.table.input_shape, net.preprocessing)
    found = evaluate.accuracy(evaluate.rank_all(evaluate.rank_float, net, inputs), labels)
    assert (found.top1, found.top5, found.count) == (first, five, 100)
    quantised = load_source(network, data / file, calibrate=data).quantised
    begin = time.perf_counter()
    found = evaluate.accuracy(evaluate.rank_all(evaluate.rank_quantised, quantised, inputs), labels)
    assert time.perf_counter() - begin <= 120
    assert abs(found.top1 - first) <= 1 and abs(found.top5 - five) <= 1


def test_five_names_for_a_photograph(data, capsys):
    file, *_ = NETWORKS["squeezenet1_1"]
    picture = ["--image", str(_zebra(data)), "--data", str(data)]
    assert main(["squeezenet1_1", "--weights", str(data / file), *picture, "--engine", "golden"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index(next(line for line in lines if line.endswith("highest scores")))
    assert lines[at + 1].split()[:4] == ["1.", "zebra", "(class", f"{ZEBRA})"]
    assert [line.split()[0] for line in lines[at + 1 :]] == ["1.", "2.", "3.", "4.", "5."]


@pytest.mark.slow
@pytest.mark.parametrize("pe", [16, 8])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_photograph_on_the_rtl(network, pe, data, tmp_path, capsys):
    file, *_ = NETWORKS[network]
    report = tmp_path / "report.json"
    assert main([network, "--weights", str(data / file), "--calibrate", str(data), "--image", str(_zebra(data)), "--data", str(data),
                 "--pe", str(pe), "--engine", "rtl,model,golden", "--json", str(report)]) == 0
    out = capsys.readouterr().out
    assert "cycles: RTL minus model 0, layers that differ 0\n" in out and "mismatching words 0\n" in out
    assert re.search(rf"1\. zebra +\(class {ZEBRA}\)", out)
    found = json.loads(report.read_text())
    assert found["totals"]["mismatches"] == 0
    assert found["totals"]["cycles"]["rtl"] == found["totals"]["cycles"]["model"]
    assert all(layer["cycles"]["rtl"] == layer["cycles"]["model"] for layer in found["layers"])


@pytest.mark.slow
def test_real_zeros_save_cycles(data, capsys):
    file, *_ = NETWORKS["squeezenet1_0"]
    assert dense_main(["squeezenet1_0", "--weights", str(data / file), "--calibrate", str(data)]) == 0
    total = next(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("total"))
    assert total[1] == "66.6%"
    cycles, dense, saved = (int(cell.replace(",", "")) for cell in total[2:5])
    assert cycles + saved == dense and saved > 0
