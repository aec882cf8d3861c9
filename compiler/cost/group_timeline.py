"""How long a group takes, with its transfers: a small simulation of its items on array, drain, pool unit and bus.

Rings are finite here: a transfer or a drain waits until the lines that it overwrites have been read. Loads come as early as that
and their order allow, which is what :mod:`compiler.codegen.transfers` makes of them.
"""

import bisect

from squeezelerator.compiler.cost.bus import Bus
from squeezelerator.spec.isa import MODE_OS

#: Cycles from asking DRAM to its first beat.
_LATENCY = 110


class _Lines:
    """When something has happened to the lines of a map: ``upto`` lines by ``times``, both rising."""

    def __init__(self):
        self.upto, self.times = [], []

    def add(self, lines, time):
        if self.times:
            time = max(time, self.times[-1])
        self.upto.append(lines)
        self.times.append(time)

    def when(self, lines):
        """First time by which it has happened to lines 0 .. ``lines`` - 1."""
        if lines <= 0:
            return 0
        at = bisect.bisect_left(self.upto, lines)
        return self.times[at] if at < len(self.times) else 0


class GroupTimeline:
    """Simulates a walk.

    Parameters
    ----------
    walk : compiler.fusion.line_schedule.Walk
    rings : dict
        Root tensor -> lines of its ring.
    line_beats : callable(tensor)
        Beats that a line of a tensor takes on the bus.
    weight_beats : callable(op)
        (beats once for the group, beats for every step) of an operation's weights.
    held : int
        Beats that STORE has read ahead of the bus, at most.
    hasty : bool
        See :class:`~compiler.search.configuration.SearchConfig`.

    Attributes
    ----------
    cycles : int
        When the next group can begin.
    """

    def __init__(self, schedule, ring_lines, line_beats, weight_beats, held, overlap_transfers):
        self.schedule, self.ring_lines, self.line_beats, self.overlap_transfers = schedule, ring_lines, line_beats, overlap_transfers
        self.held = held
        self.there, self.read, self.saved = {}, {}, {}
        self.array = self.pool = self.load = self.store = self.moved = 0
        self.bus = Bus()
        self.drained = (0, 0)  # the last two passes: a pass takes the register-file bank that the one before last has left
        self.dataflow = MODE_OS  # most of what stands around a group runs in OS
        for op in schedule.ops:
            for tensor in (*op.reads, op.out):
                self.there.setdefault(tensor, _Lines())
            for tensor in op.reads:
                self.read[tensor, op] = _Lines()
        self.saved = {tensor: _Lines() for tensor in schedule.stored}
        self.members = {}
        for tensor in self.there:
            self.members.setdefault(schedule.roots.get(tensor, tensor), []).append(tensor)
        self._used = {t: list(self._users(t)) for t in self.there if schedule.roots.get(t, t) in ring_lines}
        fetched = set()
        for step in schedule.steps:
            if step.kind == "load":
                self._load(step)
            elif step.kind == "store":
                self._store(step)
            else:
                once, each = weight_beats(step.what)
                beats = each + (once if step.what not in fetched else 0)
                fetched.add(step.what)
                # Weights come ahead of time: they take the bus and delay nothing by themselves.
                self.load = self._move(self.load, beats)
                self._step(step)
        # The last stores run while the next group computes; it waits only for what it reads in the buffer.
        array = self.array + (schedule.switch if self.dataflow != MODE_OS else 0)
        self.cycles = max(array, self.pool, self.load, self.moved)
        if not overlap_transfers:
            self.cycles = max(self.cycles, self.drained[1], self.store)
        elif schedule.live_out:
            # The last stores run while the next group computes; it waits only for what it reads in the buffer.
            self.cycles = max(self.cycles, self.drained[1])

    def _move(self, start, beats):
        """Cycle in which a transfer that may begin at ``start`` is over."""
        self.moved += beats
        return self.bus.reserve(start, beats) if self.overlap_transfers else start + beats

    def _room(self, tensor, top):
        """When lines of ``tensor`` up to ``top`` may be written: everything before the ring's length has been used."""
        used = self._used.get(tensor)
        if used is None:
            return 0
        old, when = top - self.ring_lines[self.schedule.roots.get(tensor, tensor)], 0
        if old > 0:
            for lines in used:
                when = max(when, lines.when(old))
        return when

    def _users(self, tensor):
        """The :class:`_Lines` of all that must be over before a line of a tensor's ring is written again."""
        schedule = self.schedule
        for member in self.members[schedule.roots.get(tensor, tensor)]:
            if member is tensor or member in schedule.stored or member not in schedule.produced:
                yield from (self.read[member, reader] for reader in schedule.readers.get(member, ()))
                if member in self.saved:
                    yield self.saved[member]

    def _load(self, step):
        beats = (step.y1 - step.y0) * self.line_beats(step.what)
        start = max(self.load, self._room(step.what, step.y1))
        self.load = self._move(start, beats)
        self.there[step.what].add(step.y1, self.load + _LATENCY)

    def _store(self, step):
        beats = (step.y1 - step.y0) * self.line_beats(step.what)
        start = max(self.store, self.there[step.what].when(step.y1))
        self.store = self._move(start, beats)
        # The last rows are read before there is room for them on the bus.
        self.saved[step.what].add(step.y1, max(start, self.store + _LATENCY - self.held) if beats > self.held else start + beats)

    def _step(self, step):
        schedule, op = self.schedule, step.what
        units = schedule.rates[op].units
        complete, touched = step.y1 // units, -(-step.y1 // units)
        dataflow = schedule.rates[op].mode
        work, tail, passes = schedule.times(op, dataflow, step.y1 - step.y0)
        ready = max([self.there[t].when(op.needed[t][touched]) for t in op.parts], default=0)
        room = self._room(op.out, touched)
        if op.is_conv:
            start = max(self.array, ready, self.drained[0])
            if dataflow != self.dataflow:
                start, self.dataflow = start + schedule.switch, dataflow
            self.array = start + work
            other = self.there[op.residual].when(touched) if op.residual else 0
            first = max(start + work // passes, room, other, self.drained[1])
            end = max(first + passes * tail, start + work + tail)
            self.drained = (self.drained[1] if passes == 1 else end - tail, end)
            # Only two passes' sums fit the register files.
            self.array = max(self.array, end - 2 * tail if passes > 1 else 0)
        else:
            start = max(self.pool, ready, room)
            self.pool = start + work
            end = start + work + tail
        self.there[op.out].add(complete, end)
        for tensor in op.reads:
            low = tensor.h if step.y1 >= op.out.h * units else op.lowest[tensor][step.y1 // units]
            self.read[tensor, op].add(low, end if tensor is op.residual else start + work)
