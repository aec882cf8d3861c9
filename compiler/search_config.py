"""A search configuration: the parameters of one complete search for a schedule.

What is tried with which values is decided in :mod:`compiler.search.configuration`; everything from the cost models to code generation reads
these.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.compiler.tuning import SearchEffort
from squeezelerator.spec.platform.memory import DramProfile


class CostWeights(NamedTuple):
    """What is added to cycles: ``beat`` for a beat on the DRAM bus, ``energy`` for a unit of energy on chip."""

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
        As in :class:`~compiler.fusion.line_schedule.LineParameters`.
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
    memory : spec.platform.memory.DramProfile
        The memory that the schedule is for.
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
    memory: DramProfile
