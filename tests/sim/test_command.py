"""``python -m sim``: table, JSON, dump, compiled programs, and one line for every kind of bad input."""

import io
import json

import numpy as np
import pytest

from squeezelerator.compiler.__main__ import main as compiler
from squeezelerator.models.arithmetic.quantised_network import load_npz
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.models.tables.csv_file import read_csv
from squeezelerator.sim.command import main
from squeezelerator.spec.energy import write_costs


def complaint(capsys, *args):
    try:
        code = main([str(arg) for arg in args])
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2 and err.startswith("python -m sim: ")
    assert err.endswith("\n") and err.count("\n") == 1
    return err.strip()


def test_table_json_and_dump(tmp_path, capsys):
    report, folder = tmp_path / "r.json", tmp_path / "d"
    assert main(["tiny_all", "--pe", "4", "--engine", "model,golden", "--json", str(report), "--dump", str(folder)]) == 0
    out = capsys.readouterr().out
    table = zoo.get("tiny_all")
    assert all(layer.name in out for layer in table.layers)
    assert "mismatching words 0" in out
    data = json.loads(report.read_text())
    assert (data["network"], data["pe"]) == ("tiny_all", 4)
    assert [row["name"] for row in data["layers"]] == [layer.name for layer in table.layers]
    assert {"name", "dataflow", "macs", "nonzero_macs", "cycles", "stalls", "dram_words", "energy"} <= data["layers"][0].keys()
    total = data["totals"]
    assert sum(row["cycles"]["model"] for row in data["layers"]) == total["cycles"]["model"]
    assert sum(row["dram_words"] for row in data["layers"]) <= total["dram_words"]
    assert total["mismatches"] == 0
    # Compute and stalls make up the total.
    assert total["events"]["array_compute"] + sum(total["stalls"].values()) == total["cycles"]["model"]
    assert read_csv(folder / "layers.csv").layers == table.layers
    assert load_npz(table, folder / "quantised.npz").synthetic
    np.testing.assert_array_equal(np.load(folder / "input.npy"), synthetic_input(table))
    for layer in table.layers:
        assert np.load(folder / "golden" / f"{layer.name}.npy").shape == layer.out_shape
    for name in table.outputs:
        np.testing.assert_array_equal(np.load(folder / "model" / f"{name}.npy"), np.load(folder / "golden" / f"{name}.npy"))


def test_a_compiled_program(tmp_path, capsys):
    program, source, found = tmp_path / "p.bin", tmp_path / "x.npy", tmp_path / "y.npy"
    assert compiler(["tiny_fc", "--pe", "3", "-o", str(program)]) == 0
    x = synthetic_input(zoo.get("tiny_fc"), 5)
    np.save(source, x)
    assert main([str(program), "--engine", "model", "--input", str(source), "--output", str(found), "--raw"]) == 0
    assert main(["tiny_fc", "--pe", "3", "--engine", "golden", "--input", str(source), "--raw", "--dump", str(tmp_path / "d")]) == 0
    assert capsys.readouterr().out.count("weights are synthetic: the outputs mean nothing") == 2
    last = zoo.get("tiny_fc").outputs[0]
    np.testing.assert_array_equal(np.load(found), np.load(tmp_path / "d" / "golden" / f"{last}.npy"))


