"""Live ranges of the maps that stay in the activation buffer from group to group."""

from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.memory.live_across import LiveRange
from squeezelerator.compiler.search.partition import Partition


class LiveRanges:
    """Which maps a partition keeps in the buffer, from which group to which.

    Attributes
    ----------
    root_of : dict
        Tensor that is live across groups -> tensor whose buffer it uses.
    ranges : dict
        The latter -> :class:`~compiler.memory.live_across.LiveRange`.
    """

    def __init__(self, partition: Partition, n: int) -> None:
        self.n = n
        self.root_of: dict[Tensor, Tensor] = {}
        self.ranges: dict[Tensor, LiveRange] = {}
        for index, (context, tiling) in enumerate(partition):
            for tensor in context.readers:
                if tensor in context.live_in:
                    self.ranges[self.root_of[tensor]].last = index
            roots = context.roots(n, tiling.spec.overwrite_streamed)
            for op in context.ops:
                # Also results that do not stay may take the place of a map that is live across groups.
                old = roots.get(op.out, op.out)
                root = self.root_of.get(old, old)
                if op.out in context.live_out or root in self.ranges:
                    self.root_of[op.out] = root
                    self.ranges.setdefault(root, LiveRange(root.rows(n), index, index))

    def buffers(self, bases: dict[Tensor, int] | None = None) -> dict[Tensor, Buffer]:
        """{root tensor: a buffer for it}, at ``bases`` if there are any."""
        return {root: Buffer([], root.blocks(self.n), root.h, root.w, base=bases[root] if bases else -1) for root in self.ranges}

    def live_in_group(self, index: int) -> list[Tensor]:
        """Root tensors that are live in a group."""
        return [root for root, live in self.ranges.items() if live.covers(index)]
