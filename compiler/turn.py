"""Pass 5b, turning: with which of its lines a ring begins that is filled from DRAM.

The rows that the group before needs longest should get the lines that come last: the first transfers then need not wait for it.
"""

import dataclasses

from compiler.trial import Trial
from rtl.isa import LOAD

#: Items of the group before that a trial begins with, and of the group itself that it runs.
_BEFORE, _ITEMS = 10, 60
#: What a turn must save at least, in cycles.
_WORTH = 20


def turn_rings(groups, cfg, timed, spent):
    """Set ``turn`` of the rings of ``groups``, whose buffers have their places.

    Parameters
    ----------
    groups : list of compiler.group.Group
    cfg : rtl.config.MachineConfig
    timed : callable(compiler.trial.Trial) -> int or None
        Cycles of a trial, None if its weights do not fit.
    spent : callable() -> bool
        Whether no more trials are wanted.
    """
    for before, group in zip(groups, groups[1:], strict=False):
        rings = [buffer for buffer, use in group.usage().items()
                 if (LOAD, "write") in use.users and buffer.lines < max(t.h for t in buffer.tensors)]  # fmt: skip
        around = [dataclasses.replace(before, items=before.items[-_BEFORE:]), dataclasses.replace(group, items=group.items[:_ITEMS])]
        best = None
        for ring in rings:
            if best is None:
                best = not spent() and timed(Trial(around, cfg))
                if not best:
                    break
            chosen = 0
            for turn in range(1, ring.lines):
                ring.turn = turn
                cycles = None if spent() else timed(Trial(around, cfg))
                if cycles is not None and cycles <= best - _WORTH:
                    best, chosen = cycles, turn
            ring.turn = chosen
