"""The golden model against PyTorch (float64, exact on these whole numbers) and at the ends of the number ranges."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from squeezelerator.models.arithmetic import golden
from squeezelerator.models.arithmetic.quantised_network import LayerQuant
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.spec.network.checks import permitted_outputs
from squeezelerator.spec.network.layer import Layer

_FULL = st.integers(-32768, 32767)


def _array(draw, shape, dtype=np.int16):
    """Values of a drawn kind: anything, small ones, or the two ends of the range."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(("full", "small", "ends")))
    if kind == "ends":
        return rng.choice(np.array((-32768, 32767)), shape).astype(dtype)
    low, high = (-32768, 32768) if kind == "full" else (-9, 10)
    return rng.integers(low, high, shape).astype(dtype)


@st.composite
def _layers(draw, kind):
    """A random layer with its numbers and its input."""
    groups = draw(st.integers(1, 3)) if kind == "Conv" else 1
    c_i = groups * draw(st.integers(1, 4))
    c_o = groups * draw(st.integers(1, 4)) if kind == "Conv" else c_i
    sizes = {}
    for axis in "wh":
        kernel, size = draw(st.integers(1, 5)), draw(st.integers(1, 12))
        pad, stride = draw(st.integers(0, kernel - 1)), draw(st.integers(1, 4))
        low, high = permitted_outputs(size, kernel, stride, pad)
        if size + 2 * pad < kernel or low > high:
            kernel, pad = 1, 0
            low, high = permitted_outputs(size, kernel, stride, pad)
        out = draw(st.integers(low, high))
        sizes |= {f"{axis}_i": size, f"k_{axis}": kernel, f"p_{axis}": pad, f"{axis}_o": out}
        sizes["s_x" if axis == "w" else "s_y"] = stride
    activation = draw(st.sampled_from(("none", "relu", "relu6", "leaky"))) if kind == "Conv" else "none"
    layer = Layer(
        name="x", type=kind, inputs=("input",), c_i=c_i, c_o=c_o, groups=groups, activation=activation, **sizes
    )
    shift, clip, slope = draw(st.integers(0, 40)), draw(st.integers(0, 32767)), draw(st.integers(0, 32767))
    if kind == "Conv":
        bias = np.array(draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=c_o, max_size=c_o)), np.int32)
        weight = _array(draw, layer.weight_shape)
        lq = LayerQuant(weight=weight, bias=bias, shift=shift, clip=clip, slope=slope)
    else:
        lq = LayerQuant(shift=draw(st.integers(1, 31)), mult=draw(st.integers(1, 65535)))
    return layer, lq, _array(draw, layer.in_shape)


def _padded(layer, x, fill):
    """The input as a float64 batch of one, padded and cropped to exactly what the windows cover."""
    width = (layer.w_o - 1) * layer.s_x + layer.k_w
    height = (layer.h_o - 1) * layer.s_y + layer.k_h
    pads = (layer.p_w, width - layer.p_w - layer.w_i, layer.p_h, height - layer.p_h - layer.h_i)
    return functional.pad(torch.tensor(x, dtype=torch.float64)[None], pads, value=fill)


