"""What moves elements (padding, slices, permutations, several outputs) keeps every element in its place."""

import numpy as np
import pytest
import torch
from support.foreign import close, graph, import_graph, run_graph, same_as_onnxruntime, same_as_torch
from torch import nn
from torch.nn import functional

from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.quantisation.formats import noise_inputs, quantise, quantise_input
from squeezelerator.models.quantisation.report import warning_lines


class _Net(nn.Module):
    """A 3x3 convolution to eight channels, and what a test does with it."""

    def __init__(self, function, channels=3):
        super().__init__()
        self.conv, self.function = nn.Conv2d(channels, 8, 3, padding=1), function

    def forward(self, x):
        return self.function(self.conv(x))


def _net(function, channels=3):
    torch.manual_seed(0)
    return _Net(function, channels)


@pytest.mark.parametrize("function", [
    nn.ZeroPad2d(1),
    lambda y: functional.adaptive_avg_pool2d(functional.pad(y, (1, 1, 1, 1)), 1),
    lambda y: functional.pad(y, (1, 1, 1, 1)).mean((2, 3)),
    lambda y: functional.pad(y, (1, 0, 2, 1)).relu(),
    lambda y: functional.pad(y, (1, 1, 1, 1)).flatten(1),
    lambda y: functional.pad(y, (1, 1, 1, 1)) * 2.0 + 1.0,
    lambda y: functional.pad(y, (1, 1, 1, 1)) + functional.pad(y, (2, 0, 0, 2)),
    lambda y: torch.cat((functional.pad(y, (1, 1, 1, 1)), functional.pad(y, (0, 2, 0, 2))), 1),
    lambda y: functional.pad(y, (-1, 0, 0, -2)),
    lambda y: functional.max_pool2d(functional.pad(y, (1, 1, 1, 1)), 2),
    lambda y: functional.max_pool2d(functional.pad(y.relu(), (0, 1, 0, 1)), 3, 2),
    lambda y: functional.avg_pool2d(functional.pad(y, (0, 1, 0, 1)), 2),
    lambda y: y[:, 2:5], lambda y: y[:, :, 1:7:2, 2:], lambda y: torch.cat(y.chunk(2, 1)[::-1], 1),
    lambda y: functional.channel_shuffle(y, 4), lambda y: y.permute(0, 2, 3, 1), lambda y: y.permute(0, 2, 3, 1).flatten(1),
    lambda y: y.view(1, 2, 4, 8, 8).transpose(1, 2).reshape(1, 8, 8, 8) + y,
    nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Upsample(scale_factor=5, mode="bilinear"),
    nn.PixelShuffle(2), nn.ConvTranspose2d(8, 4, 3, 2, 1, 1), nn.ConvTranspose2d(8, 6, 4, 2, 1, groups=2),
    lambda y: (y, y), lambda y: (y.relu(), y, y.mean((2, 3))), lambda y: torch.cat((y, y.relu()), 1),
    lambda y: functional.softmax(y.mean((2, 3)), 1), lambda y: y.sigmoid(), lambda y: y.argmax(1),
    lambda y: y * y.mean((2, 3), keepdim=True).sigmoid(), lambda y: y.sigmoid().reshape(1, 8, 64).transpose(1, 2).reshape(1, 64, 8, 1) + 1,
    lambda y: functional.silu(y) * functional.hardswish(y[:, 4:]).mean(1, keepdim=True), nn.LocalResponseNorm(3, k=2.0),
    nn.LocalResponseNorm(4, 0.5, 0.5), lambda y: functional.channel_shuffle(y, 2) * y, lambda y: y.tanh() * y.tanh(),
    lambda y: functional.mish(y) + functional.softplus(y) + functional.elu(y) + y**3, lambda y: torch.cat((y.sigmoid(), y), 1),
    lambda y: (y.square() + 1).sqrt() / (y.square() + 2) ** 0.75, lambda y: y.sigmoid() * y, lambda y: functional.hardsigmoid(y) * y,
])  # fmt: skip
def test_after_a_convolution(function):
    same_as_torch(_net(function), (1, 3, 8, 8))


def test_a_pad_at_the_end_keeps_its_size():
    net = importers.from_torch(_net(nn.ZeroPad2d(1)), torch.zeros(1, 3, 6, 6))
    assert net.table.shape_of(net.table.outputs[0]) == (8, 8, 8)


def test_an_explicit_pad_counts_for_same_upper(tmp_path):
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((4, 3, 3, 3)).astype(np.float32), "p": np.array([0, 0, 0, 0, 0, 0, 1, 1])}
    nodes = [("Pad", ["x", "p"], ["q"]), ("Conv", ["q", "w"], ["y"], {"auto_pad": "SAME_UPPER", "strides": [2, 2]})]
    net = same_as_onnxruntime(graph(nodes, constants, shape=(1, 3, 8, 8)), tmp_path)
    assert net.table.shape_of(net.table.outputs[0]) == (4, 5, 5)
    constants["a"] = np.array([2, 3])
    same_as_onnxruntime(graph([nodes[0], ("ReduceMean", ["q", "a"], ["y"], {"keepdims": 0})], constants, opset=18), tmp_path)


def test_a_map_and_its_flat_form_do_not_add(tmp_path):
    with pytest.raises(importers.WeightError, match="adds maps of different shapes"):
        importers.from_torch(_net(lambda y: y.amax((2, 3), keepdim=True) + y.amax((2, 3))), torch.zeros(1, 3, 8, 8))


