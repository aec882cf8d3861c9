"""What to change in the network or in the machine to gain most, in words, from the decomposition.

Each piece of advice takes one cause away in the layers where it costs most. The gain is an estimate from above: all cycles of the cause in
those layers, as if nothing else took their place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.explain.decomposition import Explanation, LayerExplanation
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer import Layer

__all__ = ["Advice", "advise"]

#: Share of a cause's cycles that the layers named must cover.
_COVERED = 0.8
#: Most layers named in a text.
_NAMED = 4
#: Share of all cycles below which advice is not worth a line.
_WORTH = 0.002


@dataclass(frozen=True)
class Advice:
    """``changes``: "network" or "machine"; ``cycles``: estimated gain; ``share``: of all cycles, 0 to 1; ``layers``: where."""

    changes: str
    text: str
    cycles: int
    share: float
    layers: tuple[str, ...]

    @property
    def line(self) -> str:
        """For a terminal."""
        return f"{self.changes}: {self.text} Estimate: up to {self.cycles:,} cycles ({100 * self.share:.1f}%)."


@dataclass(frozen=True)
class _Rule:
    """``cause`` in the layers for which ``applies(layer, dataflow)`` holds."""

    cause: Cause
    changes: str
    applies: Callable[[Layer, str], bool]
    text: Callable[[Sequence[Layer], MachineConfig], str]


def _shapes(layers: Sequence[Layer]) -> str:
    found = dict.fromkeys(f"{layer.h_o}x{layer.w_o}" for layer in layers)
    return ", ".join(list(found)[:_NAMED])


def _channels(layers: Sequence[Layer], side: str) -> str:
    found = dict.fromkeys(str(getattr(layer, side)) for layer in layers)
    return ", ".join(list(found)[:_NAMED])


def _os(layer: Layer, dataflow: str) -> bool:
    return "OS" in dataflow


def _ws(layer: Layer, dataflow: str) -> bool:
    return dataflow == "WS"


def _grouped_ws(layer: Layer, dataflow: str) -> bool:
    return _ws(layer, dataflow) and layer.groups > 1


def _plain_ws(layer: Layer, dataflow: str) -> bool:
    return _ws(layer, dataflow) and layer.groups == 1


def _any(layer: Layer, dataflow: str) -> bool:
    return True


_RULES = (
    _Rule(Cause.ROWS, "network", _os, lambda layers, cfg: (
        f"output maps of {_shapes(layers)} do not fill the array's {cfg.n} rows in every pass; heights for which lines times segments "
        f"(a segment is up to {cfg.n} pixels of a line) are a multiple of {cfg.n} would.")),
    _Rule(Cause.COLUMNS, "network", _os, lambda layers, cfg: (
        f"lines of maps of {_shapes(layers)} do not divide into segments of {cfg.n} pixels; widths that are multiples of {cfg.n} would use "
        "all columns.")),
    _Rule(Cause.ROWS, "network", _grouped_ws, lambda layers, cfg: (
        f"a grouped convolution uses only its group's channels of a {cfg.n} x {cfg.n} tile of weights; fewer groups, or groups of {cfg.n} "
        "channels, would fill it.")),
    _Rule(Cause.ROWS, "network", _plain_ws, lambda layers, cfg: (
        f"{_channels(layers, 'c_i')} input channels do not fill blocks of {cfg.n}; multiples of {cfg.n} would.")),
    _Rule(Cause.COLUMNS, "network", _ws, lambda layers, cfg: (
        f"{_channels(layers, 'c_o')} output channels do not fill blocks of {cfg.n}; multiples of {cfg.n} would.")),
    _Rule(Cause.ZEROS, "network", _ws, lambda layers, cfg: (
        "these layers run weight stationary, which multiplies by zeros, because their maps are small; pruning whole channels there instead "
        "of single weights, or maps large enough for output stationary, would save the zeros.")),
    _Rule(Cause.HEADERS, "network", _os, lambda layers, cfg: (
        f"records (an input channel at a kernel position) hold fewer weights than their header takes to be parsed, {cfg.record_cycles} "
        "cycles; more output channels for each input channel would make them longer.")),
    _Rule(Cause.LOADS, "network", _ws, lambda layers, cfg: (
        f"a tile of weights takes {cfg.n} cycles to load and serves only {_shapes(layers)} pixels; smaller fully connected layers, or "
        "global pooling before them, would need fewer tiles.")),
    _Rule(Cause.LOADS, "network", _os, lambda layers, cfg: (
        "loading an input channel's pixels takes longer than multiplying them by its few weights; more output channels for each input "
        "channel would hide the loads.")),
    _Rule(Cause.DRAIN, "network", _any, lambda layers, cfg: (
        "results take longer to be written back than they take to be computed; more input channels or larger kernels for each output "
        "would hide the drains.")),
    _Rule(Cause.DRAM, "machine", _any, lambda layers, cfg: (
        f"the array waits for transfers; a wider bus than {cfg.bus_bits} bits (--bus-bits) or a larger buffer than {cfg.buffer_kib:g} KiB "
        "(--buffer-kib) would help, or fewer weights.")),
    _Rule(Cause.FETCH, "machine", _any, lambda layers, cfg: (
        f"the array waits for instructions, which share the bus of {cfg.bus_bits} bits with the data; a wider one would help, or fewer and "
        "larger layers.")),
    _Rule(Cause.POOL, "network", _any, lambda layers, cfg: (
        "the array waits for the pooling unit, which reads one position of a window a cycle; smaller windows, or strided convolutions in "
        "place of pools, would help.")),
)  # fmt: skip


def _heaviest(items: Sequence[LayerExplanation], cause: Cause) -> list[LayerExplanation]:
    """The layers that have most of a cause, together :data:`_COVERED` of it."""
    found, left = [], _COVERED * sum(item.parts[cause] for item in items)
    for item in sorted(items, key=lambda item: -item.parts[cause]):
        if left <= 0 or not item.parts[cause]:
            break
        found.append(item)
        left -= item.parts[cause]
    return found


def _named(items: Sequence[LayerExplanation]) -> str:
    names = ", ".join(item.name for item in items[:_NAMED])
    return names if len(items) <= _NAMED else f"{names} and {len(items) - _NAMED} more"


def _more_zeros(explanation: Explanation, flows: Mapping[str, str], cycles: int) -> Advice | None:
    """OS takes time in proportion to the weights that are not zero."""
    multiplying = (Cause.IDEAL, Cause.ROWS, Cause.COLUMNS)
    items = [item for item in explanation.layers.values() if flows.get(item.name) == "OS" and item.bound == "multipliers"]
    gain = sum(item.parts[cause] for item in items for cause in multiplying) // (10 * explanation.total.pes)
    if gain < _WORTH * cycles:
        return None
    text = f"layers that run output stationary take time for non-zero weights only: pruning a tenth of those in {len(items)} layers."
    return Advice("network", text, gain, gain / cycles, tuple(item.name for item in items))


def advise(explanation: Explanation, layers: Sequence[Layer], flows: Mapping[str, str], cfg: MachineConfig) -> list[Advice]:
    """Advice, that with the largest estimated gain first.

    Parameters
    ----------
    explanation : Explanation
    layers : sequence of Layer
    flows : dict of str to str
        Dataflow of each layer, as in the table of ``python -m sim``: "OS", "WS", "OS+WS", "pool", "-".
    cfg : MachineConfig
    """
    cycles = explanation.total.total_cycles
    table = {layer.name: layer for layer in layers}
    found = []
    for rule in _RULES:
        chosen = [item for name, item in explanation.layers.items() if rule.applies(table[name], flows.get(name, "-"))]
        heavy = _heaviest(chosen, rule.cause)
        gain = sum(item.parts[rule.cause] for item in heavy) // explanation.total.pes
        if not heavy or gain < _WORTH * cycles:
            continue
        text = f"{_named(heavy)}: {rule.text([table[item.name] for item in heavy], cfg)}"
        found.append(Advice(rule.changes, text, gain, gain / cycles, tuple(item.name for item in heavy)))
    zeros = _more_zeros(explanation, flows, cycles)
    return sorted([*found, *([zeros] if zeros else [])], key=lambda advice: -advice.cycles)