def test_an_image(tmp_path, capsys):
    from PIL import Image

    Image.new("RGB", (40, 30), (255, 128, 0)).save(tmp_path / "x.png")
    found = {}
    for option in ("--input", "--image"):
        for numbers in ([], ["--mean", "0.5", "--std", "0.25", "--scale", "127.5"], ["--preprocessing", "unit"]):
            folder = tmp_path / "d"
            assert main(["tiny_sqnxt", "--engine", "golden", option, str(tmp_path / "x.png"), *numbers, "--dump", str(folder)]) == 0
            found[option, *numbers] = np.load(folder / "input.npy")
    for (_, *numbers), x in found.items():
        assert x.shape == zoo.get("tiny_sqnxt").input_shape
        np.testing.assert_array_equal(x, found["--input", *numbers])
    peaks = [[int(plane.max()) for plane in x] for x in list(found.values())[:3]]
    assert peaks[0] == [round((value / 255 - mean) / std * 256) for value, mean, std in
                        zip((255, 128, 0), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]  # fmt: skip
    assert peaks[1] == [round((value / 127.5 - 0.5) / 0.25 * 256) for value in (255, 128, 0)]
    assert peaks[2] == [round(value / 255 * 256) for value in (255, 128, 0)]
    capsys.readouterr()
    assert "--std" not in complaint(capsys, "tiny_sqnxt", "--std", "0", "--input", tmp_path / "x.png")
    assert "mean takes one or three numbers, not '1/2'" in complaint(capsys, "tiny_sqnxt", "--mean", "1,2")


def test_a_synthetic_input_is_called_so(capsys):
    assert main(["digits", "--pe", "8", "--engine", "golden"]) == 0
    found = capsys.readouterr()
    assert found.out == "input is synthetic: the outputs mean nothing, and no scores are shown\n"
    assert main(["tiny_fc", "--engine", "golden"]) == 0
    assert capsys.readouterr().out == "input and weights are synthetic: the outputs mean nothing, and no scores are shown\n"


def test_names_of_the_classes(tmp_path, capsys, monkeypatch):
    from PIL import Image

    monkeypatch.delenv("DATA", raising=False)
    Image.new("L", (8, 8), 99).save(tmp_path / "x.png")
    picture = ["digits", "--engine", "golden", "--image", str(tmp_path / "x.png")]
    assert main(picture) == 0
    found = capsys.readouterr()
    assert found.err.startswith("no names of the classes: --classes FILE") and found.err.count("\n") == 1
    assert found.out.count("class ") == 5
    names = tmp_path / "imagenet_classes.csv"
    for count in (9, 10):
        names.write_text("index,name\n" + "".join(f"{number},digit-{number}\n" for number in range(count)))
        assert main([*picture, "--data", str(tmp_path)]) == 0
        found = capsys.readouterr()
        assert found.out.count("digit-") == (5 if count == 10 else 0)
        assert found.err == ("" if count == 10 else f"no names of the classes: {names} has 9 of 10\n")
    lines = tmp_path / "labels.txt"
    lines.write_text("".join(f"digit-{number}\n" for number in range(10)))
    assert main([*picture, "--classes", str(lines)]) == 0
    assert capsys.readouterr().out.count("digit-") == 5


def test_costs_of_ones_own(tmp_path, capsys):
    report, costs = tmp_path / "r.json", tmp_path / "c.csv"
    default = io.StringIO()
    write_costs(default)
    lines = default.getvalue().splitlines()
    costs.write_text("\n".join([lines[0], *(line.split(",")[0] + ("," + "1,x" if "macs" in line else ",0,x") for line in lines[1:])]))
    assert main(["tiny_fc", "--pe", "4", "--engine", "model", "--energy", str(costs), "--json", str(report)]) == 0
    total = json.loads(report.read_text())["totals"]
    assert total["energy"] == total["events"]["macs"]
    capsys.readouterr()


def test_trace_shows_every_instruction(tmp_path, capsys):
    path = tmp_path / "t.json"
    assert main(["tiny_all", "--pe", "4", "--engine", "rtl,model", "--trace", str(path)]) == 0
    capsys.readouterr()
    events = [e for e in json.loads(path.read_text())["traceEvents"] if e["ph"] == "X"]
    rtl, model = ([{**e, "pid": 0} for e in events if e["pid"] == pid] for pid in (0, 1))
    assert rtl == model and {e["cat"] for e in rtl} == {"load", "array", "drain", "pool", "store"}
    assert len({e["args"]["instruction"] for e in rtl}) == len(rtl)
    # Instructions that share a thread do not overlap.
    by_thread = {}
    for e in rtl:
        end, unit = by_thread.get(e["tid"], (0, e["cat"]))
        assert end <= e["ts"] and unit == e["cat"]
        by_thread[e["tid"]] = e["ts"] + e["dur"], e["cat"]
    assert len(by_thread) < 20


@pytest.mark.parametrize("args,message", [
    ([], "which network?"),
    (["nothing"], "unknown network 'nothing'"),
    (["tiny_fc", "--engine", "spice"], "unknown engine 'spice'; there are rtl, model, golden"),
    (["tiny_fc", "--engine", ","], "no engine named"),
    (["tiny_fc", "--pe", "33"], "N must be a whole number from 2 to 32, not 33"),
    (["tiny_fc", "--memory-latency", "0"], "memory reference: latency must be 1 to 100000, not 0"),
    (["tiny_fc", "--memory-stall", "1"], "--memory-stall takes a probability from 0 to below 1, not 1.0"),
    (["tiny_fc", "--json", "/nowhere/x"], "cannot write /nowhere/x"),
    (["tiny_fc", "--trace", "x.json", "--engine", "golden"], "--trace needs an engine that knows time"),
    (["tiny_fc", "--dump", "/dev/null/x"], "cannot write /dev/null/x"),
    (["tiny_fc", "--input", "/nowhere.npy"], "cannot read /nowhere.npy"),
    (["tiny_fc", "--energy", "/nowhere.csv"], "cannot read /nowhere.csv"),
    (["/nowhere.bin", "--engine", "model"], "cannot read /nowhere.bin"),
    (["x.bin"], "a compiled program runs on one engine"),
])
def test_bad_options(capsys, args, message):
    assert message in complaint(capsys, *args)


def test_bad_inputs(tmp_path, capsys):
    np.save(tmp_path / "shape.npy", np.zeros((1, 2, 3)))
    np.save(tmp_path / "type.npy", np.zeros(zoo.get("tiny_fc").input_shape))
    np.save(tmp_path / "raw.npy", np.zeros(zoo.get("tiny_fc").input_shape, np.int16))
    np.save(tmp_path / "nan.npy", np.full(zoo.get("tiny_fc").input_shape, np.nan))
    np.save(tmp_path / "text.npy", np.array(["a"]))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "text.png").write_text("no image")
    for name, options, message in (
        ("shape.npy", [], "input input must have the shape"), ("type.npy", ["--raw"], "the input must be int16, not float64"),
        ("raw.npy", [], "the input must be real numbers, not int16; int16 in the machine's own format needs --raw"),
        ("nan.npy", [], "the input contains NaN"), ("text.npy", [], "must hold real numbers, not <U1"),
        ("two.npz", [], "holds a, b, and no array called input"), ("text.png", ["--raw"], "--raw takes int16 numbers"),
    ):
        assert message in complaint(capsys, "tiny_fc", "--input", tmp_path / name, *options)
    assert "is no picture" in complaint(capsys, "tiny_sqnxt", "--input", tmp_path / "text.png")
    assert "--raw is about --input and --output" in complaint(capsys, "tiny_fc", "--raw")
    assert "written as .npy or .npz, not as .txt" in complaint(capsys, "tiny_fc", "--output", tmp_path / "y.txt")
    assert "--shape takes NAME=1,C,H,W" in complaint(capsys, "tiny_fc", "--shape", "x=1,b")


