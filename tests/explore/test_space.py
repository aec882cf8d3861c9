"""Space files: what they say, and one line for each that is wrong."""

import pytest

from squeezelerator.explore.__main__ import main
from squeezelerator.explore.space.axes import SpaceError, splits
from squeezelerator.explore.space.constraints import Constraint
from squeezelerator.explore.space.space import read_space

GOOD = """
objectives = ["cycles", "parameters"]
[network]
family = "squeezenext"
depths = {total = 6, parts = 4}
conv1_kernel = [5, 7]
[machine]
n = {from = 4, to = 12, step = 4}
[[mark]]
name = "even"
network = {depths = [1, 2, 2, 1]}
"""


def write(folder, text):
    path = folder / "space.toml"
    path.write_text(text)
    return path


def test_splits_are_all_and_none_twice():
    found = list(splits(21, 4, 1))
    assert len(found) == len(set(found)) == 1140 and all(sum(split) == 21 and min(split) == 1 for split in found if 1 in split)


def test_points_are_numbered_and_found_again(tmp_path):
    space = read_space(write(tmp_path, GOOD))
    assert space.size == 10 * 2 * 3 and [one.name for one in space.varied] == ["network.depths", "network.conv1_kernel", "machine.n"]
    points = [tuple(space.values(number).items()) for number in range(space.size)]
    assert len(set(points)) == space.size
    places = {one.name: 1 for one in space.varied}
    values = space.values(space.number(places))
    assert all(values[one.name] == one.values[1] for one in space.varied)
    assert space.values(0)["machine.n"] == 4 and space.values(1)["machine.n"] == 8


@pytest.mark.parametrize(("before", "after", "line"), [
    ("[network]", "[network", "is no TOML"),
    ('"squeezenext"', '"squeezenest"', "network.family must be one of squeezenext, squeezenet, zoo, onnx, not 'squeezenest'"),
    ("conv1_kernel", "conv1", "[network] has no parameter 'conv1'; there are depths, width"),
    ("[5, 7]", "[5, 7.5]", "network.conv1_kernel: takes a whole number or a list of such values, not 7.5"),
    ("[5, 7]", "[5, 5]", "network.conv1_kernel: 5 stands there twice"),
    ("[5, 7]", "[]", "network.conv1_kernel: has no values"),
    ("[5, 7]", "true", "takes a whole number"),
    ("total = 6, parts = 4", "total = 3, parts = 4", "3 cannot be split into 4 parts of at least 1"),
    ("total = 6, parts = 4", "total = 6", "missing: parts"),
    ("total = 6, parts = 4", "total = 6, parts = 4, most = 2", "unknown: most"),
    ("from = 4, to = 12", "from = 12, to = 4", "a range needs from <= to"),
    ('["cycles", "parameters"]', '["cycles", "time"]', "objectives: 'time' is none of cycles, energy"),
    ('["cycles", "parameters"]', "[]", "objectives must be a list"),
    ("[machine]", 'constraints = 3\n[machine]', "[network] has no parameter 'constraints'"),
    ("[machine]", "[machines]", "unknown 'machines'"),
    ("\n[network]", '\nconstraints = ["machine.m > 1"]\n[network]', "'machine.m' is none of"),
    ("\n[network]", '\nconstraints = ["open(1)"]\n[network]', "are allowed, not 'open(1)'"),
    ("\n[network]", '\nconstraints = ["~machine.n == 4"]\n[network]', "are allowed, not '~machine.n'"),
    ("\n[network]", '\nconstraints = ["1 +"]\n[network]', "is no expression"),
    ("[[mark]]", '[compile]\neffort = "best"\n[[mark]]', "compile.effort must be one of normal, high, composed, not 'best'"),
    ("[[mark]]", "[memory]\nlatency = 0\n[[mark]]", "memory.latency: memory reference: latency must be 1 to 100000, not 0"),
    ("[[mark]]", '[memory]\nname = ["sdr16", "sram"]\n[[mark]]', "memory.name: no memory 'sram'; there are reference, sdr16, ddr3x16"),
    ("[[mark]]", '[search]\nmethod = "best"\n[[mark]]', "search.method must be one of all, random, optuna, not 'best'"),
    ("[[mark]]", "[search]\npoints = 0\n[[mark]]", "search.points takes a whole number above 0, not 0"),
    ("[1, 2, 2, 1]", "[1, 2, 2, 2]", "mark 'even': [1, 2, 2, 2] is no value of network.depths"),
    ("network = {depths", "network = {depth", "mark 'even': network.depth is no parameter of this space"),
])  # fmt: skip
def test_a_bad_space_is_one_line(tmp_path, capsys, before, after, line):
    assert before in GOOD
    path = write(tmp_path, GOOD.replace(before, after))
    assert main([str(path), "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(path) in error and line in error
    assert {item.name for item in tmp_path.iterdir()} == {"space.toml"}


def test_a_space_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none.toml")]) == 2
    assert capsys.readouterr().err.endswith("none.toml: No such file or directory\n")


@pytest.mark.parametrize(("text", "holds"), [
    ("a.x < 3 and b >= 2", True), ("a.x * b == 6", False), ("not a.x > 1", False), ("sum(c) == 6", True), ("c[0] <= c[1] <= c[2]", True),
    ("max(a.x, b) == 2 or a.x / 0 > 1", True), ("-a.x < b % 2", True), ("len(c) == 3", True), ("a.x in c", None), ("[x for x in c]", None),
    ("a.x.y", None), ("f'{b}'", None), ("lambda: 1", None),
])  # fmt: skip
def test_constraints(text, holds):
    names = frozenset(["a.x", "b", "c"])
    if holds is None:
        with pytest.raises(SpaceError, match="constraint"):
            Constraint(text, names)
    else:
        assert Constraint(text, names).holds({"a.x": 2, "b": 2, "c": (1, 2, 3)}) is holds


def test_a_constraint_that_cannot_be_worked_out_says_so():
    with pytest.raises(SpaceError, match="division by zero"):
        Constraint("b / 0 > 1", frozenset(["b"])).holds({"b": 1})
