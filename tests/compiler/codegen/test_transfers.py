"""When and in which pieces things happen: rotated ring buffers, results and residuals by channels, transfers that wait."""

import dataclasses
import random
from types import SimpleNamespace

import pytest
from support.checks import check

from squeezelerator.compiler.api import compile_full, compile_network
from squeezelerator.compiler.codegen.events import ACT
from squeezelerator.compiler.codegen.map_transfers import whole_residuals
from squeezelerator.compiler.codegen.prefetch import PrefetchClock
from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.prefetch_policy import GREEDY, PrefetchPolicy
from squeezelerator.compiler.memory.ring_buffer import NO_WRAP, input_view, intervals, output_view
from squeezelerator.compiler.search.trial import Trial
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.isa import LOAD, MODE_OS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import REFERENCE


def _address(base, line, pitch, wrap_line, wrap_rows):
    return (base + line * pitch - (wrap_rows if line >= wrap_line else 0)) % 65536


def test_views_of_a_rotated_ring_agree_on_every_line():
    rand = random.Random(5)
    for _ in range(2000):
        lines, height, pitch = rand.randint(1, 9), rand.randint(1, 40), rand.randint(1, 7)
        ring = Buffer([], blocks=rand.randint(1, 3), lines=lines, pitch=pitch, base=rand.randrange(50), rotation=rand.randrange(lines))
        first = rand.randrange(height)
        last, block = min(height - 1, first + rand.randrange(lines)), rand.randrange(ring.blocks)
        where = {y: ring.base + block * ring.plane + (y + ring.rotation) % lines * pitch for y in range(first, last + 1)}
        seen = input_view(ring, SimpleNamespace(h=height, w=pitch), block, first, last, 0, (1, 1))
        written = output_view("out", ring, block, first, last - first + 1)
        rows = {row for _, low, high in intervals("act", ring, (block, block + 1), first, last + 1) for row in range(low, high)}
        for y, row in where.items():
            assert _address(seen["in_base"], y, pitch, seen["wrap_line"], seen["wrap_rows"]) == row
            assert _address(written["out_base"], y - first, pitch, written["out_wrap_line"], written["out_wrap_rows"]) == row
        assert rows == {row + x for row in where.values() for x in range(pitch)}
        assert seen["wrap_line"] == NO_WRAP or first < seen["wrap_line"] <= last


@pytest.mark.parametrize("name", ["tiny_sqnxt", "tiny_all"])
def test_rotated_rings_compute_the_same(name):
    net = synthetic(zoo.get(name))
    compiled = compile_full(net, MachineConfig(n=2, buffer_kib=1), effort="high")
    assert any(buffer.rotation for buffer in compiled.schedule.buffers)
    check(net, compiled.program)


def _drains(program):
    return [i for i in program.instructions if i.op == "DRAIN" and i["mode"] == MODE_OS]


@pytest.mark.parametrize(("n", "rf"), [(2, 4), (3, 9), (4, 16)])
def test_a_pass_of_several_blocks_drains_its_first_one_first(n, rf):
    net = synthetic(zoo.get("tiny_all"))
    program = compile_network(net, MachineConfig(n=n, rf=rf, buffer_kib=4), dataflow="os")
    rest = [(before, drain) for before, drain in zip(_drains(program), _drains(program)[1:], strict=False) if drain["entry0"]]
    assert rest
    for first, second in rest:
        assert (first["entry0"], first["channels"], second["entry0"]) == (0, n, n)
        assert first["bank"] == second["bank"]
        assert second["out_base"] == first["out_base"] + first["out_plane"]
    check(net, program)


def test_residuals_of_whole_maps_come_by_channels():
    net = synthetic(zoo.get("tiny_all"))
    compiled = compile_full(net, MachineConfig(n=3, buffer_kib=2))
    whole = [(group, tensor) for group in compiled.schedule.groups for tensor in whole_residuals(group)]
    assert whole
    for group, tensor in whole:
        assert all(tensor not in op.parts for op in group.ops)
    check(net, compiled.program)


