"""The timeline of a group: its cycles with its transfers, by a small simulation of its steps on array, drain, pool unit and bus.

Ring buffers are finite here: a transfer or a drain waits until the lines that it overwrites have been read. Loads come as early as that
and their order allow, which is what :mod:`compiler.codegen.transfers` makes of them.
"""

import bisect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from squeezelerator.compiler.cost.bus import Bus
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.group_schedule import GroupSchedule, GroupStep, StepKind, StepTimes
from squeezelerator.compiler.tuning import COST
from squeezelerator.spec.enums import Dataflow


class TimedSchedule(GroupSchedule, Protocol):
    """What a timeline reads of a line schedule beside what all schedules have; see :class:`~compiler.fusion.line_schedule.LineSchedule`.

    Attributes
    ----------
    times : StepTimes
    stored, live_out : collection of Tensor
        Maps that are stored, and those that stay in the buffer whole.
    produced : mapping
        Tensor -> operation of the group that writes it.
    readers : mapping
        Tensor -> operations of the group that read it.
    """

    @property
    def times(self) -> StepTimes: ...
    @property
    def stored(self) -> Collection[Tensor]: ...
    @property
    def live_out(self) -> Collection[Tensor]: ...
    @property
    def produced(self) -> Mapping[Tensor, Op]: ...
    @property
    def readers(self) -> Mapping[Tensor, Sequence[Op]]: ...


class GroupTraffic(NamedTuple):
    """What a group's transfers take on the bus, in cycles.

    Attributes
    ----------
    line_cycles : callable(tensor)
        Of a line of a tensor.
    weight_cycles : callable(op)
        (once for the group, for every step) of an operation's weights.
    held : int
        What STORE has read ahead of the bus, at most.
    overlap : bool
        As ``overlap_transfers`` of :class:`~compiler.search.configuration.SearchConfig`.
    latency : int
        From a transfer to its lines being there for the array.
    """

    line_cycles: Callable[[Tensor], int]
    weight_cycles: Callable[[Op], tuple[int, int]]
    held: int
    overlap: bool
    latency: int


class _Lines:
    """When something has happened to the lines of a map: ``upto`` lines by ``times``, both rising."""

    def __init__(self) -> None:
        self.upto: list[int] = []
        self.times: list[int] = []

    def add(self, lines: int, time: int) -> None:
        if self.times:
            time = max(time, self.times[-1])
        self.upto.append(lines)
        self.times.append(time)

    def when(self, lines: int) -> int:
        """First time by which it has happened to lines 0 .. ``lines`` - 1."""
        if lines <= 0:
            return 0
        at = bisect.bisect_left(self.upto, lines)
        return self.times[at] if at < len(self.times) else 0


