"""The engine ``model``: executes a program exactly and times it to the cycle.

What the instructions compute comes from ``sim.engines.functional`` (in program order, which the tickets make equivalent to what the
hardware
does), when they happen from ``timing``.
"""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from squeezelerator.sim.engines.array_shares import array_shares
from squeezelerator.sim.engines.functional import FunctionalError, Machine, refuse_program
from squeezelerator.sim.engines.timed_run import PerLayer
from squeezelerator.spec.events import EVENTS, event
from squeezelerator.spec.isa import ARRAY, LOAD, MEM_PACKED, MEM_WEIGHT, STORE, UNITS, Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile
from squeezelerator.spec.program import Program
from squeezelerator.spec.weight_decode import decode_headers
from squeezelerator.timing.array import ArraySpan, ArrayTiming
from squeezelerator.timing.drain import DrainTiming
from squeezelerator.timing.kernel import Timeline, simulate
from squeezelerator.timing.pool import PoolTiming

__all__ = ["ModelResult", "count_program", "run_model", "time_program"]


@dataclasses.dataclass
class ModelResult:
    """What a run left behind: as ``sim.engines.rtl.RtlResult``, and the events and stalls of each layer.

    ``per_layer`` : {layer: {counter: count}}; stalled cycles count for the layer whose ARRAY instruction waits. ``timeline`` : when
    everything happened. ``spans`` : for each ARRAY instruction what it did with its time. ``array_events`` : for each its counters.
    """

    memory: bytes
    cycles: int
    counters: dict
    starts: list
    retires: list
    per_layer: dict
    wall_s: float
    timeline: Timeline
    spans: list[ArraySpan]
    array_events: list[dict[str, int]]


