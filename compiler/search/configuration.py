"""The search configurations that are tried, by objective and effort.

No single setting of the cost model and of the allocation is best for every network and machine, so the compiler searches once for each
configuration of a small portfolio and keeps the fastest program (:mod:`compiler.search.portfolio`).
"""

import dataclasses
from collections.abc import Mapping

from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.compiler.search_config import CostWeights, SearchConfig
from squeezelerator.compiler.tuning import CONFIGS, COST, EFFORTS
from squeezelerator.spec.energy import read_costs
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile

__all__ = ["EFFORTS", "OBJECTIVES", "VERSION", "CostWeights", "SearchPlan", "beat_energy", "cost_weights", "search_plan"]

VERSION = 2
"""Counted up when the compiler's schedules change: results that are kept say with which they were made."""

OBJECTIVES = ("cycles", "energy")
"""What ``--objective`` accepts."""


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
    return CostWeights(max(CONFIGS.beat_weight, energy * beat), energy)


def cost_weights(objective: str, beat: float, energy_weight: float | None = None) -> CostWeights:
    """The weights by which an objective compares programs; ``beat``: energy of a beat, see :func:`beat_energy`; ``energy_weight``: as in
    :func:`search_plan`."""
    if objective != "energy":
        return CostWeights(CONFIGS.beat_weight, 0.0)
    return _energy_weights(CONFIGS.energy_weight if energy_weight is None else energy_weight, beat)


def _lean(usual: tuple[SearchConfig, ...], beat: float, weight: float) -> tuple[SearchConfig, ...]:
    """Configurations that look for less traffic and energy, from the usual four; ``beat``: energy of a beat; ``weight``: cycles that a unit
    of energy counts as."""
    narrow, low_bands, all_bands, joint = usual
    much, mild = _energy_weights(weight, beat), _energy_weights(CONFIGS.mild_energy_weight * (weight / CONFIGS.energy_weight), beat)
    quick, long = cost_weights("cycles", beat), CONFIGS.group_ops_energy
    return (
        dataclasses.replace(narrow, weights=mild), dataclasses.replace(low_bands, weights=much, max_group_ops=long),
        dataclasses.replace(all_bands, weights=much, max_group_ops=long), dataclasses.replace(joint, weights=mild, max_group_ops=long),
        dataclasses.replace(all_bands, weights=quick), dataclasses.replace(joint, weights=quick),
    )  # fmt: skip


def search_plan(objective: str, effort: str = "normal", costs: Mapping[str, float] | None = None, bus_words: int = 8,
                memory: DramProfile = REFERENCE, energy_weight: float | None = None) -> SearchPlan:  # fmt: skip
    """The configurations for an objective of ``OBJECTIVES`` and an effort of ``EFFORTS``.

    ``costs`` are those of :mod:`spec.energy` (None: the default ones), ``bus_words`` the words of a beat on the machine's bus,
    ``memory`` what is behind it, ``energy_weight`` what a unit of energy counts where that is the objective (None: as always).
    """
    costs = read_costs() if costs is None else costs
    beat = beat_energy(costs, bus_words)
    # Narrow networks with many short lines are served by the first, wide ones and small buffers by the others.
    narrow = SearchConfig(
        band_heights=CONFIGS.low_bands, reload_wait=0, overlap_transfers=False, joint_allocation=True,
        weights=cost_weights(objective, beat), buffer_reuse=True, effort=EFFORTS[effort],
        prefetch=PrefetchPolicy(CONFIGS.prefetch_events, CONFIGS.prefetch_cycles, memory), split_first_block=True,
        max_group_ops=CONFIGS.group_ops, energy_costs=costs, memory=memory,
    )  # fmt: skip
    low_bands = dataclasses.replace(narrow, reload_wait=memory.latency + COST.load_way, overlap_transfers=True, joint_allocation=False,
                                    prefetch=PrefetchPolicy(CONFIGS.prefetch_events, memory=memory), split_first_block=False)  # fmt: skip
    all_bands = dataclasses.replace(low_bands, band_heights=CONFIGS.all_bands)
    joint = dataclasses.replace(all_bands, joint_allocation=True, buffer_reuse=False)
    candidates = narrow, low_bands, all_bands, joint
    if objective == "energy":
        candidates = _lean(candidates, beat, CONFIGS.energy_weight if energy_weight is None else energy_weight)
    first, last = candidates[0], candidates[-1]
    return SearchPlan(candidates, pool_split=first, channel_tiling=last, feasibility=first, unfused=first)
