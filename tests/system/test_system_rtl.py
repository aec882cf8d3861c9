"""Whole networks on the generated Verilog, under Verilator, against the golden model and the cycle model.

On the reference memory the RTL's outputs, cycles, counters, and the cycle of every instruction's start and retirement must equal the
model's; on a memory that stalls, the outputs.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.channels import prefer_channels, wide
from support.functions import squeeze_excite
from support.machines import MACHINES
from support.strategies import networks

from squeezelerator.compiler.api import compile_full, compile_network
from squeezelerator.compiler.errors import CompileError
from squeezelerator.models.arithmetic import golden
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, run_rtl
from squeezelerator.sim.engines.run import load_memory
from squeezelerator.sim.survey import TABLE3
from squeezelerator.spec.isa import MEM_PACKED
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.memory import DramProfile
from squeezelerator.spec.verification.verify import verify


def run_both(program, x, **memory):
    """(RTL's result, cycle model's result) of a program."""
    image = load_memory(program, x)
    rtl = run_rtl(program.cfg, RtlProgram.of(program, image), RtlOptions(**memory))
    assert rtl.error is None
    return rtl, run_model(program, image)


def check_outputs(program, found, expected):
    for tensor in program.outputs:
        np.testing.assert_array_equal(tensor.unpack(found.memory), expected[tensor.name], err_msg=tensor.name)


def check_equal(net, program, seed=0):
    """All three engines agree on everything."""
    x = synthetic_input(net.table, seed)
    expected = golden.run(net, x)
    rtl, model = run_both(program, x)
    check_outputs(program, rtl, expected)
    check_outputs(program, model, expected)
    assert (rtl.starts, rtl.retires) == (model.starts, model.retires)
    assert rtl.cycles == model.cycles
    assert rtl.counters == model.counters
    times = ("array_compute", "array_fill", "stall_fetch", "stall_load", "stall_drain", "stall_pool", "stall_store")
    assert sum(rtl.counters[name] for name in times) == rtl.cycles
    return rtl


@pytest.mark.parametrize("n", [2, 4])
def test_maps_wider_than_the_buffer(n):
    net = TableBuilder("wide", (4 * n, 5, 90))
    net.conv("padded", 2 * n, 3, pad=1, activation="relu")
    net.max_pool("pool", 3, 2, pad=1)
    net.conv("depthwise", 2 * n, (5, 3), groups=2 * n)
    net.conv("last", 2 * n, 1, source="pool")
    net.add("sum", "last", "pool")
    quantised = synthetic(net.table())
    found = compile_full(quantised, MACHINES[n])
    assert any(op.out.w < op.out.dram_w for op in found.graph.ops)
    check_equal(quantised, found.program)


@pytest.mark.parametrize("n,size,shape", [(4, 8, {}), (8, 7, {"parts": 2}), (6, 6, {"kernel": 3})])
def test_convolutions_that_go_by_channels(monkeypatch, n, size, shape):
    prefer_channels(monkeypatch)
    net = synthetic(wide(n, size, **shape))
    found = compile_full(net, MACHINES[n])
    assert any(group.slots for group in found.schedule.groups)
    check_equal(net, found.program)


@pytest.mark.parametrize("n", MACHINES)
@pytest.mark.parametrize("name", zoo.names(test_only=True))
def test_tiny_networks(name, n):
    net = synthetic(zoo.get(name))
    check_equal(net, compile_network(net, MACHINES[n]))


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt", "tiny_fc"])
@pytest.mark.parametrize("sparsity", [0.0, 0.4, 0.9, 1.0])
def test_packed_weights(name, sparsity):
    net = synthetic(zoo.get(name), 1, sparsity)
    program = compile_network(net, MACHINES[6], dataflow="ws")
    loads = [i["mem"] for i in program.instructions if i.op == "LOAD"]
    assert MEM_PACKED in loads or not sparsity
    verify(program)
    check_equal(net, program)


@pytest.mark.parametrize("n", [n for n, cfg in MACHINES.items() if cfg.functions])
def test_products_and_functions(n):
    net = synthetic(squeeze_excite())
    check_equal(net, compile_network(net, MACHINES[n]))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(table=networks(functions=True), n=st.sampled_from([n for n, cfg in MACHINES.items() if cfg.functions]), seed=st.integers(0, 99))
def test_random_networks_with_functions(table, n, seed):
    net = synthetic(table, seed)
    try:
        program = compile_network(net, MACHINES[n])
    except CompileError:
        return
    check_equal(net, program, seed)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(table=networks(), n=st.sampled_from(sorted(MACHINES)), seed=st.integers(0, 99), sparsity=st.sampled_from([0.0, 0.4, 0.9, 1.0]),
       dataflow=st.sampled_from(["auto", "os", "ws"]), fusion=st.booleans())
def test_random_networks(table, n, seed, sparsity, dataflow, fusion):
    net = synthetic(table, seed, sparsity)
    try:
        program = compile_network(net, MACHINES[n], dataflow=dataflow, fusion=fusion)
    except CompileError:
        return
    check_equal(net, program, seed)


@pytest.mark.parametrize("latency,stall,seed", [(1, 0.0, 0), (1, 0.5, 1), (37, 0.3, 2), (300, 0.05, 3)])
@pytest.mark.parametrize("n", [3, 4])
def test_a_slow_memory_changes_cycles_and_nothing_else(n, latency, stall, seed):
    net = synthetic(zoo.get("tiny_all"))
    program = compile_network(net, MACHINES[n])
    x = synthetic_input(net.table)
    rtl, model = run_both(program, x, memory=DramProfile("test", latency=latency), stall=stall, seed=seed)
    check_outputs(program, rtl, golden.run(net, x))
    assert rtl.cycles != model.cycles
    events = [name for name in rtl.counters if name.endswith("words") or name in ("macs", "zeros_skipped", "array_compute")]
    assert {name: rtl.counters[name] for name in events} == {name: model.counters[name] for name in events}


def test_extremes_saturate_alike():
    net = synthetic(zoo.get("tiny_sqnxt"))
    program = compile_network(net, MACHINES[4])
    for x in (np.full(net.table.input_shape, -32768, np.int16), np.full(net.table.input_shape, 32767, np.int16)):
        expected = golden.run(net, x)
        rtl, _ = run_both(program, x)
        check_outputs(program, rtl, expected)
    assert any(np.abs(expected[name].astype(int)).max() == 32767 for name in expected)


def test_whole_squeezenext():
    """1.0-SqNxt-23v5, 227 x 227, on the 16 x 16 machine."""
    net = synthetic(zoo.get("sqnxt23v5"))
    rtl = check_equal(net, compile_network(net, MachineConfig(n=16)))
    assert rtl.cycles <= 1_180_000


@pytest.mark.slow
def test_whole_squeezenext_on_the_small_machine():
    net = synthetic(zoo.get("sqnxt23v5"))
    rtl = check_equal(net, compile_network(net, MACHINES[8]))
    assert rtl.cycles <= 3_290_000


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TABLE3 if name != "sqnxt23v5"])
def test_networks_of_the_paper(name):
    """The others of the paper's Table 3, whole, on the 16 x 16 machine."""
    net = synthetic(zoo.get(name))
    check_equal(net, compile_network(net, MachineConfig(n=16)))
