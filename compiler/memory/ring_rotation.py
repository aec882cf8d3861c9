"""Ring rotation: with which of its lines a ring buffer begins that is filled from DRAM.

The rows that the group before needs longest should get the lines that come last: the first transfers then need not wait for it.
"""

import dataclasses
import itertools
from collections.abc import Callable, Hashable, Sequence

from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.tuning import LOCAL_SEARCH
from squeezelerator.spec.isa import LOAD

#: Times groups whose buffers have their rows; None if that is impossible or nothing is left of the budget.
GroupTimer = Callable[[Sequence[Group]], int | None]


def _loaded_rings(group: Group) -> list[Buffer]:
    """Ring buffers that are filled from DRAM and do not hold a whole map."""
    return [buffer for buffer, use in group.usage().items()
            if (LOAD, "write") in use.users and buffer.lines < max(t.h for t in buffer.tensors)]  # fmt: skip


def _signature(group: Group) -> Hashable:
    return group.tiling, *((b.base, b.rows) for b in group.own)


def rotate_rings(groups: Sequence[Group], time: GroupTimer) -> None:
    """Set ``rotation`` of the ring buffers of ``groups``, whose buffers have their rows."""
    known: dict[Hashable, list[int]] = {}
    for before, group in itertools.pairwise(groups):
        rings = _loaded_rings(group)
        key = _signature(before), _signature(group), *((b.base, b.lines) for b in rings)
        if key in known:
            for ring, rotation in zip(rings, known[key], strict=True):
                ring.rotation = rotation
        else:
            _search(before, group, rings, time)
            known[key] = [ring.rotation for ring in rings]


def _search(before: Group, group: Group, rings: Sequence[Buffer], time: GroupTimer) -> None:
    """Try every rotation of one ring buffer after the other."""
    around = [before.tail(LOCAL_SEARCH.lead_in_steps), dataclasses.replace(group, steps=group.steps[: LOCAL_SEARCH.rotation_steps])]
    best = time(around) if rings else None
    for ring in rings if best is not None else ():
        chosen = 0
        for rotation in range(1, ring.lines):
            ring.rotation = rotation
            cycles = time(around)
            if cycles is not None and best is not None and cycles <= best - LOCAL_SEARCH.rotation_gain:
                best, chosen = cycles, rotation
        ring.rotation = chosen
