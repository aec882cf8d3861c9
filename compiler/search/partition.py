"""Beam search over fusion partitions: which operations run together as a group, and what stays on chip between groups.

A *group* is a run of operations that go over their maps in step, band by band. A map that only the group needs lies in a ring buffer of as
many lines as are alive at the same time; a map of which the group reads a copy in DRAM is loaded line by line into such a buffer; one that
is live across groups lies in the buffer whole. A group of one operation with whole maps is the simplest case of the same thing.

A state of the search is how many operations are done and which maps lie in the buffer; from each number of operations the cheapest states
are followed.
"""

import dataclasses
import math
from collections.abc import Collection, Iterator

from squeezelerator.compiler.errors import GroupError, larger_buffer
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling import Tiling
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.graph import Graph, Tensor
from squeezelerator.compiler.tuning import PARTITION
from squeezelerator.spec.machine import MachineConfig

#: Maps that lie in the buffer whole: (tensor, root tensor of its buffer).
_Resident = frozenset[tuple[Tensor, Tensor]]

#: A way through the network: context and tiling of each group.
Partition = list[tuple[GroupContext, Tiling]]


@dataclasses.dataclass(frozen=True)
class _State:
    """A partition of the operations so far, as a chain: its cost, the maps that lie in the buffer, its last group and the state before."""

    cost: float
    resident: _Resident
    last: "_GroupChoice | None"


@dataclasses.dataclass(frozen=True)
class _GroupChoice:
    """Operations ``start`` .. ``end - 1`` as a group, which leaves ``live_out`` in the buffer, after the state ``before``."""

    start: int
    end: int
    tiling: Tiling
    live_out: frozenset[Tensor]
    before: _State


#: {maps in the buffer: cheapest state} for a number of operations.
_States = dict[_Resident, _State]


