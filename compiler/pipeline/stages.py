"""The stages of the compiler, in order. :data:`STAGES` is what runs and what ``python -m compiler --stages`` lists."""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

from squeezelerator.compiler.codegen.assemble import refetch
from squeezelerator.compiler.codegen.emit import Emitter
from squeezelerator.compiler.codegen.image import Image
from squeezelerator.compiler.codegen.memory_map import ALIGN, memory_map
from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.codegen.transfers import order
from squeezelerator.compiler.compile_options import CompileOptions, Effort, Objective
from squeezelerator.compiler.errors import CompileError, StreamError
from squeezelerator.compiler.lowering.lower import lower
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.pipeline import forms
from squeezelerator.compiler.pipeline.program import assembled
from squeezelerator.compiler.pipeline.stage import Alternative, Compilation, Repair, Stage
from squeezelerator.compiler.search.candidate import Candidate, SearchProblem
from squeezelerator.compiler.search.configuration import beat_energy, cost_weights, search_plan
from squeezelerator.compiler.search.portfolio import Portfolio, best_of_each
from squeezelerator.compiler.search.scores import Bounds, Measure, front
from squeezelerator.compiler.search.splits.channel_tiling import ChannelTiler
from squeezelerator.compiler.search.splits.pool_split import PoolSplitter
from squeezelerator.compiler.search.splits.width_tiling import WidthTiler
from squeezelerator.compiler.search.trial import TrialResults
from squeezelerator.compiler.search_config import CostWeights
from squeezelerator.compiler.tuning import CONFIGS
from squeezelerator.models.arithmetic.quantised_network import AccumulatorError, QuantError
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.spec.verification.verify import VerifyError, verify

__all__ = ["STAGES", "stage_names"]

#: Cycles that a unit of energy counts as where energy alone is to count.
_ENERGY_ALONE = 1e3


def _check(c: Compilation) -> None:
    try:
        c.qnet.validate(acc_bits=c.cfg.acc_bits)
    except AccumulatorError as error:
        raise CompileError(f"{error}; a machine with wider ones (--acc-bits) runs it") from None
    except QuantError as error:
        raise CompileError(str(error)) from None


def _lower(c: Compilation) -> None:
    graph, options = lower(c.qnet, c.cfg), c.options
    # The normal search comes with the high one, so that more effort never makes a worse program.
    efforts = [Effort.HIGH, Effort.NORMAL] if options.effort is Effort.HIGH else [options.effort]
    c.alternatives = [
        Alternative(effort, search_plan(way.objective, effort, options.energy_costs, c.cfg.bus_words, way.memory, way.energy_weight),
                    PlanCache(c.cfg), graph)
        for effort in efforts for way in _ways(options, c.cfg)
    ]  # fmt: skip


class _Way(NamedTuple):
    """What an alternative searches for."""

    objective: Objective
    memory: DramProfile
    energy_weight: float | None = None


def _ways(options: CompileOptions, cfg: MachineConfig) -> list[_Way]:
    """What is searched for; the first is the objective itself, the others are there because what they find may be better at it."""
    cycles, energy = _Way(Objective.CYCLES, options.memory), _Way(Objective.ENERGY, options.memory, options.energy_weight)
    if options.trades:
        return [cycles, energy, *(energy._replace(energy_weight=weight) for weight in CONFIGS.trade_weights)]
    if options.objective is Objective.ENERGY:
        # The fastest schedule may well be the one that takes least energy, too: more weights in the cost do not make the search better.
        return [energy, cycles]
    if options.memory.beat_cycles(cfg) > 1:
        # Where the bus is what is waited for most, schedules with less traffic are among the fastest.
        return [cycles, _Way(Objective.ENERGY, REFERENCE)]
    return [cycles, energy] if options.effort is Effort.HIGH else [cycles]


def _each(work: Callable[[Compilation, Alternative], None]) -> Callable[[Compilation], None]:
    """``work`` for every alternative that is still there; the error of the first if it is the end of them all."""
    def run(c: Compilation) -> None:
        for alternative in c.alternatives:
            if alternative.error is None:
                try:
                    work(c, alternative)
                except CompileError as error:
                    alternative.error = error
        _raise_if_none_is_left(c)

    return run


def _raise_if_none_is_left(c: Compilation) -> None:
    errors = [alternative.error for alternative in c.alternatives]
    if errors[0] is not None and all(errors):
        raise errors[0]


def _tile_width(c: Compilation, alternative: Alternative) -> None:
    tiler = WidthTiler(c.cfg, c.options.dataflow, alternative.plan.channel_tiling, alternative.plan_cache)
    alternative.graph = tiler.run(alternative.graph)


def _split_for_pools(c: Compilation) -> None:
    if not c.options.fusion:
        return
    alternatives, c.alternatives = c.alternatives, []
    for alternative in alternatives:
        splitter = PoolSplitter(c.cfg, c.options.dataflow, alternative.plan.pool_split, alternative.plan_cache)
        c.alternatives += [dataclasses.replace(alternative, graph=graph) for graph in splitter.run(alternative.graph)]


def _tile_channels(c: Compilation, alternative: Alternative) -> None:
    if c.options.fusion:
        tiler = ChannelTiler(c.cfg, c.options.dataflow, alternative.plan.channel_tiling, alternative.plan_cache)
        alternative.graph = tiler.run(alternative.graph)


