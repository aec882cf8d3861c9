"""The context of a group: its operations, and where the maps that they read and write are before, meanwhile and after.

This is all that the tiling search knows about a group, so groups of equal shape share one answer.
"""

from collections.abc import Hashable, Mapping, Sequence

from squeezelerator.compiler.ir.graph import Op, Tensor


def buffer_roots(overwrites: Mapping[Tensor, Tensor]) -> dict[Tensor, Tensor]:
    """{tensor: tensor in whose buffer it is written}, from {result: map whose place it takes} in the order of operations."""
    roots: dict[Tensor, Tensor] = {}
    for out, old in overwrites.items():
        roots[out] = roots.get(old, old)
    return roots


class GroupContext:
    """A run of operations and what is known about their maps.

    Parameters
    ----------
    ops : sequence of Op
    live_in : frozenset of Tensor
        Maps that lie in the buffer whole when the group begins.
    live_out : frozenset of Tensor
        Results that stay there whole for later groups.
    stored : frozenset of Tensor
        Results that go to DRAM.
    last_used : frozenset of Tensor
        Maps that nobody reads after these operations.
    buffer_reuse : bool
        Whether results that stay may take the place of maps in the buffer that these operations use up.

    Attributes
    ----------
    streamed : tuple of Tensor
        Maps that are loaded line by line.
    produced : set of Tensor
    readers : dict
        Tensor -> operations of the group that read it.
    """

    def __init__(self, ops: Sequence[Op], live_in: frozenset[Tensor], live_out: frozenset[Tensor], stored: frozenset[Tensor],
                 last_used: frozenset[Tensor], buffer_reuse: bool = False) -> None:  # fmt: skip
        self.ops, self.live_out, self.stored, self.last_used, self.buffer_reuse = ops, live_out, stored, last_used, buffer_reuse
        self.produced = {op.out for op in ops}
        self.readers: dict[Tensor, list[Op]] = {}
        for op in ops:
            for tensor in op.reads:
                self.readers.setdefault(tensor, []).append(op)
        self.live_in = frozenset(t for t in self.readers if t in live_in)
        self.streamed = tuple(t for t in self.readers if t not in self.produced and t not in self.live_in)

    @classmethod
    def alone(cls, op: Op, live_in: frozenset[Tensor] = frozenset()) -> "GroupContext":
        """An operation by itself, its result going to DRAM."""
        return cls([op], live_in, frozenset(), frozenset([op.out]), frozenset(op.reads))

    def overwrites(self, n: int, streamed_too: bool) -> dict[Tensor, Tensor]:
        """{result: map in whose place it is written}: the residual, or with ``buffer_reuse`` a map in the buffer that the group uses up.

        ``streamed_too``: also residuals that are streamed.
        """
        found: dict[Tensor, Tensor] = {}
        for op in self.ops:
            old = op.residual
            if old is not None and self._takes_residual(op, old, n) and (streamed_too or old not in self.streamed):
                found[op.out] = old
        if self.buffer_reuse:
            self._reuse_inputs(found, n)
        return found

    def _reuse_inputs(self, found: dict[Tensor, Tensor], n: int) -> None:
        """Add results that take the place of maps in the buffer, the last operation's first."""
        for op in reversed(self.ops):
            if op.out in self.live_out and op.out not in found:
                old = next((old for old in self.readers if old not in found.values() and self._takes_input(op, old, n)), None)
                if old is not None:
                    found[op.out] = old

    def _takes_residual(self, op: Op, old: Tensor, n: int) -> bool:
        """Whether ``op``'s result can take the place of its residual, line by line."""
        if old in op.parts or old in self.live_out or old not in self.last_used or self.readers[old][-1] is not op:
            return False
        return (old.blocks(n), old.h, old.w) == (op.out.blocks(n), op.out.h, op.out.w)

    def _takes_input(self, op: Op, old: Tensor, n: int) -> bool:
        """Whether the lines of ``op``'s result can take the place of lines of ``old`` as these are used up."""
        out = op.out
        if old not in self.live_in or old not in self.last_used or old in op.reads:
            return False
        if (old.h, old.w) != (out.h, out.w) or old.blocks(n) < out.blocks(n):
            return False
        return self.ops.index(op) > max(self.ops.index(reader) for reader in self.readers[old])

    def roots(self, n: int, streamed_too: bool) -> dict[Tensor, Tensor]:
        """{tensor: tensor in whose buffer it is written}; ``streamed_too`` as in :meth:`overwrites`."""
        return buffer_roots(self.overwrites(n, streamed_too))

    def signature(self) -> Hashable:
        """Equal for contexts that differ in names and weights only."""
        index: dict[Tensor, int] = {}

        def number(tensor: Tensor | None) -> int | None:
            return None if tensor is None else index.setdefault(tensor, len(index))

        ops = tuple(
            (op.kind, op.kernel, op.stride, op.pad, op.groups, tuple(map(number, op.parts)), number(op.residual), number(op.out))
            for op in self.ops
        )
        maps = tuple((t.c, t.h, t.w, t in self.live_in, t in self.live_out, t in self.stored, t in self.last_used) for t in index)
        return ops, maps
