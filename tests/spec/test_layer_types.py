"""The table of layer types: every type through float networks, quantisation, the golden model, CSV files and the compiler."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.checks import check

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.models.tables.csv_file import read_csv, write_csv
from squeezelerator.spec.functions.activations import ACTIVATIONS, Activation
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer import TableError
from squeezelerator.spec.network.layer_types import LAYER_TYPES, Kernel, LayerType, Numbers

RULES = pytest.mark.parametrize("rule", LAYER_TYPES.values(), ids=lambda rule: rule.name)
UNWEIGHTED = pytest.mark.parametrize("rule", [rule for rule in LAYER_TYPES.values() if not rule.has_weights], ids=lambda rule: rule.name)
_EXACT = [rule for rule in LAYER_TYPES.values() if rule.numbers not in (Numbers.WEIGHTS, Numbers.TABLE)]
EXACT = pytest.mark.parametrize("rule", _EXACT, ids=lambda rule: rule.name)
SHAPE = (5, 7, 6)


def windows(rule):
    """(kernel, stride and padding) with which a type is tried."""
    return [((3, 2), {"stride": 2, "pad": 1}), (2, {"stride": (1, 2), "ceil": True})] if rule.kernel is Kernel.ANY else [(1, {})]


def bare(rule, kernel, window, activation=Activation.NONE):
    """A network of one layer without weights; every operand is the input."""
    net = TableBuilder("bare", SHAPE)
    source = ("input",) * (rule.operands or 2)
    net.layer("y", rule.name, kernel, source=source, activation=activation, **window)
    return net.table()


def inputs():
    rng = np.random.default_rng(7)
    return [rng.standard_normal(SHAPE).astype(np.float32) for _ in range(3)]


@pytest.mark.parametrize("rule", [rule for rule in LAYER_TYPES.values() if rule.torch_function], ids=lambda rule: rule.name)
def test_float_definition_is_pytorchs(rule):
    torch = pytest.importorskip("torch")
    from squeezelerator.models.arithmetic.torch_network import torch_network

    for kernel, window in windows(rule):
        table = bare(rule, kernel, window)
        for x in inputs():
            found = float_network.run(FloatNetwork(table, {}), x)["y"]
            wanted = torch_network(table).eval()(torch.from_numpy(x)[None])[0].detach().numpy()
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@EXACT
def test_integers_follow_the_float_definition(rule):
    for kernel, window in windows(rule):
        for activation in [Activation.NONE, Activation.RELU] if rule.activation else [Activation.NONE]:
            net = FloatNetwork(bare(rule, kernel, window, activation), {})
            quantised = quantise(net, inputs())
            for x in inputs():
                fixed = quantise_input(quantised, x)
                found = golden.run(quantised, fixed)["y"] / 2.0 ** quantised.frac_of("y")
                wanted = float_network.run(net, (fixed / 2.0**quantised.input_frac).astype(np.float32))["y"]
                # Half a unit for the rounding of a mean, as much for that of its factor.
                assert np.abs(found - wanted).max() <= 1.01 / 2.0 ** quantised.frac_of("y")


@EXACT
def test_integers_at_the_ends_of_the_range(rule):
    """What the definition makes of the largest and smallest values is saturated, never wrapped around."""
    for kernel, window in windows(rule):
        net = synthetic(bare(rule, kernel, window))
        layer = net.table.layers[0]
        for value in (-32768, 32767):
            x = np.full(SHAPE, value, np.int16)
            found = golden.run(net, x)["y"].astype(np.int64)
            real = float_network.before_activation(layer, FloatNetwork(net.table, {}).numbers(layer),
                                                   [x.astype(np.float32)] * len(layer.inputs))  # fmt: skip
            # A factor of a mean has 16 bits.
            assert np.abs(found - np.clip(real, -32768, 32767)).max() <= 1


@UNWEIGHTED
def test_what_importers_may_conclude(rule):
    for kernel, window in windows(rule):
        table = bare(rule, kernel, window)

        def run(x, table=table):
            return float_network.run(FloatNetwork(table, {}), x)["y"]

        for x in inputs():
            if rule.keeps_sign:
                assert run(np.abs(x)).min() >= 0
            for other in ACTIVATIONS.values():
                if rule.selects_largest and other.monotonic:
                    number = other.parameter.default if other.parameter else 0.0
                    np.testing.assert_array_equal(other.real(run(x), number), run(other.real(x, number)))


def between(rule, kernel, window, activation):
    """A network with a layer of the type behind convolutions, and behind the layer."""
    net = TableBuilder("between", SHAPE)
    left, right = net.conv("left", 4, source="input"), net.conv("right", 4, 3, pad=1, source="input")
    filters = 6 if not rule.keeps_channels else None
    source = (left, right)[: rule.operands] if rule.operands else (left, right)
    net.layer("y", rule.name, kernel, c_o=filters, source=source, activation=activation, **window)
    net.conv("last", 3)
    return net.table()


@RULES
def test_programs_compute_what_the_golden_model_computes(rule):
    for kernel, window in windows(rule):
        for activation in Activation if rule.activation else [Activation.NONE]:
            net = synthetic(between(rule, kernel, window, activation))
            functions = rule.needs_functions
            for n in (2, 3, 8) if rule.numbers is not Numbers.TABLE else (3,):
                check(net, compile_network(net, MachineConfig(n=n, functions=functions)))


@RULES
def test_csv_file_round_trip(rule, tmp_path):
    for kernel, window in windows(rule):
        table = between(rule, kernel, window, Activation.NONE)
        write_csv(table, tmp_path / "between.csv")
        assert read_csv(tmp_path / "between.csv").layers == table.layers


@RULES
def test_tables_refuse_what_a_type_does_not_have(rule):
    kernel, window = windows(rule)[0]
    good = between(rule, kernel, window, Activation.NONE)
    layer = good.by_name["y"]

    def refused(**changes):
        changed = [dataclasses.replace(item, **changes) if item is layer else item for item in good.layers]
        with pytest.raises(TableError, match=rf"^layer y: [^\n]*{rule.name}"):
            dataclasses.replace(good, layers=tuple(changed)).validate()

    if not rule.activation:
        refused(activation=Activation.RELU)
    if not rule.groups:
        refused(groups=2)
    if rule.keeps_channels:
        refused(c_o=layer.c_o + 1)
    if rule.operands:
        refused(inputs=layer.inputs + layer.inputs)
    if rule.kernel is not Kernel.ANY:
        refused(k_w=layer.k_w + 1)


@RULES
def test_the_page_of_networks_names_it(rule):
    assert f"`{rule.name}`" in (Path(__file__).parents[2] / "docs/networks.md").read_text(encoding="utf-8")


def test_the_second_factor_of_a_product_may_be_a_vector_and_no_other_operand():
    net = TableBuilder("scaled", SHAPE)
    net.conv("c", 5, 3, pad=1, source="input")
    net.avg_pool("v", source="input")
    net.layer("y", LayerType.MUL, source=("c", "v"))
    table = net.table()
    numbers = float_network.FloatLayer(np.ones((5, 5, 3, 3), np.float32), np.zeros(5, np.float32))
    maps = float_network.run(FloatNetwork(table, {"c": numbers}), inputs()[0])
    np.testing.assert_array_equal(maps["y"], maps["c"] * maps["v"])
    for wrong in ({"inputs": ("v", "c")}, {"type": LayerType.ADD}):
        layers = [dataclasses.replace(layer, **wrong) if layer.name == "y" else layer for layer in table.layers]
        with pytest.raises(TableError, match="^layer y: expects input maps of 6x7, but gets "):
            dataclasses.replace(table, layers=tuple(layers)).validate()
