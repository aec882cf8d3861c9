"""Layer tables: the one description of a network's shapes that everything else reads.

A :class:`LayerTable` is a list of :class:`Layer` rows in an order in which every producer stands before its readers.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from squeezelerator.spec.network.checks import check_layers
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer, Shape

__all__ = ["LayerTable"]


@dataclass(frozen=True)
class LayerTable:
    """A network: its name, the shape (C, H, W) of its input, and its layers, producers first."""

    name: str
    input_shape: Shape
    layers: tuple[Layer, ...]

    @cached_property
    def by_name(self) -> dict[str, Layer]:
        """Layers by name."""
        return {layer.name: layer for layer in self.layers}

    @cached_property
    def _consumers(self) -> dict[str, tuple[Layer, ...]]:
        found = {NETWORK_INPUT: []} | {layer.name: [] for layer in self.layers}
        for layer in self.layers:
            for source in dict.fromkeys(layer.inputs):
                found[source].append(layer)
        return {name: tuple(layers) for name, layers in found.items()}

    def consumers(self, name: str) -> tuple[Layer, ...]:
        """Layers that read the output of layer ``name`` (or ``"input"``), in table order."""
        return self._consumers[name]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the layers that nobody reads: the outputs of the network."""
        return tuple(layer.name for layer in self.layers if not self._consumers[layer.name])

    def shape_of(self, name: str) -> Shape:
        """Shape (C, H, W) of the output of layer ``name``, or of the network's input."""
        return self.input_shape if name == NETWORK_INPUT else self.by_name[name].out_shape

    @property
    def params(self) -> int:
        """Number of weights of the network, without biases."""
        return sum(layer.params for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        return sum(layer.macs for layer in self.layers)

    @property
    def macs_with_bias(self) -> int:
        """MACs with one more per output of a Conv or FC layer, as the paper counts."""
        return sum(layer.macs_with_bias for layer in self.layers)

    def validate(self) -> Self:
        """Check the table and return it.

        Raises
        ------
        TableError
            At the first inconsistency, in one line.
        """
        check_layers(self.name, self.input_shape, self.layers)
        return self
