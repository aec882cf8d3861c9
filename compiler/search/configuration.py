"""Search configurations: the parameters of one complete search for a schedule.

No single setting of the cost model and of the allocation is best for every network and machine, so the compiler searches once for each
configuration of a small portfolio and keeps the fastest program (:mod:`compiler.search.portfolio`).
"""

import dataclasses
import math
from typing import NamedTuple

from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy

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

#: Units of energy (multiplications) that a beat of eight words costs, by the costs of ``spec.energy``.
_BEAT_ENERGY = 1600
#: What a beat on the DRAM bus counts beside the cycles that it takes. Cycles: between equals, less traffic wins. Energy: a cycle counts as
#: much as 67 multiplications, a quarter of what the array does in it.
_BEAT_WEIGHT = {"cycles": 0.02, "energy": 24.0}
#: For energy some configurations use this weight, or that of cycles, because the search is no better than its bounds: these find shorter
#: schedules, which sometimes take less energy, too.
_MILD_BEAT_WEIGHT = 8.0


class CostWeights(NamedTuple):
    """What the objective adds to cycles: ``beat`` for a beat on the DRAM bus, ``energy`` for a unit of energy on chip."""

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


def cost_weights(objective: str, beat: float | None = None) -> CostWeights:
    """The weights of an objective; ``beat``: another weight of a beat than the objective's."""
    beat = beat or _BEAT_WEIGHT[objective]
    return CostWeights(beat, beat / _BEAT_ENERGY if objective == "energy" else 0.0)


def search_plan(objective: str, effort: str = "normal") -> SearchPlan:
    """The configurations for an objective of ``OBJECTIVES`` and an effort of ``EFFORTS``."""
    narrow = SearchConfig(
        band_heights=(1, 2), reload_wait=0, overlap_transfers=False, joint_allocation=True, weights=cost_weights(objective),
        buffer_reuse=True, effort=EFFORTS[effort], prefetch=PrefetchPolicy(12, 500), split_first_block=True, max_group_ops=9,
    )  # fmt: skip
    # Narrow networks with many short lines are served by the first, wide ones and small buffers by the others.
    low_bands = dataclasses.replace(narrow, reload_wait=110, overlap_transfers=True, joint_allocation=False, prefetch=PrefetchPolicy(12),
                                    split_first_block=False)  # fmt: skip
    all_bands = dataclasses.replace(low_bands, band_heights=(1, 2, 3, 4, 5, 7, 8, 14))
    joint = dataclasses.replace(all_bands, joint_allocation=True, buffer_reuse=False)
    if objective == "cycles":
        candidates = narrow, low_bands, all_bands, joint
    else:
        mild, quick = cost_weights(objective, _MILD_BEAT_WEIGHT), cost_weights("cycles")
        candidates = (
            dataclasses.replace(narrow, weights=mild), dataclasses.replace(low_bands, max_group_ops=16),
            dataclasses.replace(all_bands, max_group_ops=16), dataclasses.replace(joint, max_group_ops=16, weights=mild),
            dataclasses.replace(all_bands, weights=quick), dataclasses.replace(joint, weights=quick),
        )  # fmt: skip
    return SearchPlan(candidates, pool_split=candidates[0], channel_tiling=candidates[-1], feasibility=candidates[0], unfused=candidates[0])
