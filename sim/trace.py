"""``--trace``: when every unit worked on what, in the Chrome trace format (opens in Perfetto and chrome://tracing)."""

import json

from rtl.isa import UNITS

__all__ = ["chrome_trace"]


def chrome_trace(program, results):
    """The trace as JSON text; a microsecond on the screen is a cycle.

    Parameters
    ----------
    program : Program
    results : dict of str to result
        For each timed engine something with ``starts`` and ``retires``; every engine becomes a process, every unit a thread.
    """
    work = {unit: [] for unit in range(len(UNITS))}
    for number, (instr, layer) in enumerate(zip(program.instructions, program.layer_of)):
        if instr.unit is not None:
            work[instr.unit].append((number, instr, layer))
    events = []
    for process, (engine, result) in enumerate(results.items()):
        events.append({"ph": "M", "name": "process_name", "pid": process, "args": {"name": engine}})
        for unit, name in enumerate(UNITS):
            # Instructions of a unit overlap in its pipeline, so they take turns on two threads.
            for lane in range(2):
                events.append({"ph": "M", "name": "thread_name", "pid": process, "tid": 2 * unit + lane, "args": {"name": name.upper()}})
            for turn, ((number, instr, layer), start, retire) in enumerate(zip(work[unit], result.starts[unit], result.retires[unit])):
                events.append({"ph": "X", "name": f"{layer} {instr.op}" if layer else instr.op, "cat": name, "pid": process,
                               "tid": 2 * unit + turn % 2, "ts": start, "dur": retire - start + 1, "args": {"instruction": number}})
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ns"}, separators=(",", ":")) + "\n"
