"""What was scheduled where and why, for people (text) and for programs (JSON)."""

from typing import Any

from squeezelerator.compiler.api import Compiled
from squeezelerator.compiler.cost.program_estimate import estimate_program
from squeezelerator.compiler.fusion.group import Group
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.spec.isa import MEM_ACT, MEM_BIAS, MEM_PACKED, MEM_WEIGHT, MODE_OS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.program import Program


def _mode(group: Group, op: Op) -> str:
    if not op.is_conv:
        return op.kind
    return "OS" if group.plans[op].dataflow == MODE_OS else "WS"


def _bound(group: Group, cfg: MachineConfig, memory: DramProfile) -> tuple[str, int]:
    """(resource, cycles that it works) of what is busiest in a group."""
    tiling = group.tiling
    chunks = [chunk for plan in group.plans.values() for channels in plan.groups for chunk in channels.chunks]
    # The choice counts rows of the weight buffer; packed ones cross the bus as fewer.
    packed = sum(chunk.bus_rows for chunk in chunks) / max(1, sum(chunk.rows for chunk in chunks))
    dram = round(tiling.dram_rows + tiling.weight_rows * packed) * memory.row_cycles(cfg)
    return max(("array", tiling.array), ("pool", tiling.pool), ("dram", dram), key=lambda way: way[1])


def _buffers(group: Group, n: int) -> list[dict[str, Any]]:
    found = {}
    for tensor, buffer in group.buffers.items():
        found.setdefault(id(buffer), (buffer, []))[1].append(tensor)
    return [
        {"tensors": [t.name for t in tensors], "row": buffer.base, "rows": buffer.rows, "lines": buffer.lines, "blocks": buffer.blocks,
         "whole": buffer.lines >= max(t.h for t in tensors) and buffer.blocks >= max(t.blocks(n) for t in tensors)}
        for buffer, tensors in sorted(found.values(), key=lambda pair: pair[0].base)
    ]  # fmt: skip


def _transfers(program: Program) -> dict[str, int]:
    """DRAM words by kind: activations in and out, constants, instructions."""
    words = {"activations read": 0, "activations written": 0, "weights": 0, "biases": 0}
    kinds = {MEM_ACT: "activations read", MEM_WEIGHT: "weights", MEM_BIAS: "biases", MEM_PACKED: "weights"}
    per_row = program.cfg.row_bytes // 2
    for instruction in program.instructions:
        if instruction.op in ("LOAD", "STORE"):
            kind = kinds[instruction["mem"]] if instruction.op == "LOAD" else "activations written"
            words[kind] += instruction["lines"] * instruction["rows"] * per_row
    words["instructions"] = len(program.code) // 2
    return words


def summary(compiled: Compiled) -> dict[str, Any]:
    """Everything that the report says, as plain data."""
    program, cfg = compiled.program, compiled.program.cfg
    times = estimate_program(program.instructions, cfg, lambda i: compiled.steps[i].records, compiled.schedule.prefetch.memory)
    groups = []
    for group in compiled.schedule.groups:
        bound, cycles = _bound(group, cfg, compiled.schedule.prefetch.memory)
        groups.append({
            "name": group.name,
            "operations": [{"name": op.name, "layers": list(op.layers), "dataflow": _mode(group, op),
                            "weights_stay": op in group.resident_weights} for op in group.ops],
            "band_lines": group.band, "by_channels": group.slots is not None, "bound": bound, "cycles": cycles,
            "streamed": [t.name for t in group.streamed], "kept": sorted(t.name for t in group.live_out),
            "stored": sorted(t.name for t in group.stored), "buffers": _buffers(group, cfg.n),
        })  # fmt: skip
    words = _transfers(program)
    return {
        "network": program.network, "pe": cfg.n, "buffer_kib": cfg.buffer_kib, "rf": cfg.rf,
        "synthetic": program.quantisation["synthetic"], "instructions": len(program.instructions),
        "memory_bytes": program.mem_bytes, "groups": groups, "dram_words": words | {"total": sum(words.values())},
        "estimated_cycles": times.cycles, "busy": times.busy,
        "front": [{"cycles": one.cycles, "dram_words": one.words, "estimated_energy": one.energy} for one in compiled.front],
    }  # fmt: skip


def front_text(compiled: Compiled) -> str:
    """The programs that no other one beats in cycles and energy, as a table: what each takes, and the options that make it."""
    lines = [f"{'cycles':>14} {'DRAM words':>14} {'energy (est.)':>14} {'x cycles':>10}  options that make it"]
    for one in compiled.front:
        options = f"--objective energy --max-cycles {one.cycles}"
        lines.append(f"{one.cycles:>14,} {one.words:>14,} {one.energy:>14.4g} {one.edp:>10.4g}  {options}")
    return "\n".join([*lines, "energy: units of one MAC; pools and writes of buffers are left out"])


def text(compiled: Compiled) -> str:
    """The report as lines of text."""
    data = summary(compiled)
    lines = [
        f"{data['network']} on {data['pe']}x{data['pe']} PEs, {data['buffer_kib']:g} KiB, {data['rf']} partial sums"
        + (", synthetic weights" if data["synthetic"] else ""),
        "{instructions} instructions, {memory_bytes} bytes of memory, about {estimated_cycles} cycles".format(**data),
        "busy (estimate): " + ", ".join(f"{unit} {cycles}" for unit, cycles in data["busy"].items()),
        "DRAM words: " + ", ".join(f"{kind} {count}" for kind, count in data["dram_words"].items()),
        "",
    ]
    for number, group in enumerate(data["groups"], 1):
        lines += _group_lines(number, group)
    return "\n".join(lines)


def _group_lines(number: int, group: dict[str, Any]) -> list[str]:
    how = "by channels" if group["by_channels"] else f"{group['band_lines']} lines at a time"
    lines = [f"group {number}: {group['name']}, {how}, bound by {group['bound']} ({group['cycles']} cycles)"]
    for op in group["operations"]:
        stays = ", weights stay" if op["weights_stay"] else ""
        lines.append(f"  {op['dataflow']:7s} {op['name']}{stays}")
    lines += [f"  {what}: {', '.join(group[what])}" for what in ("streamed", "kept", "stored") if group[what]]
    for buffer in group["buffers"]:
        part = f"{buffer['blocks']} channel blocks" if group["by_channels"] else f"ring of {buffer['lines']} lines"
        whole = "whole" if buffer["whole"] else part
        lines.append(f"  rows {buffer['row']:5d}..{buffer['row'] + buffer['rows'] - 1:<5d} {whole}: {', '.join(buffer['tensors'])}")
    return lines


def disassembly(program: Program) -> str:
    """One line an instruction: its number, its layer, what it does and what it waits for."""
    width = max((len(name or "") for name in program.layer_of), default=0)
    pairs = zip(program.instructions, program.layer_of, strict=True)
    return "\n".join(f"{i:6d}  {layer or '':{width}s}  {instruction}" for i, (instruction, layer) in enumerate(pairs))