def _requantised(sums, shift):
    """Rounded and saturated by division in whole Python numbers, one by one."""
    half = 2**shift // 2
    return [max(-32768, min(32767, (int(value) + half) // 2**shift)) for value in sums]


def _activated(value, layer, lq):
    if layer.activation == "relu":
        return max(value, 0)
    if layer.activation == "relu6":
        return min(max(value, 0), lq.clip)
    if layer.activation == "leaky" and value < 0:
        return (value * lq.slope + 2**14) // 2**15
    return value


@settings(max_examples=300, deadline=None)
@given(_layers("Conv"))
def test_convolution(case):
    layer, lq, x = case
    weight = torch.tensor(lq.weight, dtype=torch.float64)
    sums = functional.conv2d(_padded(layer, x, 0), weight, stride=(layer.s_y, layer.s_x), groups=layer.groups)[0]
    sums = sums.numpy().astype(np.int64) + lq.bias.astype(np.int64)[:, None, None]
    expected = [_activated(value, layer, lq) for value in _requantised(sums.ravel(), lq.shift)]
    result = golden.run_layer(layer, lq, [x])
    assert result.dtype == np.int16
    assert result.shape == layer.out_shape
    assert result.ravel().tolist() == expected


@settings(max_examples=100, deadline=None)
@given(_layers("MaxPool"))
def test_max_pool(case):
    layer, lq, x = case
    padded = _padded(layer, x, -torch.inf)
    expected = functional.max_pool2d(padded, (layer.k_h, layer.k_w), (layer.s_y, layer.s_x))[0]
    assert np.array_equal(golden.run_layer(layer, lq, [x]), expected.numpy().astype(np.int16))


@settings(max_examples=100, deadline=None)
@given(_layers("AvgPool"))
def test_average_pool(case):
    layer, lq, x = case
    kernel = (layer.k_h, layer.k_w)
    sums = functional.avg_pool2d(_padded(layer, x, 0), kernel, (layer.s_y, layer.s_x), divisor_override=1)[0]
    expected = _requantised((sums.numpy().astype(np.int64) * lq.mult).ravel(), lq.shift)
    assert golden.run_layer(layer, lq, [x]).ravel().tolist() == expected


@pytest.mark.parametrize("size", [6, 7, 8, 9])
@pytest.mark.parametrize("ceil", [False, True])
def test_pool_sizes_are_those_of_torch(size, ceil):
    from squeezelerator.models.tables.builder import TableBuilder

    net = TableBuilder("net", (2, size, size + 1))
    net.max_pool("pool", 3, 2, ceil=ceil)
    x = np.random.default_rng(size).integers(-99, 99, (2, size, size + 1)).astype(np.int16)
    expected = functional.max_pool2d(torch.tensor(x, dtype=torch.float64)[None], 3, 2, ceil_mode=ceil)[0]
    layer = net.table().by_name["pool"]
    assert np.array_equal(golden.run_layer(layer, LayerQuant(), [x]), expected.numpy().astype(np.int16))


@given(st.lists(st.tuples(_FULL, _FULL), min_size=1, max_size=20), st.sampled_from(("none", "relu", "leaky", "relu6")))
def test_add(pairs, activation):
    size = len(pairs)
    layer = Layer(
        name="x", type="Add", inputs=("a", "b"), w_i=size, h_i=1, c_i=1, w_o=size, h_o=1, c_o=1, activation=activation
    )
    left, right = (np.array(side, np.int16).reshape(1, 1, size) for side in zip(*pairs, strict=True))
    lq = LayerQuant(clip=20000)
    expected = [_activated(max(-32768, min(32767, a + b)), layer, lq) for a, b in pairs]
    assert golden.run_layer(layer, lq, [left, right]).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("value", "shift", "expected"),
    [
        (5, 0, 5),
        (5, 1, 3),
        (-5, 1, -2),
        (-6, 2, -1),
        (6, 2, 2),
        (2**38, 39, 1),
        (-(2**38), 39, 0),
        (-(2**38) - 1, 39, -1),
        (-1, 40, 0),
        (2**39 - 1, 40, 0),
        (2**39, 40, 1),
    ],
)
def test_halves_round_up(value, shift, expected):
    assert golden.round_shift(np.int64(value), shift) == expected


def test_large_layers_are_cut_into_blocks(monkeypatch):
    net = synthetic(zoo.get("tiny_all"))
    x = synthetic_input(net.table)
    whole = golden.run(net, x)
    monkeypatch.setattr(golden, "_BLOCK", 50)
    cut = golden.run(net, x)
    assert all(np.array_equal(whole[name], cut[name]) for name in whole)


@pytest.mark.parametrize(
    ("x", "found"),
    [
        (np.zeros((3, 8, 9), np.int16), "int16 (3, 8, 9)"),
        (np.zeros((3, 8, 8)), "float64 (3, 8, 8)"),
        ([0], "list"),
    ],
)
def test_wrong_input(x, found):
    net = synthetic(zoo.get("tiny_chain"))
    with pytest.raises(golden.InputError) as error:
        golden.run(net, x)
    assert str(error.value) == f"input of tiny_chain must be int16 (3, 8, 8), not {found}"


def test_several_inputs_are_taken_in_their_order():
    layer = Layer(name="x", type="Conv", inputs=("a", "b"), w_i=1, h_i=1, c_i=3, w_o=1, h_o=1, c_o=1)
    lq = LayerQuant(weight=np.array([1, 10, 100], np.int16).reshape(1, 3, 1, 1), bias=np.zeros(1, np.int32))
    parts = [np.array([4, 5], np.int16).reshape(2, 1, 1), np.array([6], np.int16).reshape(1, 1, 1)]
    assert golden.run_layer(layer, lq, parts).ravel().tolist() == [654]


def test_more_products_than_are_exact_are_refused(monkeypatch):
    net = synthetic(zoo.get("tiny_chain"))
    monkeypatch.setattr(golden, "_EXACT_PRODUCTS", 26)
    with pytest.raises(golden.InputError, match="^layer conv1: 27 products an output exceed the 26 that are exact$"):
        golden.run(net, synthetic_input(net.table))
    monkeypatch.setattr(golden, "_EXACT_PRODUCTS", 2**23)
    assert golden.run(net, synthetic_input(net.table))
