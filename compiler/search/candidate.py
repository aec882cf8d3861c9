"""A candidate of the portfolio: the search of a network under one configuration."""

import dataclasses

from squeezelerator.compiler.errors import GroupError
from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.compiler.fusion.schedule_cache import ScheduleCache
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.graph import Graph
from squeezelerator.compiler.lowering.channel_split import split_channels
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.memory.allocate import AllocationError
from squeezelerator.compiler.search.partition import PartitionSearch
from squeezelerator.compiler.search.realise import realise
from squeezelerator.compiler.search.splits.width_tiling import WidthTiler
from squeezelerator.compiler.search_config import SearchConfig
from squeezelerator.compiler.tuning import PORTFOLIO
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile


@dataclasses.dataclass(frozen=True)
class SearchProblem:
    """What all candidates have in common.

    Attributes
    ----------
    graph : Graph
    cfg : spec.machine.MachineConfig
    dataflow : str
        ``"auto"`` (the better one for each convolution), ``"os"`` or ``"ws"``.
    fusion : bool
        Whether a group may have more than one operation.
    plan_cache : PlanCache
    memory : spec.platform.memory.DramProfile
        On which programs are compared in the end.
    """

    graph: Graph
    cfg: MachineConfig
    dataflow: str
    fusion: bool
    plan_cache: PlanCache
    memory: DramProfile = REFERENCE


class Candidate:
    """The cheapest partition of a network into groups that one configuration finds.

    What does not fit the buffer even by itself is split along the channels first, so each candidate has a graph of its own.

    Parameters
    ----------
    problem : SearchProblem
    config : SearchConfig
    schedules : ScheduleCache or None
        Shared with other candidates.
    thorough : bool
        False: take the likeliest tiling everywhere. Only what has to be split is of interest then, so the buffers are allocated, too.

    Attributes
    ----------
    graph : Graph
    cost : float
        The cost that the search expects.
    partition : Partition
        Context and tiling of each group.

    Raises
    ------
    CompileError
        If an operation does not fit and cannot be split.
    """

    def __init__(self, problem: SearchProblem, config: SearchConfig, schedules: ScheduleCache | None = None, thorough: bool = True) -> None:
        self.problem, self.graph = problem, problem.graph
        while True:
            self.tiling_search = TilingSearch(
                self.graph, problem.cfg, problem.dataflow, config, problem.plan_cache, thorough=thorough, schedules=schedules)
            try:
                self.cost, self.partition = self._partition_search(1.0).search()
                if not thorough:
                    self.schedule()
                return
            except GroupError as error:
                self.graph = split_channels(self.graph, error.tensor, problem.cfg.n) or self._in_strips(error)

    def _in_strips(self, error: GroupError) -> Graph:
        """The graph with the operation that does not fit cut along the width; raises GroupError if that does not help."""
        problem, search = self.problem, self.tiling_search
        op = next(op for op in self.graph.ops if op.out is error.tensor)
        return WidthTiler(problem.cfg, problem.dataflow, search.config, problem.plan_cache).cut(self.graph, op)

    def _capacity(self, share: float) -> int:
        return int(self.problem.cfg.act_rows * share)

    def _partition_search(self, share: float) -> PartitionSearch:
        return PartitionSearch(self.graph, self.problem.cfg, self.tiling_search, self.problem.fusion, self._capacity(share))

    def schedule(self) -> NetworkSchedule:
        """The schedule with all buffers allocated, for as much of the activation buffer as the allocation succeeds in.

        Raises
        ------
        AllocationError
            If it never succeeds.
        """
        try:
            return realise(self.partition, self.tiling_search, self._capacity(1.0))
        except AllocationError as error:
            failure = error
        for share in PORTFOLIO.capacities:
            try:
                partition = self._partition_search(share).search()[1]
                return realise(partition, self.tiling_search, self._capacity(share))
            except AllocationError:
                continue
            except GroupError:
                break  # with less room an operation may not fit at all; what stopped the larger one is the better message
        raise failure
