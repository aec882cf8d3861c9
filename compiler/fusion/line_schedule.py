"""The line schedule of a fused group: its steps in order, and how many lines of each map are alive at the same time."""

import dataclasses
from collections.abc import Hashable, Mapping, Sequence

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.group_schedule import GroupStep, StepTimes, TileRate


class ScheduleTooLong(CompileError):
    """A schedule takes longer than what is of interest; ``step_counts`` steps were made until that was clear."""

    def __init__(self, step_counts: int) -> None:
        super().__init__("a group takes longer than others")
        self.step_counts = step_counts


@dataclasses.dataclass(frozen=True)
class LineParameters:
    """What a line schedule is made from.

    Parameters
    ----------
    ops : sequence of Op
    rates : mapping
        Operation -> :class:`~compiler.ir.group_schedule.TileRate`.
    streamed, stored, live_out : collections of Tensor
        Maps that are loaded line by line, stored line by line, and that stay whole.
    overwrites : mapping
        Result -> map whose place it takes, line by line.
    run_ahead : int
        Quanta by which an operation may run ahead of what its reader needs next. -1: always the last operation that can run, whether
        its inputs have left the drain or not; this takes the fewest lines.
    short_first_step : bool
        Whether an operation's first step takes what its producers' first steps allow, instead of waiting until a whole quantum is
        possible: the maps between them then hold fewer lines, for one more array tile.
    reload_wait : int
        Cycles between a step and the next one of the same operation if that needs lines from DRAM: they come in the place of those that
        the first has used. 0: they are taken to be there.
    """

    ops: Sequence[Op]
    rates: Mapping[Op, TileRate]
    streamed: tuple[Tensor, ...]
    stored: frozenset[Tensor]
    live_out: frozenset[Tensor]
    overwrites: Mapping[Tensor, Tensor]
    run_ahead: int
    short_first_step: bool
    reload_wait: int = 0

    def key(self) -> Hashable:
        """Equal for parameters of equal schedules."""
        return (tuple(self.ops), tuple(self.rates.values()), self.streamed, self.stored, self.live_out, tuple(self.overwrites.items()),
                self.run_ahead, self.short_first_step, self.reload_wait)  # fmt: skip


@dataclasses.dataclass(eq=False)
class LineSchedule:
    """The schedule of a fused group: a :class:`~compiler.ir.group_schedule.GroupSchedule`, made by
    :class:`~compiler.fusion.line_scheduler.LineScheduler`.

    Attributes
    ----------
    parameters : LineParameters
    times : StepTimes
    roots, steps, step_counts, array_work, pool_work
        As in ``GroupSchedule``.
    produced : dict
        Tensor -> operation of the group that writes it.
    readers : dict
        Tensor -> operations of the group that read it.
    lines : dict
        Root tensor -> lines that are alive at the same time, at most.
    growth : dict
        Tensor -> lines by which it grew at each of its steps.
    array_cycles : int
        When the array is done, without waiting for DRAM.
    cycles : int
        When array and pool unit are done, without waiting for DRAM.
    timed : dict
        What a :class:`~compiler.cost.group_timeline.GroupTimeline` has said, by the lengths of the ring buffers and the traffic.
    """

    parameters: LineParameters
    times: StepTimes
    roots: dict[Tensor, Tensor]
    produced: dict[Tensor, Op]
    readers: dict[Tensor, list[Op]]
    steps: list[GroupStep]
    step_counts: dict[Op, int]
    lines: dict[Tensor, int]
    growth: dict[Tensor, list[int]]
    array_work: int
    pool_work: int
    array_cycles: int
    cycles: int
    timed: dict[Hashable, int] = dataclasses.field(default_factory=dict)
    slots: None = None

    @property
    def ops(self) -> Sequence[Op]:
        """Operations of the group."""
        return self.parameters.ops

    @property
    def rates(self) -> Mapping[Op, TileRate]:
        """Rate of every operation."""
        return self.parameters.rates

    @property
    def stored(self) -> frozenset[Tensor]:
        """Maps that are stored."""
        return self.parameters.stored

    @property
    def live_out(self) -> frozenset[Tensor]:
        """Maps that stay in the buffer whole."""
        return self.parameters.live_out

    def ring_lines(self, slack: float) -> dict[Tensor, int]:
        """{root tensor: lines of its ring buffer}.

        Loads and stores get lines of their own, to overlap with the work: ``slack`` times as many as a step transfers.
        """
        found = dict(self.lines)
        for tensor in (*self.parameters.streamed, *self.parameters.stored) if slack else ():
            root = self.roots.get(tensor, tensor)
            if root in found:
                # The first transfer brings the halo as well; nothing can overlap with that one.
                growth = self.growth[tensor][1:] or self.growth[tensor]
                found[root] = min(tensor.h, found[root] + max(1, round(max(growth) * slack)))
        return found

    def blocks(self, root: Tensor, n: int) -> int:
        """Channel blocks of a ring buffer."""
        return root.blocks(n)
