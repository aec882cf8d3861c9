"""Random and named networks: what the program computes equals the golden model, and its tickets order everything."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.api import compile_full, compile_network
from compiler.errors import CompileError
from compiler.verify import verify
from models import zoo
from models.builder import TableBuilder
from models.synthetic import synthetic, synthetic_input
from rtl.config import MachineConfig
from rtl.isa import ARRAY
from sim import golden
from sim.functional import run_functional


def check(net, program, seed=0):
    """Run a program and compare everything that leaves the chip with the golden model."""
    x = synthetic_input(net.table, seed)
    expected = golden.run(net, x)
    memory = run_functional(program, program.memory(input=x))
    found = program.results_from(memory)
    assert set(program.results) <= set(found)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    verify(program)


@st.composite
def networks(draw):
    """A small random network: chains, branches, concatenations, sums and pools of odd shapes."""
    size = draw(st.integers(1, 13)), draw(st.integers(1, 13))
    net = TableBuilder("random", (draw(st.integers(1, 9)), *size))
    maps = ["input"]
    for number in range(draw(st.integers(1, 6))):
        source = draw(st.sampled_from(maps[-3:]))
        channels, height, width = net.shape(source)
        alike = [name for name in maps if net.shape(name) == net.shape(source)]
        joinable = [name for name in maps if net.shape(name)[1:] == (height, width)]
        kind = draw(st.sampled_from(["conv"] * 4 + ["grouped", "concat", "add", "residual", "max", "avg", "fc"]))
        name = f"{kind}{number}"
        kernel = draw(st.integers(1, min(5, width))), draw(st.integers(1, min(5, height)))
        pad = draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))
        stride = draw(st.sampled_from([1, 1, 2, (2, 1), 3]))
        activation = draw(st.sampled_from(["none", "relu", "relu6", "leaky"]))
        filters = draw(st.integers(1, 11))
        if kind == "conv":
            net.conv(name, filters, kernel, source=source, stride=stride, pad=pad, activation=activation)
        elif kind == "grouped":
            groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
            filters = groups * draw(st.integers(1, 3))
            net.conv(name, filters, kernel, source=source, stride=stride, pad=pad, groups=groups, activation=activation)
        elif kind == "concat":
            parts = tuple(draw(st.lists(st.sampled_from(joinable), min_size=2, max_size=3)))
            if draw(st.booleans()):
                net.max_pool(name, min(2, width, height), 1, source=parts)
            else:
                net.conv(name, filters, source=parts, activation=activation)
        elif kind == "add":
            net.add(name, source, draw(st.sampled_from(alike)), activation=activation)
        elif kind == "residual":
            conv = net.conv(name + "c", channels, 1, source=source, activation=draw(st.sampled_from(["none", "relu"])))
            pair = (conv, draw(st.sampled_from(alike)))
            net.add(name, *draw(st.permutations(pair)), activation=draw(st.sampled_from(["none", "relu", "relu6"])))
        elif kind in ("max", "avg"):
            pool = net.max_pool if kind == "max" else net.avg_pool
            pool(name, kernel, stride, source=source, pad=min(pad[0], pad[1], kernel[0] // 2, kernel[1] // 2))
        else:
            net.fc(name, filters, source=source, activation=activation)
        maps.append(net.last)
    return net.table()


MACHINES = st.sampled_from([2, 3, 4, 5, 8]).flatmap(lambda n: st.builds(
    MachineConfig, n=st.just(n), buffer_kib=st.sampled_from([n * n / 8, n * n / 4, n * n / 2, n * n]),
    rf=st.sampled_from([4, 8, 17, 32]), bus_bits=st.sampled_from([64, 128, 256]),
))  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=networks(), cfg=MACHINES, seed=st.integers(0, 99), sparsity=st.sampled_from([0.0, 0.4, 0.9, 1.0]),
       dataflow=st.sampled_from(["auto", "os", "ws"]), fusion=st.booleans())  # fmt: skip
def test_random_networks_compute_what_the_golden_model_computes(table, cfg, seed, sparsity, dataflow, fusion):
    net = synthetic(table, seed, sparsity)
    try:
        program = compile_network(net, cfg, dataflow=dataflow, fusion=fusion)
    except CompileError as error:
        assert "\n" not in str(error) and "layer" in str(error)
        return
    check(net, program, seed)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("name", [name for name in zoo.names(test_only=True)])
def test_tiny_networks(name, n):
    net = synthetic(zoo.get(name))
    check(net, compile_network(net, MachineConfig(n=n)))


@pytest.mark.parametrize("n", [7, 11, 32])
def test_unusual_sizes_of_the_array(n):
    net = synthetic(zoo.get("tiny_all"))
    check(net, compile_network(net, MachineConfig(n=n)))


def test_whole_squeezenext():
    net = synthetic(zoo.get("sqnxt23v5"))
    check(net, compile_network(net, MachineConfig(n=16)))


@pytest.mark.parametrize("dataflow", ["os", "ws"])
def test_one_dataflow_for_all(dataflow):
    net = synthetic(zoo.get("tiny_sqnxt"))
    program = compile_network(net, MachineConfig(n=4), dataflow=dataflow)
    assert {i.op for i in program.instructions if i.unit == ARRAY} == {dataflow.upper()}
    check(net, program)


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt", "tiny_grouped"])
def test_every_product_is_done_or_skipped(name):
    net = synthetic(zoo.get(name))
    compiled = compile_full(net, MachineConfig(n=4), dataflow="os")
    program, done = compiled.program, {}
    for instruction, layer in zip(program.instructions, program.layer_of, strict=True):
        if instruction.op == "OS":
            products = instruction["pixels"] * (instruction["values"] + instruction["skipped"])
            done[layer] = done.get(layer, 0) + products
    assert done == {layer.name: layer.macs for layer in net.table.layers if layer.has_weights}


def test_same_bytes_every_time():
    net = synthetic(zoo.get("tiny_all"))
    assert compile_network(net, MachineConfig(n=4)).to_bytes() == compile_network(net, MachineConfig(n=4)).to_bytes()


def test_too_large_for_the_buffer():
    net = TableBuilder("wide", (8, 3, 3000))
    net.conv("conv1", 4, 3)
    with pytest.raises(CompileError, match=r"layer conv1: needs \d+ rows of activation buffer .*, there are \d+"):
        compile_network(synthetic(net.table()), MachineConfig(n=2))


def test_stride_too_large():
    net = TableBuilder("fast", (3, 30, 30))
    net.conv("first", 4)
    net.conv("second", 4, 5, stride=5)
    with pytest.raises(CompileError, match="layer second: the machine's strides go up to 4, not 5"):
        compile_network(synthetic(net.table()), MachineConfig(n=4))
