"""Magnitude pruning: the smallest weights become zero."""

from dataclasses import replace

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.compress.errors import CompressError


def _smallest(magnitudes, count):
    """Mask of the ``count`` smallest elements; among equal ones the first go first."""
    mask = np.zeros(magnitudes.size, bool)
    mask[np.argsort(magnitudes, kind="stable")[:count]] = True
    return mask


def _check(name, sparsity):
    if not 0 <= sparsity <= 1:
        raise CompressError(f"{name} must be between 0 and 1, not {sparsity}")


def check_sparsity(table, sparsity, scope="layer"):
    """Raise CompressError if :func:`prune` could not do with these for a network of ``table``."""
    if scope not in ("layer", "network"):
        raise CompressError(f"the scope of pruning must be layer or network, not {scope!r}")
    if not isinstance(sparsity, dict):
        _check("the sparsity", sparsity)
        return
    unknown = sorted(set(sparsity) - {layer.name for layer in table.layers if layer.has_weights})
    if unknown:
        raise CompressError(f"{table.name} has no layer {unknown[0]} with weights")
    if scope == "network":
        raise CompressError("a sparsity for each layer cannot be spread over the network")
    for name, share in sparsity.items():
        _check(f"the sparsity of {name}", share)


def prune(net, sparsity, *, scope="layer"):
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
    if scope == "network":
        sizes = [layer.params for layer in layers]
        magnitudes = np.concatenate([np.abs(net.params[layer.name].weight).reshape(-1) for layer in layers])
        masks = np.split(_smallest(magnitudes, round(sparsity * magnitudes.size)), np.cumsum(sizes)[:-1])
    else:
        masks = []
        for layer in layers:
            share = sparsity.get(layer.name, 0.0) if isinstance(sparsity, dict) else sparsity
            magnitudes = np.abs(net.params[layer.name].weight).reshape(-1)
            masks.append(_smallest(magnitudes, round(share * magnitudes.size)))
    params = dict(net.params)
    for layer, mask in zip(layers, masks, strict=True):
        weight = np.where(mask.reshape(layer.weight_shape), np.float32(0), params[layer.name].weight)
        params[layer.name] = replace(params[layer.name], weight=weight)
    return FloatNetwork(net.table, params, net.preprocessing)


def nonzero(net):
    """Number of weights that are not zero."""
    return sum(int(np.count_nonzero(numbers.weight)) for numbers in net.params.values() if numbers.weight is not None)
