"""``python -m sim NET --explain LAYER``: text, JSON, compiled programs, errors."""

import json

import numpy as np
import pytest

from squeezelerator.compiler.__main__ import main as compiler
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.sim.command import main

NET = ["tiny_all", "--pe", "4"]


def numbers(text):
    """The counts in the lines of a layer: {name: count}."""
    found = {}
    for line in text.splitlines():
        words = line.split("  ")
        if line.startswith("  "):
            found[words[1].strip()] = int(next(word for word in words[2:] if word.strip()).replace(",", ""))
    return found


def test_a_layer_and_the_table_say_the_same_as_json(tmp_path, capsys):
    path = tmp_path / "r.json"
    assert main([*NET, "--engine", "model", "--explain", "fc", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    data = json.loads(path.read_text())
    found = data["explanation"]["layers"]["fc"]
    row = next(row for row in data["layers"] if row["name"] == "fc")
    assert f"fc: {row['cycles']['model']:,} cycles, bound by: {found['bound']}" in out
    cycles, words = out.split("fc: ")[1:]
    assert numbers(cycles) == {cause: count for cause, count in found["cycles"].items() if count}
    assert numbers(words.split("input and")[0]) == {kind: count for kind, count in found["dram_words"].items() if count}
    assert sum(found["cycles"].values()) == row["cycles"]["model"] and sum(found["dram_words"].values()) == row["dram_words"]
    total = data["explanation"]["total"]
    assert sum(total["cycles"].values()) == data["totals"]["cycles"]["model"]
    assert sum(total["dram_words"].values()) == data["totals"]["dram_words"]


@pytest.mark.parametrize("what, first", [("all", "layer"), ("total", "total: ")])
def test_the_whole_network(capsys, what, first):
    assert main([*NET, "--engine", "model,golden", "--explain", what]) == 0
    text = capsys.readouterr().out
    text = text[text.index("bound by") - 200 :]
    assert any(line.startswith(first) for line in text.splitlines())
    assert "columns unused" in text


def test_a_compiled_program(tmp_path, capsys):
    program, x = tmp_path / "p.bin", tmp_path / "x.npy"
    assert compiler(["tiny_fc", "--pe", "3", "-o", str(program)]) == 0
    np.save(x, synthetic_input(zoo.get("tiny_fc")))
    words = [str(program), "--engine", "model", "--input", str(x), "--raw", "--explain"]
    assert main([*words, "total"]) == 0
    assert "bound by: " in capsys.readouterr().out
    assert main([*words, "nothing"]) == 2
    assert "there is no layer 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("words, error", [
    (["--engine", "golden", "--explain", "fc"], "--explain needs the cycle model: --engine model"),
    (["--engine", "model", "--explain", "fcc"], "--explain: there is no layer 'fcc'; there are "),
])
def test_errors_are_one_line(capsys, words, error):
    assert main([*NET, *words]) == 2
    text = capsys.readouterr()
    assert text.err.count("\n") == 1 and error in text.err and not text.out
