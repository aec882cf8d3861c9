"""Random and named networks: what the program computes equals the golden model, and its tickets order everything."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.checks import check
from support.functions import squeeze_excite
from support.strategies import MACHINES, networks

from squeezelerator.compiler.api import compile_full, compile_network
from squeezelerator.compiler.errors import CompileError
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.sim.survey import TABLE3
from squeezelerator.spec.isa import ARRAY
from squeezelerator.spec.machine import MachineConfig


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(table=networks(functions=True), cfg=MACHINES, seed=st.integers(0, 99), sparsity=st.sampled_from([0.0, 0.4, 0.9, 1.0]),
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
@pytest.mark.parametrize("name", list(zoo.names(test_only=True)))
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
    # A single output needs more input than there is room for.
    net = TableBuilder("deep", (128, 5, 5))
    net.conv("conv1", 4, 5, groups=2)
    quantised = synthetic(net.table())
    with pytest.raises(CompileError, match=r"layer conv1: needs \d+ rows of activation .*, there are \d+; --buffer-kib 8.5 helps"):
        compile_network(quantised, MachineConfig(n=2, rf=4))
    check(quantised, compile_network(quantised, MachineConfig(n=2, rf=4, buffer_kib=8.5)))
    net = TableBuilder("deeper", (32, 31, 31))
    net.conv("conv1", 4, 31)
    with pytest.raises(CompileError, match=r"layer conv1: needs \d+ rows of activation .*, there are \d+; a larger --pe helps"):
        compile_network(synthetic(net.table()), MachineConfig(n=2, rf=4), dataflow="ws")


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_groups_that_do_not_fit_together(groups):
    # Three lines of all of the second layer's input do not fit the buffer, three lines of a group's do.
    net = TableBuilder("grouped", (3, 6, 5))
    net.conv("first", 64, 3, pad=1)
    net.conv("second", 64, 3, pad=1, groups=groups)
    net.max_pool("pool", 2, 2)
    net.conv("third", 64, 1, groups=groups)
    net.conv("fourth", 16, 3, pad=1)
    quantised, cfg = synthetic(net.table()), MachineConfig(n=4, buffer_kib=2)
    if groups == 1:
        # In OS the input may come by channels; in WS only by columns.
        found = compile_full(quantised, cfg, dataflow="ws")
        assert any(op.out.w < op.out.dram_w for op in found.graph.ops)
        check(quantised, found.program)
    for fusion in (True, False):
        check(quantised, compile_network(quantised, cfg, fusion=fusion))


def test_stride_too_large():
    net = TableBuilder("fast", (3, 30, 30))
    net.conv("first", 4)
    net.conv("second", 4, 5, stride=5)
    with pytest.raises(CompileError, match="layer second: the machine's strides go up to 4, not 5"):
        compile_network(synthetic(net.table()), MachineConfig(n=4))


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 16])
@pytest.mark.parametrize("name", TABLE3)
def test_networks_of_the_paper(name, n):
    net = synthetic(zoo.get(name))
    check(net, compile_network(net, MachineConfig(n=n)))


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_products_and_functions(n):
    net = synthetic(squeeze_excite())
    check(net, compile_network(net, MachineConfig(n=n, functions=True)))


def test_products_need_a_machine_that_has_them():
    with pytest.raises(CompileError, match=r"^layer hs: HardSwish needs a machine with functions \(--functions\)$"):
        compile_network(synthetic(squeeze_excite()), MachineConfig(n=4))