class PartitionSearch:
    """Finds the cheapest partition.

    Parameters
    ----------
    graph : Graph
    cfg : spec.machine.MachineConfig
    tiling_search : TilingSearch
    fusion : bool
        Whether a group may have more than one operation.
    capacity : int
        Rows of the activation buffer to use.
    """

    def __init__(self, graph: Graph, cfg: MachineConfig, tiling_search: TilingSearch, fusion: bool, capacity: int) -> None:
        self.graph, self.cfg, self.tiling_search, self.capacity = graph, cfg, tiling_search, capacity
        self.max_group_ops = tiling_search.config.max_group_ops if fusion else 1
        self.ops = graph.ops
        position = {op: i for i, op in enumerate(self.ops)}
        self.last = {t: max((position[op] for op in readers), default=-1) for t, readers in graph.readers().items()}
        made = graph.producers()
        #: Operation -> maps in DRAM of which it reads a slice: what writes them must be in an earlier group.
        self.behind = {op: {t.home for t in op.reads if t not in made and t is not graph.input} for op in self.ops}
        self._alone: dict[tuple[int, frozenset[Tensor]], int] = {}
        #: What moving a row counts.
        self._row_cost = tiling_search.config.memory.row_cycles(cfg) + cfg.row_beats * tiling_search.config.weights.beat

    def search(self) -> tuple[float, Partition]:
        """(cost, partition) of the cheapest way through the network.

        Raises
        ------
        GroupError
            If an operation does not fit even a line at a time.
        """
        states: list[_States] = [{} for _ in range(len(self.ops) + 1)]
        states[0][frozenset()] = _State(0.0, frozenset(), None)
        # Short groups first: what they cost bounds the search for long ones.
        for longest in sorted({1, self.max_group_ops}):
            for start in range(len(self.ops)):
                for state in self._beam(states[start].values()):
                    self._extend(states, start, state, longest)
                if not states[start + 1] and not any(states[start + 1 :]):
                    self._refuse(start)
        final = min(states[-1].values(), key=lambda state: state.cost)
        return final.cost, self._partition(final)

    # -- one group --------------------------------------------------------------------------------------------

    def _context(self, start: int, end: int, live_in: frozenset[Tensor], live_out: frozenset[Tensor]) -> GroupContext:
        ops = self.ops[start:end]
        produced = {op.out for op in ops}
        stored = frozenset(t for t in produced if self._is_delivered(t) or (t not in live_out and self.last[t] >= end))
        touched = produced.union(*(op.reads for op in ops))
        last_used = frozenset(t for t in touched if self.last[t] < end)
        return GroupContext(ops, live_in, live_out, stored, last_used, self.tiling_search.config.buffer_reuse)

    def _is_delivered(self, tensor: Tensor) -> bool:
        """Whether a map must be in DRAM whoever reads it."""
        return tensor.home in self.graph.outputs or tensor in self.graph.sliced

    def _live_rows(self, resident: _Resident, position: int) -> int:
        """Rows of the buffers that hold tensors which operations from ``position`` on read."""
        roots = {root for t, root in resident if self.last[t] >= position}
        return sum(root.rows(self.cfg.n) for root in roots)

    def _min_rows_alone(self, position: int, resident: Collection[Tensor]) -> int:
        here = frozenset(t for t in self.ops[position].reads if t in resident)
        if (position, here) not in self._alone:
            self._alone[position, here] = self.tiling_search.min_rows(self._context(position, position + 1, here, frozenset()))
        return self._alone[position, here]

    def _leaves_room(self, end: int, resident: _Resident, live_out: frozenset[Tensor]) -> bool:
        """Whether each operation that comes while ``live_out`` stays could still run by itself."""
        everything = resident | frozenset((t, t) for t in live_out)
        for position in range(end, max(self.last[t] for t in live_out) + 1):
            here = frozenset(t for t, _ in everything if self.last[t] >= position)
            live = self._live_rows(frozenset(pair for pair in everything if pair[0] in here), position)
            if live + self._min_rows_alone(position, here) > self.capacity:
                return False
        return True

    def _transitions(self, start: int, end: int, state: _State, limit: float) -> Iterator[tuple[Tiling, frozenset[Tensor], _Resident]]:
        """(tiling, maps that stay, maps in the buffer afterwards) of every way to run operations start .. end-1 as a group and come to a
        cost below ``limit``."""
        live_in = frozenset(t for t, _ in state.resident)
        room = self.capacity - self._live_rows(state.resident, start)
        wanted = [op.out for op in self.ops[start:end] if self.last[op.out] >= end]
        later = frozenset(pair for pair in state.resident if self.last[pair[0]] >= end)
        for live_out in sorted({frozenset[Tensor](), frozenset(wanted), frozenset(wanted[-1:])}, key=len):
            if live_out and not self._leaves_room(end, later, live_out):
                continue
            context = self._context(start, end, live_in, live_out)
            tiling = self.tiling_search.best(context, room, limit - state.cost)
            if tiling is None:
                continue
            known = dict(state.resident)
            roots = context.roots(self.cfg.n, tiling.spec.overwrite_streamed)
            now = {t: known.get(roots.get(t, t), roots.get(t, t)) for t in live_out}
            yield tiling, live_out, later | frozenset(now.items())

    # -- all of them ------------------------------------------------------------------------------------------

    def _beam(self, states: Collection[_State]) -> list[_State]:
        """The cheapest states; maps in the buffer are worth no more than bringing them there again."""
        ranked = sorted(states, key=lambda state: state.cost)
        found = []
        for state in ranked[: PARTITION.beam_width]:
            rows = sum(root.rows(self.cfg.n) for root in {root for _, root in state.resident})
            if state.cost <= ranked[0].cost + 2 * rows * self._row_cost:
                found.append(state)
        return found

    def _ends(self, start: int, longest: int) -> Iterator[int]:
        """Operations before which a group that begins with ``start`` may end, nearest first."""
        for end in range(start + 1, min(len(self.ops), start + longest) + 1):
            if self.tiling_search.budget_spent and end > start + PARTITION.short_extension:
                return
            if any(op.out.home in self.behind[self.ops[end - 1]] for op in self.ops[start : end - 1]):
                return
            yield end

    def _extend(self, states: list[_States], start: int, state: _State, longest: int) -> None:
        """Add the states that a group after ``state`` leads to."""
        misses = 0
        for end in self._ends(start, longest):
            known = min((s.cost for s in states[end].values()), default=math.inf)
            least, without_dram = self._add_states(states[end], start, end, state, known)
            if without_dram:
                return  # everything lies in the buffer: going band by band through more operations gains nothing
            misses = misses + 1 if least < math.inf and least > PARTITION.hopeless * known else 0
            if least == math.inf or misses == PARTITION.hopeless_twice:
                return

    def _add_states(self, reached: _States, start: int, end: int, state: _State, known: float) -> tuple[float, bool]:
        """Add to ``reached`` what operations start .. end-1 as a group lead to; ``known``: the cheapest state there before.

        Returns the least cost, infinite if there is none, and whether a single operation moves nothing but weights.
        """
        least = math.inf
        # Nothing in the buffer is worth more than bringing all of it there.
        limit = known + 2 * self.cfg.act_rows * self._row_cost
        for tiling, live_out, resident in self._transitions(start, end, state, limit):
            cost = state.cost + tiling.cost
            least = min(cost, least)
            if resident not in reached or cost < reached[resident].cost:
                reached[resident] = _State(cost, resident, _GroupChoice(start, end, tiling, live_out, state))
            if end == start + 1 and not tiling.dram_rows:
                return least, True
        return least, False

    def _refuse(self, start: int) -> None:
        op = self.ops[start]
        need = self._min_rows_alone(start, frozenset())
        raise GroupError(f"layer {op.layers[0]}: needs {need} rows of activation buffer beside what it already holds, there are "
                         f"{self.capacity}" + larger_buffer(self.cfg, lambda larger: larger.act_rows >= need), op.out)  # fmt: skip

    def _partition(self, state: _State) -> Partition:
        """The groups on the way to ``state``."""
        found: Partition = []
        while state.last is not None:
            group, before = state.last, state.last.before
            live_in = frozenset(t for t, _ in before.resident)
            found.append((self._context(group.start, group.end, live_in, group.live_out), group.tiling))
            state = before
        return found[::-1]
