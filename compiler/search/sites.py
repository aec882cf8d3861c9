"""Sites: where local search places a group's buffers for a trial, by itself or beside what other groups need."""

from collections.abc import Hashable, Mapping, Sequence

from squeezelerator.compiler.fusion.group import Group, GroupPlan, build_group
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.memory.allocate import AllocationError, allocate_group, assign_bases
from squeezelerator.compiler.memory.joint_allocate import joint_allocations
from squeezelerator.compiler.tuning import LOCAL_SEARCH


class IsolatedSite:
    """A group placed by itself; of the buffers of other groups, ``fixed`` {tensor: Buffer}, it uses copies."""

    key: Hashable = None

    def __init__(self, tiling_search: TilingSearch, fixed: Mapping[Tensor, Buffer]) -> None:
        self.tiling_search, self.fixed = tiling_search, fixed

    def group(self, plan: GroupPlan) -> Group:
        """The group, its buffers allocated; raises AllocationError."""
        copies = {id(b): Buffer([], b.blocks, b.lines, b.pitch) for b in self.fixed.values()}
        group = build_group(plan, {t: copies[id(b)] for t, b in self.fixed.items()}, self.tiling_search)
        found, _ = joint_allocations([group], self.tiling_search.cfg, most=1)
        if not found:
            raise AllocationError(f"layer {plan.context.ops[0].layers[0]}: its buffers do not fit the activation buffer")
        assign_bases(found[0])
        return group

    def around(self, group: Group) -> list[Group]:
        """What a trial runs."""
        return [group]


class NeighbourSite:
    """A group placed beside ``fixed`` buffers, of which ``live`` are all that are in use, and after the group ``previous``."""

    def __init__(self, tiling_search: TilingSearch, fixed: Mapping[Tensor, Buffer], live: Sequence[Buffer], previous: Group | None) -> None:
        self.tiling_search, self.fixed, self.live, self.previous = tiling_search, fixed, live, previous
        self.key: Hashable = previous and (previous.tiling, tuple((b.base, b.rows) for b in previous.own))

    def group(self, plan: GroupPlan) -> Group:
        """As :meth:`IsolatedSite.group`."""
        before = [(b.base, b.base + b.rows) for b in self.previous.own] if self.previous else []
        group = build_group(plan, self.fixed, self.tiling_search)
        allocate_group([b for b in group.own if b.base < 0], group.usage(), self.live, before, self.tiling_search.cfg)
        return group

    def around(self, group: Group) -> list[Group]:
        """What a trial runs: the end of the group before, too, because transfers may come early."""
        return [self.previous.tail(LOCAL_SEARCH.lead_in_steps), group] if self.previous else [group]
