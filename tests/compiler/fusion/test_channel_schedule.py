"""Convolutions that go through their input by channels."""

import pytest
from support.channels import prefer_channels, wide
from support.checks import check

from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.codegen.events import ACT
from squeezelerator.compiler.report import text
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.isa import LOAD, MEM_ACT
from squeezelerator.spec.machine import MachineConfig


@pytest.fixture(autouse=True)
def preferred(monkeypatch):
    prefer_channels(monkeypatch)


def compiled(n, size, objective="cycles", sparsity=0.4, kib=None, rf=None, **shape):
    net = synthetic(wide(n, size, **shape), 1, sparsity)
    cfg = MachineConfig(n=n, buffer_kib=kib or n * n / 8, rf=rf or 2 * n)
    found = compile_full(net, cfg, objective=objective)
    check(net, found.program)
    return found


@pytest.mark.parametrize("n,size,shape", [
    (4, 4, {}), (4, 3, {"kernel": 3}), (8, 7, {}), (8, 8, {"parts": 2}), (5, 5, {"parts": 3}), (8, 6, {"kernel": 3, "rf": 32}),
    (4, 8, {}), (4, 7, {"kernel": 3, "kib": 4}), (8, 14, {"kib": 32, "parts": 2}), (6, 11, {"kib": 16}),
    (4, 4, {"sparsity": 1.0}), (4, 4, {"objective": "energy"}),
])  # fmt: skip
def test_it_computes_what_the_golden_model_computes(n, size, shape):
    found = compiled(n, size, **shape)
    assert any(group.slots for group in found.schedule.groups)


def by_channels(found, layer):
    """The groups of a layer that go by channels."""
    return [group for group in found.schedule.groups if group.slots and group.ops[0].layers[0] == layer]


def test_channels_that_are_still_there_are_not_brought_again():
    found, expected = compiled(8, 7), 0
    for group in by_channels(found, "conv2"):
        pairs = -(-len(group.plans[group.ops[0]].groups) // 2)
        blocks = group.streamed[0].blocks(8)
        held = group.slots.blocks * group.slots.number
        assert pairs > 1 and held < blocks
        expected += (blocks + (pairs - 1) * (blocks - held)) * 49
    rows = sum(i["rows"] * i["lines"] for i, layer in zip(found.program.instructions, found.program.layer_of, strict=True)
               if i.unit == LOAD and i["mem"] == MEM_ACT and layer == "conv2")  # fmt: skip
    assert rows == expected > 0


def test_buffers_stay_inside_what_they_were_given():
    found = compiled(8, 7)
    inside = [(b.base, b.base + b.rows) for group in by_channels(found, "conv2") for b in group.own]
    assert inside
    for step in found.steps:
        if step.layer == "conv2":
            for kind, low, high in (*step.reads, *step.writes):
                assert kind != ACT or any(a <= low and high <= b for a, b in inside)


def test_the_report_says_so():
    lines = text(compiled(8, 7)).splitlines()
    assert any("conv2, by channels, bound by" in line for line in lines)
    assert any(line.endswith("channel blocks: conv1_0") for line in lines)


def test_weight_stationary_alone_does_not():
    net = synthetic(wide(8, 8))
    found = compile_full(net, MachineConfig(n=8, buffer_kib=8, rf=16), dataflow="ws")
    assert not any(group.slots for group in found.schedule.groups)


@pytest.mark.parametrize("size,kernel", [((12, 4, 6), 3), ((9, 9, 6), (3, 4)), ((12, 9, 4), (1, 4))])
def test_lines_of_as_many_segments_as_there_are_array_rows(size, kernel):
    # Weights then come in two parts, by kernel lines: in both, no stream may read beyond the channels of a slot.
    net = TableBuilder("segments", size)
    net.conv("conv", 1, kernel)
    quantised = synthetic(net.table())
    found = compile_full(quantised, MachineConfig(n=2, buffer_kib=0.5, rf=4, sectors=2))
    assert found.schedule.groups[0].slots
    check(quantised, found.program)
