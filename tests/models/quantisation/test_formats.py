"""Post-training quantisation: formats that the machine accepts, close to float, reported layer by layer."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from squeezelerator.models import evaluate, importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import QuantError, accumulator_bound
from squeezelerator.models.networks import zoo
from squeezelerator.models.pictures import classes, images
from squeezelerator.models.quantisation.bias_correction import mean_error
from squeezelerator.models.quantisation.formats import HEADROOM_BITS, noise_inputs, quantise, quantise_input
from squeezelerator.models.quantisation.report import layer_reports, report_lines, snr
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer_types import LayerType


def _network(table, seed=0, gain=1.0, bias=0.1):
    """Random float weights that keep the signal's size, times ``gain``."""
    rng = np.random.default_rng(seed)
    params = {}
    for layer in table.layers:
        if layer.has_weights:
            scale = gain * np.sqrt(2 / (layer.params / layer.c_o))
            weight = (rng.standard_normal(layer.weight_shape) * scale).astype(np.float32)
            params[layer.name] = FloatLayer(weight=weight, bias=(bias * rng.standard_normal(layer.c_o)).astype(np.float32))
    return FloatNetwork(table, params).validate()


@pytest.mark.parametrize("name", list(zoo.names(test_only=True)))
def test_outputs_follow_float(name):
    net = _network(zoo.get(name))
    inputs = noise_inputs(net.table, 4)
    quantised = quantise(net, inputs)
    for row in layer_reports(net, quantised, inputs):
        assert row.snr > 45, row
        assert row.saturated == 0
        assert row.outputs == 4 * net.table.by_name[row.name].out_size


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["tiny_all", "tiny_sqnxt", "tiny_concat", "tiny_fc"]), st.integers(0, 10), st.floats(-12, 12), st.floats(-9, 9))
def test_any_scale_gives_a_valid_network(name, seed, gain, spread):
    net = _network(zoo.get(name), seed, 10.0**gain / 1e3, bias=10.0**gain)
    inputs = noise_inputs(net.table, 1, spread=10.0**spread, seed=seed)
    try:
        quantised = quantise(net, inputs)
    except QuantError as error:
        # What no 16-bit format holds is refused in a line that names the layer.
        assert str(error).startswith("layer ")
        assert "\n" not in str(error)
        return
    for layer in net.table.layers:
        assert accumulator_bound(layer, quantised.quant[layer.name]) < 1 << 39
    golden.run(quantised, quantise_input(quantised, inputs[0]))


def test_maps_that_meet_share_a_format():
    net = _network(zoo.get("tiny_all"))
    # One part of the concatenation and one side of the sum are far larger than the others.
    for name in ("expand1x1", "merge"):
        net.params[name] = replace(net.params[name], weight=net.params[name].weight * 50)
    quantised = quantise(net, noise_inputs(net.table, 2))
    fracs = quantised.frac_of
    # The convolution that reads the concatenation makes up for the difference.
    assert fracs("expand1x1") < fracs("expand3x3") - 3
    # The small operand, which another layer reads as well, is copied for the sum.
    assert fracs("merge") == fracs("add_copy") == fracs("add") < fracs("pool1") == fracs("conv1")


@pytest.mark.parametrize(
    ("options", "free"), [({}, np.log2(1.5)), ({"headroom": 0}, 0), ({"headroom": 1}, 1), ({"headroom": 2}, 2), ({"headroom": 5}, 5)])
def test_headroom_is_kept(options, free):
    net = _network(zoo.get("tiny_chain"))
    inputs = noise_inputs(net.table, 2)
    # Looked for here, so that a wrong calibration shows, too.
    largest = {"input": max(np.abs(x).max() for x in inputs)}
    for x in inputs:
        for layer, _, output in float_network.walk(net, x):
            largest[layer.name] = max(largest.get(layer.name, 0), np.abs(output).max())
    quantised = quantise(net, inputs, **options)
    for name in ("input", "conv1", "conv2", "conv3"):
        # Of the 15 bits beside the sign so many are free, and less than one more.
        reach = largest[name] * 2.0 ** quantised.frac_of(name)
        assert 1 << 14 <= reach * 2.0**free < 1 << 15


