"""A layer table as a trainable ``torch.nn.Module``."""

import torch
from torch import nn
from torch.nn import functional

from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.network import BATCHNORM, BIAS, Network
from squeezelerator.spec.functions.activations import ACTIVATIONS
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable


class _Layer(nn.Module):
    """One layer: (batch, C, H, W) in, (batch, C, H, W) out; a type with operands (``Add``) takes each, the
    others the concatenated one.
    """

    def __init__(self, layer: Layer, norm: str, dropout: float) -> None:
        super().__init__()
        self.layer = layer
        rule = ACTIVATIONS[layer.activation]
        self.stride = (layer.s_y, layer.s_x)
        if layer.has_weights:
            self.conv = nn.Conv2d(
                layer.c_i, layer.c_o, (layer.k_h, layer.k_w), self.stride, groups=layer.groups, bias=norm == BIAS
            )
            self.norm = nn.BatchNorm2d(layer.c_o) if norm == BATCHNORM else nn.Identity()
            if rule.relu_like:
                # Weights for a ReLU behind them: the default is too small for a hundred layers.
                nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        self.activation = getattr(nn, rule.torch_module)(**rule.torch_arguments)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()

    def _padded(self, x: torch.Tensor, value: float) -> torch.Tensor:
        """The input with exactly the rows and columns that the windows cover."""
        layer = self.layer
        right = (layer.w_o - 1) * layer.s_x + layer.k_w - layer.p_w - layer.w_i
        bottom = (layer.h_o - 1) * layer.s_y + layer.k_h - layer.p_h - layer.h_i
        pads = (layer.p_w, max(0, right), layer.p_h, max(0, bottom))
        return functional.pad(x, pads, value=value) if any(pads) else x

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        layer = self.layer
        rule = layer.rule
        if rule.has_weights:
            return self.dropout(self.activation(self.norm(self.conv(self._padded(inputs[0], 0.0)))))
        if not rule.torch_function:
            raise ValueError(f"layer {layer.name}: {layer.type} cannot be trained")
        function = getattr(functional, rule.torch_function, None) or getattr(torch, rule.torch_function)
        if not rule.has_windows:
            return self.activation(function(*inputs))
        padded = self._padded(inputs[0], -torch.inf if rule.pads_lowest else 0.0)
        return self.activation(function(padded, (layer.k_h, layer.k_w), self.stride))


class TorchNetwork(nn.Module):
    """A :class:`~models.networks.network.Network` in PyTorch.

    ``forward`` takes float (batch, C, H, W) and returns the output (batch, C, H, W) of the last layer; ``maps``
    returns every layer's output by name. Weights lie under ``layers.NAME.conv``, batch norm under
    ``layers.NAME.norm``.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.table = network.table
        self.layers = nn.ModuleDict(
            {
                self._key(layer): _Layer(layer, network.norm_of(layer), network.dropout.get(layer.name, 0))
                for layer in self.table.layers
            }
        )

    @staticmethod
    def _key(layer: Layer) -> str:
        # Names of modules contain no dots, and some plain words are methods of ModuleDict.
        return layer.name.replace(".", "_") if not hasattr(nn.ModuleDict, layer.name) else f"{layer.name}_"

    def _run(self, x: torch.Tensor, keep: bool) -> dict[str, torch.Tensor]:
        maps = {NETWORK_INPUT: x}
        last_use = {source: layer.name for layer in self.table.layers for source in layer.inputs}
        for layer in self.table.layers:
            inputs = [maps[source] for source in layer.inputs]
            if layer.rule.operands is None:
                inputs = [torch.cat(inputs, 1)] if len(inputs) > 1 else inputs
            maps[layer.name] = self.layers[self._key(layer)](*inputs)
            if not keep:
                for source in set(layer.inputs):
                    if last_use[source] == layer.name:
                        del maps[source]
        return maps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._run(x, keep=False)[self.table.layers[-1].name]

    def maps(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Outputs (batch, C, H, W) of all layers, by name."""
        maps = self._run(x, keep=True)
        del maps[NETWORK_INPUT]
        return maps


def torch_network(name_or_network: str | Network | LayerTable) -> TorchNetwork:
    """A :class:`TorchNetwork` of a zoo name, a :class:`~models.networks.network.Network`, or a bare table (with biases)."""
    if isinstance(name_or_network, str):
        return TorchNetwork(zoo.network(name_or_network))
    if isinstance(name_or_network, Network):
        return TorchNetwork(name_or_network)
    table = name_or_network
    return TorchNetwork(Network(name=table.name, build=lambda: table))
