"""Networks and weights from outside: weight files for a known table, ONNX files, PyTorch modules.

All three entries return a :class:`~models.arithmetic.float_network.FloatNetwork` with batch norm folded, and raise
:class:`~models.importers.errors.WeightError` (a ``ValueError`` whose message is one line naming the tensor or node).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from squeezelerator.common.reading import reading
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.compress.codec import decode
from squeezelerator.models.compress.errors import CompressError
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.weights.assign import group_tensors, layer_numbers, match_groups, needed_biases
from squeezelerator.models.importers.weights.deep_compression import load_net
from squeezelerator.models.importers.weights.tensors import SUFFIXES, read_tensors
from squeezelerator.spec.network.layer_table import LayerTable

if TYPE_CHECKING:
    import torch

    from squeezelerator.models.importers.onnx.host_parts import HostParts

__all__ = ["WeightError", "from_tensors", "from_torch", "load_onnx", "load_onnx_with_host", "load_weights"]


def load_weights(path: str | Path, table: LayerTable) -> FloatNetwork:
    """Float weights of a file for a layer table.

    Parameters
    ----------
    path : path
        ``.npz`` (keys ``NAME_w``, ``NAME_b`` or ``NAME.weight``, ``NAME.bias``), ``.pth``, ``.pt`` or ``.safetensors`` (a state dict,
        torchvision's key names included), ``.net`` (Deep Compression), or ``.sqz`` (as :mod:`models.compress` writes it).
    table : LayerTable

    Raises
    ------
    WeightError
        If the file is of another network or kind: a tensor is missing, left over, of the wrong shape or not finite.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (*SUFFIXES, ".net", ".sqz"):
        known = ", ".join((*SUFFIXES, ".net", ".sqz"))
        raise WeightError(f"{path}: weights come from {known}, not from {suffix or 'a file without extension'}")
    with reading(path, f"{suffix} file of weights", WeightError):
        if suffix == ".net":
            return load_net(path, table)
        if suffix == ".sqz":
            return _load_compressed(path, table)
        return from_tensors(str(path), read_tensors(path), table)


def _load_compressed(path: str | Path, table: LayerTable) -> FloatNetwork:
    try:
        return decode(Path(path).read_bytes(), table, str(path))
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror or error}") from None
    except CompressError as error:
        raise WeightError(str(error)) from None


def from_tensors(title: str, tensors: Mapping[str, np.ndarray], table: LayerTable) -> FloatNetwork:
    """Float weights of a layer table from named numpy arrays, such as a state dict's; ``title`` begins every complaint."""
    groups = group_tensors(title, tensors)
    params = {}
    matched = match_groups(title, groups, table)
    biased = {name for name, found in matched.items() if len(found) > 1 or "bias" in groups[found[0]]}
    missing = needed_biases(table, biased) - biased
    for layer in table.layers:
        if layer.name in missing:
            raise WeightError(f"{title}: has no bias for layer {layer.name} of {table.name}")
        if layer.has_weights:
            own, *norm = (groups[group] for group in matched[layer.name])
            params[layer.name] = layer_numbers(title, layer, own, norm[0] if norm else None)
    return FloatNetwork(table, params).validate()


def load_onnx(path: str | Path, shapes: dict[str, tuple[int, ...]] | None = None) -> FloatNetwork:
    """The network of an ONNX file; see :mod:`models.importers.onnx.graph`."""
    # Imported late: the compiler starts without onnx.
    from squeezelerator.models.importers.onnx.graph import read_onnx

    with reading(path, "ONNX file", WeightError):
        return read_onnx(path, shapes)


def load_onnx_with_host(path: str | Path, shapes: dict[str, tuple[int, ...]] | None = None) -> "tuple[FloatNetwork, HostParts | None]":
    """What the machine can compute of an ONNX file, and what is left to the host; see :mod:`models.importers.onnx.partition`."""
    from squeezelerator.models.importers.onnx.graph import read_with_host

    with reading(path, "ONNX file", WeightError):
        return read_with_host(path, shapes)


def from_torch(module: "torch.nn.Module", example_input: "torch.Tensor | Sequence[torch.Tensor]", name: str | None = None) -> FloatNetwork:
    """The network of a ``torch.nn.Module``; see :mod:`models.importers.torch.graph`."""
    from squeezelerator.models.importers.torch.graph import trace_module

    return trace_module(module, example_input, name)
