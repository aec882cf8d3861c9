"""Advice: the largest gain first, about the layers that it comes from."""

from squeezelerator.models.networks import zoo
from squeezelerator.sim.explain.advice import advise
from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.explain.decomposition import Explanation, LayerExplanation
from squeezelerator.sim.explain.traffic import KINDS
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4)
TABLE = zoo.get("tiny_all")


def explained(parts):
    """An Explanation of {layer: {cause: cycles}}."""
    items = {layer.name: {cause: parts.get(layer.name, {}).get(cause, 0) * CFG.n**2 for cause in Cause} for layer in TABLE.layers}
    total = {cause: sum(found[cause] for found in items.values()) for cause in Cause}
    words = dict.fromkeys(KINDS, 0)
    layers = {name: LayerExplanation(name, CFG.n**2, found, words) for name, found in items.items()}
    return Explanation(layers, LayerExplanation("total", CFG.n**2, total, words))


def test_the_largest_gain_comes_first_and_small_ones_not_at_all():
    found = advise(explained({
        "conv1": {Cause.IDEAL: 8000, Cause.DRAM: 500, Cause.COLUMNS: 1}, "fc": {Cause.LOADS: 900, Cause.IDEAL: 99},
        "depthwise": {Cause.ROWS: 400, Cause.ZEROS: 100},
    }), TABLE.layers, {"conv1": "OS", "fc": "WS", "depthwise": "WS"}, CFG)  # fmt: skip
    assert [(item.cycles, item.layers, item.changes) for item in found] == [
        (900, ("fc",), "network"), (800, ("conv1",), "network"), (500, ("conv1",), "machine"), (400, ("depthwise",), "network"),
        (100, ("depthwise",), "network")]  # fmt: skip
    assert "a tile of weights takes 4 cycles to load" in found[0].text and "pruning a tenth" in found[1].text
    assert "128 bits (--bus-bits)" in found[2].text and "grouped convolution" in found[3].text
    assert found[0].share == 0.09
    assert found[0].line.startswith("network: fc: ") and found[0].line.endswith("Estimate: up to 900 cycles (9.0%).")


def test_only_the_layers_that_matter_are_named():
    found = advise(explained({"conv1": {Cause.DRAIN: 850}, "fc": {Cause.DRAIN: 50}, "merge": {Cause.DRAIN: 100}}), TABLE.layers,
                   {"conv1": "OS"}, CFG)  # fmt: skip
    assert [(item.cycles, item.layers) for item in found] == [(850, ("conv1",))]