def test_outputs_keep_their_names_and_order(tmp_path):
    rng = np.random.default_rng(0)
    constants = {"w": rng.standard_normal((4, 3, 1, 1)).astype(np.float32), "v": rng.standard_normal((2, 4, 1, 1)).astype(np.float32)}
    nodes = [("Conv", ["x", "w"], ["first/head"]), ("Conv", ["first/head", "v"], ["second"]), ("Identity", ["second"], ["twin"])]
    model = graph(nodes, constants, outputs=("twin", "first/head", "second"))
    net = same_as_onnxruntime(model, tmp_path)
    assert [port.name for port in net.ports.outputs] == ["twin", "first/head", "second"]


def _snr(mine, reference):
    return 10 * np.log10(float((reference**2).sum()) / max(float(((mine - reference) ** 2).sum()), 1e-300))


def _quantised(net, x):
    """{output: float array} of the 16-bit network."""
    quantised = quantise(net, [net.ports.input.prepare(x)])
    maps = golden.run(quantised, quantise_input(quantised, net.ports.input.prepare(x)))
    found = {name: array * 2.0 ** -quantised.frac_of(name) for name, array in maps.items()}
    return {port.name: port.value(found) for port in quantised.ports.outputs}


@pytest.mark.parametrize("scale", [1.0, 1e5, 1e-5])
@pytest.mark.parametrize("after", ["output", "conv", "pool", "relu", "grouped"])
def test_parts_of_a_concatenation_keep_their_own_precision(scale, after, tmp_path):
    rng = np.random.default_rng(0)

    def weights(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    constants = {"a": weights(4, 3, 3, 3), "b": weights(4, 3, 3, 3) * np.float32(scale), "c": weights(6, 8, 1, 1), "d": weights(8, 1, 3, 3)}
    # The small channels must count as much as the large ones for their loss to show.
    constants["c"][:, 4:] /= np.float32(scale)
    tail = {"output": ("Identity", ["j"], ["y"]), "conv": ("Conv", ["j", "c"], ["y"]), "relu": ("Relu", ["j"], ["y"]),
            "pool": ("MaxPool", ["j"], ["y"], {"kernel_shape": [2, 2]}),
            "grouped": ("Conv", ["j", "d"], ["y"], {"group": 8})}[after]  # fmt: skip
    nodes = [("Conv", ["x", "a"], ["p"]), ("Conv", ["x", "b"], ["q"]), ("Concat", ["p", "q"], ["j"], {"axis": 1}), tail]
    model = graph(nodes, constants)
    net = import_graph(model, tmp_path)
    x = rng.standard_normal((1, 3, 9, 8)).astype(np.float32)
    found, expected = _quantised(net, x)["y"], run_graph(model, x)["y"]
    if after == "grouped" and scale != 1.0:
        # One map, one format: the loss remains, and is reported (see tests of the report).
        return
    for part in (slice(0, 4), slice(4, 8)):
        assert _snr(found[:, part], expected[:, part]) > 60


@pytest.mark.parametrize("size", [1e-8, 1e-12, 1.0, 1e8])
def test_weights_of_any_size(size, tmp_path):
    rng = np.random.default_rng(0)
    constants = {name: (rng.standard_normal(shape) * size).astype(np.float32) for name, shape in (("w", (4, 3, 3, 3)), ("b", 4))}
    model = graph([("Conv", ["x", "w", "b"], ["c"]), ("Relu", ["c"], ["y"])], constants)
    net = import_graph(model, tmp_path)
    x = rng.standard_normal((1, 3, 9, 8)).astype(np.float32)
    assert _snr(_quantised(net, x)["y"], run_graph(model, x)["y"]) > 70


def test_golden_takes_all_of_these_too():
    net = importers.from_torch(_net(lambda y: torch.cat((functional.pad(y, (1, 1, 1, 1)), functional.pad(y, (0, 2, 0, 2))), 1)),
                               torch.zeros(1, 3, 8, 8))  # fmt: skip
    x = np.random.default_rng(0).standard_normal((3, 8, 8)).astype(np.float32)
    found, expected = _quantised(net, x), float_network.outputs(net, x)
    close(found["output"], expected["output"], 1e-3)


def test_what_16_bits_lose_is_reported_by_channel(tmp_path):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((8, 3, 3, 3)).astype(np.float32)
    weight[4:] *= np.float32(1e-6)
    net = import_graph(graph([("Conv", ["x", "w"], ["y"], {"name": "mixed"})], {"w": weight}), tmp_path)
    inputs = noise_inputs(net.table, 1)
    lines = warning_lines(net, quantise(net, inputs), inputs)
    assert len(lines) == 1 and lines[0].startswith("layer mixed: 16 bits leave ") and lines[0].endswith("are 4 of 8 channels")
    weight[4:] *= np.float32(1e6)
    net = import_graph(graph([("Conv", ["x", "w"], ["y"], {"name": "mixed"})], {"w": weight}), tmp_path)
    assert warning_lines(net, quantise(net, inputs), inputs) == []


def test_an_operand_that_others_read_is_copied_for_the_sum():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            small = self.a(x)
            return self.c(small), small + 1e5 * self.b(x)

    torch.manual_seed(0)
    module, x = Net(), torch.randn(1, 3, 8, 8)
    net = importers.from_torch(module, x)
    found = _quantised(net, x.numpy())
    for mine, reference in zip(found.values(), module(x), strict=True):
        assert _snr(mine, reference.detach().numpy()) > 60
