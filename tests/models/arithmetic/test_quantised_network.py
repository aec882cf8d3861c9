"""Quantised networks: files, limits, synthetic weights."""

from dataclasses import replace

import numpy as np
import pytest

from squeezelerator.models.arithmetic import golden
from squeezelerator.models.arithmetic.quantised_network import (
    LayerQuant,
    QuantError,
    QuantNetwork,
    accumulator_bound,
    load_npz,
    pool_factor,
)
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.spec.network.layer_types import Numbers


def _equal(left, right):
    for name, lq in left.quant.items():
        other = right.quant[name]
        for field in ("weight", "bias"):
            assert np.array_equal(getattr(lq, field), getattr(other, field))
        assert replace(lq, weight=None, bias=None) == replace(other, weight=None, bias=None)
    assert (left.input_frac, left.synthetic) == (right.input_frac, right.synthetic)


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt"])
def test_npz_round_trip(name, tmp_path):
    net = synthetic(zoo.get(name))
    net.save_npz(tmp_path / "net.npz")
    _equal(load_npz(net.table, tmp_path / "net.npz"), net)


def test_synthetic_depends_on_the_seed_alone():
    table = zoo.get("tiny_all")
    _equal(synthetic(table, 3), synthetic(table, 3))
    assert not np.array_equal(synthetic(table, 3).quant["conv1"].weight, synthetic(table, 4).quant["conv1"].weight)


@pytest.mark.parametrize("sparsity", [0, 0.4, 0.9, 1])
def test_share_of_zeros_is_exact(sparsity):
    net = synthetic(zoo.get("sqnxt23v5"), sparsity=sparsity)
    for layer in net.table.layers:
        if layer.has_weights:
            assert np.count_nonzero(net.quant[layer.name].weight == 0) == round(sparsity * layer.params)
            assert np.count_nonzero(net.quant[layer.name].bias) == layer.c_o


def test_share_of_zeros_is_exact_in_large_layers(monkeypatch):
    monkeypatch.setattr("squeezelerator.models.quantisation.synthetic._CHUNK", 7)
    net = synthetic(zoo.get("tiny_chain"), sparsity=0.3)
    for layer in net.table.layers:
        assert np.count_nonzero(net.quant[layer.name].weight == 0) == round(0.3 * layer.params)


def test_synthetic_activations_live():
    net = synthetic(zoo.get("sqnxt23v5"))
    for name, value in golden.run(net, synthetic_input(net.table, 1)).items():
        assert 50 < np.abs(value.astype(np.int64)).mean() < 16000, name
        assert np.mean(np.abs(value.astype(np.int64)) >= 32767) < 0.02, name


@pytest.mark.parametrize("arguments", [{"seed": -1}, {"sparsity": 1.5}, {"sparsity": float("nan")}])
def test_synthetic_refuses_impossible_arguments(arguments):
    with pytest.raises(ValueError, match="must"):
        synthetic(zoo.get("tiny_chain"), **arguments)


def test_pool_factor():
    for window in (1, 4, 9, 49, 169, 784, 3136):
        mult, shift = pool_factor(window)
        assert abs(mult / 2**shift * window - 1) < 2**-11
        assert window * 32768 * mult < 2**39
        assert abs(mult * window - 2**shift) <= window // 2  # the nearest one
    assert pool_factor(1) == (32768, 15)


def _with(net, name, **changes):
    return QuantNetwork(net.table, net.quant | {name: replace(net.quant[name], **changes)})


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("conv1", {"weight": None}, "layer conv1: has no weight"),
        (
            "conv1",
            {"weight": np.zeros((8, 3, 5, 4), np.int16)},
            "layer conv1: weight must have shape (8, 3, 5, 5), not (8, 3, 5, 4)",
        ),
        (
            "conv1",
            {"weight": np.zeros((3, 8, 5, 5), np.int16)},
            "layer conv1: weight must have shape (8, 3, 5, 5), not (3, 8, 5, 5)",
        ),
        ("conv1", {"weight": np.full((8, 3, 5, 5), np.nan)}, "layer conv1: weight contains NaN"),
        ("conv1", {"weight": np.zeros((8, 3, 5, 5))}, "layer conv1: weight must be int16, not float64"),
        ("conv1", {"bias": np.zeros(7, np.int32)}, "layer conv1: bias must have shape (8,), not (7,)"),
        ("conv1", {"shift": 41}, "layer conv1: shift must be 0 to 40, not 41"),
        ("conv1", {"frac_out": 3}, None),
        ("avgpool", {"mult": 0}, "layer avgpool: mult must be 1 to 65535, not 0"),
        ("avgpool", {"shift": 0}, "layer avgpool: shift must be 1 to 31, not 0"),
        ("add", {"bias": np.zeros(8, np.int32)}, "layer add: Add has no weights"),
        ("merge", {"frac_out": 3}, "layer add: inputs merge, pool1 have [3, 8] fractional bits"),
    ],
)
def test_wrong_numbers_are_refused(name, changes, message):
    net = _with(synthetic(zoo.get("tiny_all")), name, **changes)
    if message is None:
        assert net.validate() is net
        return
    with pytest.raises(QuantError) as error:
        net.validate()
    assert str(error.value) == message


