"""Allocation of the maps that are live across groups: compactly, for all groups together."""

import dataclasses
from collections.abc import Mapping

from squeezelerator.compiler.ir.graph import Tensor
from squeezelerator.compiler.memory.allocate import AllocationError
from squeezelerator.compiler.tuning import ALLOCATION
from squeezelerator.spec.machine import MachineConfig


@dataclasses.dataclass
class LiveRange:
    """Rows of a map and the groups from the one that makes it to the last that uses it."""

    rows: int
    first: int
    last: int

    def covers(self, group: int) -> bool:
        """Whether the map is live in a group."""
        return self.first <= group <= self.last

    def meets(self, other: "LiveRange") -> bool:
        """Whether both are live in some group."""
        return other.first <= self.last and self.first <= other.last


def _free_base(live: LiveRange, taken: list[tuple[int, int]], cfg: MachineConfig) -> int | None:
    """The free rows nearest to an end of the buffer, so that what is free stays in one piece; None if there are none."""
    last = cfg.act_rows - live.rows
    candidates = {0, last, *(end for _, end in taken), *(start - live.rows for start, _ in taken)}
    free = [base for base in candidates if 0 <= base <= last and not any(base < end and start < base + live.rows for start, end in taken)]
    return min(free, key=lambda base: (min(base, last - base), base)) if free else None


def allocate_live_across(lives: Mapping[Tensor, LiveRange], cfg: MachineConfig) -> dict[Tensor, int]:
    """{map: first row}.

    Raises
    ------
    AllocationError
        If they do not all find room.
    """
    weight = {tensor: live.rows * (live.last - live.first + 1) for tensor, live in lives.items()}
    failed = None
    for _ in range(ALLOCATION.retries):
        bases: dict[Tensor, int] = {}
        failed = None
        for tensor in sorted(lives, key=lambda t: (-weight[t], lives[t].first)):
            taken = [(bases[t], bases[t] + lives[t].rows) for t in bases if lives[t].meets(lives[tensor])]
            base = _free_base(lives[tensor], taken, cfg)
            if base is None:
                failed = failed or tensor
                weight[tensor] *= 2  # earlier next time
            else:
                bases[tensor] = base
        if failed is None:
            return bases
    assert failed is not None
    raise AllocationError(f"layer {failed.home}: its map and what is kept beside it do not fit the {cfg.act_rows} rows of the "
                          f"activation buffer")  # fmt: skip
