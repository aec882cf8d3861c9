"""The context of a group: its operations, and where the maps that they read and write are before, meanwhile and after.

This is all that the tiling search knows about a group, so groups with equal contexts share one answer.
"""

from squeezelerator.compiler.fusion.line_schedule import buffer_roots


class GroupContext:
    """A run of operations and what is known about their maps.

    Parameters
    ----------
    ops : list of compiler.ir.graph.Op
    resident : frozenset of Tensor
        Maps that lie in the buffer whole.
    kept : frozenset of Tensor
        Results that stay there whole.
    stored : frozenset of Tensor
        Results that go to DRAM.
    ending : frozenset of Tensor
        Maps that nobody reads after these operations.
    reuse : bool
        Whether results that stay may take the place of maps in the buffer that these operations use up.
    """

    def __init__(self, ops, live_in, live_out, stored, last_used, buffer_reuse=False):
        self.ops, self.live_out, self.stored, self.last_used, self.buffer_reuse = ops, live_out, stored, last_used, buffer_reuse
        self.produced = {op.out for op in ops}
        self.readers = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.live_in = frozenset(t for t in self.readers if t in live_in)
        self.streamed = tuple(t for t in self.readers if t not in self.produced and t not in self.live_in)

    def overwrites(self, n, overwrite_streamed):
        """Result -> map in whose place it is written: the residual, or with ``reuse`` a map in the buffer that the group uses up."""
        overwrites = {}
        for op in self.ops:
            old = op.residual
            if old is None or old in op.parts or old in self.live_out or old not in self.last_used or self.readers[old][-1] is not op:
                continue
            if (old.blocks(n), old.h, old.w) != (op.out.blocks(n), op.out.h, op.out.w):
                continue
            if old in self.live_in or old in self.produced or overwrite_streamed:
                overwrites[op.out] = old
        for op in reversed(self.ops) if self.buffer_reuse else ():
            if op.out not in self.live_out or op.out in overwrites:
                continue
            for old in self.readers:
                if old in self.live_in and old in self.last_used and old not in overwrites.values() and self._fits(op, old, n):
                    overwrites[op.out] = old
                    break
        return overwrites

    def _fits(self, op, old, n):
        """Whether the lines of ``op``'s result can take the place of lines of ``old`` as these are used up."""
        out = op.out
        if (old.h, old.w) != (out.h, out.w) or old.blocks(n) < out.blocks(n) or old in op.reads:
            return False
        return self.ops.index(op) > max(self.ops.index(reader) for reader in self.readers[old])

    def roots(self, n, overwrite_streamed):
        """Tensor -> tensor in whose buffer it is written in place."""
        return buffer_roots(self.overwrites(n, overwrite_streamed))

    def signature(self):
        """Equal for situations that differ in names and weights only."""
        index = {}

        def number(tensor):
            return None if tensor is None else index.setdefault(tensor, len(index))

        ops = tuple(
            (op.kind, op.kernel, op.stride, op.pad, op.groups, tuple(map(number, op.parts)), number(op.residual), number(op.out))
            for op in self.ops
        )
        maps = tuple(
            (t.c, t.h, t.w, t in self.live_in, t in self.live_out, t in self.stored, t in self.last_used) for t in index
        )
        return ops, maps
