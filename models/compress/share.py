"""Weight sharing: in every layer the weights that are not zero take one of a few values, found by k-means."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.compress.errors import CompressError
from squeezelerator.spec.network.layer_table import LayerTable

MAX_BITS = 8
_SAMPLE = 200_000
"""Weights on which the k-means of a larger layer is fitted; all of them are then assigned."""
_ITERATIONS = 200
_TOLERANCE = 1e-7
_BINS = 2048


@dataclass(frozen=True)
class SharedLayer:
    """A layer's shared weights: ``codebook[codes]``, float32 of any length up to 256 and uint8 (O, I/groups, Kh, Kw).

    Entry 0 of the codebook is zero: the pruned weights, and the fillers that a sparse code needs.
    """

    codebook: np.ndarray
    codes: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """The weights, float32 (O, I/groups, Kh, Kw)."""
        return self.codebook[self.codes]


@dataclass(frozen=True)
class SharedNetwork:
    """A float network whose weights are shared, layer by layer.

    Parameters
    ----------
    net : FloatNetwork
        With the shared weights.
    shared : dict of str to SharedLayer
    bits : dict of str to int
        Bits of a code, by layer.
    """

    net: FloatNetwork
    shared: dict[str, SharedLayer]
    bits: dict[str, int]


def _companded(values: np.ndarray, count: int) -> np.ndarray:
    """``count`` values spread over the range of ``values`` with the cube root of their density.

    In the limit of many clusters that is how the best ones lie; k-means, which finds the nearest local optimum, begins there.
    """
    counts, edges = np.histogram(values, bins=_BINS)
    heights = np.concatenate((np.zeros(1), np.cumsum(np.cbrt(counts))))
    return np.interp((np.arange(count) + 0.5) * heights[-1] / count, heights, edges)


def cluster(values: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` values (float32, ascending, none of them zero) that stand for ``values``, by k-means."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    distinct, weights = np.unique(values, return_counts=True)
    if len(distinct) <= count:
        return distinct
    sample = values if len(values) <= _SAMPLE else np.sort(values)[:: len(values) // _SAMPLE]
    if len(distinct) > len(sample):
        distinct, weights = np.unique(sample, return_counts=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        start = np.unique(_companded(sample.astype(np.float64), count))[:, None]
        # scikit-learn's inferred types know the defaults of ``init`` and ``n_init`` only.
        chosen: dict[str, Any] = {"init": start, "n_init": 1}
        means = KMeans(len(start), max_iter=_ITERATIONS, tol=_TOLERANCE, algorithm="lloyd", **chosen)
        found = means.fit(distinct[:, None].astype(np.float64), sample_weight=weights)
    centres = np.unique(found.cluster_centers_[:, 0].astype(np.float32))
    return centres[centres != 0]


def share_layer(weight: np.ndarray, bits: int) -> SharedLayer:
    """The :class:`SharedLayer` of a weight array with codes of ``bits`` bits."""
    flat = weight.reshape(-1)
    kept = flat != 0
    codes = np.zeros(flat.size, np.uint8)
    centres = cluster(flat[kept], (1 << bits) - 1) if kept.any() else np.zeros(0, np.float32)
    if len(centres):
        # The nearest of ascending centres: count the midpoints below.
        middles = (centres[1:].astype(np.float64) + centres[:-1]) / 2
        codes[kept] = 1 + np.searchsorted(middles, flat[kept])
    return SharedLayer(np.concatenate((np.zeros(1, np.float32), centres)), codes.reshape(weight.shape))


def check_bits(table: LayerTable, bits: int | Mapping[str, int]) -> dict[str, int]:
    """``{layer: bits}`` for all layers of ``table`` with weights, from what :func:`share` takes.

    Raises
    ------
    CompressError
        If a number of bits is impossible, or a layer has none or no weights.
    """
    names = [layer.name for layer in table.layers if layer.has_weights]
    chosen: Mapping[str, int] = bits if isinstance(bits, Mapping) else dict.fromkeys(names, bits)
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        raise CompressError(f"{table.name} has no layer {unknown[0]} with weights")
    for name in names:
        count = chosen.get(name)
        if not isinstance(count, int) or not 1 <= count <= MAX_BITS:
            raise CompressError(f"layer {name}: bits must be 1 to {MAX_BITS}, not {count}")
    return {name: chosen[name] for name in names}


def share(net: FloatNetwork, bits: int | Mapping[str, int]) -> SharedNetwork:
    """Share the weights of a float network.

    Parameters
    ----------
    net : FloatNetwork
    bits : int or dict of str to int
        Bits of a code, 1 to 8, for all layers or by layer.

    Returns
    -------
    SharedNetwork

    Raises
    ------
    CompressError
        If a number of bits is impossible or a layer has none.
    """
    params, shared, chosen = dict(net.params), {}, check_bits(net.table, bits)
    for name, count in chosen.items():
        shared[name] = share_layer(net.params[name].arrays()[0], count)
        params[name] = replace(params[name], weight=shared[name].weight)
    return SharedNetwork(FloatNetwork(net.table, params, net.preprocessing), shared, chosen)