def test_sums_that_may_overflow_are_refused():
    net = synthetic(zoo.get("tiny_chain"))
    layer, lq = net.table.layers[0], net.quant["conv1"]
    # 27 products of -32768 and -32768 and a bias: below 2**35, which 36 bits cannot hold and 40 bits can.
    full = replace(
        lq, weight=np.full(layer.weight_shape, -32768, np.int16), bias=np.full(5, -(2**31), np.int32), shift=4
    )
    assert accumulator_bound(layer, full) == 27 * 2**30 + 2**31 + 8
    net = QuantNetwork(net.table, net.quant | {"conv1": full})
    net.validate()
    with pytest.raises(
        QuantError, match="^layer conv1: a sum can reach 31138512904, which does not fit the 35-bit accumulator$"
    ):
        net.validate(acc_bits=35)
    # 16 products of 2**30: one more than 35 bits hold, which reach 2**34 - 1.
    weight = np.zeros(layer.weight_shape, np.int16)
    weight.reshape(len(weight), -1)[:, :16] = -32768
    edge = QuantNetwork(net.table, net.quant | {"conv1": replace(full, weight=weight, bias=np.zeros(5, np.int32), shift=0)})
    with pytest.raises(QuantError, match="a sum can reach 17179869184, which does not fit the 35-bit accumulator$"):
        edge.validate(acc_bits=35)
    assert edge.validate(acc_bits=36) is edge


def test_averages_do_not_use_the_accumulators():
    net = synthetic(zoo.get("sqnxt23v5"))
    (average,) = (layer for layer in net.table.layers if layer.rule.numbers is Numbers.MEAN_FACTOR)
    assert accumulator_bound(average, net.quant[average.name]) >= 1 << 35
    assert net.validate(acc_bits=36) is net


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("conv2.weight"), "has no conv2.weight"),
        (lambda arrays: arrays.update({"conv1.weight": np.full((5, 3, 3, 3), np.nan)}), "conv1.weight contains NaN"),
        (lambda arrays: arrays.update({"conv1.weight": np.full((5, 3, 3, 3), 40000)}), "conv1.weight exceeds int16"),
        (lambda arrays: arrays.update({"conv1.weight": np.full((5, 3, 3, 3), -40000)}), "conv1.weight exceeds int16"),
        (
            lambda arrays: arrays.update({"conv1.weight": np.full((5, 3, 3, 3), 0.5)}),
            "must be whole numbers of type int16",
        ),
        (lambda arrays: arrays.update({"conv1.weight": np.array("x")}), "conv1.weight must hold numbers, not <U1"),
        (lambda arrays: arrays.update({"conv1.shift": np.zeros(2)}), "conv1.shift must be one whole number"),
        (
            lambda arrays: arrays.update({"conv1.weight": np.zeros((2, 2), np.int16)}),
            "must have shape (5, 3, 3, 3), not (2, 2)",
        ),
    ],
)
def test_bad_npz(change, message, tmp_path):
    net = synthetic(zoo.get("tiny_chain"))
    net.save_npz(tmp_path / "good.npz")
    with np.load(tmp_path / "good.npz") as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(QuantError) as error:
        load_npz(net.table, tmp_path / "bad.npz")
    assert message in str(error.value)


def test_files_that_are_no_npz(tmp_path):
    table = zoo.get("tiny_chain")
    np.save(tmp_path / "one.npy", np.zeros(3))
    np.savez(tmp_path / "whole.npz", x=np.zeros(100))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    (tmp_path / "text.npz").write_text("no archive\n")
    (tmp_path / "empty.npz").write_bytes(b"")
    for name in ("one.npy", "cut.npz", "text.npz", "empty.npz", "none.npz"):
        with pytest.raises(QuantError) as error:
            load_npz(table, tmp_path / name)
        assert "\n" not in str(error.value)


def test_missing_scalars_take_defaults(tmp_path):
    net = synthetic(zoo.get("tiny_avgpool_fc"))
    weights = {f"{name}.weight": lq.weight for name, lq in net.quant.items() if lq.weight is not None}
    np.savez(tmp_path / "weights.npz", **weights)
    loaded = load_npz(net.table, tmp_path / "weights.npz")
    assert loaded.quant["avgpool"] == LayerQuant(shift=21, mult=32768) == net.quant["avgpool"]
    assert not loaded.quant["conv1"].bias.any()
