"""The decomposition: every cycle and every word is counted once."""

import pytest

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.run import load_memory
from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.explain.decomposition import explain, whole_cycles
from squeezelerator.sim.results.layer_cycles import layer_cycles
from squeezelerator.spec.events import DRAM_WORDS
from squeezelerator.spec.machine import MachineConfig


def run(name, n, **options):
    table = zoo.get(name)
    net = synthetic(table)
    program = compile_network(net, MachineConfig(n=n), **options)
    result = run_model(program, load_memory(program, synthetic_input(table)))
    return program, result, explain(program, result)


CASES = [("tiny_all", 4, {}), ("tiny_all", 3, {"dataflow": "ws"}), ("tiny_all", 8, {"dataflow": "os"}), ("tiny_fc", 5, {}),
         ("tiny_sqnxt", 8, {"fusion": False}), ("tiny_sqnxt", 4, {})]  # fmt: skip


@pytest.mark.parametrize("name, n, options", CASES)
def test_causes_add_up_for_every_layer(name, n, options):
    program, result, found = run(name, n, **options)
    cycles = layer_cycles(program.cfg, program.instructions, program.layer_of, (result.starts, result.retires), result.cycles)
    for layer in program.table.layers:
        item = found.layers[layer.name]
        assert all(count >= 0 for count in item.parts.values()), (layer.name, item.parts)
        assert sum(item.parts.values()) == cycles.get(layer.name, 0) * n * n
        assert sum(item.cycles.values()) == item.total_cycles == cycles.get(layer.name, 0)
        events = result.per_layer.get(layer.name, {})
        assert item.parts[Cause.IDEAL] == events.get("macs", 0)
        multiplying = item.parts[Cause.IDEAL] + item.parts[Cause.ROWS] + item.parts[Cause.COLUMNS] + item.parts[Cause.ZEROS]
        assert multiplying == events.get("array_compute", 0) * n * n
        assert sum(item.words.values()) == sum(events.get(name, 0) for name in DRAM_WORDS)
    assert found.total.total_cycles == result.cycles == sum(item.total_cycles for item in found.layers.values())
    assert found.total.total_words == sum(result.counters[name] for name in DRAM_WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("name, n", [("sqnxt23v5", 16), ("squeezenet1_1", 8), ("mobilenet", 16), ("tiny_darknet", 16)])
def test_causes_add_up_for_large_networks(name, n):
    test_causes_add_up_for_every_layer(name, n, {})


def test_whole_cycles_keep_the_sum():
    parts = {Cause.IDEAL: 7, Cause.ROWS: 6, Cause.ZEROS: 3}
    assert whole_cycles(parts, 4) == {Cause.IDEAL: 2, Cause.ROWS: 1, Cause.ZEROS: 1}


def test_a_depthwise_convolution_leaves_lanes_unused_and_what_is_read_again_is_said():
    program, _, found = run("tiny_all", 4, dataflow="ws")
    layer = found.layers["depthwise"]
    table = {item.name: item for item in program.table.layers}
    # Each tile has a channel in every lane, and of the N x N weights N that the network has.
    assert table["depthwise"].groups > 1
    assert layer.parts[Cause.ROWS] >= 2 * (layer.parts[Cause.IDEAL] + layer.parts[Cause.ZEROS])
    assert layer.parts[Cause.ZEROS] == table["depthwise"].macs - layer.parts[Cause.IDEAL]
