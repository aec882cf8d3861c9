"""``python -m models``."""

import subprocess
import sys

import pytest

from squeezelerator.models.__main__ import main
from squeezelerator.models.networks import zoo
from squeezelerator.models.tables.csv_file import read_csv


def test_list_names_every_network(capsys):
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(zoo.names())]] == list(zoo.names())
    (v5,) = (line for line in lines if line.startswith("sqnxt23v5 "))
    assert "915,648" in v5
    assert "228,018,984" in v5


def test_table_in_the_seeds_form(capsys):
    assert main(["1.0-SqNxt-23"]) == 0
    header, conv1, *_ = capsys.readouterr().out.splitlines()
    assert header.split()[:16] == [
        "Name",
        "Type",
        "W_i",
        "H_i",
        "C_i",
        "K_w",
        "K_h",
        "W_o",
        "H_o",
        "C_o",
        "S",
        "P_w",
        "P_h",
        "Repeat",
        "Params",
        "MAC",
    ]
    assert conv1.split()[:17] == [
        "conv1",
        "Conv",
        "227",
        "227",
        "3",
        "7",
        "7",
        "111",
        "111",
        "64",
        "2",
        "0",
        "0",
        "1",
        "9.5",
        "116,705",
        "3,080",
    ]


def test_csv_can_be_written_and_shown(tmp_path, capsys):
    path = tmp_path / "tiny.csv"
    assert main(["tiny_strided", "--csv", str(path)]) == 0
    assert read_csv(path).layers == zoo.get("tiny_strided").layers
    assert main([str(path)]) == 0
    assert "2x1" in capsys.readouterr().out


def test_squeezenet_of_ones_own(capsys):
    assert (
        main(
            [
                "squeezenet",
                "--base-e",
                "64",
                "--sr",
                "0.25",
                "--classes",
                "7",
                "--pools",
                "0,4",
                "--size",
                "64",
                "--bypass",
                "complex",
            ]
        )
        == 0
    )
    assert "fire2_bypass1x1" in capsys.readouterr().out


def test_metaparameter_study(capsys):
    assert main(["--metaparameters"]) == 0
    assert "conv10 has 448 input channels, the publication counts 512" in capsys.readouterr().out


@pytest.mark.parametrize(("arguments", "message"), [
    (["resnet50"], "unknown network 'resnet50'; there are sqnxt23, "),
    (["none.csv"], "none.csv: cannot be read as a layer table"),
    (["squeezenet", "--base-e", "0"], "base_e must be a whole number of at least 1, not 0"),
    (["squeezenet", "--pools", "a"], "--pools takes whole numbers with commas between them, not 'a'"),
    (["alexnet", "--sr", "0.5"], "--sr belongs to the network squeezenet"),
    (["--csv", "x.csv"], "--csv needs a network"),
    (["--metaparameters", "alexnet"], "--metaparameters takes no network and no --csv"),
    (["tiny_fc", "--csv", "/nowhere/x.csv"], "/nowhere/x.csv: cannot be written: No such file or directory"),
    (["tiny_fc", "--csv", "/"], "/: cannot be written: Is a directory"),
])  # fmt: skip
def test_errors_are_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"python -m models: {message}")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_a_reader_that_leaves_early_sees_no_traceback():
    command = f"{sys.executable} -m models | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("name")
    assert done.stderr == ""