def _split_to_fit(c: Compilation, alternative: Alternative) -> None:
    # Without a search: one operation at a time, with the likeliest tiling.
    problem = SearchProblem(alternative.graph, c.cfg, c.options.dataflow, False, alternative.plan_cache)
    alternative.graph = Candidate(problem, alternative.plan.feasibility, thorough=False).graph
    alternative.plan_cache.forget(alternative.graph)


def _search(c: Compilation) -> None:
    options, portfolios = c.options, []
    trials: TrialResults = {}
    left = [alternative for alternative in c.alternatives if alternative.error is None]
    for alternative in left:
        problem = SearchProblem(alternative.graph, c.cfg, options.dataflow, options.fusion, alternative.plan_cache, options.memory)
        configs = alternative.plan.candidates if options.fusion else (alternative.plan.unfused,)
        exact = options.trades or len(c.alternatives) > 1
        portfolios.append(Portfolio(problem, _measure(options, c.cfg), configs, always_exact=exact, trials=trials))
    for alternative, found in zip(left, best_of_each(portfolios), strict=True):
        if isinstance(found, CompileError):
            alternative.error = found
        else:
            alternative.outcome = found
    _raise_if_none_is_left(c)


def _measure(options: CompileOptions, cfg: MachineConfig) -> Measure:
    """What the objective compares programs by."""
    bounds = Bounds(options.max_cycles, options.max_words)
    if options.objective is Objective.EDP:
        weights = None
    elif bounds and options.objective is Objective.ENERGY:
        weights = CostWeights(_ENERGY_ALONE * beat_energy(options.energy_costs, cfg.bus_words), _ENERGY_ALONE)
    else:
        weights = cost_weights(options.objective, beat_energy(options.energy_costs, cfg.bus_words), options.energy_weight)
    return Measure(weights, cfg.bus_words, bounds)


def _choose(c: Compilation) -> None:
    """Keep the alternative that costs least by the exact cost model; of equals the first.

    Raises
    ------
    CompileError
        If none keeps the bounds.
    """
    _search(c)
    found = [(alternative, alternative.outcome) for alternative in c.alternatives if alternative.outcome is not None]
    c.chosen, outcome = min(found, key=lambda pair: pair[1].cost)
    c.front = front(scores for _, one in found for scores in one.scores)
    if outcome.cost == math.inf:
        bounds = Bounds(c.options.max_cycles, c.options.max_words)
        nearest = min((scores for _, one in found for scores in one.scores), key=bounds.excess)
        raise CompileError(f"no program was found that takes at most {bounds}; the nearest takes {nearest.cycles:,} cycles and "
                           f"{nearest.words:,} DRAM words (--pareto prints what there is, --effort high looks for more)")
    c.graph, c.schedule = outcome.scheduled()


def _map_memory(c: Compilation) -> None:
    c.memory_map = memory_map(c.graph, c.schedule, c.cfg)


def _emit(c: Compilation) -> None:
    c.emitter = Emitter(c.schedule, c.cfg, Image(c.cfg, ALIGN), c.memory_map, c.refetched)
    c.emitter.run()


def _place_transfers(c: Compilation) -> None:
    c.steps = order(c.emitter.events, c.cfg, c.memory_map.constants + c.emitter.image.size, c.schedule.prefetch)


def _refetch(c: Compilation, error: StreamError) -> None:
    refetch(c.schedule, c.refetched, error)


def _synchronise(c: Compilation) -> None:
    c.instructions = synchronise(c.steps, c.cfg)


def _assemble(c: Compilation) -> None:
    c.program = assembled(c)


def _verify(c: Compilation) -> None:
    try:
        verify(c.program)
    except VerifyError as error:
        raise CompileError(f"internal error, please report it: the program is not safe to run: {error}") from None


STAGES = (
    Stage("check", "no sum of products can leave the accumulators' bits", _check, forms.network),
    Stage("lower", "layers become operations of the array and the pool unit", _lower, forms.graphs),
    Stage("tile-width", "operations of which not even a line fits the activation buffer are cut into strips of columns", _each(_tile_width),
          forms.graphs),
    Stage("split-for-pools", "convolutions are split along the channels for the pool behind them where that is cheaper; both if close",
          _split_for_pools, forms.graphs),
    Stage("tile-channels", "other operations are split or sliced along the channels where that is cheaper", _each(_tile_channels),
          forms.graphs),
    Stage("split-to-fit", "operations that do not fit the activation buffer even alone are split along the channels",
          _each(_split_to_fit), forms.graphs),
    Stage("search", "groups of operations, tilings and buffers: portfolio of beam searches, realised and timed exactly", _choose,
          forms.schedule),
    Stage("map-memory", "places in DRAM of the maps that lie there", _map_memory, forms.memory),
    Stage("emit", "instructions in the order in which they compute, the transfers that each needs, weight streams", _emit, forms.events),
    Stage("place-transfers", "transfers get their places in the program, weights and biases their rows", _place_transfers, forms.steps,
          Repair(StreamError, _refetch, "emit", "weights that find no room in their buffer are fetched more often")),
    Stage("synchronise", "dependence tokens: what each instruction waits for", _synchronise, forms.instructions),
    Stage("assemble", "the program: instructions, constants, inputs and outputs, layer table", _assemble, forms.program),
    Stage("verify", "a proof that the tokens order all that must be ordered and that no memory is left", _verify, forms.proof),
)  # fmt: skip
"""What a compilation runs through."""


def stage_names() -> tuple[str, ...]:
    """Names of the stages, in order."""
    return tuple(stage.name for stage in STAGES)


