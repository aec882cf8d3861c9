"""The table of activations against PyTorch and plain whole numbers, and everyone who reads it."""

import numpy as np
import pytest

from squeezelerator.models.arithmetic.quantised_network import LayerQuant
from squeezelerator.models.networks import zoo
from squeezelerator.spec.functions.activations import ACTIVATIONS, AFTER_SUM, ActivationCode, apply_code, code_doc, imported
from squeezelerator.spec.isa import BY_NAME

FRAC = 8
EVERY = np.arange(-32768, 32768)


def parameters(rule):
    """(float, fixed point) values of the parameter that are worth a look."""
    if rule.parameter is None:
        return [(0.0, 0)]
    choices = [value for value in (0.0, 0.01, 0.1, 0.5, 0.999, 1.0, 6.0, 200.0) if rule.parameter.accepts(value)]
    assert rule.parameter.default in choices
    return [(value, rule.parameter.quantise(value, FRAC)) for value in choices]


@pytest.mark.parametrize("rule", ACTIVATIONS.values(), ids=lambda rule: rule.name)
def test_integers_follow_the_float_definition(rule):
    for value, fixed in parameters(rule):
        assert 0 <= fixed <= 32767
        found = rule.integer(EVERY, fixed)
        wanted = np.clip(rule.real((EVERY / 2**FRAC).astype(np.float32), value) * 2**FRAC, -32768, 32767)
        # A rounded slope is off by half of its last bit at most, times the value; a bound by half a bit of the value.
        assert np.abs(found - wanted).max() <= 1.01
        assert found.min() >= -32768 and found.max() <= 32767
        np.testing.assert_array_equal(apply_code(rule.code, EVERY, fixed), found)
        if rule.monotonic:
            assert (np.diff(found) >= 0).all()


@pytest.mark.parametrize("rule", ACTIVATIONS.values(), ids=lambda rule: rule.name)
def test_float_definition_is_pytorchs(rule):
    torch = pytest.importorskip("torch")
    values = np.linspace(-9, 9, 1001, dtype=np.float32)
    module = getattr(torch.nn, rule.torch_module)(**rule.torch_arguments)
    number = rule.parameter.default if rule.parameter else 0.0
    np.testing.assert_allclose(rule.real(values, number), module(torch.from_numpy(values)).numpy(), rtol=1e-6)


@pytest.mark.parametrize("rule", ACTIVATIONS.values(), ids=lambda rule: rule.name)
def test_a_parameter_has_its_place_in_a_layers_numbers(rule):
    if rule.parameter is not None:
        assert 0 <= getattr(LayerQuant(), rule.parameter.field) <= 32767


def test_leaky_and_bound_in_whole_numbers():
    for slope in (0, 1, 3277, 32767):
        assert [apply_code(ActivationCode.LEAKY, np.array(v), slope) for v in (-32768, -1, 0, 7)] == [
            (-32768 * slope + 2**14) // 2**15, (-slope + 2**14) // 2**15, 0, 7]
    assert apply_code(ActivationCode.LEAKY, np.array(-32768), 65535) == -32768  # the hardware saturates; the model wrapped around
    assert [int(apply_code(ActivationCode.CLIP, np.array(v), 5)) for v in (-3, 4, 5, 6)] == [0, 4, 5, 5]


def test_fields_hold_every_code():
    drain = BY_NAME["DRAIN"]
    assert max(ActivationCode) <= drain.field("act").limits()[1]
    assert drain.field("post_act").limits() == (0, AFTER_SUM.most)
    assert AFTER_SUM.most == max(rule.code for rule in ACTIVATIONS.values() if rule.after_sum)
    assert all(str(int(code)) in code_doc() for code in ActivationCode)


def test_importers_know_them():
    pytest.importorskip("onnx")
    pytest.importorskip("torch")
    from squeezelerator.models.importers.onnx import graph as onnx_graph
    from squeezelerator.models.importers.torch import graph as torch_graph

    assert set(imported("onnx")) <= set(onnx_graph.SUPPORTED)
    assert set(imported("torch")) <= set(torch_graph.SUPPORTED)


def test_networks_use_only_activations_of_the_table():
    for name in zoo.names():
        assert {layer.activation for layer in zoo.get(name).layers} <= set(ACTIVATIONS)
