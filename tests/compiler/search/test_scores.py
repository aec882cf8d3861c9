"""What schedules are compared by: objectives, bounds, fronts."""

import json
import math

import pytest

from squeezelerator.compiler.__main__ import main
from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.search.scores import Bounds, Measure, Scores, front
from squeezelerator.compiler.search_config import CostWeights
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.sim.engines.model import count_program
from squeezelerator.spec.energy import energy, read_costs
from squeezelerator.spec.events import DRAM_WORDS
from squeezelerator.spec.machine import MachineConfig

FAST, LEAN = Scores(100, 80, 40.0, 1000.0), Scores(150, 40, 30.0, 600.0)
CFG = MachineConfig(n=4)


def test_a_sum_a_product_and_bounds():
    weighted = Measure(CostWeights(2.0, 0.5), 8)
    assert (weighted.cost(FAST), weighted.cost(LEAN)) == (100 + 20 + 20, 150 + 10 + 15)
    product = Measure(None, 8)
    assert (product.cost(FAST), product.cost(LEAN)) == (100_000, 90_000)
    assert Measure(None, 8, Bounds(cycles=100)).cost(FAST) == 100_000
    assert Measure(None, 8, Bounds(cycles=99)).cost(FAST) == math.inf == weighted.cost(LEAN) + Measure(None, 8, Bounds(words=39)).cost(LEAN)
    assert Bounds(cycles=80, words=40).excess(FAST) == 1.0 and not Bounds() and Bounds(words=1)


def test_a_front_has_what_no_other_beats():
    between, beaten = Scores(120, 60, 35.0, 800.0), Scores(130, 30, 20.0, 800.0)
    assert front([LEAN, beaten, FAST, between, FAST]) == [FAST, between, LEAN]
    assert front([]) == []


@pytest.fixture(scope="module")
def chain():
    return synthetic(zoo.get("tiny_chain"))


@pytest.fixture(scope="module")
def found(chain):
    return compile_full(chain, CFG, front=True).front


def test_every_point_of_the_front_can_be_made(chain, found):
    assert len(found) > 2
    for scores in found:
        counted = count_program(compile_full(chain, CFG, objective="energy", max_cycles=scores.cycles).program)
        assert (counted["cycles"], sum(counted[name] for name in DRAM_WORDS)) == (scores.cycles, scores.words)
        # Without pools and writes of buffers.
        assert 0.85 * energy(counted, read_costs()) < scores.energy < energy(counted, read_costs())
        assert compile_full(chain, CFG, max_words=scores.words).front == found


@pytest.mark.parametrize("network", ["tiny_chain", "tiny_grouped"])
def test_no_objective_is_beaten_at_its_own_measure(network):
    net = synthetic(zoo.get(network))
    taken = {}
    for objective in ("cycles", "energy", "edp"):
        counted = count_program(compile_full(net, CFG, objective=objective).program)
        taken[objective] = (counted["cycles"], energy(counted, read_costs()))
    assert taken["cycles"][0] == min(cycles for cycles, _ in taken.values())
    assert taken["energy"][1] == min(spent for _, spent in taken.values())
    assert taken["edp"][0] * taken["edp"][1] == min(cycles * spent for cycles, spent in taken.values())


def test_bounds_that_nothing_keeps(chain, found):
    with pytest.raises(CompileError, match=f"takes at most 9 cycles and 99 DRAM words; the nearest takes {found[0].cycles:,} cycles and "):
        compile_full(chain, CFG, max_cycles=9, max_words=99)


@pytest.mark.parametrize(("choices", "message"), [
    ({"max_cycles": 0}, "max_cycles must be a number above 0, not 0"), ({"max_words": -1}, "max_words must be a number above 0, not -1"),
    ({"objective": "energy", "energy_weight": math.nan}, "energy_weight must be a number above 0, not nan"),
    ({"energy_weight": 0.1}, "energy_weight is for the objective energy, not cycles"),
])  # fmt: skip
def test_numbers_that_are_none(choices, message):
    with pytest.raises(CompileError) as error:
        CompileOptions(**choices)
    assert str(error.value) == message


def test_the_command_prints_the_front_and_writes_it(tmp_path, capsys, found):
    file = tmp_path / "front.json"
    assert main(["tiny_chain", "--pe", "4", "--pareto", "--json", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [f"{scores.cycles:,}" for scores in found]
    assert lines[1].endswith(f"--objective energy --max-cycles {found[0].cycles}")
    written = json.loads(file.read_text())["front"]
    assert [(row["cycles"], row["dram_words"]) for row in written] == [scores[:2] for scores in found]
    assert main(["tiny_chain", "--pe", "4", "--max-cycles", "1", "-o", str(tmp_path / "x.bin")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no program was found that takes at most 1 cycles; the nearest" in error
    assert not (tmp_path / "x.bin").exists()