class GroupTimeline:
    """Simulates a line schedule with ring buffers of ``ring_lines``, {root tensor: lines}.

    Attributes
    ----------
    cycles : int
        When the next group can begin.
    """

    def __init__(self, schedule: TimedSchedule, ring_lines: Mapping[Tensor, int], traffic: GroupTraffic) -> None:
        self.schedule, self.ring_lines, self.traffic = schedule, ring_lines, traffic
        self.array = self.pool = self.load = self.store = self.moved = 0
        self.bus = Bus()
        self.drained = (0, 0)  # the last two tiles: a tile takes the register-file bank that the one before last has left
        self.dataflow: Dataflow | None = Dataflow.OS  # most of what stands around a group runs in OS
        self.there: dict[Tensor, _Lines] = {}
        self.read: dict[tuple[Tensor, Op], _Lines] = {}
        for op in schedule.ops:
            for tensor in (*op.reads, op.out):
                self.there.setdefault(tensor, _Lines())
            for tensor in op.reads:
                self.read[tensor, op] = _Lines()
        self.saved = {tensor: _Lines() for tensor in schedule.stored}
        self.members: dict[Tensor, list[Tensor]] = {}
        for tensor in self.there:
            self.members.setdefault(schedule.roots.get(tensor, tensor), []).append(tensor)
        self._used = {t: list(self._users(t)) for t in self.there if schedule.roots.get(t, t) in ring_lines}
        self._run(schedule.steps)
        self.cycles = self._end()

    def _run(self, steps: Iterable[GroupStep]) -> None:
        fetched: set[Op] = set()
        for step in steps:
            if step.kind is StepKind.LOAD:
                self._load(step)
            elif step.kind is StepKind.STORE:
                self._store(step)
            else:
                once, each = self.traffic.weight_cycles(step.what)
                beats = each + (once if step.what not in fetched else 0)
                fetched.add(step.what)
                # Weights come ahead of time: they take the bus and delay nothing by themselves.
                self.load = self._move(self.load, beats)
                self._compute(step)

    def _end(self) -> int:
        array = self.array + (COST.dataflow_switch if self.dataflow != Dataflow.OS else 0)
        cycles = max(array, self.pool, self.load, self.moved)
        if not self.traffic.overlap:
            return max(cycles, self.drained[1], self.store)
        # The last stores run while the next group computes; it waits only for what it reads in the buffer.
        return max(cycles, self.drained[1]) if self.schedule.live_out else cycles

    def _move(self, start: int, beats: int) -> int:
        """Cycle in which a transfer that may begin at ``start`` is over."""
        self.moved += beats
        return self.bus.reserve(start, beats) if self.traffic.overlap else start + beats

    def _room(self, tensor: Tensor, top: int) -> int:
        """When lines of ``tensor`` up to ``top`` may be written: everything before the ring's length has been used."""
        used = self._used.get(tensor)
        if used is None:
            return 0
        old, when = top - self.ring_lines[self.schedule.roots.get(tensor, tensor)], 0
        if old > 0:
            for lines in used:
                when = max(when, lines.when(old))
        return when

    def _users(self, tensor: Tensor) -> Iterable[_Lines]:
        """The :class:`_Lines` of all that must be over before a line of a tensor's ring buffer is written again."""
        schedule = self.schedule
        for member in self.members[schedule.roots.get(tensor, tensor)]:
            if member is tensor or member in schedule.stored or member not in schedule.produced:
                yield from (self.read[member, reader] for reader in schedule.readers.get(member, ()))
                if member in self.saved:
                    yield self.saved[member]

    def _load(self, step: GroupStep) -> None:
        beats = (step.y1 - step.y0) * self.traffic.line_cycles(step.what)
        start = max(self.load, self._room(step.what, step.y1))
        self.load = self._move(start, beats)
        self.there[step.what].add(step.y1, self.load + self.traffic.latency)

    def _store(self, step: GroupStep) -> None:
        beats, held = (step.y1 - step.y0) * self.traffic.line_cycles(step.what), self.traffic.held
        start = max(self.store, self.there[step.what].when(step.y1))
        self.store = self._move(start, beats)
        # The last rows are read before there is room for them on the bus.
        self.saved[step.what].add(step.y1, max(start, self.store + self.traffic.latency - held) if beats > held else start + beats)

    def _inputs_there(self, op: Op, lines: int) -> int:
        """When everything is there that the first ``lines`` output lines are computed from."""
        operands = op.parts if op.is_conv else op.reads
        return max([self.there[t].when(op.needed[t][lines]) for t in operands], default=0)

    def _compute(self, step: GroupStep) -> None:
        op, units = step.what, self.schedule.rates[step.what].units
        if op.is_conv:
            released, end = self._convolve(step, op)
        else:
            work, tail, *_ = self.schedule.times(op, None, step.y1 - step.y0)
            start = max(self.pool, self._inputs_there(op, step.y1), self._room(op.out, step.y1))
            self.pool = released = start + work
            end = released + tail
        self.there[op.out].add(step.y1 // units, end)
        for tensor in op.reads:
            low = tensor.h if step.y1 >= op.out.h * units else op.lowest[tensor][step.y1 // units]
            self.read[tensor, op].add(low, end if tensor is op.residual else released)

    def _convolve(self, step: GroupStep, op: Op) -> tuple[int, int]:
        """When the array has read what a convolution's next steps do not need, and when the last result has left the drain."""
        units, _, dataflow = self.schedule.rates[op]
        touched = -(-step.y1 // units)
        work, tail, tiles, newest = self.schedule.times(op, dataflow, step.y1 - step.y0)
        ready, room, sooner = self._inputs_there(op, touched), self._room(op.out, touched), 0
        early = ready
        if newest and touched - step.y0 // units == 1:
            # The newest lines may come while the array works on the others, and these may go while it works on the newest.
            early = self._inputs_there(op, touched - 1)
            sooner = newest if op.kernel[0] >= 2 * op.stride[0] else 0
        start = max(self.array, early, self.drained[0])
        if dataflow != self.dataflow:
            start, self.dataflow = start + COST.dataflow_switch, dataflow
        start = max(start, ready - (work // tiles - newest if early < ready else 0))
        other = self.there[op.residual].when(touched) if op.residual else 0
        first = max(start + work // tiles, room, other, self.drained[1])
        end = max(first + tiles * tail, start + work + tail)
        self.drained = (self.drained[1] if tiles == 1 else end - tail, end)
        # Only two tiles' sums fit the register files.
        self.array = max(start + work, end - 2 * tail if tiles > 1 else 0)
        return start + work - sooner, end