def test_what_is_bounded_needs_no_headroom():
    net = _network(zoo.get("tiny_grouped"))
    net.params["depthwise"] = replace(net.params["depthwise"], clip=0.75)
    quantised = quantise(net, noise_inputs(net.table, 2), headroom=5)
    assert quantised.frac_of("depthwise") == 15 and quantised.quant["depthwise"].clip == 0.75 * 2**15
    table = TableBuilder("bounded", (1, 4, 4))
    table.layer("gate", LayerType.SIGMOID)
    table.max_pool("pool", 2, 2)
    net = FloatNetwork(table.table(), {})
    quantised = quantise(net, [np.full((1, 4, 4), 9.0, np.float32)], headroom=5)
    assert quantised.frac_of("gate") == quantised.frac_of("pool") == 14


def test_biases_take_what_rounded_weights_add_on_average():
    table = TableBuilder("mean", (64, 6, 6))
    table.conv("conv", 8, 1)
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 64, 1, 1)).astype(np.float32)
    # One large weight makes the others coarse.
    weight[0, 0] = 3000
    net = FloatNetwork(table.table(), {"conv": FloatLayer(weight, np.zeros(8, np.float32))})
    x = np.float32(8) + rng.standard_normal((64, 6, 6)).astype(np.float32)
    quantised = quantise(net, [x])
    exact = float_network.run(net, x)["conv"]
    found = golden.run(quantised, quantise_input(quantised, x))["conv"] * 2.0 ** -quantised.frac_of("conv")
    # Codes are 2 apart; rounding them averages out.
    assert np.abs((found - exact)[1:].mean(axis=(1, 2))).max() < 0.5
    # Without it the offset is more.
    stored = quantised.quant["conv"]
    rounded = stored.weight * 2.0 ** (quantised.input_frac - stored.shift - stored.frac_out)
    assert np.abs(mean_error(weight - rounded, x.mean(axis=(1, 2)), 1)[1:]).max() > 2


def test_activations_take_their_own_numbers():
    net = _network(zoo.get("tiny_grouped"))
    net.params["depthwise"] = replace(net.params["depthwise"], clip=0.75)
    net.params["pointwise"] = replace(net.params["pointwise"], slope=0.25)
    inputs = noise_inputs(net.table, 2)
    quantised = quantise(net, inputs)
    assert quantised.quant["depthwise"].clip == round(0.75 * 2 ** quantised.frac_of("depthwise"))
    assert quantised.quant["pointwise"].slope == 8192
    assert all(row.snr > 55 for row in layer_reports(net, quantised, inputs))
    net.params["pointwise"] = replace(net.params["pointwise"], slope=1.0)
    with pytest.raises(QuantError, match="^layer pointwise: the slope of leaky must be 0 or more and below 1, not 1.0$"):
        quantise(net, inputs)


def test_average_pool_gains_bits():
    net = TableBuilder("average", (1, 16, 16))
    net.avg_pool("pool")
    net.fc("fc", 3)
    net = _network(net.table())
    inputs = noise_inputs(net.table, 3)
    quantised = quantise(net, inputs)
    assert quantised.frac_of("pool") > quantised.input_frac
    assert layer_reports(net, quantised, inputs)[0].snr > 60


def test_accumulators_cannot_overflow():
    net = TableBuilder("wide", (2048, 2, 2))
    net.conv("conv", 4, 2, activation="none")
    net.fc("fc", 5)
    table = net.table()
    params = {
        layer.name: FloatLayer(weight=np.full(layer.weight_shape, 0.99, np.float32), bias=np.zeros(layer.c_o, np.float32))
        for layer in table.layers
    }
    quantised = quantise(FloatNetwork(table, params), [np.ones((2048, 2, 2), np.float32)])
    assert (1 << 37) < accumulator_bound(table.layers[0], quantised.quant["conv"]) < 1 << 39


@pytest.mark.parametrize("bias", [1e3, 1e5, 1e6])
def test_a_large_bias_leaves_the_weights_some_bits(bias):
    net = TableBuilder("offset", (16, 4, 4))
    net.conv("conv", 4, 3, activation="none")
    net = _network(net.table(), bias=bias)
    inputs = noise_inputs(net.table, 2, spread=1000.0)
    quantised = quantise(net, inputs)
    assert np.count_nonzero(quantised.quant["conv"].weight) > 0.9 * net.table.params
    assert layer_reports(net, quantised, inputs)[0].snr > 55


