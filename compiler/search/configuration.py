"""Search configurations: the parameters of one complete search for a schedule.

No single setting of the cost model and of the allocation is best for every network and machine, so the compiler searches once for each
configuration of a small portfolio and keeps the fastest program (:mod:`compiler.search.portfolio`).
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.spec.energy import read_costs

VERSION = 2
"""Counted up when the compiler's schedules change: results that are kept say with which they were made."""

OBJECTIVES = ("cycles", "energy")
"""What ``--objective`` accepts."""


class SearchEffort(NamedTuple):
    """Limits of the search, all in units of work and not in seconds: the result must not depend on the computer.

    Attributes
    ----------
    schedule_steps : int
        Steps of group schedules after which a search only looks at short extensions of a group.
    trial_instructions : int
        Instructions that the trials of one candidate may time.
    tilings_tried : int
        Tilings of a group that local search compiles and times.
    widen_within : float
        A tiling is also tried with wider ring buffers if its trial took at most so many times the best trial.
    joint_allocations : int or None
        Joint allocations that are timed against each other; None: all.
    all_candidates : bool
        Whether every candidate that may win is realised, or only the most promising of those that share a cost weight.
    """

    schedule_steps: int
    trial_instructions: int
    tilings_tried: int
    widen_within: float
    joint_allocations: int | None
    all_candidates: bool


EFFORTS = {
    "normal": SearchEffort(schedule_steps=45_000, trial_instructions=180_000, tilings_tried=3, widen_within=1.03, joint_allocations=3,
                           all_candidates=False),
    "high": SearchEffort(schedule_steps=500_000, trial_instructions=180_000, tilings_tried=5, widen_within=math.inf,
                         joint_allocations=None, all_candidates=True),
}  # fmt: skip
"""What ``--effort`` accepts."""

#: Cycles that a unit of energy (a multiplication) counts as where the objective is energy: a cycle counts as much as 67 of them, a quarter
#: of what 16 x 16 PEs do in it.
_ENERGY_WEIGHT = 0.015
#: Some configurations use this weight, or none, because the search is no better than its bounds: these find shorter schedules, which
#: sometimes take less energy, too.
_MILD_ENERGY_WEIGHT = 0.005
#: What a beat on the DRAM bus counts at least, in cycles beside the one that it takes: between equals, less traffic wins.
_BEAT_WEIGHT = 0.02


class CostWeights(NamedTuple):
    """What a configuration adds to cycles: ``beat`` for a beat on the DRAM bus, ``energy`` for a unit of energy on chip."""

    beat: float
    energy: float


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """One configuration of the search.

    Attributes
    ----------
    band_heights : tuple of int
        Heights of bands of whole lines that are tried, in lines of the tallest map of a group.
    reload_wait : int
        As in :class:`~compiler.fusion.line_schedule.LineSchedule`.
    overlap_transfers : bool
        Cost model: a group's last stores are taken to hide behind the next group, and loads and stores to share the bus.
    joint_allocation : bool
        Buffers of all groups are allocated together if that succeeds, otherwise maps that are live across groups come first.
    weights : CostWeights
    buffer_reuse : bool
        As in :class:`~compiler.fusion.group_context.GroupContext`.
    effort : SearchEffort
    prefetch : PrefetchPolicy
        How early transfers are issued.
    split_first_block : bool
        Work begins with a convolution's first channel block before it has the others, even where several array tiles computed them.
    max_group_ops : int
        Most operations in a group.
    energy_costs : mapping
        {event: energy}, as in :mod:`spec.energy`.
    """

    band_heights: tuple[int, ...]
    reload_wait: int
    overlap_transfers: bool
    joint_allocation: bool
    weights: CostWeights
    buffer_reuse: bool
    effort: SearchEffort
    prefetch: PrefetchPolicy
    split_first_block: bool
    max_group_ops: int
    energy_costs: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class SearchPlan:
    """The configurations of one compilation, by their roles.

    Attributes
    ----------
    candidates : tuple of SearchConfig
        The portfolio: one complete search with each.
    pool_split : SearchConfig
        Times convolutions with the pool behind them, to decide how often their result is split along the channels.
    channel_tiling : SearchConfig
        Times single operations, to decide whether they are split or sliced along the channels.
    feasibility : SearchConfig
        Finds the operations that do not fit the buffer even alone.
    unfused : SearchConfig
        The only candidate where fusion is off.
    """

    candidates: tuple[SearchConfig, ...]
    pool_split: SearchConfig
    channel_tiling: SearchConfig
    feasibility: SearchConfig
    unfused: SearchConfig


def beat_energy(costs: Mapping[str, float], bus_words: int) -> float:
    """Energy of a beat of so many words on the DRAM bus: the mean of a read and a write."""
    return bus_words * (costs["dram_read_words"] + costs["dram_write_words"]) / 2


def _energy_weights(energy: float, beat: float) -> CostWeights:
    """``energy`` cycles for a unit of energy, if a beat takes ``beat`` units."""
    return CostWeights(max(_BEAT_WEIGHT, energy * beat), energy)


def cost_weights(objective: str, beat: float) -> CostWeights:
    """The weights by which an objective compares programs; ``beat``: energy of a beat, see :func:`beat_energy`."""
    return _energy_weights(_ENERGY_WEIGHT, beat) if objective == "energy" else CostWeights(_BEAT_WEIGHT, 0.0)


def search_plan(objective: str, effort: str = "normal", costs: Mapping[str, float] | None = None, bus_words: int = 8) -> SearchPlan:
    """The configurations for an objective of ``OBJECTIVES`` and an effort of ``EFFORTS``.

    ``costs`` are those of :mod:`spec.energy` (None: the default ones), ``bus_words`` the words of a beat on the machine's bus.
    """
    costs = read_costs() if costs is None else costs
    beat = beat_energy(costs, bus_words)
    narrow = SearchConfig(
        band_heights=(1, 2), reload_wait=0, overlap_transfers=False, joint_allocation=True, weights=cost_weights(objective, beat),
        buffer_reuse=True, effort=EFFORTS[effort], prefetch=PrefetchPolicy(12, 500), split_first_block=True, max_group_ops=9,
        energy_costs=costs,
    )  # fmt: skip
    # Narrow networks with many short lines are served by the first, wide ones and small buffers by the others.
    low_bands = dataclasses.replace(narrow, reload_wait=110, overlap_transfers=True, joint_allocation=False, prefetch=PrefetchPolicy(12),
                                    split_first_block=False)  # fmt: skip
    all_bands = dataclasses.replace(low_bands, band_heights=(1, 2, 3, 4, 5, 7, 8, 14))
    joint = dataclasses.replace(all_bands, joint_allocation=True, buffer_reuse=False)
    if objective == "cycles":
        candidates = narrow, low_bands, all_bands, joint
    else:
        mild, quick = _energy_weights(_MILD_ENERGY_WEIGHT, beat), cost_weights("cycles", beat)
        candidates = (
            dataclasses.replace(narrow, weights=mild), dataclasses.replace(low_bands, max_group_ops=16),
            dataclasses.replace(all_bands, max_group_ops=16), dataclasses.replace(joint, max_group_ops=16, weights=mild),
            dataclasses.replace(all_bands, weights=quick), dataclasses.replace(joint, weights=quick),
        )  # fmt: skip
    return SearchPlan(candidates, pool_split=candidates[0], channel_tiling=candidates[-1], feasibility=candidates[0], unfused=candidates[0])
