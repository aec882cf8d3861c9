"""The results of the stages as text: what ``python -m compiler --print-after STAGE`` prints."""

from collections.abc import Iterable

from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.pipeline.stage import Alternative, Compilation
from squeezelerator.spec.isa import INSTRUCTION_BYTES, MODE_OS


def network(c: Compilation) -> str:
    """The task: network, machine, options."""
    table, cfg = c.qnet.table, c.cfg
    size = "x".join(str(length) for length in table.input_shape)
    return (f"{table.name}: {len(table.layers)} layers, input {size}\n{cfg.n}x{cfg.n} PEs, {cfg.buffer_kib:g} KiB, {cfg.rf} partial sums, "
            f"bus of {cfg.bus_bits} bits\n{c.options}")  # fmt: skip


def _by_alternative(c: Compilation, form: Iterable[tuple[Alternative, str]]) -> str:
    if len(c.alternatives) == 1:
        return "\n".join(text for _, text in form)
    return "\n".join(f"-- effort {alternative.effort}\n{text}" for alternative, text in form)


def graphs(c: Compilation) -> str:
    """The operations of each alternative."""
    return _by_alternative(c, [(a, str(a.error) if a.error else str(a.graph)) for a in c.alternatives])


def schedule(c: Compilation) -> str:
    """What each alternative's search found, and the groups of the one that goes on."""
    found = []
    for alternative in c.alternatives:
        mark = " (chosen)" if alternative is c.chosen and len(c.alternatives) > 1 else ""
        if alternative.outcome is None:
            found.append((alternative, str(alternative.error)))
        else:
            count = len(alternative.plan.candidates)
            found.append((alternative, f"configuration {alternative.outcome.number} of {count}{mark}"))
    return "\n".join([_by_alternative(c, found), *(_group(number, group) for number, group in enumerate(c.schedule.groups, 1))])


def _group(number: int, group: Group) -> str:
    how = "by channels" if group.slots is not None else f"bands of {group.band} lines"
    lines = [f"group {number}: {group.name}, {how}"]
    for op in group.ops:
        mode = op.kind if op not in group.plans else "OS" if group.plans[op].dataflow == MODE_OS else "WS"
        lines.append(f"  {mode:7s} {op!r}")
    lines += [f"  buffer {buffer!r}" for buffer in group.own]
    return "\n".join(lines)


def memory(c: Compilation) -> str:
    """Byte offsets in DRAM."""
    lines = [f"{c.memory_map.offsets[name]:10d} {name} {channels}x{height}x{width}"
             for name, (channels, height, width, _) in c.memory_map.shapes.items()]  # fmt: skip
    return "\n".join([*lines, f"{c.memory_map.constants:10d} constants"])


def _fields(fields: dict[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())


def events(c: Compilation) -> str:
    """Instructions other than LOAD, each behind the transfers that it is the first to need."""
    lines, seen = [], set()
    for number, event in enumerate(c.emitter.events):
        for load in event.loads:
            if id(load) not in seen:
                seen.add(id(load))
                lines.append(f"{'':6s} LOAD  {load.layer}: {_fields(load.fields)}")
        lines.append(f"{number:6d} {event.op:5s} {event.layer}: {_fields(event.fields)}")
    return "\n".join(lines)


def steps(c: Compilation) -> str:
    """All instructions in program order with the intervals that they read and write."""
    def intervals(spans: Iterable[tuple[str, int, int]]) -> str:
        return " ".join(f"{kind}[{low}:{high}]" for kind, low, high in spans) or "-"

    return "\n".join(f"{number:6d} {step.op:5s} {step.layer}: reads {intervals(step.reads)}, writes {intervals(step.writes)}"
                     for number, step in enumerate(c.steps))  # fmt: skip


def instructions(c: Compilation) -> str:
    """Instructions with their tokens."""
    return "\n".join(f"{number:6d} {instruction}" for number, instruction in enumerate(c.instructions))


def program(c: Compilation) -> str:
    """Where everything lies in the program's memory."""
    made = c.program
    lines = [f"{tensor.offset:10d} {what} {tensor.name} {tensor.c}x{tensor.h}x{tensor.w}, {tensor.frac} fractional bits"
             for what, tensors in (("input", made.inputs), ("output", made.outputs)) for tensor in tensors]  # fmt: skip
    return "\n".join([*lines, f"{made.constants_offset:10d} {len(made.constants)} bytes of constants",
                      f"{made.prog_offset:10d} {len(made.instructions)} instructions of {INSTRUCTION_BYTES} bytes"])  # fmt: skip


def proof(c: Compilation) -> str:
    """What has been proved."""
    return f"{len(c.instructions)} instructions, all of them ordered and inside the memories"
