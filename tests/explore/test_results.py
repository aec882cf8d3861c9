"""What is made of rows: fronts, sensitivities, marks, errors of estimates, replays."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from squeezelerator.explore.__main__ import main
from squeezelerator.explore.evaluation.point import Points, Row
from squeezelerator.explore.results import verify
from squeezelerator.explore.results.compare import Pair, errors
from squeezelerator.explore.results.pareto import by_machine, dominates, front
from squeezelerator.explore.results.report import Findings, mark_lines
from squeezelerator.explore.results.sensitivity import effects
from squeezelerator.explore.space.space import space_of
from squeezelerator.sim.engines.run import run_program_engine
from squeezelerator.spec.energy import read_costs

SPACE = space_of({
    "objectives": ["cycles", "parameters"],
    "network": {"family": "squeezenext", "depths": {"total": 5, "parts": 4}, "conv1_kernel": [5, 7]}, "machine": {"n": [4, 8]},
    "mark": [{"name": "first", "network": {"depths": [1, 1, 1, 2], "conv1_kernel": 7}}],
}, "test", Path())  # fmt: skip


def row(number, cycles, parameters, reason=""):
    metrics = {} if reason else {"cycles": cycles, "parameters": parameters, "energy": cycles, "dram_words": cycles}
    return Row(number, SPACE.values(number), metrics, reason)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=16))
def test_the_front_is_what_nobody_dominates(pairs):
    rows = [row(number, *pair) for number, pair in enumerate(pairs)]
    names = ("cycles", "parameters")
    wanted = {one.number for one in rows if not any(dominates(other, one, names) for other in rows)}
    assert {one.number for one in front(rows, names)} == wanted


def test_failed_rows_are_on_no_front():
    assert [one.number for one in front([row(0, 0, 0, "too large"), row(1, 5, 5)], ("cycles",))] == [1]


def test_shares_of_variance_add_up_for_a_sum():
    rows = []
    for number in range(SPACE.size):
        values = SPACE.values(number)
        rows.append(row(number, 100 + 30 * values["network.conv1_kernel"] + 5 * values["machine.n"], 1))
    found = {effect.parameter: effect for effect in effects(SPACE, rows) if effect.objective == "cycles"}
    assert sum(effect.share for effect in found.values()) == pytest.approx(1)
    assert found["network.depths"].share == pytest.approx(0) and found["network.conv1_kernel"].share == pytest.approx(0.9)
    assert (found["machine.n"].best, found["machine.n"].worst) == (4, 8)


def test_marks_are_ranked_among_the_rows_of_their_machine():
    rows = [row(number, 1000 - 10 * number, 50) for number in range(SPACE.size - 1)] + [row(SPACE.size - 1, 0, 0, "too large")]
    assert sorted(len(group) for group in by_machine(rows).values()) == [8, 8]
    lines = mark_lines(Findings(SPACE, rows, (), "explore"))
    marked = next(number for number in range(SPACE.size)
                  if SPACE.values(number) | {"network.depths": (1, 1, 1, 2), "network.conv1_kernel": 7} == SPACE.values(number))
    good = [one for one in rows[marked % 2 :: 2] if one.ok]
    rank = 1 + sum(one.metrics["cycles"] < rows[marked].metrics["cycles"] for one in good)
    line = next(cells for cells in lines if cells[0] == f"n {SPACE.values(marked)['machine.n']}")
    assert line[1] == "first" and line[2].endswith(f"({rank} of {len(good)})") and line[3] == f"50 (1 of {len(good)})"
    assert line[4] == str(rank - 1)


def test_errors_of_estimates():
    whole = [row(number, cycles, 1) for number, cycles in enumerate((100, 200, 400))]
    pairs = [Pair(row(one.number, one.metrics["cycles"] * factor, 1), one) for one, factor in zip(whole, (1.02, 0.99, 1.0), strict=True)]
    found = errors(pairs)[0]
    assert (found.metric, found.points) == ("cycles", 3) and found.rank_correlation == pytest.approx(1)
    assert (found.mean, found.mean_size, found.worst) == (pytest.approx(1 / 3), pytest.approx(1), pytest.approx(2))
    swapped = [Pair(whole[2], whole[0]), Pair(whole[1], whole[1]), Pair(whole[0], whole[2])]
    assert errors(swapped)[0].rank_correlation == pytest.approx(-1) and errors([]) == []


TINY = """
objectives = ["cycles"]
[network]
family = "zoo"
name = ["tiny_chain", "tiny_fc", "tiny_concat"]
[machine]
n = 4
"""


def explore(folder, *options):
    (folder / "space.toml").write_text(TINY)
    return main([str(folder / "space.toml"), "-o", str(folder / "out"), "--cache", str(folder / "cache"), "--workers", "1", *options])


@pytest.mark.parametrize("broken", ["", "cycles", "macs", "outputs"])
def test_a_replay_that_differs_fails_the_command(tmp_path, capsys, monkeypatch, broken):
    def pretended(engine, program, x, **options):
        """The cycle model in the place of the RTL, with something wrong."""
        run = run_program_engine("model", program, x, **options)
        if engine == "model" or not broken:
            return run
        if broken == "outputs":
            return dataclasses.replace(run, outputs={name: output + 1 for name, output in run.outputs.items()})
        counters = run.result.counters | {broken: run.result.counters[broken] + 1}
        return dataclasses.replace(run, result=dataclasses.replace(run.result, counters=counters))

    monkeypatch.setattr(verify, "run_program_engine", pretended)
    assert explore(tmp_path, "--verify", "1") == (1 if broken else 0)
    lines = [line for line in capsys.readouterr().out.splitlines() if "on the RTL" in line]
    assert len(lines) == 2 and all(("differs" in line and broken in line) if broken else line.endswith("equal") for line in lines)


def test_a_row_that_is_not_what_the_model_says_fails_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(verify, "run_program_engine", lambda engine, *rest, **options: run_program_engine("model", *rest, **options))
    assert explore(tmp_path) == 0
    for path in (tmp_path / "cache").rglob("*.json"):
        path.write_text(path.read_text().replace('"macs": ', '"macs": 1'))
    assert explore(tmp_path, "--verify", "1") == 1
    assert "in the row" in capsys.readouterr().out


def test_an_estimate_is_replayed_whole(monkeypatch):
    space = space_of({"network": {"family": "zoo", "name": "tiny_all"}, "machine": {"n": 4},
                      "compile": {"effort": "composed", "step": 1}}, "test", Path())  # fmt: skip
    points = Points(space, read_costs())
    point = points.point(0)
    assert sum(factor * job.table.macs for job, factor in point.recipe) == point.known["macs"]
    monkeypatch.setattr(verify, "run_program_engine", lambda engine, *rest, **options: run_program_engine("model", *rest, **options))
    found = verify.replay(points, Row(0, point.values, {"cycles": 4000.0}))
    assert not found.faults and found.estimate_error == pytest.approx(100 * (4000 / found.cycles - 1))


@pytest.mark.slow
def test_points_hold_on_the_rtl(tmp_path, capsys):
    assert explore(tmp_path, "--verify", "2") == 0
    assert capsys.readouterr().out.count("cycles on the RTL, equal") == 3
