"""The group timeline against trials, which emit a group's instructions and time them."""

import pytest

from squeezelerator.compiler.compile_options import DataflowChoice
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.lowering.channel_split import pool_pairs
from squeezelerator.compiler.lowering.lower import lower
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.search.configuration import search_plan
from squeezelerator.compiler.search.local_search import LocalSearch
from squeezelerator.compiler.search.sites import IsolatedSite
from squeezelerator.compiler.search.splits.pool_split import PoolSplitter
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.machine import MachineConfig


@pytest.mark.parametrize("network", ["sqnxt23v4", "sqnxt23v5"])
def test_the_newest_lines_come_while_the_array_works_on_the_others(network):
    # A quarter of conv1 and its pool on 8 x 8 PEs, a line at a time: its input buffer holds no line more than the kernel is high. When each
    # step was taken to wait for the two lines that it alone needs, the timeline was 20% above the trial, and fusion looked like no gain.
    cfg, plan = MachineConfig(n=8), search_plan("cycles").pool_split
    plans = PlanCache(cfg)
    graph = PoolSplitter(cfg, DataflowChoice.AUTO, plan, plans).run(lower(synthetic(zoo.get(network)), cfg))[0]
    pair = pool_pairs(graph, "conv1")[0]
    context = GroupContext(pair, frozenset(), frozenset(), frozenset([pair[1].out]), frozenset([pair[0].out]))
    search = TilingSearch(graph, cfg, DataflowChoice.AUTO, plan, plans)
    tiling = search.best(context, cfg.act_rows)
    assert tiling is not None
    site = IsolatedSite(search, {})
    group = site.group(LocalSearch(search).improve(context, tiling, cfg.act_rows, site))
    trial = Trial([group], cfg, plan.prefetch).time()
    assert trial is not None
    assert tiling.cycles == pytest.approx(trial.cycles, rel=0.03)
