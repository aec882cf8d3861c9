"""ONNX Resize and Upsample: which element, or which whole factor, each axis takes."""

from collections.abc import Callable

import numpy as np

from squeezelerator.models.importers.lowering.operators import upsampling
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.operator_table import Node, operator

#: Place in an axis of ``size`` elements, ``length`` afterwards and scaled by ``scale``, for all places afterwards.
_Coordinates = Callable[[np.ndarray, int, int, np.float32], np.ndarray]
_COORDINATES: dict[str, _Coordinates] = {
    "half_pixel": lambda x, size, length, scale: (x + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda x, size, length, scale: (x + 0.5) / scale - 0.5 if length > 1 else 0 * x,
    "half_pixel_symmetric": lambda x, size, length, scale: size / 2 * (1 - length / (scale * size)) + (x + 0.5) / scale - 0.5,
    "align_corners": lambda x, size, length, scale: x * (size - 1) / (length - 1) if length > 1 else 0 * x,
    "asymmetric": lambda x, size, length, scale: x / scale,
    "tf_half_pixel_for_nn": lambda x, size, length, scale: (x + 0.5) / scale,
}
_ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5), "round_prefer_ceil": lambda x: np.floor(x + 0.5), "floor": np.floor, "ceil": np.ceil,
}  # fmt: skip


@operator("Resize", "Upsample", unit="view", how="nothing: the next convolution reads the small map in phases, and its output is "
          "in phases; the host puts an output in order; bilinear: a depthwise transposed convolution, and copies that repeat the border",
          limits="nearest: what repeats every element equally often or leaves out equally many; linear by whole factors, with aligned "
          "centres")  # fmt: skip
def _resize(node: Node) -> Value:
    value, mode = node.value(), node.text("mode", "nearest")
    if mode not in ("nearest", "linear"):
        node.fail(f"only the modes nearest and linear are supported, not {mode}")
    scales, lengths = _scales_and_lengths(node, value)
    if value.dims[0] != lengths[0]:
        node.fail("resizes the batch")
    return _bilinear(node, value, scales, lengths) if mode == "linear" else _nearest(node, value, scales, lengths)


def _scales_and_lengths(node: Node, value: Value) -> tuple[list[float], list[int]]:
    """For every axis its factor and its size afterwards, wherever and in whatever form the operator set has them."""
    rank, given = len(value.dims), node.attributes.get("axes")
    axes = list(range(rank)) if given is None else [int(axis) % rank for axis in given]
    numbers, are_sizes = _given(node)
    if numbers is None or numbers.size != len(axes):
        node.fail(f"needs a factor or a size for each of {len(axes)} axes")
    scales, lengths = [1.0] * rank, list(value.dims)
    before = np.array([value.dims[axis] for axis in axes])
    factors, after = _of_sizes(node, before, numbers, given is None) if are_sizes else (numbers, np.floor(before * numbers))
    for axis, factor, length in zip(axes, factors, after, strict=True):
        scales[axis], lengths[axis] = float(factor), int(length)
    return scales, lengths


def _of_sizes(node: Node, before: np.ndarray, sizes: np.ndarray, with_batch: bool) -> tuple[np.ndarray, np.ndarray]:
    """``(factors, sizes)`` of axes of ``before`` elements."""
    if with_batch:
        # Whatever the file says of it.
        sizes[0] = 1
    factors, policy = sizes / before, node.text("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return factors, sizes
    factors = np.full(len(before), factors.min() if policy == "not_larger" else factors.max())
    return factors, np.floor(before * factors + 0.5)


def _given(node: Node) -> tuple[np.ndarray | None, bool]:
    """The numbers of an upsampling as float64, and whether they are sizes."""
    if "scales" in node.attributes:
        return np.array(node.attributes["scales"], np.float64), False
    if len(node.inputs) == 2:
        return node.needed("scales", 1).reshape(-1).astype(np.float64), False
    sizes, scales = node.array("sizes", 3), node.array("scales", 2)
    if sizes is not None and sizes.size:
        return sizes.reshape(-1).astype(np.float64), True
    return (None if scales is None else scales.reshape(-1).astype(np.float64)), False


def _nearest(node: Node, value: Value, scales: list[float], lengths: list[int]) -> Value:
    where, rounding = "asymmetric", "floor"
    if node.opset > 10 and node.attributes["_operator"] == "Resize":
        where, rounding = node.text("coordinate_transformation_mode", "half_pixel"), node.text("nearest_mode", "round_prefer_floor")
    if where not in _COORDINATES or rounding not in _ROUNDINGS:
        node.fail(f"the coordinates {where} with {rounding} are not supported")
    node.ctx.open(value)
    elements = value.elements
    for axis, (scale, length) in enumerate(zip(scales, lengths, strict=True)):
        size = value.dims[axis]
        if (scale, length) == (1.0, size):
            continue
        if length < 1:
            node.fail(f"leaves nothing of axis {axis} of {value.dims}")
        # In float32, as runtimes compute it: a third of it is no third.
        places = _ROUNDINGS[rounding](_COORDINATES[where](np.arange(length, dtype=np.float32), size, length, np.float32(scale)))
        elements = np.take(elements, np.clip(places, 0, size - 1).astype(np.int64), axis)
    return upsampling.taken(node.ctx, value, elements)


def _bilinear(node: Node, value: Value, scales: list[float], lengths: list[int]) -> Value:
    # Before operator set 11, and in Upsample, elements stood at their corners.
    where = node.text("coordinate_transformation_mode", "half_pixel") if node.opset > 10 else "asymmetric"
    factors = [length // size for length, size in zip(lengths, value.dims, strict=True)]
    if any(size * factor != length or scale != factor for size, factor, length, scale in
           zip(value.dims, factors, lengths, scales, strict=True)):  # fmt: skip
        node.fail(f"only whole factors from 1 on are supported, not {[round(scale, 6) for scale in scales]}")
    if not where.endswith(("half_pixel", "half_pixel_symmetric")) or node.attributes.get("antialias", 0):
        node.fail(f"linear upsampling is supported with coordinates half_pixel without antialiasing, not {where}")
    if len(factors) != 4 or factors[1] != 1:
        node.fail(f"linear upsampling is supported of lines and columns, not by {factors}")
    return upsampling.bilinear(node.ctx, node.ctx.open(value), (factors[2], factors[3]))
