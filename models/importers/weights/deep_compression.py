"""Files ``.net`` as the authors of Deep Compression wrote them: shared weights behind 4-bit relative positions.

Little endian. For every layer with weights, in table order, one uint32: how many entries are stored. Then layer by layer a
codebook of 256 float32, the biases as float32, one byte an entry (its place in the codebook), and the entries' positions in
the flat weight array (O, I, H, W): 4 bits each, low nibble first, an entry lying ``step + 1`` after the one before. A step
longer than 15 takes an extra entry of value zero on the way.
"""

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from squeezelerator.models.arithmetic.float_network import FloatLayer, FloatNetwork, bad_value
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.spec.network.layer_table import LayerTable

CODEBOOK = 256


class _Reader:
    """Takes arrays off the front of a file's bytes."""

    def __init__(self, path: str | Path) -> None:
        self._path = path
        try:
            self._data = Path(path).read_bytes()
        except OSError as error:
            raise WeightError(f"{path}: cannot be read: {error.strerror or error}") from None
        self._at = 0

    def take(self, what: str, dtype: DTypeLike, count: int) -> np.ndarray:
        """The next ``count`` elements, which are ``what``."""
        dtype = np.dtype(dtype)
        end = self._at + count * dtype.itemsize
        if end > len(self._data):
            raise WeightError(f"{self._path}: ends within {what}: {len(self._data)} bytes, but at least {end} are needed")
        value = np.frombuffer(self._data, dtype, count, self._at)
        self._at = end
        return value

    def finish(self) -> None:
        """Refuse bytes that are left over."""
        left = len(self._data) - self._at
        if left:
            raise WeightError(f"{self._path}: {left} bytes follow the last layer; is it the file of another network?")


def _finite(path: str | Path, name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise WeightError(f"{path}: {name} contains {bad_value(values)}")
    return values.astype(np.float32)


def load_net(path: str | Path, table: LayerTable) -> FloatNetwork:
    """The :class:`~models.arithmetic.float_network.FloatNetwork` of a ``.net`` file, for ``table``.

    Raises
    ------
    WeightError
        If the file is too short or too long for the table, a position lies outside its layer, or a number is not finite.
    """
    reader = _Reader(path)
    layers = [layer for layer in table.layers if layer.has_weights]
    counts = [int(count) for count in reader.take("the layers' counts", "<u4", len(layers))]
    for layer, count in zip(layers, counts, strict=True):
        if count > layer.params:
            raise WeightError(
                f"{path}: {layer.name} would have {count} stored entries, but the layer has {layer.params} weights in {table.name}"
            )
    params = {}
    for layer, count in zip(layers, counts, strict=True):
        codebook = _finite(path, f"{layer.name}'s codebook", reader.take(f"{layer.name}'s codebook", "<f4", CODEBOOK))
        bias = _finite(path, f"{layer.name}'s bias", reader.take(f"{layer.name}'s bias", "<f4", layer.c_o))
        codes = reader.take(f"{layer.name}'s entries", "u1", count)
        packed = reader.take(f"{layer.name}'s positions", "u1", (count + 1) // 2)
        steps = np.stack((packed & 15, packed >> 4), axis=1).reshape(-1)[:count].astype(np.int64)
        position = np.cumsum(steps + 1) - 1
        if count and position[-1] >= layer.params:
            raise WeightError(f"{path}: {layer.name} has an entry at {position[-1]}, but only {layer.params} weights")
        weight = np.zeros(layer.params, np.float32)
        weight[position] = codebook[codes]
        params[layer.name] = FloatLayer(weight=weight.reshape(layer.weight_shape), bias=bias)
    reader.finish()
    return FloatNetwork(table, params, preprocessing="caffe").validate()
