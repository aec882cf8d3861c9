"""When each unit worked for which layer, as compact as a page needs it."""

from collections.abc import Mapping
from dataclasses import dataclass

from squeezelerator.sim.engines.timed_run import TimedRun
from squeezelerator.spec.isa import UNITS
from squeezelerator.spec.program import Program

__all__ = ["MOST", "intervals"]

#: Intervals of all units together, at most; beyond, neighbours of one layer are shown as one.
MOST = 60_000


@dataclass(frozen=True)
class _Interval:
    """Cycles ``begin`` to ``end`` (exclusive) of ``count`` instructions, the first of them ``number``."""

    begin: int
    end: int
    layer: int
    number: int
    count: int


def _merged(found: list[_Interval], gap: int) -> list[_Interval]:
    """``found`` with neighbours of one layer, no more than ``gap`` cycles apart, as one."""
    merged: list[_Interval] = []
    for item in found:
        last = merged[-1] if merged else None
        if last is not None and last.layer == item.layer and item.begin - last.end <= gap:
            merged[-1] = _Interval(last.begin, item.end, last.layer, last.number, last.count + item.count)
        else:
            merged.append(item)
    return merged


def _of_units(program: Program, run: TimedRun) -> list[list[_Interval]]:
    """Each unit's instructions. Where they overlap in its pipeline an interval begins when the one before ends."""
    index = {name: number for number, name in enumerate(program.layers)}
    found: list[list[_Interval]] = [[] for _ in UNITS]
    free = [0] * len(UNITS)
    for number, (instr, layer) in enumerate(zip(program.instructions, program.layer_of, strict=True)):
        if instr.unit is None:
            continue
        place = len(found[instr.unit])
        begin, end = run.starts[instr.unit][place], run.retires[instr.unit][place] + 1
        begin = min(max(begin, free[instr.unit]), end)
        free[instr.unit] = max(free[instr.unit], end)
        found[instr.unit].append(_Interval(begin, end, index.get(layer or "", -1), number, 1))
    return found


def intervals(program: Program, run: TimedRun, *, most: int = MOST) -> Mapping[str, object]:
    """For JSON: ``layers`` by name; ``units``, each with ``name`` and, of its intervals, ``begin``, ``end``, ``layer`` (number, -1: none),
    ``number`` (of the first instruction), ``count`` (of instructions); ``merged``: whether there were more than ``most``."""
    found, gap = _of_units(program, run), 0
    merged = sum(map(len, found)) > most
    while sum(map(len, found)) > most and gap <= run.cycles:
        found, gap = [_merged(unit, gap) for unit in found], 2 * gap + 1
    fields = ("begin", "end", "layer", "number", "count")
    units = [{"name": name.upper(), **{field: [getattr(item, field) for item in unit] for field in fields}}
             for name, unit in zip(UNITS, found, strict=True)]  # fmt: skip
    return {"layers": program.layers, "units": units, "cycles": run.cycles, "merged": merged}
