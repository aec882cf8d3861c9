"""Pass 5b, turning: with which of its lines a ring begins that is filled from DRAM.

The rows that the group before needs longest should get the lines that come last: the first transfers then need not wait for it.
"""

import dataclasses

from squeezelerator.spec.isa import LOAD

#: Items of the group before that a trial begins with, and of the group itself that it runs.
_BEFORE, _ITEMS = 10, 40
#: What a turn must save at least, in cycles.
_WORTH = 20


def rotate_rings(groups, trial, local_search):
    """Set ``turn`` of the rings of ``groups``, whose buffers have their places.

    Parameters
    ----------
    groups : list of compiler.fusion.group.Group
    trial : callable(list of compiler.fusion.group.Group) -> compiler.search.trial.Trial
    refiner : compiler.search.local_search.LocalSearch
        Carries out trials as long as any are left.
    """
    known = {}
    for before, group in zip(groups, groups[1:], strict=False):
        rings = [buffer for buffer, use in group.usage().items()
                 if (LOAD, "write") in use.users and buffer.lines < max(t.h for t in buffer.tensors)]  # fmt: skip
        key = (*((one.tiling, *((b.base, b.rows) for b in one.own)) for one in (before, group)), *((b.base, b.lines) for b in rings))
        if key in known:
            for ring, rotation in zip(rings, known[key], strict=True):
                ring.rotation = rotation
            continue
        around = [dataclasses.replace(before, steps=before.steps[-_BEFORE:]), dataclasses.replace(group, steps=group.steps[:_ITEMS])]
        best = local_search.timed(trial(around)) if rings and not local_search.spent else None
        for ring in rings if best is not None else ():
            chosen = 0
            for rotation in range(1, ring.lines):
                ring.rotation = rotation
                cycles = None if local_search.spent else local_search.timed(trial(around))
                if cycles is not None and cycles <= best - _WORTH:
                    best, chosen = cycles, rotation
            ring.rotation = chosen
        known[key] = [ring.rotation for ring in rings]
