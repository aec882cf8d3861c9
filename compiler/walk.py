"""The order of work inside a group, and how many lines of each map are alive in it.

An operation advances in *units*: a segment of an output line for a convolution in OS, so that passes may end inside a line and
are always full; a whole line for everything else. In every step it computes a *quantum* of units. Of the operations whose inputs
are there the walk runs the one nearest to the group's end whose inputs have left the drain already, so that the array
always has something to do while results are on their way.
"""

import bisect
import dataclasses

from compiler.errors import CompileError


@dataclasses.dataclass(frozen=True)
class Item:
    """One step of the schedule.

    ``kind`` "load" or "store": lines y0 .. y1-1 of the tensor ``what``; "step": units y0 .. y1-1 of the operation ``what``.
    """

    kind: str
    what: object
    y0: int
    y1: int


@dataclasses.dataclass(frozen=True)
class Pace:
    """How an operation advances: ``units`` in a line, ``quantum`` units a step; ``mode``: dataflow of a convolution."""

    units: int
    quantum: int
    mode: int | None = None


class Walk:
    """Goes through a group step by step.

    Parameters
    ----------
    ops : list of compiler.graph.Op
    pace : dict
        Operation -> :class:`Pace`.
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
    cycles : int
        Estimated duration without waiting for DRAM.
    """

    def __init__(self, ops, pace, times, *, streamed, stored, kept, over, ahead, early, switch=0, wait=0):
        self.ops, self.pace, self.times, self.over = ops, pace, times, over
        self.roots = roots = {}
        for out, old in over.items():
            roots[out] = roots.get(old, old)
        self.streamed, self.stored, self.kept, self.ahead = streamed, stored, kept, ahead
        self.produced = {op.out: op for op in ops}
        self.readers = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.next = dict.fromkeys(ops, 0)
        self.steps = dict.fromkeys(ops, 0)
        self.left, self.wait = {}, wait
        self.early, self.share = early, None
        self.switch, self.dataflow = switch, None
        self.total = {op: op.out.h * pace[op].units for op in ops}
        self.done = {t: 0 for t in (*streamed, *self.produced)}
        self.ready_at = {op.out: ([], []) for op in ops}
        self.array = self.pool = 0
        self.items, self.lines, self.growth = [], {}, {}
        self.waiting = []
        self.members = {}
        for tensor in self.done:
            self.members.setdefault(roots.get(tensor, tensor), []).append(tensor)
        self.first = self._first_steps(early)
        self._run()
        self.cycles = max(self.array, self.pool)

    def rings(self, slack):
        """{root tensor: lines of its ring}.

        Loads and stores get lines of their own, to overlap with the work: ``slack`` times as many as a step transfers.
        """
        rings = dict(self.lines)
        for tensor in (*self.streamed, *self.stored) if slack else ():
            root = self.roots.get(tensor, tensor)
            if root in rings:
                # The first transfer brings the halo as well; nothing can overlap with that one.
                growth = self.growth[tensor][1:] or self.growth[tensor]
                rings[root] = min(tensor.h, rings[root] + max(1, round(max(growth) * slack)))
        return rings

    # -- lines ------------------------------------------------------------------------------------------------

    def _first_steps(self, early):
        """{operation: units of its first step}."""
        first = {}
        for op in self.ops:
            units, quantum = self.pace[op].units, self.pace[op].quantum
            first[op] = min(quantum, self.total[op])
            for tensor in op.reads if early else ():
                if tensor in self.produced:
                    lines = self._lines(self.produced[tensor], first[self.produced[tensor]])[0]
                    while first[op] > units and op.lines_needed(tensor, self._lines(op, first[op])[1]) > lines:
                        first[op] -= 1
        return first

    def _target(self, op, quanta=1):
        start = self.next[op]
        if start == 0:
            start, quanta = self.first[op], quanta - 1
        return min(self.total[op], start + quanta * self.pace[op].quantum)

    def _lines(self, op, units):
        """(complete lines, lines touched) after so many units."""
        return units // self.pace[op].units, -(-units // self.pace[op].units)

    def _low(self, tensor):
        """First line of ``tensor`` that is still needed."""
        if tensor in self.kept:
            return 0
        low = min((item.y0 for item in self.waiting if item.what is tensor), default=tensor.h)
        for op in self.readers.get(tensor, ()):
            if self.next[op] < self.total[op]:
                low = min(low, op.first_line(tensor, self.next[op] // self.pace[op].units))
        return low

    def _grow(self, tensor, complete, touched, low_of_new):
        """``tensor`` now has so many complete lines, and ``touched`` with the one that is not."""
        self.growth.setdefault(tensor, []).append(touched - self.done[tensor])
        self.done[tensor] = complete
        root = self.roots.get(tensor, tensor)
        if root not in self.done:
            return  # lives in a buffer that an earlier group filled
        members = self.members[root]
        top = max(touched, *(self.done[t] for t in members))
        low = min([low_of_new, *(min(self._low(t), self.done[t]) for t in members)])
        self.lines[root] = max(self.lines.get(root, 0), top - low)

    # -- choice of the next step ------------------------------------------------------------------------------

    def _startable(self, op):
        """Whether its next quantum has all its inputs and may be written."""
        y1 = self._lines(op, self._target(op))[1]
        for tensor in op.reads:
            if tensor in self.produced and self.done[tensor] < op.lines_needed(tensor, y1):
                return False
        if op.out in self.over:
            # In place: whoever else reads the old contents must be done with these lines.
            old = self.over[op.out]
            for other in self.readers[old]:
                if other is not op and self.next[other] < self.total[other]:
                    if other.first_line(old, self.next[other] // self.pace[other].units) < y1:
                        return False
        return True

    def _wanted(self, op):
        """Whether a reader in the group lacks lines for its next quanta (or nobody in it reads the result)."""
        unfinished = [r for r in self.readers.get(op.out, ()) if self.next[r] < self.total[r]]
        if not self.readers.get(op.out):
            return True
        return any(
            self.done[op.out] < r.lines_needed(op.out, self._lines(r, self._target(r, 1 + self.ahead))[1]) for r in unfinished
        )

    def _inputs_at(self, op):
        """When the inputs of its next quantum have left the drain."""
        y1, when = self._lines(op, self._target(op))[1], 0
        for tensor in op.reads:
            if tensor in self.produced:
                lines, times = self.ready_at[tensor]
                at = bisect.bisect_left(lines, op.lines_needed(tensor, y1))
                when = max(when, times[at]) if at < len(times) else when
            elif self.wait and tensor in self.streamed and self.next[op] and self.done[tensor] < op.lines_needed(tensor, y1):
                # The lines that it needs next come in the place of those that it has just used.
                when = max(when, self.left[op])
        return when

    def _choose(self):
        """The operation whose next quantum comes next, or None if none can start."""
        fallback = best = None
        for op in reversed(self.ops):
            if self.next[op] >= self.total[op] or not self._startable(op):
                continue
            if self.ahead < 0:
                return op
            fallback = fallback or op
            if self._wanted(op):
                at = self._inputs_at(op)
                if not op.is_conv or at <= self.array:
                    return op
                if best is None or at < best[0]:
                    best = (at, op)
        return best[1] if best else fallback

    def _run(self):
        while any(self.next[op] < self.total[op] for op in self.ops):
            op = self._choose()
            if op is None:
                # Only a band that waits for itself through an in-place buffer gets here; the caller drops such a choice.
                raise CompileError(f"layer {self.ops[0].layers[0]}: no order of lines works in place")
            self._step(op)

    def _step(self, op):
        u0, u1 = self.next[op], self._target(op)
        before, after = self._lines(op, u0)[0], self._lines(op, u1)
        for tensor in op.reads:
            need = op.lines_needed(tensor, after[1])
            if tensor in self.streamed and self.done[tensor] < need:
                self.items += self._pieces("load", tensor, self.done[tensor], need)
                self._grow(tensor, need, need, tensor.h)
        self.items.append(Item("step", op, u0, u1))
        dataflow = self.pace[op].mode
        work, tail, _ = self.times(op, dataflow, u1 - u0)
        start = max(self._inputs_at(op), self.array if op.is_conv else self.pool)
        if op.is_conv and dataflow != self.dataflow:
            start, self.dataflow = start + self.switch, dataflow
        if op.is_conv:
            self.array = start + work
        else:
            self.pool = start + work
        self.left[op] = start + work + self.wait
        lines, times = self.ready_at[op.out]
        lines.append(after[0])
        times.append(start + work + tail)
        self._grow(op.out, after[0], after[1], before)
        self.next[op] = u1
        self.steps[op] += 1
        if op.out in self.stored and after[0] > before:
            self.waiting += self._pieces("store", op.out, before, after[0])
        self._release_stores()

    def _release_stores(self):
        """Stores come after the steps that read the same lines: both use the same ports, and the array must not wait."""
        held = []
        for item in self.waiting:
            readers = [op for op in self.readers.get(item.what, ()) if item.what in op.parts and self.next[op] < self.total[op]]
            needed = any(op.first_line(item.what, self.next[op] // self.pace[op].units) < item.y1 for op in readers)
            (held if needed else self.items).append(item)
        self.waiting = held

    @staticmethod
    def _pieces(kind, tensor, y0, y1):
        """Transfers of lines y0 .. y1-1, in two parts so that the first need not wait for the room or the results of the other."""
        middle = (y0 + y1 + 1) // 2
        return [Item(kind, tensor, a, b) for a, b in ((y0, middle), (middle, y1)) if b > a]
