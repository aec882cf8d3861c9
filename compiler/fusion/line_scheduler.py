"""Makes the line schedule of a fused group by running through it step by step.

In every step an operation computes a *quantum* of units (see :class:`~compiler.ir.group_schedule.TileRate`). Of the operations whose
inputs are there the scheduler runs the one nearest to the group's end whose inputs have left the drain already, so that the array always
has something to do while results are on their way.
"""

import bisect
import math
from collections.abc import Iterable

from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion.group_context import buffer_roots
from squeezelerator.compiler.fusion.line_schedule import LineParameters, LineSchedule, ScheduleTooLong
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.group_schedule import GroupStep, StepKind, StepTimes, TileRate
from squeezelerator.compiler.tuning import COST
from squeezelerator.spec.enums import Dataflow


class _Progress:
    """How far an operation has come, and what its next step takes.

    Attributes
    ----------
    next, upto : int
        Units from which and to which its next step goes.
    low : int
        Lines that are complete before that step.
    top : int
        Lines that are complete or begun after it.
    needs : list of (Tensor, int)
        Maps made in the group, and the lines of them that the step needs.
    left : int
        When what its last step has read may be overwritten by transfers and these are there.
    """

    __slots__ = ("dataflow", "first", "inputs", "is_conv", "left", "low", "needs", "next", "op", "out", "quantum", "steps", "top",
                 "total", "units", "upto")  # fmt: skip

    def __init__(self, op: Op, rate: TileRate, produced: dict[Tensor, Op]) -> None:
        self.op, self.out, self.is_conv = op, op.out, op.is_conv
        self.units, self.quantum, self.dataflow = rate
        self.total = op.out.h * self.units
        self.first = min(self.quantum, self.total)
        self.inputs = [(t, op.needed[t]) for t in op.reads if t in produced]
        self.next = self.steps = self.left = self.upto = self.low = self.top = 0
        self.needs: list[tuple[Tensor, int]] = []

    def prepare(self) -> None:
        """Look at the next step."""
        self.upto, self.low = self.target(1), self.next // self.units
        self.top = -(-self.upto // self.units)
        self.needs = [(tensor, needed[self.top]) for tensor, needed in self.inputs]

    def work(self, times: StepTimes) -> int:
        """Cycles of all its steps on the array or the pool unit."""
        count, rest = divmod(self.total - self.first, self.quantum)
        parts = ((1, self.first), (count, self.quantum), (1, rest))
        return sum(n * times(self.op, self.dataflow, units).work for n, units in parts if n and units)

    def target(self, quanta: int) -> int:
        """Units that are done after so many more steps."""
        if self.next:
            upto = self.next + quanta * self.quantum
        else:
            upto = self.first + (quanta - 1) * self.quantum
        return upto if upto < self.total else self.total


#: A reader of a map, the lines that it needs for its first 0, 1, 2, ... output lines, and the lowest line that it reads from each on.
_User = tuple[_Progress, list[int], list[int]]


class LineScheduler:
    """Runs through a group.

    Parameters
    ----------
    parameters : LineParameters
    times : StepTimes
    most : float
        Cycles of the array and the changes of dataflow that are of interest: a schedule that certainly takes more raises
        ScheduleTooLong.
    """

    def __init__(self, parameters: LineParameters, times: StepTimes, most: float = math.inf) -> None:
        self.times, self.most = times, most
        self.overwrites, self.roots = parameters.overwrites, buffer_roots(parameters.overwrites)
        self.streamed, self.stored, self.live_out = parameters.streamed, parameters.stored, parameters.live_out
        self.run_ahead, self.reload_wait, self.parameters = parameters.run_ahead, parameters.reload_wait, parameters
        ops = parameters.ops
        self.produced = {op.out: op for op in ops}
        self.readers: dict[Tensor, list[Op]] = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.dataflow: Dataflow | None = None
        self.done = dict.fromkeys((*self.streamed, *self.produced), 0)
        #: Result -> (lines, times at which these have left the drain).
        self.ready_at: dict[Tensor, tuple[list[int], list[int]]] = {op.out: ([], []) for op in ops}
        #: When the units are through; cycles of the steps that the array has still to do.
        self.array = self.pool = self.left = 0
        self.steps: list[GroupStep] = []
        self.lines: dict[Tensor, int] = {}
        self.growth: dict[Tensor, list[int]] = {}
        #: Stores that wait until the steps that read the same lines are done.
        self.waiting: list[GroupStep] = []
        self.members: dict[Tensor, list[Tensor]] = {}
        for tensor in self.done:
            self.members.setdefault(self.roots.get(tensor, tensor), []).append(tensor)
        self.progress = {op: _Progress(op, parameters.rates[op], self.produced) for op in ops}
        self.users: dict[Tensor, list[_User]] = {
            tensor: [(self.progress[op], op.needed[tensor], op.lowest[tensor]) for op in readers]
            for tensor, readers in self.readers.items()
        }  # fmt: skip

    def run(self) -> LineSchedule:
        """The schedule.

        Raises
        ------
        ScheduleTooLong
        CompileError
            If no order of lines works with what is overwritten.
        """
        if self.parameters.short_first_step:
            self._shorten_first_steps()
        array_work, pool_work = (
            sum(one.work(self.times) for one in self.progress.values() if one.is_conv is conv) for conv in (True, False))
        self.left = array_work
        self._run()
        return LineSchedule(
            parameters=self.parameters, times=self.times, roots=self.roots, produced=self.produced, readers=self.readers,
            steps=self.steps, step_counts={op: one.steps for op, one in self.progress.items()}, lines=self.lines, growth=self.growth,
            array_work=array_work, pool_work=pool_work, array_cycles=self.array, cycles=max(self.array, self.pool),
        )  # fmt: skip

    # -- lines ------------------------------------------------------------------------------------------------

    def _shorten_first_steps(self) -> None:
        """First steps take no more than what the first steps of their producers allow."""
        for one in self.progress.values():
            for tensor, needed in one.inputs:
                producer = self.progress[self.produced[tensor]]
                lines = producer.first // producer.units
                while one.first > one.units and needed[-(-one.first // one.units)] > lines:
                    one.first -= 1

    def _low(self, tensor: Tensor) -> int:
        """First line of ``tensor`` that is still needed."""
        if tensor in self.live_out:
            return 0
        low = tensor.h
        for step in self.waiting:
            if step.what is tensor and step.y0 < low:
                low = step.y0
        for reader, _, lowest in self.users.get(tensor, ()):
            if reader.next < reader.total:
                line = lowest[reader.next // reader.units]
                low = line if line < low else low
        return low

    def _grow(self, tensor: Tensor, complete: int, touched: int, low: int) -> None:
        """``tensor`` now has so many complete lines, and ``touched`` with the one that is not; ``low`` is the lowest new one."""
        done = self.done
        self.growth.setdefault(tensor, []).append(touched - done[tensor])
        done[tensor] = complete
        root = self.roots.get(tensor, tensor)
        if root not in done:
            return  # lives in a buffer that an earlier group filled
        top = touched
        for member in self.members[root]:
            top = max(top, done[member])
            low = min(low, self._low(member), done[member])
        if top - low > self.lines.get(root, 0):
            self.lines[root] = top - low
        else:
            self.lines.setdefault(root, 0)

    # -- choice of the next step ------------------------------------------------------------------------------

    def _startable(self, one: _Progress) -> bool:
        """Whether its next quantum has all its inputs and may be written."""
        for tensor, lines in one.needs:
            if self.done[tensor] < lines:
                return False
        if one.out in self.overwrites:
            # Whoever else reads the old contents must be done with these lines.
            for other, _, lowest in self.users[self.overwrites[one.out]]:
                if other is not one and other.next < other.total and lowest[other.next // other.units] < one.top:
                    return False
        return True

    def _wanted(self, one: _Progress) -> bool:
        """Whether a reader in the group lacks lines for its next quanta (or nobody in it reads the result)."""
        users = self.users.get(one.out)
        if not users:
            return True
        done = self.done[one.out]
        for reader, needed, _ in users:
            if reader.next < reader.total and done < needed[-(-reader.target(1 + self.run_ahead) // reader.units)]:
                return True
        return False

    def _inputs_at(self, one: _Progress) -> int:
        """When the inputs of its next quantum have left the drain."""
        when = 0
        for tensor, need in one.needs:
            lines, times = self.ready_at[tensor]
            at = bisect.bisect_left(lines, need)
            if at < len(times) and times[at] > when:
                when = times[at]
        if self.reload_wait and one.next:
            for tensor in one.op.reads:
                if tensor in self.streamed and self.done[tensor] < one.op.needed[tensor][one.top]:
                    # The lines that it needs next come in the place of those that it has just used.
                    when = max(when, one.left)
        return when

    def _choose(self, unfinished: Iterable[_Progress]) -> _Progress | None:
        """Of these operations the one whose next quantum comes next, or None if none can start."""
        fallback = best = None
        best_at = 0
        for one in unfinished:
            if not self._startable(one):
                continue
            if self.run_ahead < 0:
                return one
            fallback = fallback or one
            if self._wanted(one):
                at = self._inputs_at(one)
                if not one.is_conv or at <= self.array:
                    return one
                if best is None or at < best_at:
                    best_at, best = at, one
        return best or fallback

    # -- steps ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        unfinished = list(self.progress.values())[::-1]
        for one in unfinished:
            one.prepare()
        while unfinished:
            one = self._choose(unfinished)
            if one is None:
                # Only a band that waits for itself through a buffer that is reused gets here; the caller drops such a tiling.
                raise CompileError(f"layer {self.parameters.ops[0].layers[0]}: no order of lines works in place")
            self._step(one)
            if one.next < one.total:
                one.prepare()
            else:
                unfinished.remove(one)

    def _step(self, one: _Progress) -> None:
        self._load_inputs(one)
        self.steps.append(GroupStep(StepKind.COMPUTE, one.op, one.next, one.upto))
        end, tail = self._compute(one)
        one.left = end + self.reload_wait
        complete = one.upto // one.units
        lines, times = self.ready_at[one.out]
        lines.append(complete)
        times.append(end + tail)
        self._grow(one.out, complete, one.top, one.low)
        one.next = one.upto
        one.steps += 1
        if one.out in self.stored and complete > one.low:
            self.waiting += self._pieces(StepKind.STORE, one.out, one.low, complete)
        if self.waiting:
            self._release_stores()

    def _load_inputs(self, one: _Progress) -> None:
        done = self.done
        for tensor in one.op.reads:
            if tensor in self.streamed:
                need = one.op.needed[tensor][one.top]
                if done[tensor] < need:
                    self.steps += self._pieces(StepKind.LOAD, tensor, done[tensor], need)
                    self._grow(tensor, need, need, tensor.h)

    def _compute(self, one: _Progress) -> tuple[int, int]:
        """When the unit is through with the next step of an operation, and cycles from there to its last result."""
        work, tail, *_ = self.times(one.op, one.dataflow, one.upto - one.next)
        start = max(self._inputs_at(one), self.array if one.is_conv else self.pool)
        if not one.is_conv:
            self.pool = start + work
            return self.pool, tail
        if one.dataflow != self.dataflow:
            start, self.dataflow = start + COST.dataflow_switch, one.dataflow
        self.array = start + work
        self.left -= work
        if self.array + self.left > self.most:
            raise ScheduleTooLong(1 + sum(other.steps for other in self.progress.values()))
        return self.array, tail

    def _release_stores(self) -> None:
        """Stores come after the steps that read the same lines: both use the same ports, and the array must not wait."""
        held = []
        for step in self.waiting:
            needed = any(
                reader.next < reader.total and lowest[reader.next // reader.units] < step.y1
                for reader, _, lowest in self.users.get(step.what, ())
                if step.what in reader.op.parts
            )  # fmt: skip
            (held if needed else self.steps).append(step)
        self.waiting = held

    @staticmethod
    def _pieces(kind: StepKind, tensor: Tensor, y0: int, y1: int) -> list[GroupStep]:
        """Transfers of lines y0 .. y1-1, in two parts so that the first need not wait for the room or the results of the other."""
        middle = (y0 + y1 + 1) // 2
        return [GroupStep(kind, tensor, a, b) for a, b in ((y0, middle), (middle, y1)) if b > a]
