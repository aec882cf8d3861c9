"""Portfolio search: one complete search with each configuration; the program that costs least by the exact cost model wins.

Each candidate's search expects a cost. Which candidates get their buffers and instructions (the expensive part) depends on what they and
the candidates in the other process expect; which of those wins depends on their exact cost alone.
"""

import math
from collections.abc import Generator, Sequence
from typing import NamedTuple

from squeezelerator.compiler.codegen.assemble import Placed
from squeezelerator.compiler.cost.exact import exact_cycles
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.group import NetworkSchedule
from squeezelerator.compiler.fusion.schedule_cache import ScheduleCache
from squeezelerator.compiler.ir.graph import Graph
from squeezelerator.compiler.search.candidate import Candidate, SearchProblem
from squeezelerator.compiler.search.configuration import beat_energy
from squeezelerator.compiler.search.scores import Measure, Scores
from squeezelerator.compiler.search.trial import TrialResults
from squeezelerator.compiler.search.worker import WorkerProcess, send_and_finish
from squeezelerator.compiler.search_config import CostWeights, SearchConfig
from squeezelerator.compiler.tuning import PORTFOLIO
from squeezelerator.spec.constants.dma import instruction_beats
from squeezelerator.spec.isa import LOAD, STORE

#: {weights: least cost that a candidate with these weights expects}; costs under different weights cannot be compared.
_Expected = dict[CostWeights, float]


class Outcome(NamedTuple):
    """What became of candidates.

    ``cost``: exact cost of the best, infinite if there is none or it breaks a bound; ``number``: its configuration's; ``result``: its
    graph, which may be split further than the network's, and schedule; or the message of the error; or None if all were dropped for
    others; ``scores``: what those take that have a schedule, where it was worked out.
    """

    cost: float
    number: int
    result: tuple[Graph, NetworkSchedule] | str | None
    scores: tuple[Scores, ...] = ()

    def scheduled(self) -> tuple[Graph, NetworkSchedule]:
        """Graph and schedule of a candidate that has them."""
        assert isinstance(self.result, tuple)
        return self.result


def _cheapest(outcomes: Sequence[Outcome]) -> Outcome:
    best = min(outcomes, key=lambda outcome: (outcome.cost, not isinstance(outcome.result, tuple), outcome.number))
    return best._replace(scores=tuple(scores for outcome in outcomes for scores in outcome.scores))


