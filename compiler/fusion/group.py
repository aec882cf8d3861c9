"""The form between scheduling and emission: groups of operations, their items in order, and the buffers that they use."""

import collections
import dataclasses

from squeezelerator.compiler.ir.prefetch_policy import PrefetchPolicy
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, POOL, STORE


@dataclasses.dataclass(eq=False)
class Buffer:
    """Rows of the activation buffer for one or more tensors that follow each other in place: a ring of ``lines`` lines.

    ``base`` is set by :mod:`compiler.memory.allocate`, ``turn``, the place of line 0 in the ring, by :mod:`compiler.memory.ring_rotation`.
    """

    tensors: list
    blocks: int
    lines: int
    pitch: int
    base: int = -1
    rotation: int = 0

    def line_index(self, y):
        """Which of the ring's lines holds line ``y``."""
        return (y + self.rotation) % self.lines

    @property
    def plane(self):
        """Rows of one channel block."""
        return self.lines * self.pitch

    @property
    def rows(self):
        """Rows in all."""
        return self.blocks * self.plane

    def __repr__(self):
        return f"{'+'.join(t.name for t in self.tensors)} {self.blocks}x{self.lines}x{self.pitch}@{self.base}"


@dataclasses.dataclass(eq=False)
class Group:
    """Operations that run together, and how: see the module's docstring. ``slots``: the ``ChannelSlots`` of a
    convolution that goes by channels."""

    ops: list
    tiling: object
    steps: list
    buffers: dict
    plans: dict
    resident_weights: set
    streamed: tuple
    live_out: frozenset
    stored: frozenset
    band: int
    slots: object = None

    @property
    def name(self):
        """First and last operation."""
        return self.ops[0].name if len(self.ops) == 1 else f"{self.ops[0].name}..{self.ops[-1].name}"

    @property
    def own(self):
        """Its buffers, each once."""
        return list({id(buffer): buffer for buffer in self.buffers.values()}.values())

    def step_sizes(self, op):
        """{units: how many steps of so many} of an operation."""
        return collections.Counter(step.y1 - step.y0 for step in self.steps if step.kind == "step" and step.what is op)

    def usage(self):
        """{buffer: :class:`Usage`} within the group."""
        found = {}
        for number, step in enumerate(self.steps):
            for tensor, *user in _users(step):
                use = found.setdefault(self.buffers[tensor], Usage(number))
                use.last = number
                use.users.add(tuple(user))
        return found


@dataclasses.dataclass
class Usage:
    """Items between which a group uses a buffer, and the (unit, "read" or "write") that touch it."""

    first: int
    last: int = 0
    users: set = dataclasses.field(default_factory=set)


@dataclasses.dataclass
class NetworkSchedule:
    """The groups in order, all buffers, and how early transfers are asked for."""

    groups: list
    buffers: list
    prefetch: PrefetchPolicy


def _users(step):
    """(tensor, unit, "read" or "write") for everything that an item touches."""
    if step.kind != "step":
        return [(step.what, LOAD, "write") if step.kind == "load" else (step.what, STORE, "read")]
    op = step.what
    reader, writer = (ARRAY, DRAIN) if op.is_conv else (POOL, POOL)
    found = [(tensor, reader, "read") for tensor in op.parts] + [(op.out, writer, "write")]
    return found + ([(op.residual, DRAIN, "read")] if op.residual else [])


def build_group(context, tiling, schedule, ring_lines, fixed, tiling_search, n):
    """The :class:`Group` of a walk with ``rings`` {root tensor: lines}.

    ``fixed`` holds the buffers {tensor: Buffer} of maps that earlier groups have left or later ones need.
    """
    found = {root: fixed.get(root) or Buffer([], schedule.blocks(root, n), lines, root.w) for root, lines in ring_lines.items()}
    for op in context.ops:
        for tensor in (*op.reads, op.out):
            root = schedule.roots.get(tensor, tensor)
            buffer = found.get(tensor) or found.get(root) or fixed[root]
            found[tensor] = buffer
            if tensor not in buffer.tensors:
                buffer.tensors.append(tensor)
    tallest = max(context.ops, key=lambda op: op.out.h)
    rates = schedule.rates[tallest]
    return Group(
        ops=context.ops, tiling=tiling, steps=schedule.steps, buffers=found,
        plans={op: tiling_search.plan(op, schedule) for op in context.ops if op.is_conv},
        resident_weights=tiling_search.resident_weights(context, schedule),
        streamed=context.streamed, live_out=context.live_out, stored=context.stored,
        band=min(tallest.out.h, -(-rates.quantum // rates.units)), slots=schedule.slots,
    )  # fmt: skip