def test_layers_of_zeros():
    net = _network(zoo.get("tiny_all"))
    for name, numbers in net.params.items():
        net.params[name] = replace(numbers, weight=numbers.weight * 0, bias=numbers.bias * 0)
    quantised = quantise(net)
    assert not golden.run(quantised, quantise_input(quantised, noise_inputs(net.table, 1)[0]))["fc"].any()


def test_report():
    net = _network(zoo.get("tiny_all"))
    inputs = noise_inputs(net.table, 1)
    quantised = quantise(net, inputs)
    # Inputs far beyond calibration saturate, and the report says so.
    loud = [x * 1000 for x in inputs]
    assert sum(row.saturated for row in layer_reports(net, quantised, loud)) > 100
    lines = report_lines(net, quantised, inputs)
    assert lines[0].split() == ["layer", "in", "weight", "out", "shift", "SNR", "dB", "saturated"]
    assert len(lines) == len(net.table.layers) + 2
    assert (snr(1.0, 0.0), snr(100.0, 1.0), snr(0.0, 1.0)) == (np.inf, 20.0, -np.inf)


def test_wrong_calibration():
    net = _network(zoo.get("tiny_chain"))
    with pytest.raises(QuantError, match="calibration needs at least one input"):
        quantise(net, [])
    with pytest.raises(float_network.FloatError, match=r"^input of tiny_chain must have shape \(3, 8, 8\), not \(3, 8, 9\)$"):
        quantise(net, [np.zeros((3, 8, 9), np.float32)])
    net.params["conv2"] = replace(net.params["conv2"], weight=net.params["conv2"].weight * np.nan)
    with pytest.raises(float_network.FloatError, match="^layer conv2: weight contains NaN$"):
        quantise(net)


_DATA = os.environ.get("DATA")


@pytest.mark.slow
@pytest.mark.skipif(not _DATA, reason="the environment variable DATA names no folder of trained weights and photographs")
@pytest.mark.parametrize(("network", "file", "expected"), [
    ("squeezenet1_1", "squeezenet_v1.1.npz", (63, 86)),
    ("squeezenet1_0", "squeezenet_v1.0_deep_compression.net", (62, 84)),
])  # fmt: skip
def test_photographs(network, file, expected):
    if not (Path(_DATA) / file).exists():
        pytest.skip(f"DATA has no {file}")
    net = importers.load_weights(Path(_DATA) / file, zoo.get(network))
    inputs, labels = evaluate.labelled_inputs(_DATA, net.table.input_shape, net.preprocessing)
    found = evaluate.accuracy(evaluate.rank_all(evaluate.rank_float, net, inputs), labels)
    assert (found.top1, found.top5) == expected
    quantised = quantise(net, inputs[::7])
    found = evaluate.accuracy(evaluate.rank_all(evaluate.rank_quantised, quantised, inputs), labels)
    assert abs(found.top1 - expected[0]) <= 1
    assert abs(found.top5 - expected[1]) <= 1


@pytest.mark.skipif(not _DATA, reason="the environment variable DATA names no folder of photographs")
def test_one_photograph():
    net = importers.load_weights(Path(_DATA) / "squeezenet_v1.1.npz", zoo.get("squeezenet1_1"))
    names = classes.load_classes(Path(_DATA) / "imagenet_classes.csv")
    path = next((Path(_DATA) / "images").glob("*tench*"))
    x = images.load(path, net.table.input_shape, net.preprocessing)
    quantised = quantise(net, [x])
    scores = golden.run(quantised, quantise_input(quantised, x))["avgpool"]
    lines = classes.top_lines(scores, names, frac=quantised.frac_of("avgpool"))
    assert lines[0].startswith("1. tench (class 0)")
    assert len(lines) == 5


def _one_layer(weight, bias=0.0, activation="none", kind="conv", inputs=1):
    """A network of one layer with one weight in every place."""
    builder = TableBuilder("one", (inputs, 1, 1))
    if kind == "conv":
        builder.conv("layer", 1, activation=activation)
    else:
        builder.fc("layer", 1)
    table = builder.table()
    numbers = FloatLayer(weight=np.full(table.layers[0].weight_shape, weight, np.float32), bias=np.array([bias], np.float32), slope=0.1)
    return FloatNetwork(table, {"layer": numbers})


def test_a_weight_that_rounds_to_one_more_than_fits_gets_a_coarser_format():
    # In the finest format it would be 32767.67.
    net = _one_layer(0.99999)
    found = quantise(net, [np.ones((1, 1, 1), np.float32)]).quant["layer"]
    assert found.weight.tolist() == [[[[16384]]]]
    assert quantise(_one_layer(0.9999), [np.ones((1, 1, 1), np.float32)]).quant["layer"].weight.max() == 32765


