"""The order of work inside a group, and how many lines of each map are alive in it.

An operation advances in *units*: a segment of an output line for a convolution in OS, so that passes may end inside a line and
are always full; a whole line for everything else. In every step it computes a *quantum* of units. Of the operations whose inputs
are there the walk runs the one nearest to the group's end whose inputs have left the drain already, so that the array
always has something to do while results are on their way.
"""

import bisect
import math
from typing import NamedTuple

from squeezelerator.compiler.errors import CompileError


class GroupStep(NamedTuple):
    """One step of the schedule.

    ``kind`` "load" or "store": lines y0 .. y1-1 of the tensor ``what``; "step": units y0 .. y1-1 of the operation ``what``.
    """

    kind: str
    what: object
    y0: int
    y1: int


class TileRate(NamedTuple):
    """How an operation advances: ``units`` in a line, ``quantum`` units a step; ``mode``: dataflow of a convolution."""

    units: int
    quantum: int
    mode: int | None = None


class _Advance:
    """How far an operation has come in a walk, and what its next step takes.

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
    """

    __slots__ = ("first", "inputs", "is_conv", "left", "low", "mode", "needs", "next", "op", "out", "quantum", "step_counts", "top",
                 "total", "units", "upto")  # fmt: skip

    def __init__(self, op, rates, produced):
        self.op, self.out, self.is_conv = op, op.out, op.is_conv
        self.units, self.quantum, self.mode = rates
        self.total = op.out.h * self.units
        self.first = min(self.quantum, self.total)
        self.inputs = [(t, op.needed[t]) for t in op.reads if t in produced]
        self.next = self.step_counts = self.left = 0

    def prepare(self):
        """Look at the next step."""
        self.upto, self.low = self.target(1), self.next // self.units
        self.top = -(-self.upto // self.units)
        self.needs = [(tensor, needed[self.top]) for tensor, needed in self.inputs]

    def work(self, times):
        """Cycles of all its steps on the array or the pool unit."""
        count, rest = divmod(self.total - self.first, self.quantum)
        parts = ((1, self.first), (count, self.quantum), (1, rest))
        return sum(n * times(self.op, self.mode, units)[0] for n, units in parts if n and units)

    def target(self, quanta):
        """Units that are done after so many more steps."""
        if self.next:
            upto = self.next + quanta * self.quantum
        else:
            upto = self.first + (quanta - 1) * self.quantum
        return upto if upto < self.total else self.total


class ScheduleTooLong(CompileError):
    """A walk takes longer than what is of interest; ``steps`` were made until that was clear."""

    def __init__(self, step_counts):
        super().__init__("a group takes longer than others")
        self.step_counts = step_counts


def buffer_roots(overwrites):
    """{tensor: tensor in whose buffer it is written in place}, from {result: map whose place it takes} in the order of operations."""
    roots = {}
    for out, old in overwrites.items():
        roots[out] = roots.get(old, old)
    return roots


class LineSchedule:
    """Goes through a group step by step.

    Parameters
    ----------
    ops : list of compiler.ir.graph.Op
    pace : dict
        Operation -> :class:`TileRate`.
    times : callable(op, mode, units)
        (cycles on the array or the pool unit, cycles until the last result has left the drain after that, passes).
    streamed, stored, kept : collections of Tensor
        Maps that are loaded line by line, stored line by line, and that stay whole.
    over : dict
        Result -> map whose place it takes, line by line.
    ahead : int
        Quanta by which an operation may run ahead of what its reader needs next. -1: always the last operation that can run,
        whether its inputs have left the drain or not; this takes the fewest lines.
    early : bool
        Whether an operation's first step takes what its producers' first steps allow, instead of waiting until a whole quantum
        is possible: the maps between them then hold fewer lines, for one more pass.
    switch : int
        Cycles that a change of dataflow costs.
    most : float
        Cycles of the array and the changes of dataflow that are of interest: a walk that certainly takes more raises ScheduleTooLong.
    wait : int
        Cycles between a step and the next one of the same operation if that needs lines from DRAM: they come in the place of
        those that the first has used. 0: they are taken to be there.

    Attributes
    ----------
    roots : dict
        Tensor -> tensor in whose buffer it is written in place.
    items : list of Item
    steps : dict
        Operation -> its number of steps.
    array_work, pool_work : int
        Cycles of the steps of the array and of the pool unit.
    cycles : int
        Estimated duration without waiting for DRAM.
    slots : None
        A :class:`~compiler.fusion.channel_schedule.ChannelSchedule` has some.
    """

    def __init__(self, ops, rates, times, *, streamed, stored, live_out, overwrites, run_ahead, short_first_step, switch=0, reload_wait=0,
                 most=math.inf):  # fmt: skip
        self.ops, self.rates, self.times, self.overwrites = ops, rates, times, overwrites
        self.roots = roots = buffer_roots(overwrites)
        self.streamed, self.stored, self.live_out, self.run_ahead = streamed, stored, live_out, run_ahead
        self.produced = {op.out: op for op in ops}
        self.readers = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.short_first_step, self.overwrite_streamed, self.reload_wait, self.slots = short_first_step, None, reload_wait, None
        self.switch, self.dataflow = switch, None
        self.done = {t: 0 for t in (*streamed, *self.produced)}
        self.ready_at = {op.out: ([], []) for op in ops}
        self.array = self.pool = 0
        self.steps, self.lines, self.growth = [], {}, {}
        self.waiting = []
        self.members = {}
        for tensor in self.done:
            self.members.setdefault(roots.get(tensor, tensor), []).append(tensor)
        self._advance = {op: _Advance(op, rates[op], self.produced) for op in ops}
        #: Tensor -> [(advance of an operation that reads it, lines that it needs and reads from on)].
        self._users = {
            tensor: [(self._advance[op], op.needed[tensor], op.lowest[tensor]) for op in readers]
            for tensor, readers in self.readers.items()
        }  # fmt: skip
        if short_first_step:
            self._shorten_first_steps()
        self.array_work, self.pool_work = (
            sum(advance.work(times) for advance in self._advance.values() if advance.is_conv is conv) for conv in (True, False))
        self.left, self.most = self.array_work, most  # cycles of the steps that the array has still to do
        self.timed = {}  # what a timeline with certain rings has said
        self._run()
        self.step_counts = {op: advance.step_counts for op, advance in self._advance.items()}
        self.cycles = max(self.array, self.pool)

    def ring_lines(self, slack):
        """{root tensor: lines of its ring}.

        Loads and stores get lines of their own, to overlap with the work: ``slack`` times as many as a step transfers.
        """
        ring_lines = dict(self.lines)
        for tensor in (*self.streamed, *self.stored) if slack else ():
            root = self.roots.get(tensor, tensor)
            if root in ring_lines:
                # The first transfer brings the halo as well; nothing can overlap with that one.
                growth = self.growth[tensor][1:] or self.growth[tensor]
                ring_lines[root] = min(tensor.h, ring_lines[root] + max(1, round(max(growth) * slack)))
        return ring_lines

    def forget(self):
        """Drop what only the walk itself needed."""
        self.ready_at = self.done = self.members = self.waiting = self._advance = self._users = None

    @staticmethod
    def blocks(root, n):
        """Channel blocks of a ring."""
        return root.blocks(n)

    # -- lines ------------------------------------------------------------------------------------------------

    def _shorten_first_steps(self):
        """First steps take no more than what the first steps of their producers allow."""
        for advance in self._advance.values():
            for tensor, needed in advance.inputs:
                producer = self._advance[self.produced[tensor]]
                lines = producer.first // producer.units
                while advance.first > advance.units and needed[-(-advance.first // advance.units)] > lines:
                    advance.first -= 1

    def _low(self, tensor):
        """First line of ``tensor`` that is still needed."""
        if tensor in self.live_out:
            return 0
        low = tensor.h
        for step in self.waiting:
            if step.what is tensor and step.y0 < low:
                low = step.y0
        for advance, _, lowest in self._users.get(tensor, ()):
            if advance.next < advance.total:
                line = lowest[advance.next // advance.units]
                low = line if line < low else low
        return low

    def _grow(self, tensor, complete, touched, low):
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

    def _startable(self, advance):
        """Whether its next quantum has all its inputs and may be written."""
        for tensor, lines in advance.needs:
            if self.done[tensor] < lines:
                return False
        op = advance.op
        if op.out in self.overwrites:
            # In place: whoever else reads the old contents must be done with these lines.
            for other, _, lowest in self._users[self.overwrites[op.out]]:
                if other is not advance and other.next < other.total and lowest[other.next // other.units] < advance.top:
                    return False
        return True

    def _wanted(self, advance):
        """Whether a reader in the group lacks lines for its next quanta (or nobody in it reads the result)."""
        users = self._users.get(advance.out)
        if not users:
            return True
        done = self.done[advance.out]
        for reader, needed, _ in users:
            if reader.next < reader.total and done < needed[-(-reader.target(1 + self.run_ahead) // reader.units)]:
                return True
        return False

    def _inputs_at(self, advance):
        """When the inputs of its next quantum have left the drain."""
        when = 0
        for tensor, need in advance.needs:
            lines, times = self.ready_at[tensor]
            at = bisect.bisect_left(lines, need)
            if at < len(times) and times[at] > when:
                when = times[at]
        if self.reload_wait and advance.next:
            for tensor in advance.op.reads:
                if tensor in self.streamed and self.done[tensor] < advance.op.needed[tensor][advance.top]:
                    # The lines that it needs next come in the place of those that it has just used.
                    when = max(when, advance.left)
        return when

    def _choose(self, unfinished):
        """Of these operations the one whose next quantum comes next, or None if none can start."""
        fallback = best = None
        for advance in unfinished:
            if not self._startable(advance):
                continue
            if self.run_ahead < 0:
                return advance
            fallback = fallback or advance
            if self._wanted(advance):
                at = self._inputs_at(advance)
                if not advance.is_conv or at <= self.array:
                    return advance
                if best is None or at < best[0]:
                    best = (at, advance)
        return best[1] if best else fallback

    def _run(self):
        unfinished = list(self._advance.values())[::-1]
        for advance in unfinished:
            advance.prepare()
        while unfinished:
            advance = self._choose(unfinished)
            if advance is None:
                # Only a band that waits for itself through an in-place buffer gets here; the caller drops such a choice.
                raise CompileError(f"layer {self.ops[0].layers[0]}: no order of lines works in place")
            self._step(advance)
            if advance.next < advance.total:
                advance.prepare()
            else:
                unfinished.remove(advance)

    def _step(self, advance):
        op, u0, u1, done = advance.op, advance.next, advance.upto, self.done
        for tensor in op.reads:
            if tensor in self.streamed:
                need = op.needed[tensor][advance.top]
                if done[tensor] < need:
                    self.steps += self._pieces("load", tensor, done[tensor], need)
                    self._grow(tensor, need, need, tensor.h)
        self.steps.append(GroupStep("step", op, u0, u1))
        work, tail, _ = self.times(op, advance.mode, u1 - u0)
        start = max(self._inputs_at(advance), self.array if advance.is_conv else self.pool)
        if advance.is_conv:
            if advance.mode != self.dataflow:
                start, self.dataflow = start + self.switch, advance.mode
            self.array = start + work
            self.left -= work
            if self.array + self.left > self.most:
                raise ScheduleTooLong(1 + sum(a.step_counts for a in self._advance.values()))
        else:
            self.pool = start + work
        advance.left = start + work + self.reload_wait
        complete = u1 // advance.units
        lines, times = self.ready_at[op.out]
        lines.append(complete)
        times.append(start + work + tail)
        self._grow(op.out, complete, advance.top, advance.low)
        advance.next = u1
        advance.step_counts += 1
        if op.out in self.stored and complete > advance.low:
            self.waiting += self._pieces("store", op.out, advance.low, complete)
        if self.waiting:
            self._release_stores()

    def _release_stores(self):
        """Stores come after the steps that read the same lines: both use the same ports, and the array must not wait."""
        held = []
        for step in self.waiting:
            needed = any(
                advance.next < advance.total and lowest[advance.next // advance.units] < step.y1
                for advance, _, lowest in self._users.get(step.what, ())
                if step.what in advance.op.parts
            )  # fmt: skip
            (held if needed else self.steps).append(step)
        self.waiting = held

    @staticmethod
    def _pieces(kind, tensor, y0, y1):
        """Transfers of lines y0 .. y1-1, in two parts so that the first need not wait for the room or the results of the other."""
        middle = (y0 + y1 + 1) // 2
        return [GroupStep(kind, tensor, a, b) for a, b in ((y0, middle), (middle, y1)) if b > a]
