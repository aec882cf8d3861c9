"""PyTorch modules through torch.export: scores equal PyTorch's, and one line for what cannot be expressed."""

import numpy as np
import pytest
import torch
from support.foreign import same_as_torch
from torch import nn
from torch.nn import functional

from squeezelerator.compiler import from_torch
from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network
from squeezelerator.models.arithmetic.torch_network import torch_network
from squeezelerator.models.importers.torch.graph import SUPPORTED


def _randomised(module):
    """The module with batch norms and biases that do something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point() and value.ndim == 1:
                random = torch.rand(value.shape, generator=generator)
                value.copy_(random + 0.5 if name.endswith(("var", "norm.weight", "bn.weight")) else random - 0.5)
    return module


def _same(module, shape):
    """Import, compare with PyTorch in evaluation mode, return the network."""
    module = _randomised(module)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    net = importers.from_torch(module, x)
    with torch.no_grad():
        expected = module.eval()(x)[0].reshape(-1).numpy()
    np.testing.assert_allclose(float_network.scores(net, x[0].numpy()), expected, rtol=1e-4, atol=1e-5)
    return net


def _comparable(layer):
    # An FC layer over a map of one element, written as a convolution in the module, comes back as one.
    kind = "Conv" if layer.type == "FC" else layer.type
    return kind, layer.in_shape, layer.out_shape, (layer.k_w, layer.k_h), layer.groups, layer.activation


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt", "tiny_grouped", "tiny_maxpool", "tiny_concat", "tiny_strided"])
def test_networks_of_the_zoo_come_back(name):
    module = torch_network(name)
    net = _same(module, (1, *module.table.input_shape))
    assert [_comparable(layer) for layer in net.table.layers] == [_comparable(layer) for layer in module.table.layers]


class _Classifier(nn.Module):
    """What torchvision's networks are made of."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding="same", bias=False), nn.BatchNorm2d(8), nn.ReLU6(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.LeakyReLU(0.2, inplace=True),
        )  # fmt: skip
        self.avgpool = nn.AdaptiveAvgPool2d((3, 3))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(72, 16), nn.ReLU(inplace=True), nn.Linear(16, 5))

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return functional.softmax(self.classifier(torch.flatten(x, 1)), 1)


@pytest.mark.parametrize("batch", [1, 2])
def test_module_that_this_project_has_never_seen(batch):
    module = _randomised(_Classifier())
    x = torch.randn((batch, 3, 12, 12), generator=torch.Generator().manual_seed(2))
    with pytest.raises(importers.WeightError, match="has windows of different sizes"):
        importers.from_torch(module, torch.zeros(1, 3, 9, 9))
    net = importers.from_torch(module, x)
    assert [layer.type for layer in net.table.layers] == ["Conv", "MaxPool", "Conv", "AvgPool", "FC", "FC"]
    assert [layer.activation for layer in net.table.layers] == ["relu6", "none", "leaky", "none", "relu", "none"]
    assert module.training
    with torch.no_grad():
        expected = module.eval()(x)[0].numpy()
    scores = float_network.scores(net, x[0].numpy())
    np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(), expected, rtol=1e-4)


class _Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x):
        y = functional.relu(self.bn(self.conv(x)) + x)
        return (y * 2.0 + 0.5).mean((2, 3))


def test_residual_and_constants():
    net = _same(_Residual(), (1, 3, 6, 6))
    assert [layer.type for layer in net.table.layers] == ["Conv", "Add", "Conv", "AvgPool"]