def test_a_group_cut_off_between_transfer_and_use_can_be_emitted():
    compiled = compile_full(synthetic(zoo.get("tiny_all")), MachineConfig(n=3, buffer_kib=2))
    for group in compiled.schedule.groups:
        for end in range(1, len(group.steps)):
            assert Trial([dataclasses.replace(group, steps=group.steps[:end])], compiled.program.cfg, GREEDY).time()


def _homes(compiled):
    return {t.home for group in compiled.schedule.groups for t in group.buffers}


@pytest.mark.parametrize("n", [2, 3, 5])
def test_pools_of_whole_maps_go_block_by_block(n):
    net = synthetic(zoo.get("tiny_avgpool_fc"))
    program = compile_network(net, MachineConfig(n=n, buffer_kib=4))
    pools = [i for i in program.instructions if i.op == "POOL"]
    assert len(pools) > 1
    assert {i["blocks"] for i in pools} == {1}
    assert len({i["out_base"] for i in pools}) == len(pools)
    check(net, program)


def _event(op, tiles=1):
    return SimpleNamespace(op=op, records=None, fields={"tiles": tiles, "out_w": 1, "out_h": 1, "lines": 1, "rows": tiles})


def test_transfers_wait_while_the_bus_is_behind():
    cfg = MachineConfig(n=16)  # a tile takes 16 cycles at least, a row 2 beats
    clock = PrefetchClock(cfg, [_event("WS", 10) for _ in range(50)], REFERENCE)
    assert clock.last(0, PrefetchPolicy(4)) == 3  # neither is behind
    clock.event(_event("WS", 10), 0)
    assert clock.last(1, PrefetchPolicy(4)) >= 49  # the bus is idle
    clock.transfer(SimpleNamespace(fields={"lines": 4, "rows": 100}))
    assert clock.last(1, PrefetchPolicy(4)) == 4
    assert clock.last(1, GREEDY) >= 49
    # The bus is 800 cycles behind: that is five events of 160 cycles, and 320 cycles are two more.
    assert clock.last(1, PrefetchPolicy(0, 320)) == 7
    clock.wait()
    clock.event(_event("WS", 10), 1)
    assert clock.last(2, PrefetchPolicy(4)) >= 49


@pytest.mark.parametrize("prefetch", [GREEDY, PrefetchPolicy(1), PrefetchPolicy(3, 200)])
def test_the_prefetch_policy_changes_nothing_but_the_order(prefetch):
    net, cfg = synthetic(zoo.get("tiny_all")), MachineConfig(n=4, buffer_kib=2)

    def change(stage, compilation):
        if stage.name == "search":
            compilation.schedule.prefetch = prefetch

    program = compile_full(net, cfg, after=change).program
    assert sum(i.unit == LOAD for i in program.instructions) == sum(i.unit == LOAD for i in compile_network(net, cfg).instructions)
    check(net, program)


@pytest.mark.parametrize(("kernel", "stride"), [(5, 2), (3, 1), (2, 2)])
def test_lines_that_the_pass_before_did_not_need_are_waited_for_last(kernel, stride):
    net = TableBuilder("wide", (3, 24, 40))
    net.conv("conv", 6, kernel, stride=stride, pad=kernel // 2)
    net, cfg = synthetic(net.table()), MachineConfig(n=4, buffer_kib=4)
    found = compile_full(net, cfg, dataflow="os")
    ((op, plan),) = found.schedule.groups[0].plans.items()
    # Strides become channels where there is room for them in a row.
    lines, late = op.kernel[0], op.kernel[0] - op.stride[0]
    assert late > 0 or stride == kernel
    assert {chunk.lines for group in plan.groups for chunk in group.chunks} == ({(0, late), (late, lines)} if late else {(0, lines)})
    for group in plan.groups:
        # What uses the first lines only does not wait for transfers of the others.
        chunks = {id(chunk.records): chunk for chunk in group.chunks}
        for step in found.steps:
            if chunk := chunks.get(id(step.records)):
                rows = {row for kind, low, high in step.reads if kind == ACT for row in range(low, high)}
                lines = chunk.lines[1] - chunk.lines[0] + op.stride[0]  # a pass is in one line or in two
                assert len(rows) <= lines * op.parts[0].w * (chunk.blocks[1] - chunk.blocks[0])
    check(net, found.program)
