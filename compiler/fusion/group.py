"""The form between the search and code generation: groups of operations, their steps in order, and the buffers that they use."""

import collections
import dataclasses
from collections.abc import Iterator, Mapping

from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling import Tiling
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.buffer import Buffer, Usage
from squeezelerator.compiler.ir.graph import Op, Tensor
from squeezelerator.compiler.ir.group_schedule import GroupSchedule, GroupStep, Slots, StepKind
from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.compiler.mapping.weight_plan import WeightPlan
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE


@dataclasses.dataclass(eq=False)
class Group:
    """Operations that run together, and how.

    Attributes
    ----------
    ops : list of Op
    tiling : Tiling
    steps : list of GroupStep
    buffers : dict
        Tensor -> :class:`~compiler.ir.buffer.Buffer`.
    plans : dict
        Convolution -> :class:`~compiler.mapping.weight_plan.WeightPlan`.
    resident_weights : set of Op
        Operations whose weights stay in the weight buffer while the group runs.
    streamed, live_out, stored
        As in :class:`~compiler.fusion.group_context.GroupContext`.
    band : int
        Lines of a step of the tallest result.
    slots : Slots or None
        Of a channel-wise convolution.
    """

    ops: list[Op]
    tiling: Tiling
    steps: list[GroupStep]
    buffers: dict[Tensor, Buffer]
    plans: dict[Op, WeightPlan]
    resident_weights: set[Op]
    streamed: tuple[Tensor, ...]
    live_out: frozenset[Tensor]
    stored: frozenset[Tensor]
    band: int
    slots: Slots | None = None

    @property
    def name(self) -> str:
        """First and last operation."""
        return self.ops[0].name if len(self.ops) == 1 else f"{self.ops[0].name}..{self.ops[-1].name}"

    @property
    def own(self) -> list[Buffer]:
        """Its buffers, each once."""
        return list({id(buffer): buffer for buffer in self.buffers.values()}.values())

    def step_sizes(self, op: Op) -> Mapping[int, int]:
        """{units: how many steps of so many} of an operation."""
        return collections.Counter(step.y1 - step.y0 for step in self.steps if step.kind is StepKind.COMPUTE and step.what is op)

    def usage(self) -> dict[Buffer, Usage]:
        """{buffer: :class:`~compiler.ir.buffer.Usage`} within the group."""
        found: dict[Buffer, Usage] = {}
        for number, step in enumerate(self.steps):
            for tensor, unit, how in _users(step):
                use = found.setdefault(self.buffers[tensor], Usage(number))
                use.last = number
                use.users.add((unit, how))
        return found

    def tail(self, steps: int) -> "Group":
        """The group's last steps only, for trials."""
        return dataclasses.replace(self, steps=self.steps[-steps:])


@dataclasses.dataclass
class NetworkSchedule:
    """The groups in order, all buffers, and how early transfers are issued."""

    groups: list[Group]
    buffers: list[Buffer]
    prefetch: PrefetchPolicy


def _users(step: GroupStep) -> Iterator[tuple[Tensor, int, str]]:
    """(tensor, unit, "read" or "write") for everything that a step touches."""
    if step.kind is StepKind.LOAD:
        yield step.what, LOAD, "write"
    elif step.kind is StepKind.STORE:
        yield step.what, STORE, "read"
    else:
        op: Op = step.what
        reader, writer = (ARRAY, DRAIN) if op.is_conv else (POOL, POOL)
        yield from ((tensor, reader, "read") for tensor in op.parts)
        yield op.out, writer, "write"
        if op.residual:
            yield op.residual, DRAIN if op.is_conv else POOL, "read"


@dataclasses.dataclass(frozen=True)
class GroupPlan:
    """A tiling as it is to be carried out: its schedule, and {root tensor: lines} of its ring buffers, which may be longer than needed."""

    context: GroupContext
    tiling: Tiling
    schedule: GroupSchedule
    ring_lines: dict[Tensor, int]


def build_group(plan: GroupPlan, fixed: Mapping[Tensor, Buffer], tiling_search: TilingSearch) -> Group:
    """The :class:`Group` of a plan, its buffers without rows yet.

    ``fixed`` holds the buffers {tensor: Buffer} of maps that earlier groups have left or later ones need.
    """
    context, schedule, n = plan.context, plan.schedule, tiling_search.cfg.n
    found = {root: fixed.get(root) or Buffer([], schedule.blocks(root, n), lines, root.w) for root, lines in plan.ring_lines.items()}
    for op in context.ops:
        for tensor in (*op.reads, op.out):
            root = schedule.roots.get(tensor, tensor)
            buffer = found.get(tensor) or found.get(root) or fixed[root]
            found[tensor] = buffer
            if tensor not in buffer.tensors:
                buffer.tensors.append(tensor)
    tallest = max(context.ops, key=lambda op: op.out.h)
    rate = schedule.rates[tallest]
    return Group(
        ops=list(context.ops), tiling=plan.tiling, steps=schedule.steps, buffers=found,
        plans={op: tiling_search.plan(op, schedule) for op in context.ops if op.is_conv},
        resident_weights=tiling_search.weights.resident(schedule), streamed=context.streamed, live_out=context.live_out,
        stored=context.stored, band=min(tallest.out.h, -(-rate.quantum // rate.units)), slots=schedule.slots,
    )  # fmt: skip
