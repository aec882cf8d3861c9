"""Composition: segments, windows, and sums that are exact where the network is one window."""

import itertools
from dataclasses import replace

import pytest

from squeezelerator.explore.evaluation.compose import Recipes, combined, composed
from squeezelerator.explore.evaluation.job import Job, Outcome
from squeezelerator.explore.evaluation.segments import bounds, window
from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.squeezenet import squeezenet
from squeezelerator.models.networks.squeezenext import Variant, squeezenext
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import memory_of

V5 = squeezenext("squeezenext", Variant(depths=(2, 4, 14, 1), conv1_kernel=5, shortcut_feeds_block=True))


def test_segments_of_squeezenext_are_its_blocks():
    places = bounds(V5)
    assert len(places) - 1 == 21
    assert all(V5.layers[place - 1].name.endswith("_add") for place in places[1:-1])


def test_segments_of_squeezenet_end_with_whole_concatenations():
    table = squeezenet()
    ends = [table.layers[place - 1].name for place in bounds(table)[1:-1]]
    assert "fire2_expand3x3" in ends and not [name for name in ends if "1x1" in name]


def test_nothing_is_cut_where_two_maps_pass():
    table = zoo.get("squeezenet1_0_simple_bypass")
    for place in bounds(table)[1:-1]:
        later = {source for layer in table.layers[place:] for source in layer.inputs}
        passing = [layer.name for layer in table.layers[:place] if layer.name in later]
        readers = {layer.inputs for layer in table.layers[place:] if set(layer.inputs) & set(passing)}
        assert len(passing) == 1 or readers == {tuple(passing)}


@pytest.mark.parametrize("table", [V5, squeezenet(), zoo.get("tiny_all"), zoo.get("mobilenet")], ids=lambda table: table.name)
def test_windows_are_networks_with_the_same_work(table):
    places = bounds(table)
    parts = [window(table, first, last).validate() for first, last in itertools.pairwise(places)]
    assert sum(part.macs for part in parts) == table.macs and sum(part.params for part in parts) == table.params


@pytest.mark.parametrize(("context", "step"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 30)])
def test_the_factors_count_every_layer_once(context, step):
    parts = composed(V5, context, step)
    assert sum(factor * part.macs for part, factor in parts) == V5.macs
    assert sum(factor * len(part.layers) for part, factor in parts) == len(V5.layers)


def test_networks_share_windows():
    other = squeezenext("squeezenext", Variant(depths=(2, 4, 12, 3), conv1_kernel=5, shortcut_feeds_block=True))
    mine, theirs = ({id(part) for part, _ in composed(table, 1, 3)} for table in (V5, other))
    assert len(mine) < 25 and len(theirs - mine) < 10


def test_a_network_of_few_segments_is_one_job():
    job = Job(table=zoo.get("tiny_chain"), cfg=MachineConfig(n=4), effort="composed")
    ((part, factor),) = Recipes().recipe(job, 1, 3)
    assert factor == 1 and part.effort == "normal" and part.table is not None and part.table.macs == zoo.get("tiny_chain").macs


def test_jobs_are_known_by_their_contents():
    job = Job(table=V5, cfg=MachineConfig(n=4))
    same = Job(table=squeezenext("squeezenext", Variant(depths=(2, 4, 14, 1), conv1_kernel=5, shortcut_feeds_block=True)),
               cfg=MachineConfig(n=4))
    assert same.key == job.key
    changes = [{"cfg": MachineConfig(n=8)}, {"memory": memory_of("reference,latency=50")}, {"memory": memory_of("sdr16")},
               {"sparsity": 0.0}, {"seed": 1}, {"effort": "high"}, {"objective": "energy"},
               {"dataflow": "os"}, {"table": zoo.get("tiny_all")}, {"digest": "0"}, {"costs": (("macs", 2.0),)}]
    keys = {replace(job, **change).key for change in changes}
    assert len(keys) == len(changes) and job.key not in keys


def test_a_failed_part_is_the_points_reason():
    first, second = Job(table=zoo.get("tiny_chain"), cfg=MachineConfig(n=4)), Job(table=zoo.get("tiny_fc"), cfg=MachineConfig(n=4))
    outcomes = {first.key: Outcome({"cycles": 5}, 2), second.key: Outcome({"cycles": 3}, 1)}
    assert combined(((first, 2), (second, -1)), outcomes) == Outcome({"cycles": 7}, 3)
    outcomes[second.key] = Outcome({}, reason="too large")
    assert combined(((first, 2), (second, -1)), outcomes).reason == "too large"