def test_nothing_is_left_where_nothing_was_run(tmp_path, capsys):
    message = complaint(capsys, "tiny_fc", "--weights", tmp_path / "none.npz", "--engine", "golden",
                        "--dump", tmp_path / "a" / "b", "--json", tmp_path / "j", "--trace", tmp_path / "t")
    assert "--trace needs an engine" in message
    message = complaint(capsys, "tiny_fc", "--weights", tmp_path / "none.npz", "--engine", "golden",
                        "--dump", tmp_path / "a" / "b", "--json", tmp_path / "j")
    assert message.endswith("none.npz: cannot be read: No such file or directory")
    assert not list(tmp_path.iterdir())
    assert main(["tiny_fc", "--engine", "golden", "--dump", str(tmp_path / "a" / "b")]) == 0
    assert (tmp_path / "a" / "b" / "layers.csv").exists()
    capsys.readouterr()
    (tmp_path / "c" / "input.npy").mkdir(parents=True)
    assert "input.npy: Is a directory" in complaint(capsys, "tiny_fc", "--engine", "golden", "--dump", tmp_path / "c")


def test_bad_programs(tmp_path, capsys):
    program = tmp_path / "p.bin"
    assert compiler(["tiny_fc", "--pe", "3", "-o", str(program)]) == 0
    data = bytearray(program.read_bytes())
    program.write_bytes(data[:-5])
    complaint(capsys, program, "--engine", "model", "--input", "x.npy")
    data[len(data) // 2] ^= 1
    program.write_bytes(data)
    complaint(capsys, program, "--engine", "model", "--input", "x.npy")


def test_bad_costs(tmp_path, capsys):
    path = tmp_path / "c.csv"
    for text, message in (("a,b\n", "column 'event' is missing"), ("event,cost\nfuel,1\n", "there is no event 'fuel'"),
                          ("event,cost\nmacs,much\n", "the cost of macs must be a number of at least 0, not 'much'"),
                          ("event,cost\nmacs,1\n", "no cost for act_read_words")):
        path.write_text(text)
        assert message in complaint(capsys, "tiny_fc", "--energy", path)