class _Constants(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        offset = torch.arange(4.0).view(1, 4, 1, 1) * 0.5
        return (self.conv(x) + offset).mean((2, 3)) @ torch.ones(5, 4).t()


def test_constants_are_computed_while_reading():
    net = _same(_Constants(), (1, 3, 6, 6))
    assert [layer.type for layer in net.table.layers] == ["Conv", "AvgPool", "FC"]


class _Unsupported(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(("function", "message"), [
    (torch.sin, f"node 'sin' (sin): operator sin is not supported; supported are {', '.join(SUPPORTED)}"),
    (lambda x: torch.sin(1 / x), "2 nodes cannot be lowered: node 'reciprocal' (reciprocal): operator reciprocal is not supported; "
     f"node 'sin' (sin): operator sin is not supported; supported are {', '.join(SUPPORTED)}"),
    (lambda x: x / (x + 4), "node 'div' (div): a division by a map is not supported, unless that is a power or a square root"),
    (lambda x: torch.cat((x, x), 2), "node 'cat' (cat): only channels can be concatenated, not axis 2 of (1, 3, 4, 4)"),
    (lambda x: functional.softmax(x, 1).relu(), "node 'relu' (relu): follows a softmax, which is supported at the end only"),
    (lambda x: functional.max_pool2d(x.view(1, 6, 2, 4), 2), "node 'max_pool2d' (max_pool2d): reads an array of shape (1, 6, 2, 4) whose "
     "elements are no lines and columns of the map (3, 4, 4)"),
])  # fmt: skip
def test_what_cannot_be_lowered(function, message):
    with pytest.raises(importers.WeightError) as error:
        importers.from_torch(_Unsupported(function), torch.zeros(1, 3, 4, 4))
    assert str(error.value) == f"_Unsupported: {message}"


@pytest.mark.parametrize(("function", "stride"), [
    (lambda x: functional.conv2d(x.relu(), torch.ones(1, 3, 1, 1), stride=5), 5),
    (lambda x: functional.max_pool2d(x, 2, (1, 7)), 7), (lambda x: functional.avg_pool2d(x, 1, 10), 10), (lambda x: x[..., ::11], 11),
])  # fmt: skip
def test_strides_that_no_layers_make_up(function, stride):
    message = f": a stride of {stride} is not supported: above 4 it must be made up of factors 2 and 3$"
    with pytest.raises(importers.WeightError, match=message):
        importers.from_torch(_Unsupported(function), torch.zeros(1, 3, 30, 30))


def test_what_cannot_be_exported():
    branch = _Unsupported(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(importers.WeightError, match="^_Unsupported: torch.export cannot export it: .") as error:
        importers.from_torch(branch, torch.zeros(1, 3, 4, 4))
    assert "\n" not in str(error.value)
    with pytest.raises(importers.WeightError, match=r"the example input must be a tensor \(batch, C, H, W\), .*, not \(4,\)"):
        importers.from_torch(branch, torch.zeros(4))
    with pytest.raises(importers.WeightError, match="is no torch.nn.Module"):
        importers.from_torch("a string", torch.zeros(1, 3, 4, 4))


def test_functions_and_blocks():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            x = functional.gelu(self.conv(x))
            x = functional.celu(functional.selu(functional.elu(functional.gelu(x, approximate="tanh"), 0.5)), 2.0)
            x = functional.pixel_unshuffle(x, 2)
            return x * 0.5 * (1 + torch.erf(x / 2**0.5)), torch.exp(x)

    net = same_as_torch(Net(), (1, 3, 8, 10))
    assert {"GELU", "GELUTanh", "ELU", "Exp"} <= {layer.type for layer in net.table.layers}


class _TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(9, 6)

    def forward(self, picture, numbers):
        return self.linear(torch.cat((self.conv(picture).relu().mean((2, 3)), numbers), 1))


def test_a_module_with_several_inputs():
    module, given = _TwoInputs(), (torch.randn(1, 3, 7, 6), torch.randn(1, 5))
    net = importers.from_torch(module, given)
    assert [(port.name, port.dims) for port in net.ports.inputs] == [("picture", (1, 3, 7, 6)), ("numbers", (1, 5))]
    x = net.ports.pack({port.name: item.numpy() for port, item in zip(net.ports.inputs, given, strict=True)})
    with torch.no_grad():
        np.testing.assert_allclose(float_network.outputs(net, x)["output"], module(*given).numpy(), atol=1e-5)
    program = from_torch(module, given, pe=4)
    assert [port["name"] for port in program.quantisation["ports"]["inputs"]] == ["picture", "numbers"]
    for wrong, complaint in ((given[0], "cannot export it"), ((*given, given[0]), "cannot export it"), ((), "not NoneType"),
                             ((given[0], 3), "or several of them, not int")):  # fmt: skip
        with pytest.raises(importers.WeightError, match=complaint):
            importers.from_torch(module, wrong)