class Portfolio:
    """The search of ``problem`` with each of ``configs``.

    Parameters
    ----------
    problem : SearchProblem
    measure : Measure
        By which programs are compared in the end.
    configs : sequence of SearchConfig
    always_exact : bool
        Work the best one's exact cost out even where it is the only one that is left.
    trials : dict or None
        Results of trials, shared with other portfolios for the same machine.
    """

    def __init__(self, problem: SearchProblem, measure: Measure, configs: Sequence[SearchConfig], always_exact: bool = False,
                 trials: TrialResults | None = None) -> None:  # fmt: skip
        self.problem, self.measure, self.configs, self.always_exact = problem, measure, configs, always_exact
        self.trials: TrialResults = {} if trials is None else trials
        self.small = len(problem.graph.ops) < PORTFOLIO.process_ops
        self.follow_all = configs[0].effort.all_candidates or self.small

    @property
    def alone(self) -> bool:
        """Whether a second process is not worth its start."""
        return self.small or len(self.configs) == 1

    def halves(self) -> tuple[Sequence[int], Sequence[int]]:
        """Candidates for this process and for a worker; with less effort those that share group schedules stay together."""
        fine = [number for number, config in enumerate(self.configs) if config.split_first_block]
        coarse = [number for number, config in enumerate(self.configs) if not config.split_first_block]
        numbers = list(range(len(self.configs)))
        return (numbers[::2], numbers[1::2]) if self.follow_all or not fine else (fine, coarse)

    def finish(self, outcome: Outcome | None) -> Outcome | CompileError:
        """What became of the best candidate, with a schedule, or the error that all have; ``outcome``: of the search in two processes, None
        if there was none."""
        numbers = list(range(len(self.configs)))
        if outcome is None or outcome.result is None:
            outcome = self._in_process(numbers)  # those that failed had been expected to beat all others
        return CompileError(outcome.result) if outcome.result is None or isinstance(outcome.result, str) else outcome

    def _in_process(self, numbers: Sequence[int]) -> Outcome:
        def order(number: int) -> tuple[bool, int]:
            return not self.follow_all and not self.configs[number].split_first_block, number

        running = self.search(sorted(numbers, key=order))
        next(running)
        return send_and_finish(running, {})

    def search(self, numbers: Sequence[int]) -> Generator[_Expected, _Expected, Outcome]:
        """The best of some candidates. Yields what they expect, to be answered with what the candidates of the other process expect."""
        outcomes: list[Outcome] = []
        candidates: list[tuple[int, Candidate]] = []
        schedules = ScheduleCache(self.trials)
        for number in numbers:
            try:
                candidates.append((number, Candidate(self.problem, self.configs[number], schedules)))
            except CompileError as error:
                outcomes.append(Outcome(math.inf, number, str(error)))
        # Of equals the one with joint allocation, if only one is followed.
        candidates.sort(key=lambda pair: (pair[1].cost, pair[0] if self.follow_all else -pair[0]))
        mine = {self.configs[number].weights: candidate.cost for number, candidate in reversed(candidates)}
        theirs = yield mine
        return _cheapest(outcomes + self._follow(candidates, mine, {} if self.follow_all else theirs))

    def _follow(self, candidates: Sequence[tuple[int, Candidate]], mine: _Expected, theirs: _Expected) -> list[Outcome]:
        """Outcomes of the candidates, cheapest first, without those that expect to be slower by more than expectations are wrong."""
        outcomes: list[Outcome] = []
        needless = self._needs_no_cost(mine, theirs)
        least: _Expected = {}
        for number, candidate in candidates:
            weights = self.configs[number].weights
            if candidate.cost > PORTFOLIO.dominated * theirs.get(weights, math.inf):
                outcomes.append(Outcome(math.inf, -1, None))
                continue
            if weights in least and (not self.follow_all or candidate.cost > PORTFOLIO.dominated * least[weights]):
                continue
            outcomes.append(self._realised(number, candidate, needless))
            if outcomes[-1].cost < math.inf:
                least[weights] = min(least.get(weights, math.inf), candidate.cost)
        return outcomes

    def _needs_no_cost(self, mine: _Expected, theirs: _Expected) -> bool:
        """Whether there is no other cost to compare the exact one with."""
        if self.always_exact:
            return False
        rivals = [cost for weights, cost in theirs.items() if cost <= PORTFOLIO.dominated * mine.get(weights, math.inf)]
        return len(self.configs) == 1 or (not self.follow_all and not rivals and len(mine) == 1)

    def _realised(self, number: int, candidate: Candidate, needless: bool) -> Outcome:
        """Schedule and exact cost of a candidate; ``needless``: the cost is of no interest."""
        try:
            schedule = candidate.schedule()
        except CompileError as error:
            return Outcome(math.inf, number, str(error))
        if needless:
            return Outcome(0, number, (candidate.graph, schedule))
        scores = self._scores(candidate, schedule)
        return Outcome(self.measure.cost(scores), number, (candidate.graph, schedule), (scores,))

    def _scores(self, candidate: Candidate, schedule: NetworkSchedule) -> Scores:
        """What the schedule takes."""
        cfg = self.problem.cfg
        placed = Placed(cfg, candidate.graph, schedule, contents=False)
        rows = sum(i["rows"] * i["lines"] for i in placed.code if i.unit in (LOAD, STORE))
        beats = rows * cfg.row_beats + len(placed.code) * instruction_beats(cfg)
        cycles = exact_cycles(cfg, placed.code, [step.records for step in placed.steps], placed.prog_offset, self.problem.memory)
        convs = [(op, plan.dataflow, group.step_sizes(op)) for group in schedule.groups for op, plan in group.plans.items()]
        onchip = sum(candidate.tiling_search.costs.onchip_energy(*conv) for conv in convs)
        bus = beats * beat_energy(candidate.tiling_search.config.energy_costs, cfg.bus_words)
        return Scores(cycles, beats * cfg.bus_words, onchip, onchip + bus)


def _search_all(parts: Sequence[tuple[Portfolio, Sequence[int]]]) -> Generator[list[_Expected], list[_Expected], list[Outcome]]:
    """:meth:`Portfolio.search` of some candidates of each portfolio, with one exchange for all of them."""
    running = [portfolio.search(numbers) for portfolio, numbers in parts]
    theirs = yield [next(one) for one in running]
    return [send_and_finish(one, expected) for one, expected in zip(running, theirs, strict=True)]


def best_of_each(portfolios: Sequence[Portfolio]) -> list[Outcome | CompileError]:
    """For each portfolio what became of its best candidate, which has a schedule, or the error if none has one.

    Half of the candidates of all of them are searched in one worker process: what it learns from trials serves all portfolios.
    """
    shared = [portfolio for portfolio in portfolios if not portfolio.alone]
    outcomes: dict[Portfolio, Outcome] = {}
    if shared:
        halves = [(portfolio, *portfolio.halves()) for portfolio in shared]
        known = [thing for portfolio in shared for thing in (*portfolio.problem.graph.objects(), *portfolio.problem.plan_cache)]
        worker = WorkerProcess(lambda: _search_all([(portfolio, there) for portfolio, _, there in halves]), known)
        running = _search_all([(portfolio, here) for portfolio, here, _ in halves])
        mine = send_and_finish(running, worker.exchange(next(running)))
        outcomes = {portfolio: _cheapest(pair) for portfolio, *pair in zip(shared, mine, worker.result(), strict=True)}
    return [portfolio.finish(outcomes.get(portfolio)) for portfolio in portfolios]