class _Streams:
    """What the timing and the counters need to know of the weights' contents, gathered while the program executes."""

    def __init__(self, cfg: MachineConfig) -> None:
        self.cfg = cfg
        self.cache = {}
        self.of = {}
        self.fresh = {}
        self.weights = {}  # of WS instructions, that are not zero
        self.held = [0, 0]
        self.unpacked = {}  # rows that LOADs of packed weights have written

    def execute(self, instr: Instruction, machine: Machine) -> None:
        """Let the functional ``machine`` execute ``instr``, and note what its weights say."""
        if instr.unit == ARRAY:
            self.see(instr, machine.weight)
        machine.execute(instr)
        if instr.op == "LOAD" and instr["mem"] == MEM_PACKED:
            self.unpacked[id(instr)] = machine.unpacked

    def see(self, instr: Instruction, weight: np.ndarray) -> None:
        """Note the stream that ``instr`` is about to consume from the weight buffer (uint16, rows of N)."""
        bank = instr["bank"]
        if instr.op == "WS":
            self.held[bank] = (1 << self.cfg.rf) - 1
            tiles = weight[instr["val_row"] : instr["val_row"] + instr["tiles"] * self.cfg.n]
            self.weights[id(instr)] = int(np.count_nonzero(tiles))
            return
        words = instr["records"] * self.cfg.header_words
        rows = weight[instr["hdr_row"] : instr["hdr_row"] + -(-words // self.cfg.n)]
        key = rows.tobytes() + instr["records"].to_bytes(2, "little")
        headers = self.cache.get(key)
        if headers is None:
            headers = self.cache[key] = decode_headers(self.cfg, rows.reshape(-1), instr["records"])
        self.of[id(instr)] = headers
        before = 0 if instr["first"] else self.held[bank]
        self.fresh[id(instr)] = (headers.channels & ~before).bit_count()
        self.held[bank] = headers.channels | before


def _dma_counters(instr: Instruction, cfg: MachineConfig, streams: _Streams) -> dict[str, int]:
    """Events of a LOAD or STORE."""
    rows = instr["rows"] * instr["lines"]
    bus, words = rows * cfg.row_beats * cfg.bus_words, rows * cfg.n
    if instr.op == "STORE":
        return {"dram_write_words": bus, "act_read_words": words}
    if instr["mem"] == MEM_PACKED:
        return {"dram_read_words": bus, "weight_write_words": streams.unpacked[id(instr)] * cfg.n}
    written = ("act_write_words", "weight_write_words", "bias_write_words")[instr["mem"]]
    return {"dram_read_words": bus, written: words}


def _add(totals: dict[str, int], events: Mapping[str, int]) -> None:
    """Add ``events`` to ``totals``, {event: count} both; a name that is in no table of events is a mistake of the timing models."""
    for name, count in events.items():
        totals[event(name).name] = totals.get(name, 0) + count


def _timing(program: Program, streams: _Streams, memory: DramProfile) -> tuple[Timeline, dict[str, Any]]:
    """(timeline, array timing) of a program whose streams are known."""
    cfg = program.cfg
    array = ArrayTiming(cfg, lambda instr: streams.of[id(instr)], fresh_of=lambda instr: streams.fresh[id(instr)],
                        weights_of=lambda instr: streams.weights[id(instr)], keep_spans=True)
    closed = {"array": array, "drain": DrainTiming(cfg), "pool": PoolTiming(cfg)}
    timeline = simulate(cfg, program.instructions, closed, prog_offset=program.prog_offset, memory=memory)
    return timeline, closed


def _count(program: Program, streams: _Streams, timeline: Timeline,
           closed: dict[str, Any]) -> tuple[dict[str, int], PerLayer, list[dict[str, int]]]:
    """({counter: count}, {layer: {counter: count}}, [{counter: count}] of the ARRAY instructions) of a run."""
    cfg = program.cfg
    per_layer, totals = {}, {item.name: 0 for item in EVENTS}
    array_events = []
    for instr, layer in zip(program.instructions, program.layer_of, strict=False):
        if instr.unit in (LOAD, STORE):
            events = _dma_counters(instr, cfg, streams)
        elif instr.unit == ARRAY:
            events = closed["array"].counters(instr)
            events["array_compute"] = events.pop("computing")
            _add(events, timeline.waits[len(array_events)])
            array_events.append(events)
        elif instr.unit is None:
            events = {}
        else:
            events = closed[UNITS[instr.unit]].counters(instr)
        events["dram_fetch_words"] = 32
        _add(totals, events)
        _add(per_layer.setdefault(layer, {}), events)
    totals["stall_fetch"] += timeline.tail
    totals["array_fill"] = timeline.occupied - totals["array_compute"]
    totals["cycles"] = timeline.cycles
    return totals, per_layer, array_events


def count_program(program: Program, *, dram: DramProfile = REFERENCE) -> dict[str, int]:
    """{counter: count} of a run of ``program``, without what it computes: only weights are moved, because cycles depend on them.

    Parameters
    ----------
    program : Program
    dram : DramProfile
        The memory's timing.
    """
    refuse_program(program)
    machine, streams = Machine(program.cfg, bytearray(program.image)), _Streams(program.cfg)
    for instr in program.instructions:
        if instr.unit == ARRAY:
            streams.see(instr, machine.weight)
        elif instr.op == "LOAD" and instr["mem"] in (MEM_WEIGHT, MEM_PACKED):
            streams.execute(instr, machine)
    return _count(program, streams, *_timing(program, streams, dram))[0]


def time_program(program: Program, memory: bytearray, *, dram: DramProfile = REFERENCE) -> ModelResult:
    """Execute and time ``program``; see :func:`run_model`."""
    begin = time.perf_counter()
    refuse_program(program)
    machine = Machine(program.cfg, memory)
    streams = _Streams(program.cfg)
    for number, instr in enumerate(program.instructions):
        try:
            streams.execute(instr, machine)
        except FunctionalError as error:
            raise FunctionalError(f"instruction {number} ({instr.op}, {program.layer_of[number]}): {error}", error.fault) from None
    timeline, closed = _timing(program, streams, dram)
    counters, per_layer, array_events = _count(program, streams, timeline, closed)
    _array_fill(program, timeline, per_layer)
    return ModelResult(bytes(memory), timeline.cycles, counters, timeline.starts, timeline.retires, per_layer,
                       time.perf_counter() - begin, timeline, closed["array"].spans, array_events)


def _array_fill(program: Program, timeline: Timeline, per_layer: PerLayer) -> None:
    """Share out the cycles in which ARRAY has an instruction but does not multiply: to the layer of that instruction."""
    array = [(instr, layer) for instr, layer in zip(program.instructions, program.layer_of, strict=True) if instr.unit == ARRAY]
    shares = array_shares(program.cfg, [instr.op for instr, _ in array], timeline.starts[ARRAY], timeline.retires[ARRAY])
    for (_, layer), (begin, end) in zip(array, shares, strict=True):
        events = per_layer[layer]
        events["array_fill"] = events.get("array_fill", 0) + end - begin
    for events in per_layer.values():
        if "array_fill" in events:
            events["array_fill"] -= events.get("array_compute", 0)


def run_model(program: Program, memory: bytearray, *, dram: DramProfile = REFERENCE) -> ModelResult:
    """Run ``program``.

    Parameters
    ----------
    program : Program
    memory : bytearray
        Of ``program.mem_bytes`` bytes, inputs in place; changed in place.
    dram : DramProfile
        The memory's timing.

    Returns
    -------
    ModelResult

    Raises
    ------
    FunctionalError
        If an instruction leaves a buffer or contradicts itself.
    """
    return time_program(program, memory, dram=dram)
