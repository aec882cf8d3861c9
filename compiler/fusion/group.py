"""The form between scheduling and emission: groups of operations, their items in order, and the buffers that they use."""

import collections
import dataclasses

from squeezelerator.compiler.codegen.prefetch import Haste
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
    turn: int = 0

    def place(self, y):
        """Which of the ring's lines holds line ``y``."""
        return (y + self.turn) % self.lines

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
    """Operations that run together, and how: see the module's docstring. ``slots``: the ``Slots`` of a
    convolution that goes by channels; ``why`` says why the group ends where it ends."""

    ops: list
    choice: object
    items: list
    buffers: dict
    plans: dict
    resident_weights: set
    streamed: tuple
    kept: frozenset
    stored: frozenset
    band: int
    slots: object = None
    why: str = ""

    @property
    def name(self):
        """First and last operation."""
        return self.ops[0].name if len(self.ops) == 1 else f"{self.ops[0].name}..{self.ops[-1].name}"

    @property
    def own(self):
        """Its buffers, each once."""
        return list({id(buffer): buffer for buffer in self.buffers.values()}.values())

    def steps(self, op):
        """{units: how many steps of so many} of an operation."""
        return collections.Counter(item.y1 - item.y0 for item in self.items if item.kind == "step" and item.what is op)

    def usage(self):
        """{buffer: :class:`Usage`} within the group."""
        found = {}
        for number, item in enumerate(self.items):
            for tensor, *user in _users(item):
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
class Schedule:
    """The groups in order, all buffers, and how early transfers are asked for."""

    groups: list
    buffers: list
    haste: Haste


def _users(item):
    """(tensor, unit, "read" or "write") for everything that an item touches."""
    if item.kind != "step":
        return [(item.what, LOAD, "write") if item.kind == "load" else (item.what, STORE, "read")]
    op = item.what
    reader, writer = (ARRAY, DRAIN) if op.is_conv else (POOL, POOL)
    found = [(tensor, reader, "read") for tensor in op.parts] + [(op.out, writer, "write")]
    return found + ([(op.residual, DRAIN, "read")] if op.residual else [])


def make_group(situation, choice, walk, rings, fixed, chooser, n):
    """The :class:`Group` of a walk with ``rings`` {root tensor: lines}.

    ``fixed`` holds the buffers {tensor: Buffer} of maps that earlier groups have left or later ones need.
    """
    found = {root: fixed.get(root) or Buffer([], walk.blocks(root, n), lines, root.w) for root, lines in rings.items()}
    for op in situation.ops:
        for tensor in (*op.reads, op.out):
            root = walk.roots.get(tensor, tensor)
            buffer = found.get(tensor) or found.get(root) or fixed[root]
            found[tensor] = buffer
            if tensor not in buffer.tensors:
                buffer.tensors.append(tensor)
    tallest = max(situation.ops, key=lambda op: op.out.h)
    pace = walk.pace[tallest]
    return Group(
        ops=situation.ops, choice=choice, items=walk.items, buffers=found,
        plans={op: chooser.plan(op, walk) for op in situation.ops if op.is_conv}, resident_weights=chooser.stay(situation, walk),
        streamed=situation.streamed, kept=situation.kept, stored=situation.stored,
        band=min(tallest.out.h, -(-pace.quantum // pace.units)), slots=walk.slots,
    )  # fmt: skip