def test_the_format_of_a_leaky_layer_holds_what_comes_before_the_activation():
    net = _one_layer(-1.0, activation="leaky")
    x = np.full((1, 1, 1), 100, np.float32)
    quantised = quantise(net, [x])
    # -100 needs 7 bits, one is kept free; the output of -10 alone would leave three bits more.
    assert quantised.frac_of("layer") == 7
    found = golden.run(quantised, quantise_input(quantised, x))["layer"].item() / 2.0**7
    assert abs(found + 10) < 0.05


def test_a_bias_of_two_to_the_31_gets_a_coarser_format():
    # 8 with 15 bits of the weight and 13 of the input is 2**31, which is one too many.
    found = quantise(_one_layer(0.5, bias=8.0), [np.ones((1, 1, 1), np.float32)], headroom=1).quant["layer"]
    assert found.bias.tolist() == [1 << 30] and found.weight.max() == 1 << 13


def test_sums_that_would_overflow_take_bits_of_the_weights():
    # With 14 bits and the rounding of the largest shift the sums could reach 681,691,840,512, and 2**39 is 549,755,813,888.
    net = _one_layer(0.99, kind="fc", inputs=1024)
    quantised = quantise(net, [np.ones((1024, 1, 1), np.float32)])
    assert quantised.quant["layer"].weight.max() == round(0.99 * (1 << 13))


def test_the_shift_at_the_end_limits_the_weights_bits():
    # A map of numbers around 1e-15 is added to one of numbers around 100: the sum's format leaves nothing of it.
    builder = TableBuilder("sum", (1, 1, 1))
    builder.conv("large", 1, activation="none", source="input")
    builder.conv("small", 1, activation="none", source="input")
    builder.add("sum", "large", "small", activation="none")
    params = {name: FloatLayer(weight=np.full((1, 1, 1, 1), weight, np.float32), bias=np.zeros(1, np.float32))
              for name, weight in (("large", 100.0), ("small", 1e-15))}
    quantised = quantise(FloatNetwork(builder.table(), params), [np.ones((1, 1, 1), np.float32)])
    assert max(numbers.shift for numbers in quantised.quant.values()) <= 38
    found = golden.run(quantised, quantise_input(quantised, np.ones((1, 1, 1), np.float32)))["sum"].item()
    assert abs(found / 2.0 ** quantised.frac_of("sum") - 100) < 0.1


def test_numbers_beyond_float32_are_refused():
    with np.errstate(over="ignore"), pytest.raises(QuantError, match="^layer layer: calibration meets numbers beyond float32$"):
        quantise(_one_layer(3e38), [np.full((1, 1, 1), 1e3, np.float32)])


@pytest.mark.parametrize(("second", "shared"), [(3.0, True), (200.0, False)])
def test_parts_of_a_concatenation_share_a_format_unless_their_sizes_differ_much(second, shared):
    builder = TableBuilder("parts", (1, 1, 1))
    builder.conv("a", 1, activation="none", source="input")
    builder.conv("b", 1, activation="none", source="input")
    builder.conv("c", 1, activation="none", source=("a", "b"))
    table = builder.table()
    params = {layer.name: FloatLayer(weight=np.full(layer.weight_shape, second if layer.name == "b" else 1, np.float32),
                                     bias=np.zeros(1, np.float32)) for layer in table.layers}
    quantised = quantise(FloatNetwork(table, params), [np.ones((1, 1, 1), np.float32)])
    assert (quantised.frac_of("a") == quantised.frac_of("b")) == shared


def test_noise_in_place_of_pictures_gets_twice_the_headroom():
    net = _network(zoo.get("tiny_chain"))
    noise, given = quantise(net), quantise(net, noise_inputs(net.table))
    for layer in net.table.layers:
        # Maps may be 1.5 * 1.5 times as large in place of 1.5 times.
        assert 0 <= given.frac_of(layer.name) - noise.frac_of(layer.name) <= 1
    twice = quantise(net, noise_inputs(net.table), headroom=2 * HEADROOM_BITS)
    assert [noise.frac_of(name) for name in noise.quant] == [twice.frac_of(name) for name in noise.quant]
    assert any(noise.frac_of(name) != given.frac_of(name) for name in noise.quant)
