"""``--trace``: when every unit worked on what, in the Chrome trace format (opens in Perfetto and chrome://tracing)."""

import json
from collections.abc import Mapping

from squeezelerator.sim.engines.timed_run import TimedRun
from squeezelerator.spec.isa import UNITS
from squeezelerator.spec.program import Program

__all__ = ["chrome_trace"]

#: Distance of the units' thread numbers: more than a unit has instructions under way.
_THREADS = 100


def chrome_trace(program: Program, results: Mapping[str, TimedRun]) -> str:
    """The trace as JSON text; a microsecond on the screen is a cycle.

    Parameters
    ----------
    program : Program
    results : dict of str to result
        For each timed engine something with ``starts`` and ``retires``; every engine becomes a process, every unit one or more threads.
    """
    work = {unit: [] for unit in range(len(UNITS))}
    for number, (instr, layer) in enumerate(zip(program.instructions, program.layer_of, strict=False)):
        if instr.unit is not None:
            work[instr.unit].append((number, instr, layer))
    events = []
    for process, (engine, result) in enumerate(results.items()):
        events.append({"ph": "M", "name": "process_name", "pid": process, "args": {"name": engine}})
        for unit, name in enumerate(UNITS):
            # Instructions of a unit overlap in its pipeline: each goes to the first thread that is free.
            free = []
            for (number, instr, layer), start, retire in zip(work[unit], result.starts[unit], result.retires[unit], strict=False):
                lane = next((lane for lane, end in enumerate(free) if end <= start), len(free))
                free[lane:lane + 1] = [retire + 1]
                events.append({"ph": "X", "name": f"{layer} {instr.op}" if layer else instr.op, "cat": name, "pid": process,
                               "tid": _THREADS * unit + lane, "ts": start, "dur": retire - start + 1,
                               "args": {"instruction": number}})  # fmt: skip
            events += [{"ph": "M", "name": "thread_name", "pid": process, "tid": _THREADS * unit + lane, "args": {"name": name.upper()}}
                       for lane in range(len(free))]  # fmt: skip
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, separators=(",", ":")) + "\n"
