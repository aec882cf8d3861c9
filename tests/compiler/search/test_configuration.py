"""Weights of the search: from the energy costs and the machine's bus."""

import pytest

from squeezelerator.compiler.search.configuration import CostWeights, beat_energy, cost_weights, search_plan
from squeezelerator.spec.energy import read_costs


def test_default_costs_on_the_default_bus():
    # The values with which the published schedules were found.
    assert beat_energy(read_costs(), 8) == 1600
    assert cost_weights("cycles", 1600) == CostWeights(0.02, 0.0)
    assert cost_weights("energy", 1600) == CostWeights(24.0, 24 / 1600)
    assert {config.weights for config in search_plan("energy").candidates} == {(24.0, 24 / 1600), (8.0, 8 / 1600), (0.02, 0.0)}
    assert {config.weights for config in search_plan("cycles").candidates} == {(0.02, 0.0)}


@pytest.mark.parametrize("words", [4, 8, 16])
def test_a_beat_costs_as_much_as_its_words(words):
    costs = read_costs() | {"dram_read_words": 100.0, "dram_write_words": 300.0}
    assert beat_energy(costs, words) == 200 * words
    assert search_plan("energy", "normal", costs, words).candidates[1].weights.beat == pytest.approx(3.0 * words)
    assert all(config.energy_costs == costs for config in search_plan("energy", "high", costs, words).candidates)


def test_where_dram_costs_nothing_less_traffic_still_wins_between_equals():
    free = read_costs() | {"dram_read_words": 0.0, "dram_write_words": 0.0}
    assert {config.weights for config in search_plan("energy", "normal", free).candidates} == {(0.02, 0.015), (0.02, 0.005), (0.02, 0.0)}
