"""The PyTorch modules agree with the tables on every shape and count, and train."""

import pytest
import torch

from squeezelerator.models.arithmetic.torch_network import torch_network
from squeezelerator.models.networks import zoo


@pytest.fixture
def one_thread():
    """Layers of a few pixels spend their time waiting for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", zoo.names())
def test_shapes_and_counts_agree(name):
    network = zoo.network(name)
    with torch.device("meta"):
        module = torch_network(name).eval()
        maps = module.maps(torch.empty(1, *network.table.input_shape))
    assert {key: tuple(value.shape[1:]) for key, value in maps.items()} == {
        layer.name: layer.out_shape for layer in network.table.layers
    }
    assert sum(value.numel() for value in module.parameters()) == network.trainable_params
    convolutions = {key: value for key, value in module.named_parameters() if key.endswith("conv.weight")}
    weighted = [layer for layer in network.table.layers if layer.has_weights]
    assert [tuple(value.shape) for value in convolutions.values()] == [layer.weight_shape for layer in weighted]


@pytest.mark.parametrize("name", zoo.names())
def test_macs_agree_with_what_torch_computes(name):
    """Counted from the shapes that reach PyTorch's convolutions, padding included."""
    table = zoo.get(name)
    counted = []

    def count(module, _, output):
        counted.append(output[0].numel() * module.weight[0].numel())

    with torch.device("meta"):
        module = torch_network(name).eval()
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d):
                part.register_forward_hook(count)
        module(torch.empty(1, *table.input_shape))
    assert counted == [layer.macs for layer in table.layers if layer.has_weights]


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt"])
def test_training_lowers_the_loss(name, one_thread):
    torch.manual_seed(0)
    module = torch_network(zoo.network(name)).train()
    x = torch.randn(8, *zoo.get(name).input_shape)
    target = torch.arange(8) % 4
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(module(x).flatten(1), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2
    assert all(value.grad is not None for value in module.parameters())


def test_normalisation_follows_the_source():
    module = torch_network("sqnxt23v5")
    keys = set(module.state_dict())
    assert "layers.conv1.norm.weight" in keys
    assert "layers.conv1.conv.bias" not in keys
    assert not any(key.startswith("layers.fc1000") and key != "layers.fc1000.conv.weight" for key in keys)
    assert "layers.conv1.conv.bias" in torch_network("squeezenet1_1").state_dict()


def test_forward_is_the_last_map_and_dropout_acts_in_training_only():
    torch.manual_seed(1)
    module = torch_network(zoo.network("tiny_concat")).eval()
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(module(x), module.maps(x)["last"])
    with torch.device("meta"):
        layers = torch_network("squeezenet1_0").layers
    assert layers["fire9_expand3x3"].dropout.p == 0.5
