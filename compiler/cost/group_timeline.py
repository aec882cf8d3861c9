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


class Timeline:
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
        See :class:`~compiler.search.configuration.Strategy`.

    Attributes
    ----------
    cycles : int
        When the next group can begin.
    """

    def __init__(self, walk, rings, line_beats, weight_beats, held, hasty):
        self.walk, self.rings, self.line_beats, self.hasty = walk, rings, line_beats, hasty
        self.held = held
        self.there, self.read, self.saved = {}, {}, {}
        self.array = self.pool = self.load = self.store = self.moved = 0
        self.bus = Bus()
        self.drained = (0, 0)  # the last two passes: a pass takes the register-file bank that the one before last has left
        self.dataflow = MODE_OS  # most of what stands around a group runs in OS
        for op in walk.ops:
            for tensor in (*op.reads, op.out):
                self.there.setdefault(tensor, _Lines())
            for tensor in op.reads:
                self.read[tensor, op] = _Lines()
        self.saved = {tensor: _Lines() for tensor in walk.stored}
        self.members = {}
        for tensor in self.there:
            self.members.setdefault(walk.roots.get(tensor, tensor), []).append(tensor)
        self._used = {t: list(self._users(t)) for t in self.there if walk.roots.get(t, t) in rings}
        fetched = set()
        for item in walk.items:
            if item.kind == "load":
                self._load(item)
            elif item.kind == "store":
                self._store(item)
            else:
                once, each = weight_beats(item.what)
                beats = each + (once if item.what not in fetched else 0)
                fetched.add(item.what)
                # Weights come ahead of time: they take the bus and delay nothing by themselves.
                self.load = self._move(self.load, beats)
                self._step(item)
        # The last stores run while the next group computes; it waits only for what it reads in the buffer.
        array = self.array + (walk.switch if self.dataflow != MODE_OS else 0)
        self.cycles = max(array, self.pool, self.load, self.moved)
        if not hasty:
            self.cycles = max(self.cycles, self.drained[1], self.store)
        elif walk.kept:
            # The last stores run while the next group computes; it waits only for what it reads in the buffer.
            self.cycles = max(self.cycles, self.drained[1])

    def _move(self, start, beats):
        """Cycle in which a transfer that may begin at ``start`` is over."""
        self.moved += beats
        return self.bus.reserve(start, beats) if self.hasty else start + beats

    def _room(self, tensor, top):
        """When lines of ``tensor`` up to ``top`` may be written: everything before the ring's length has been used."""
        used = self._used.get(tensor)
        if used is None:
            return 0
        old, when = top - self.rings[self.walk.roots.get(tensor, tensor)], 0
        if old > 0:
            for lines in used:
                when = max(when, lines.when(old))
        return when

    def _users(self, tensor):
        """The :class:`_Lines` of all that must be over before a line of a tensor's ring is written again."""
        walk = self.walk
        for member in self.members[walk.roots.get(tensor, tensor)]:
            if member is tensor or member in walk.stored or member not in walk.produced:
                yield from (self.read[member, reader] for reader in walk.readers.get(member, ()))
                if member in self.saved:
                    yield self.saved[member]

    def _load(self, item):
        beats = (item.y1 - item.y0) * self.line_beats(item.what)
        start = max(self.load, self._room(item.what, item.y1))
        self.load = self._move(start, beats)
        self.there[item.what].add(item.y1, self.load + _LATENCY)

    def _store(self, item):
        beats = (item.y1 - item.y0) * self.line_beats(item.what)
        start = max(self.store, self.there[item.what].when(item.y1))
        self.store = self._move(start, beats)
        # The last rows are read before there is room for them on the bus.
        self.saved[item.what].add(item.y1, max(start, self.store + _LATENCY - self.held) if beats > self.held else start + beats)

    def _step(self, item):
        walk, op = self.walk, item.what
        units = walk.pace[op].units
        complete, touched = item.y1 // units, -(-item.y1 // units)
        dataflow = walk.pace[op].mode
        work, tail, passes = walk.times(op, dataflow, item.y1 - item.y0)
        ready = max([self.there[t].when(op.needed[t][touched]) for t in op.parts], default=0)
        room = self._room(op.out, touched)
        if op.is_conv:
            start = max(self.array, ready, self.drained[0])
            if dataflow != self.dataflow:
                start, self.dataflow = start + walk.switch, dataflow
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
            low = tensor.h if item.y1 >= op.out.h * units else op.lowest[tensor][item.y1 // units]
            self.read[tensor, op].add(low, end if tensor is op.residual else start + work)
