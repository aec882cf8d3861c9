"""Magnitude pruning: the smallest weights become zero."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.compress.errors import CompressError
from squeezelerator.spec.network.layer_table import LayerTable


def _smallest(magnitudes: np.ndarray, count: int) -> np.ndarray:
    """Mask of the ``count`` smallest elements; among equal ones the first go first."""
    mask = np.zeros(magnitudes.size, bool)
    mask[np.argsort(magnitudes, kind="stable")[:count]] = True
    return mask


def _check(name: str, sparsity: float) -> None:
    if not 0 <= sparsity <= 1:
        raise CompressError(f"{name} must be between 0 and 1, not {sparsity}")


def check_sparsity(table: LayerTable, sparsity: float | Mapping[str, float], scope: str = "layer") -> None:
    """Raise CompressError if :func:`prune` could not do with these for a network of ``table``."""
    if scope not in ("layer", "network"):
        raise CompressError(f"the scope of pruning must be layer or network, not {scope!r}")
    if not isinstance(sparsity, Mapping):
        _check("the sparsity", sparsity)
        return
    unknown = sorted(set(sparsity) - {layer.name for layer in table.layers if layer.has_weights})
    if unknown:
        raise CompressError(f"{table.name} has no layer {unknown[0]} with weights")
    if scope == "network":
        raise CompressError("a sparsity for each layer cannot be spread over the network")
    for name, share in sparsity.items():
        _check(f"the sparsity of {name}", share)


def prune(net: FloatNetwork, sparsity: float | Mapping[str, float], *, scope: str = "layer") -> FloatNetwork:
    """Prune a float network.

    Parameters
    ----------
    net : FloatNetwork
    sparsity : float or dict of str to float
        Share of zero weights to reach; a dictionary gives it by layer, and layers that are not in it stay as they are. Weights that
        are zero already count.
    scope : str
        ``layer``: every layer reaches it; ``network``: all weights together do, so that layers of small weights lose more.

    Returns
    -------
    FloatNetwork
        Exactly ``round(sparsity * weights)`` weights are zero, or more where more were.

    Raises
    ------
    CompressError
        If a share, the scope or a layer's name is impossible.
    """
    check_sparsity(net.table, sparsity, scope)
    layers = [layer for layer in net.table.layers if layer.has_weights]
    magnitudes = [np.abs(net.params[layer.name].arrays()[0]).reshape(-1) for layer in layers]
    if scope == "network" and not isinstance(sparsity, Mapping):
        together = np.concatenate(magnitudes)
        masks = np.split(_smallest(together, round(sparsity * together.size)), np.cumsum([layer.params for layer in layers])[:-1])
    else:
        shares = sparsity if isinstance(sparsity, Mapping) else dict.fromkeys((layer.name for layer in layers), sparsity)
        masks = [_smallest(values, round(shares.get(layer.name, 0.0) * values.size))
                 for layer, values in zip(layers, magnitudes, strict=True)]  # fmt: skip
    params = dict(net.params)
    for layer, mask in zip(layers, masks, strict=True):
        weight = np.where(mask.reshape(layer.weight_shape), np.float32(0), params[layer.name].arrays()[0])
        params[layer.name] = replace(params[layer.name], weight=weight)
    return FloatNetwork(net.table, params, net.preprocessing)


def nonzero(net: FloatNetwork) -> int:
    """Number of weights that are not zero."""
    return sum(int(np.count_nonzero(numbers.weight)) for numbers in net.params.values() if numbers.weight is not None)
