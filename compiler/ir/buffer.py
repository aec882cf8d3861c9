"""Buffers: rows of the activation buffer for maps, whole or as many of their lines as are alive at the same time."""

import dataclasses

from squeezelerator.compiler.ir.graph import Tensor


@dataclasses.dataclass(eq=False)
class Buffer:
    """Rows for one or more tensors, of which each takes the place of the one before: a ring buffer of ``lines`` lines.

    Attributes
    ----------
    tensors : list of Tensor
    blocks : int
        Channel blocks.
    lines : int
        Lines of each block; line ``y`` takes the place of line ``y - lines``.
    pitch : int
        Rows of a line.
    base : int
        First row; set by :mod:`compiler.memory.allocate` or ``joint_allocate``.
    rotation : int
        Place of line 0 in the ring; set by :mod:`compiler.memory.ring_rotation`.
    """

    tensors: list[Tensor]
    blocks: int
    lines: int
    pitch: int
    base: int = -1
    rotation: int = 0

    def line_index(self, y: int) -> int:
        """Which of the ring's lines holds line ``y``."""
        return (y + self.rotation) % self.lines

    @property
    def plane(self) -> int:
        """Rows of one channel block."""
        return self.lines * self.pitch

    @property
    def rows(self) -> int:
        """Rows in all."""
        return self.blocks * self.plane

    def __repr__(self) -> str:
        return f"{'+'.join(t.name for t in self.tensors)} {self.blocks}x{self.lines}x{self.pitch}@{self.base}"


@dataclasses.dataclass
class Usage:
    """Steps between which a group uses a buffer, and the (unit, "read" or "write") that touch it."""

    first: int
    last: int = 0
    users: set[tuple[int, str]] = dataclasses.field(default_factory=set)
