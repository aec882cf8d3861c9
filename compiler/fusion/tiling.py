"""Tilings: the ways to run a group, as the search remembers them."""

import dataclasses
from typing import NamedTuple

from squeezelerator.compiler.ir.group_schedule import Slots


class ScheduleSpec(NamedTuple):
    """From what the schedule of a group can be made again.

    Attributes
    ----------
    parts : int or Slots
        Into how many parts the maps are cut, see :meth:`~compiler.fusion.op_costs.OpCosts.rate`; or the slots of a channel schedule.
    run_ahead, short_first_step
        As in :class:`~compiler.fusion.line_schedule.LineParameters`.
    overwrite_streamed : bool
        Whether residuals that are streamed are overwritten by the sum.
    """

    parts: int | Slots
    run_ahead: int = 0
    short_first_step: bool = False
    overwrite_streamed: bool = False


@dataclasses.dataclass(frozen=True)
class Tiling:
    """One way to run a group, and what it costs.

    Attributes
    ----------
    cost : float
        Cycles, steps, beats and energy as the search configuration weighs them.
    rows : int
        Rows of the activation buffer that the group's own buffers take.
    spec : ScheduleSpec
    slack : float
        As in :meth:`~compiler.ir.group_schedule.GroupSchedule.ring_lines`.
    cycles : int
        By the group timeline.
    compute_cycles : int
        By the line schedule: as if everything came from the buffers at once.
    array, pool : int
        Cycles in which these units work.
    dram_rows, weight_rows : int
        Rows of maps and of weights that cross the bus, none of the latter packed.
    """

    cost: float
    rows: int
    spec: ScheduleSpec
    slack: float
    cycles: int
    compute_cycles: int
    array: int
    pool: int
    dram_rows: int
    weight_rows: int
