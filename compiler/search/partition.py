"""Pass 4, scheduling: which operations run together as a group, in bands of how many lines, and what stays on chip.

A *group* is a run of operations that go over their maps in step, band by band. A map that only the group needs lies in a
*ring* of as many lines as are alive at the same time; a map of which the group reads a copy in DRAM is loaded line by line
into such a ring; one that is kept for later groups lies in the buffer whole. A group of one operation with whole maps is the
simplest case of the same thing.

The groups and the maps that are kept are found by dynamic programming over the operations: a state is how many operations are
done and which maps lie in the buffer.
"""

import dataclasses
import math

from squeezelerator.compiler.errors import GroupError
from squeezelerator.compiler.fusion.group_context import GroupContext

#: The same once the search's budget is spent.
_BRIEF = 3
#: States that are followed from each number of operations.
_STATES = 4
#: A group that makes the way so many times as long as another is not extended (if it happens twice).
_HOPELESS = 1.02


@dataclasses.dataclass(frozen=True)
class _State:
    """``resident``: {tensor: root tensor of its buffer} as a frozenset of pairs; ``path``: the groups so far, newest first."""

    cost: float
    live_in: frozenset
    path: tuple | None


class PartitionSearch:
    """Builds the :class:`NetworkSchedule`.

    Parameters
    ----------
    graph : compiler.ir.graph.Graph
    cfg : spec.machine.MachineConfig
    chooser : compiler.fusion.tiling.TilingSearch
    fusion : bool
        Whether a group may have more than one operation.
    capacity : int
        Rows of the activation buffer to use.
    """

    def __init__(self, graph, cfg, tiling_search, fusion, capacity):
        self.graph, self.cfg, self.tiling_search, self.capacity = graph, cfg, tiling_search, capacity
        self.longest = tiling_search.config.max_group_ops if fusion else 1
        self.ops = graph.ops
        position = {op: i for i, op in enumerate(self.ops)}
        self.last = {t: max((position[op] for op in readers), default=-1) for t, readers in graph.readers().items()}
        made = graph.producers()
        #: Operation -> homes of which it reads a range from DRAM: what writes them must be in an earlier group.
        self.behind = {op: {t.home for t in op.reads if t not in made and t is not graph.input} for op in self.ops}
        self._alone = {}
        #: What moving a row counts.
        self._row = cfg.row_beats * (1 + tiling_search.config.weights.beat)

    # -- one transition ---------------------------------------------------------------------------------------

    def _situation(self, start, end, live_in, live_out):
        ops = self.ops[start:end]
        produced = {op.out for op in ops}
        needed = {t for t in produced if t.home in self.graph.outputs or t in self.graph.sliced}
        stored = frozenset(t for t in produced if t in needed or (t not in live_out and self.last[t] >= end))
        touched = produced.union(*(op.reads for op in ops))
        ending = frozenset(t for t in touched if self.last[t] < end)
        return GroupContext(ops, live_in, live_out, stored, ending, self.tiling_search.config.buffer_reuse)

    def _live(self, live_in, position):
        """Rows of the buffers that hold tensors which operations from ``position`` on read."""
        roots = {root for t, root in live_in if self.last[t] >= position}
        return sum(root.rows(self.cfg.n) for root in roots)

    def _least_alone(self, position, live_in):
        here = frozenset(t for t in self.ops[position].reads if t in live_in)
        if (position, here) not in self._alone:
            context = self._situation(position, position + 1, here, frozenset())
            self._alone[position, here] = self.tiling_search.min_rows(context)
        return self._alone[position, here]

    def _room_later(self, end, live_in, live_out):
        """Whether each operation that comes while ``kept`` is kept could still run by itself."""
        everything = live_in | frozenset((t, t) for t in live_out)
        names = frozenset(t for t, _ in everything)
        for position in range(end, max(self.last[t] for t in live_out) + 1):
            here = frozenset(t for t in names if self.last[t] >= position)
            live = self._live(frozenset(p for p in everything if p[0] in here), position)
            if live + self._least_alone(position, here) > self.capacity:
                return False
        return True

    def _transitions(self, start, end, state, limit):
        """(choice, kept, resident afterwards) of every way to run operations start .. end-1 as a group and come to a cost below
        ``limit``."""
        live_in = frozenset(t for t, _ in state.live_in)
        room = self.capacity - self._live(state.live_in, start)
        wanted = [op.out for op in self.ops[start:end] if self.last[op.out] >= end]
        keeps = {frozenset(), frozenset(wanted), frozenset(wanted[-1:])}
        for live_out in sorted(keeps, key=len):
            later = frozenset(p for p in state.live_in if self.last[p[0]] >= end)
            if live_out and not self._room_later(end, later, live_out):
                continue
            context = self._situation(start, end, live_in, live_out)
            tiling = self.tiling_search.best(context, room, limit - state.cost)
            if tiling is None:
                continue
            known = dict(state.live_in)
            roots = context.roots(self.cfg.n, tiling.overwrite_streamed)
            now = {t: known.get(roots.get(t, t), roots.get(t, t)) for t in live_out}
            yield tiling, live_out, later | frozenset(now.items())

    # -- all of them ------------------------------------------------------------------------------------------

    def search(self):
        """(cost, path) of the cheapest way through the network; a path is a list of (situation, choice), one a group.

        Raises
        ------
        GroupError
            If an operation does not fit even a line at a time.
        """
        states = [{} for _ in range(len(self.ops) + 1)]
        states[0][frozenset()] = _State(0.0, frozenset(), None)
        # Short groups first: what they cost bounds the search for long ones.
        for longest in sorted({1, self.longest}):
            for start in range(len(self.ops)):
                for state in self._promising(states[start].values()):
                    self._extend(states, start, state, longest)
                if not states[start + 1] and not any(states[start + 1 :]):
                    self._refuse(start)
        final = min(states[-1].values(), key=lambda s: s.cost)
        return final.cost, self._path(final)

    def _promising(self, states):
        """The cheapest states; maps in the buffer are worth no more than bringing them there again."""
        ranked = sorted(states, key=lambda s: s.cost)
        found = []
        for state in ranked[:_STATES]:
            rows = sum(root.rows(self.cfg.n) for root in {root for _, root in state.live_in})
            if state.cost <= ranked[0].cost + 2 * rows * self._row:
                found.append(state)
        return found

    def _extend(self, states, start, state, longest):
        misses = 0
        for end in range(start + 1, min(len(self.ops), start + longest) + 1):
            if self.tiling_search.budget_spent and end > start + _BRIEF:
                return
            if any(op.out.home in self.behind[self.ops[end - 1]] for op in self.ops[start : end - 1]):
                return
            reached, min_rows = False, None
            known = min((s.cost for s in states[end].values()), default=math.inf)
            # Nothing in the buffer is worth more than bringing all of it there.
            limit = known + 2 * self.cfg.act_rows * self._row
            for tiling, live_out, live_in in self._transitions(start, end, state, limit):
                reached = True
                cost = state.cost + tiling.cost
                min_rows = cost if min_rows is None else min(cost, min_rows)
                if live_in not in states[end] or cost < states[end][live_in].cost:
                    states[end][live_in] = _State(cost, live_in, (start, end, tiling, live_out, state))
                if end == start + 1 and not tiling.dram_rows:
                    return  # everything lies in the buffer: going band by band through more operations gains nothing
            misses = misses + 1 if min_rows is not None and min_rows > _HOPELESS * known else 0
            if not reached or misses == 2:
                return

    def _refuse(self, start):
        op = self.ops[start]
        need = self._least_alone(start, frozenset())
        raise GroupError(f"layer {op.layers[0]}: needs {need} rows of activation buffer beside what it already holds, "
                         f"there are {self.capacity}", op.out)  # fmt: skip

    def _path(self, state):
        """(situation, choice) of every group on the way to ``state``."""
        path = []
        while state.path is not None:
            start, end, tiling, live_out, before = state.path
            path.append((self._situation(start, end, frozenset(t for t, _ in before.live_in), live_out), tiling))
            state = before
        return path[::-1]
