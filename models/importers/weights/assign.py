"""Which tensor of a file belongs to which layer of a table, whatever the file's author called it.

A file's tensors are grouped by the part of their names before the last separator (``features.3.squeeze.weight`` belongs to
``features.3.squeeze``). A group is a layer's own (weight, bias) or its batch norm (weight, bias, running_mean, running_var). Names are
matched in three ways, in this order: as PyTorch modules of this project call them, as the layers are called themselves
(``conv1.weight``, ``conv1_w``, ``fire2/squeeze1x1.weight``), and by torchvision's numbered modules.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from squeezelerator.models.arithmetic.float_network import FloatLayer
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.network import PLAIN
from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import Kernel

BN_EPSILON = 1e-5

_Fields = dict[str, tuple[str, np.ndarray]]
"""Of a group: (tensor's name, array) by field."""
_Groups = dict[str, _Fields]

_FIELDS = {
    "w": "weight", "b": "bias", "weight": "weight", "bias": "bias", "weights": "weight", "biases": "bias",
    "running_mean": "running_mean", "running_var": "running_var", "mean": "running_mean", "var": "running_var",
    "gamma": "weight", "beta": "bias", "kernel": "weight",
}  # fmt: skip
_IGNORED = ("num_batches_tracked",)
_NAME = re.compile(r"^(?P<group>.+?)[._/](?P<field>running_mean|running_var|num_batches_tracked|[A-Za-z]+)$")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_NORM_SUFFIXES = ("norm", "bn", "batchnorm")


def group_tensors(path: str | Path, tensors: Mapping[str, np.ndarray]) -> _Groups:
    """``{group: {field: (tensor's name, array)}}`` of the tensors of a file."""
    groups = {}
    for name, value in tensors.items():
        short = name
        for prefix in _PREFIXES:
            short = short.removeprefix(prefix)
        match = _NAME.match(short)
        if match and match["field"] in _IGNORED:
            continue
        if not match or match["field"] not in _FIELDS:
            raise WeightError(f"{path}: tensor {name} is neither a weight nor a bias nor part of a batch norm")
        fields = groups.setdefault(match["group"], {})
        field = _FIELDS[match["field"]]
        if field in fields:
            raise WeightError(f"{path}: tensors {fields[field][0]} and {name} are both the {field} of {match['group']}")
        fields[field] = (name, value)
    return groups


def _folded(name: str) -> str:
    """A name without the differences between the spellings that are in use."""
    name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return name.replace("squeeze1x1", "squeeze")


def _own_names(groups: _Groups) -> dict[str, list[str]]:
    """``{folded name of layer: [groups]}``: the groups by the layer that their names speak of."""
    found = {}
    for group in groups:
        folded = _folded(re.sub(r"^layers\.", "", group))
        for suffix in ("conv", *_NORM_SUFFIXES):
            # "conv1" is a layer, "layers.conv1.conv" the convolution within it.
            if re.search(rf"[._/]{suffix}$", group.lower()):
                folded = folded.removesuffix(f"_{suffix}")
                break
        found.setdefault(folded, []).append(group)
    return found


_NUMBERED = re.compile(r"^(features|classifier)\.(\d+)(?:\.(\d+))?(?:\.(squeeze|expand1x1|expand3x3))?$")
_PARTS = ("squeeze", "expand1x1", "expand3x3")


def _numbered_order(groups: _Groups) -> list[str] | None:
    """The groups in the order of torchvision's numbered modules; ``None`` if they are not called so."""
    keys = {}
    for group in groups:
        match = _NUMBERED.match(group)
        if not match:
            return None
        number, inner = int(match[2]), int(match[3]) if match[3] else -1
        keys[group] = (match[1] != "features", number, inner, _PARTS.index(match[4]) if match[4] else -1)
    return sorted(keys, key=keys.__getitem__)


def match_groups(path: str | Path, groups: _Groups, table: LayerTable) -> dict[str, list[str]]:
    """``{layer: [groups]}``: the layer's own group first, then that of its batch norm if it has one.

    Raises
    ------
    WeightError
        If a layer finds no tensors, or tensors no layer.
    """
    ordered = _numbered_order(groups)
    matched = _match_in_order(path, groups, ordered, table) if ordered else _match_by_name(path, groups, table)
    for layer in _layers_with_weights(table):
        found = matched.get(layer.name)
        if not found or "weight" not in groups[found[0]]:
            raise WeightError(f"{path}: has no weight for layer {layer.name} of {table.name}")
        if len(found) > 2:
            raise WeightError(f"{path}: {_first(groups[found[2]])} is a third set of tensors for layer {layer.name}")
    return matched


def _layers_with_weights(table: LayerTable) -> list[Layer]:
    return [layer for layer in table.layers if layer.has_weights]


def _match_in_order(path: str | Path, groups: _Groups, ordered: list[str], table: LayerTable) -> dict[str, list[str]]:
    """The groups ``ordered`` for one layer after the other; a batch norm goes to the layer before it."""
    left, matched = _layers_with_weights(table), {}
    for group in ordered:
        if "running_mean" in groups[group] and matched:
            matched[next(reversed(matched))].append(group)
            continue
        if not left:
            raise WeightError(f"{path}: {_first(groups[group])} belongs to no layer of {table.name}")
        layer = left.pop(0)
        if _part(group) != _part(layer.name):
            raise WeightError(f"{path}: has no weight for layer {layer.name} of {table.name}; in its place is {_first(groups[group])}")
        matched[layer.name] = [group]
    return matched


def _match_by_name(path: str | Path, groups: _Groups, table: LayerTable) -> dict[str, list[str]]:
    """The groups whose names speak of each layer, a batch norm last."""
    names, matched = _own_names(groups), {}
    for layer in _layers_with_weights(table):
        found = names.pop(_folded(layer.name), [])
        matched[layer.name] = sorted(found, key=lambda group: "running_mean" in groups[group])
    if names:
        # A file that fits nowhere is another network's; one stray tensor is named.
        group = next(iter(names.values()))[0]
        raise WeightError(f"{path}: {_first(groups[group])} belongs to no layer of {table.name}")
    return matched


def _part(name: str) -> str:
    """Which convolution of a Fire module a name speaks of; empty for any other."""
    return next((part for part in _PARTS if name.endswith(part)), "")


def _first(fields: _Fields) -> str:
    """The tensor by which a complaint names a group."""
    return f"tensor {(fields.get('weight') or next(iter(fields.values())))[0]}"


def fold_batch_norm(weight: np.ndarray, bias: np.ndarray, scale: np.ndarray, shift: np.ndarray,
                    mean: np.ndarray, variance: np.ndarray, epsilon: float = BN_EPSILON) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias (float32) of a convolution with the batch norm behind it folded in; all per-channel arrays are (O)."""
    factor = scale.astype(np.float64) / np.sqrt(variance.astype(np.float64) + epsilon)
    weight = weight * factor[:, None, None, None]
    bias = (bias - mean.astype(np.float64)) * factor + shift
    return weight.astype(np.float32), bias.astype(np.float32)


def needed_biases(table: LayerTable, biased: Collection[str]) -> set[str]:
    """Names of the layers of ``table`` that cannot do without a bias or batch norm.

    The zoo knows for its own networks. For any other table ``biased`` decides, the layers that have either: where one
    convolution has it, all must, and so for FC layers.
    """
    layers = [layer for layer in table.layers if layer.has_weights]
    try:
        network = zoo.network(table.name)
    except zoo.UnknownNetwork:
        network = None
    if network is not None and network.table == table:
        return {layer.name for layer in layers if network.norm_of(layer) != PLAIN}
    types = {layer.type for layer in layers if layer.name in biased}
    return {layer.name for layer in layers if layer.type in types}


def _vector(path: str | Path, fields: _Fields, field: str, layer: Layer, default: float) -> np.ndarray:
    if field not in fields:
        return np.full(layer.c_o, default, np.float32)
    name, value = fields[field]
    if value.size != layer.c_o or value.size != max(value.shape, default=1):
        raise WeightError(f"{path}: tensor {name} has shape {value.shape}, but layer {layer.name} needs ({layer.c_o},)")
    return value.reshape(-1).astype(np.float32)


def _weight(path: str | Path, fields: _Fields, layer: Layer) -> np.ndarray:
    name, value = fields["weight"]
    shape = layer.weight_shape
    if shape is None:
        raise WeightError(f"{path}: layer {layer.name} has no weights, but {name} would be some")
    # A fully connected layer is stored flat; so are the 1x1 filters of the last layer by some.
    whole = layer.rule.kernel is Kernel.WHOLE_MAP or shape[2:] == (1, 1)
    flat = whole and value.ndim == 2 and value.shape == (shape[0], layer.params // shape[0])
    if value.shape != shape and not flat:
        raise WeightError(f"{path}: tensor {name} has shape {value.shape}, but layer {layer.name} needs {shape}")
    return value.reshape(shape).astype(np.float32)


def layer_numbers(path: str | Path, layer: Layer, own: _Fields, norm: _Fields | None) -> FloatLayer:
    """The :class:`~models.arithmetic.float_network.FloatLayer` of one layer from its own fields and its batch norm's (or ``None``)."""
    weight, bias = _weight(path, own, layer), _vector(path, own, "bias", layer, 0)
    if norm is not None:
        for field in ("running_mean", "running_var"):
            if field not in norm:
                raise WeightError(f"{path}: {_first(norm)} of layer {layer.name} is a batch norm without {field}")
        parts = [_vector(path, norm, field, layer, 1 if field == "weight" else 0)
                 for field in ("weight", "bias", "running_mean", "running_var")]  # fmt: skip
        if (parts[3] < 0).any():
            raise WeightError(f"{path}: tensor {norm['running_var'][0]} contains a negative variance")
        scale, shift, mean, variance = parts
        weight, bias = fold_batch_norm(weight, bias, scale, shift, mean, variance)
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise WeightError(f"{path}: {_first(norm)} of layer {layer.name} folds into numbers that are not finite")
    return FloatLayer(weight=weight, bias=bias)
