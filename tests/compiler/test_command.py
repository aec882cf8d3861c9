"""The compiler's command line: outputs, and one line for every kind of bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest

from squeezelerator.compiler.__main__ import main
from squeezelerator.models.networks import zoo
from squeezelerator.models.tables.csv_file import write_csv
from squeezelerator.spec.program import load_program


def run(*args):
    """Run the command as a process of its own: (exit code, standard output, lines of standard error)."""
    done = subprocess.run([sys.executable, "-m", "compiler", *map(str, args)], capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode().splitlines()


def complaint(capsys, *args):
    """The one line with which the command refuses ``args``."""
    try:
        code = main([str(arg) for arg in args])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2 and out == ""
    assert err.endswith("\n") and err.count("\n") == 1
    return err.strip()


def test_standard_output_and_file_are_the_same(tmp_path):
    code, out, err = run("tiny_all", "--pe", 4)
    assert (code, err) == (0, [])
    assert main(["tiny_all", "--pe", "4", "-o", str(tmp_path / "prog.bin")]) == 0
    assert (tmp_path / "prog.bin").read_bytes() == out
    assert load_program(out).network == "tiny_all"
    assert [path.name for path in tmp_path.iterdir()] == ["prog.bin"]


def test_list(capsys):
    assert main(["--list"]) == 0
    assert "sqnxt23v5" in capsys.readouterr().out.split()


def test_a_layer_table_of_ones_own(tmp_path):
    write_csv(zoo.get("tiny_chain"), tmp_path / "mine.csv")
    assert main([str(tmp_path / "mine.csv"), "--pe", "3", "-o", str(tmp_path / "p")]) == 0
    assert load_program((tmp_path / "p").read_bytes()).results == ["conv3"]


def test_report_json_and_disassembly(tmp_path, capsys):
    files = str(tmp_path / "p"), str(tmp_path / "j")
    assert main(["tiny_sqnxt", "--pe", "4", "--report", "-o", files[0], "--json", files[1]]) == 0
    report = capsys.readouterr().out
    data = json.loads((tmp_path / "j").read_text())
    assert data["network"] == "tiny_sqnxt" and data["pe"] == 4
    layers = {layer for group in data["groups"] for op in group["operations"] for layer in op["layers"]}
    assert layers == {layer.name for layer in zoo.get("tiny_sqnxt").layers}
    assert all(layer in report for layer in ("conv1", "fc10"))
    assert main(["--disassemble", files[0]]) == 0
    listing = capsys.readouterr().out.splitlines()
    assert len(listing) == data["instructions"] and listing[-1].split()[1] == "END"


def test_options_reach_the_machine(tmp_path):
    file = tmp_path / "p"
    assert main(["tiny_fc", "--pe", "5", "--buffer-kib", "20", "--rf", "8", "--bus-bits", "64", "--sectors", "3", "-o", str(file)]) == 0
    cfg = load_program(file.read_bytes()).cfg
    assert (cfg.n, cfg.buffer_kib, cfg.rf, cfg.bus_bits, cfg.sectors) == (5, 20, 8, 64, 3)


@pytest.mark.parametrize("args, message", [
    (["nothing"], "unknown network 'nothing'; there are .*sqnxt23v5"),
    ([], "which network"),
    (["tiny_fc", "--pe", "1"], "N must be a whole number from 2 to 32, not 1"),
    (["tiny_fc", "--pe", "many"], "invalid int value: 'many'"),
    (["tiny_fc", "--buffer-kib", "5000"], "the buffer must be between .* KiB for N=16, not 5000"),
    (["tiny_fc", "--rf", "2"], "rf must be a whole number from 4 to 64, not 2"),
    (["tiny_fc", "--sectors", "1"], "sectors must be a whole number from 2 to 32, not 1"),
    (["tiny_fc", "--dataflow", "rs"], "invalid choice: 'rs'"),
    (["tiny_fc", "--sparsity", "1.5"], "sparsity must be between 0 and 1, not 1.5"),
    (["tiny_fc", "--seed", "-1"], "seed must not be negative, not -1"),
    (["tiny_fc", "--weights", "/nowhere.npz"], "/nowhere.npz: cannot be read"),
    (["/nowhere.csv"], "nowhere.csv"),
    (["--disassemble", "/nowhere.bin"], "cannot read /nowhere.bin: No such file"),
    (["tiny_fc", "-o", "/nowhere/p"], "cannot write /nowhere/p: No such file"),
    (["tiny_fc", "--json", "/nowhere/p"], "cannot write /nowhere/p: No such file"),
])  # fmt: skip
def test_bad_options(capsys, args, message):
    import re

    assert re.search(message, complaint(capsys, *args))


def test_weights_of_the_wrong_shape(tmp_path, capsys):
    np.savez(tmp_path / "w.npz", **{"fc1.weight": np.zeros((2, 2), np.int16), "fc2.weight": np.zeros((6, 9, 1, 1), np.int16)})
    assert "fc1" in complaint(capsys, "tiny_fc", "--weights", tmp_path / "w.npz")


def test_weights_with_nan(tmp_path, capsys):
    weights = {"fc1.weight": np.full((9, 2, 5, 4), np.nan), "fc2.weight": np.zeros((6, 9, 1, 1), np.int16)}
    np.savez(tmp_path / "w.npz", **weights)
    assert "NaN" in complaint(capsys, "tiny_fc", "--weights", tmp_path / "w.npz")


def test_nothing_half_written(tmp_path, capsys):
    complaint(capsys, "tiny_fc", "--json", tmp_path / "missing" / "j", "-o", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_disassembling_something_else(tmp_path, capsys):
    (tmp_path / "x").write_bytes(b"hello")
    assert "is no Squeezelerator program" in complaint(capsys, "--disassemble", tmp_path / "x")


def test_no_binary_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert "standard output is a terminal" in complaint(capsys, "tiny_fc")


def test_the_compiler_starts_without_amaranth():
    code = ("import sys; from squeezelerator.compiler import __main__; from squeezelerator.timing import kernel; "
            "sys.exit('amaranth' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
