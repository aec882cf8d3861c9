"""Splits of convolutions for the pools behind them: only where that beats the two one after the other."""

from squeezelerator.compiler.compile_options import DataflowChoice
from squeezelerator.compiler.lowering.lower import lower
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.search.configuration import search_plan
from squeezelerator.compiler.search.splits.pool_split import PoolSplitter
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.machine import MachineConfig


def _pieces(name, n):
    """For each graph that goes on: {layer: pieces} of the layers that are split."""
    cfg = MachineConfig(n=n)
    graph = lower(synthetic(zoo.get(name)), cfg)
    graphs = PoolSplitter(cfg, DataflowChoice.AUTO, search_plan("cycles").pool_split, PlanCache(cfg)).run(graph)
    counts = []
    for split in graphs:
        homes = [op.out.home for op in split.ops if op.is_conv]
        counts.append({home: homes.count(home) for home in homes if homes.count(home) > 1})
    return counts


def test_pieces_that_wait_for_their_loads_are_no_gain():
    # Eight pieces of conv1 and their pools fit the buffer, but take 2,066,814 cycles in the trial; one after the other, 1,426,671.
    assert _pieces("sqnxt23", 8) == [{}]


def test_a_split_that_pays_is_made():
    assert _pieces("sqnxt23v5", 16) == [{"conv1": 2}]


def test_a_close_choice_goes_on_in_both_forms():
    chosen, close = _pieces("squeezenet1_1", 16)
    assert "conv10" not in chosen
    assert close == {**chosen, "conv10": 8}
