"""Where the cycles of a run go, layer by layer: every cycle is counted once, so the causes add up to the layer's cycles and to the total.

While the array multiplies, a cycle is divided among its PEs: N * N parts that are ideal work, idle for want of rows or columns, or spent on
zeros. Everything is whole numbers of such parts until it is shown.
"""

import dataclasses
from collections.abc import Mapping

from squeezelerator.sim.engines.model import ModelResult
from squeezelerator.sim.explain.causes import RESOURCES, Cause
from squeezelerator.sim.explain.critical_path import CriticalPath
from squeezelerator.sim.explain.traffic import KINDS, layer_words
from squeezelerator.sim.results.layer_cycles import Share, layer_shares
from squeezelerator.spec.isa import ARRAY, Instruction
from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.program import Program
from squeezelerator.timing.array import ArraySpan

__all__ = ["Explanation", "LayerExplanation", "explain", "whole_cycles"]


def whole_cycles(parts: Mapping[Cause, int], pes: int) -> dict[Cause, int]:
    """``parts`` of 1 / ``pes`` cycles as whole cycles with the same sum (largest remainders are rounded up). The sum must be whole."""
    found = {cause: count // pes for cause, count in parts.items()}
    rest = sum(parts.values()) // pes - sum(found.values())
    for cause in sorted(parts, key=lambda cause: -(parts[cause] % pes))[:rest]:
        found[cause] += 1
    return found


@dataclasses.dataclass(frozen=True)
class LayerExplanation:
    """Where one layer's cycles and DRAM words go.

    Parameters
    ----------
    name : str
    pes : int
        PEs of the array.
    parts : dict of Cause to int
        Parts of 1 / ``pes`` cycles by cause.
    words : dict of str to int
        16-bit words that cross the memory port by kind (:data:`sim.explain.traffic.KINDS`).
    """

    name: str
    pes: int
    parts: dict[Cause, int]
    words: dict[str, int]

    @property
    def total_cycles(self) -> int:
        """Cycles of the layer."""
        return sum(self.parts.values()) // self.pes

    @property
    def total_words(self) -> int:
        """Words of the layer."""
        return sum(self.words.values())

    @property
    def cycles(self) -> dict[Cause, int]:
        """Whole cycles by cause; they add up to ``total_cycles``."""
        return whole_cycles(self.parts, self.pes)

    @property
    def bound(self) -> str:
        """The resource (:data:`sim.explain.causes.RESOURCES`) for which most cycles go; "-" for a layer without cycles."""
        if not self.total_cycles:
            return "-"
        return max(RESOURCES, key=lambda name: sum(self.parts[cause] for cause in RESOURCES[name]))

    def as_dict(self) -> dict:
        """For JSON."""
        return {"bound": self.bound, "cycles": {str(cause): count for cause, count in self.cycles.items()}, "dram_words": self.words}


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Layers in the order of the table, and their sum with what belongs to no layer."""

    layers: dict[str, LayerExplanation]
    total: LayerExplanation


class _Parts:
    """Parts by layer and cause while they are gathered."""

    def __init__(self, program: Program, result: ModelResult) -> None:
        self.program, self.result = program, result
        self.n = program.cfg.n
        self.pes = self.n**2
        self.of: dict[str | None, dict[Cause, int]] = {}
        self.array = [instr for instr in program.instructions if instr.unit == ARRAY]
        #: By layer: parts of the cycles in which WS multiplies, of them by weights that are not zero, and dense MACs of OS.
        self.streamed: dict[str | None, list[int]] = {}
        self.path = CriticalPath(program.instructions, result.timeline, program.cfg.queue_depth)

    def layer(self, name: str | None) -> dict[Cause, int]:
        return self.of.setdefault(name, dict.fromkeys(Cause, 0))

    def add(self, share: Share) -> None:
        """Account for a share."""
        if share.empty:
            self._empty(share)
        else:
            self._multiplying(share, self.array[share.number], self.result.spans[share.number])

    def _empty(self, share: Share) -> None:
        parts = self.layer(share.layer)
        last = share.number == len(self.array)
        intervals = self.path.before_end(share.begin) if last else self.path.before_array(share.number, share.begin)
        for begin, end, cause in intervals:
            parts[cause] += max(0, min(end, share.end) - begin) * self.pes

    def _multiplying(self, share: Share, instr: Instruction, span: ArraySpan) -> None:
        parts = self.layer(share.layer)
        start = span.take + 1 - share.begin
        first = min(start, span.first_load)
        parts[Cause.LOADS] += (first + span.loads) * self.pes
        parts[Cause.HEADERS] += span.headers * self.pes
        parts[Cause.CONTROL] += (start - first + share.end - span.done - 1) * self.pes
        macs = self.result.array_events[share.number]["macs"]
        parts[Cause.IDEAL] += macs
        found = self.streamed.setdefault(share.layer, [0, 0, 0])
        if instr.op == "WS":
            found[0] += span.computing * self.pes
            found[1] += macs
        else:
            parts[Cause.ROWS] += span.computing * (self.n - instr["nrows"]) * self.n
            parts[Cause.COLUMNS] += span.computing * (instr["nrows"] * self.n - instr["pixels"])
            found[2] += macs + instr["skipped"] * instr["pixels"]

    def divide_streamed(self, layer: Layer) -> None:
        """Divide what WS does beside its multiplications by weights that are not zero.

        Zeros among the network's weights are zeros; the rest is lanes of the tiles without a channel, and how many of them are output
        lanes follows from the number of output channels.
        """
        total, macs, dense_os = self.streamed.get(layer.name, (0, 0, 0))
        zeros = min(max(layer.macs - dense_os - macs, 0), total - macs)
        lanes = -(-layer.c_o // self.n) * self.n
        columns = min(total * (lanes - layer.c_o) // lanes, total - macs - zeros)
        parts = self.layer(layer.name)
        parts[Cause.ZEROS] += zeros
        parts[Cause.COLUMNS] += columns
        parts[Cause.ROWS] += total - macs - zeros - columns


def explain(program: Program, result: ModelResult) -> Explanation:
    """Where cycles and DRAM words of a run of the cycle model went."""
    parts = _Parts(program, result)
    times = result.starts, result.retires
    for share in layer_shares(program.cfg, program.instructions, program.layer_of, times, result.cycles):
        parts.add(share)
    for layer in program.table.layers:
        parts.divide_streamed(layer)
    words = layer_words(program)
    nothing = dict.fromkeys(KINDS, 0)
    layers = {layer.name: LayerExplanation(layer.name, parts.pes, parts.layer(layer.name), words.get(layer.name, nothing))
              for layer in program.table.layers}  # fmt: skip
    total = {cause: sum(found[cause] for found in parts.of.values()) for cause in Cause}
    all_words = {kind: sum(found[kind] for found in words.values()) for kind in KINDS}
    return Explanation(layers, LayerExplanation("total", parts.pes, total, all_words))
