"""Segments of a network: runs of layers between which only one map passes.

Networks of repeated blocks have few different segments however deep they are. A *window* is some consecutive segments as a network of its
own, with layers named by their places, so that equal windows of different networks are equal tables with equal synthetic weights.
"""

import functools
from collections.abc import Sequence
from dataclasses import replace

from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer
from squeezelerator.spec.network.layer_table import LayerTable

__all__ = ["bounds", "window"]

#: Layers of a segment at least: shorter ones would be fused with their neighbours.
LEAST_LAYERS = 4


def _crossing(layers: Sequence[Layer]) -> list[list[str]]:
    """For every place between layers (0: before the first) the maps that are made before it and read after it, in order."""
    last = {source: index for index, layer in enumerate(layers) for source in layer.inputs}
    names = [NETWORK_INPUT, *(layer.name for layer in layers)]
    return [[name for name in names[: place + 1] if last.get(name, -1) >= place] for place in range(len(layers))]


def _is_cut(layers: Sequence[Layer], place: int, crossing: Sequence[str]) -> bool:
    """Whether all layers from ``place`` on that read what crosses read all of it: one map, or one concatenation."""
    if NETWORK_INPUT in crossing:
        return False
    return all(layer.inputs == tuple(crossing) or len(crossing) == 1
               for layer in layers[place:] if set(layer.inputs) & set(crossing))  # fmt: skip


def bounds(table: LayerTable, least: int = LEAST_LAYERS) -> tuple[int, ...]:
    """Numbers of the layers with which segments begin, and the number of layers.

    Parameters
    ----------
    least : int
        Layers of a segment at least.
    """
    layers, crossing = table.layers, _crossing(table.layers)
    found = [0]
    for place in range(1, len(layers)):
        if place - found[-1] >= least and len(layers) - place >= least and _is_cut(layers, place, crossing[place]):
            found.append(place)
    return (*found, len(layers))


@functools.cache
def _interned(table: LayerTable) -> LayerTable:
    """The one table that stands for all equal ones: its hash and its keys are worked out once."""
    return table


def window(table: LayerTable, first: int, last: int) -> LayerTable:
    """Layers ``first`` .. ``last`` - 1 as a network of its own; what they read from before them is its input."""
    layers = table.layers[first:last]
    names = {layer.name: f"layer{place}" for place, layer in enumerate(layers)}
    shape, found = table.input_shape, []
    for layer in layers:
        outside = not any(source in names for source in layer.inputs)
        if outside and NETWORK_INPUT not in layer.inputs:
            shape, inputs = layer.in_shape, (NETWORK_INPUT,)
        else:
            inputs = tuple(names.get(source, NETWORK_INPUT) for source in layer.inputs)
        found.append(replace(layer, name=names[layer.name], inputs=inputs))
    return _interned(LayerTable("window", shape, tuple(found)))
