"""ONNX operators that move elements and compute nothing: the next layer reads them where they are."""

from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.operators import upsampling, views
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.operator_table import Node, operator


@operator("Concat", unit="view", how="nothing: the next layer reads several maps", limits="along the channels")
def _concat(node: Node) -> Value:
    if not all(isinstance(item, Value) for item in node.inputs):
        node.fail("concatenates a map and a constant")
    return views.concat(node.ctx, node.inputs, node.attributes["axis"])


@operator("Pad", unit="view", how="padding of the next layer; else a depthwise convolution", limits="constant, 0 (or -inf before MaxPool)")
def _pad(node: Node) -> Value:
    value, mode = node.value(), node.text("mode", "constant")
    pads = node.numbers("pads", 1) or node.numbers("paddings", 1) or []
    fill = node.scalar("its fill", 2, node.attributes.get("value", 0.0))
    if mode != "constant":
        node.fail(f"only constant padding is supported, not {mode}")
    rank, axes = len(value.dims), node.array("axes", 3)
    places = list(range(rank)) if axes is None else [int(axis) % rank for axis in axes.reshape(-1)]
    if len(pads) != 2 * len(places):
        node.fail(f"pads must have two numbers for each of {len(places)} axes, not {len(pads)}")
    widths = [(0, 0)] * rank
    for order, axis in enumerate(places):
        widths[axis] = (pads[order], pads[order + len(places)])
    if widths[0] != (0, 0):
        node.fail("pads the batch")
    return views.pad(node.ctx, value, widths, fill)


@operator("Flatten", unit="view", how="nothing", limits="from axis 1")
def _flatten(node: Node) -> Value:
    value = node.value()
    axis = node.attributes.get("axis", 1) % len(value.dims)
    if axis != 1:
        node.fail(f"only flattening from axis 1 is supported, not {node.attributes['axis']}")
    return views.reshape(node.ctx, value, (1, -1))


@operator("Reshape", unit="view", how="nothing", limits="channels, lines and columns must stay readable for the next layer")
def _reshape(node: Node) -> Value:
    value = node.value()
    wanted = node.numbers("shape", 1) or []
    if not node.attributes.get("allowzero", 0):
        wanted = [value.dims[axis] if size == 0 and axis < len(value.dims) else size for axis, size in enumerate(wanted)]
    batch = node.ctx.low.batch
    if wanted and _is_batch(wanted, int(np.prod(value.dims)), batch):
        wanted[0] = 1
    out = views.reshape(node.ctx, value, wanted)
    if batch > 1 and out.dims[0] != 1:
        node.fail(f"mixes the batch of {batch}, which is taken as 1, with other axes")
    return out


def _is_batch(shape: list[int], elements: int, batch: int) -> bool:
    """Whether a shape begins with the file's batch, written out as a number."""
    return shape[0] > 1 and (shape[0] == batch or (-1 not in shape and int(np.prod(shape)) == elements * shape[0]))


@operator("Transpose", unit="view", how="nothing; for what the next layer cannot read so a 1x1 convolution that permutes channels")
def _transpose(node: Node) -> Value:
    value, batch = node.value(), node.ctx.low.batch
    axes = list(node.attributes.get("perm") or range(len(value.dims))[::-1])
    if axes[0] != 0 and batch > 1:
        node.fail(f"moves the batch of {batch}, which is taken as 1")
    return views.transpose(node.ctx, value, axes)


@operator("DepthToSpace", unit="view", how="nothing: channels become phases of a larger map, as for Resize")
def _depth_to_space(node: Node) -> Value:
    value, block = node.value(), int(node.attributes["blocksize"])
    if len(value.dims) != 4 or value.dims[1] % (block * block):
        node.fail(f"a block of {block} does not fit an array of shape {value.dims}")
    channels, height, width = value.dims[1] // (block * block), *value.dims[2:]
    node.ctx.open(value)
    if node.text("mode", "DCR") == "DCR":
        elements = value.elements.reshape(1, block, block, channels, height, width).transpose(0, 3, 4, 1, 5, 2)
    else:
        elements = value.elements.reshape(1, channels, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return value.with_elements(elements.reshape(1, channels, height * block, width * block))


@operator("SpaceToDepth", unit="array", how="a convolution whose stride is the block and whose weights are 1")
def _space_to_depth(node: Node) -> Value:
    value, block = node.value(), int(node.attributes["blocksize"])
    if len(value.dims) != 4 or value.dims[2] % block or value.dims[3] % block:
        node.fail(f"a block of {block} does not fit an array of shape {value.dims}")
    return upsampling.space_to_depth(node.ctx, value, block, blocks_first=node.text("mode", "DCR") == "DCR")


@operator("Squeeze", unit="view", how="nothing", limits="not the batch")
def _squeeze(node: Node) -> Value:
    value, rank = node.value(), len(node.value().dims)
    axes = node.numbers("axes", 1)
    places = {axis % rank for axis in axes} if axes is not None else {axis for axis in range(1, rank) if value.dims[axis] == 1}
    if 0 in places or any(value.dims[axis] != 1 for axis in places):
        node.fail(f"cannot squeeze the axes {sorted(places)} of an array of shape {value.dims}")
    return views.reshape(node.ctx, value, [size for axis, size in enumerate(value.dims) if axis not in places])


@operator("Unsqueeze", unit="view", how="nothing", limits="not before the batch")
def _unsqueeze(node: Node) -> Value:
    value, axes = node.value(), node.numbers("axes", 1) or []
    rank = len(value.dims) + len(axes)
    places = {axis % rank for axis in axes}
    if 0 in places:
        node.fail("adds an axis before the batch")
    sizes = iter(value.dims)
    return views.reshape(node.ctx, value, [1 if axis in places else next(sizes) for axis in range(rank)])


@operator("Slice", unit="view", how="nothing for channels; lines and columns by a convolution with one weight of 1",
          limits="not the batch, steps above 0")  # fmt: skip
def _slice(node: Node) -> Value:
    value, rank = node.value(), len(node.value().dims)
    starts, ends = node.numbers("starts", 1) or [], node.numbers("ends", 2) or []
    axes = node.numbers("axes", 3) or list(range(len(starts)))
    steps = node.numbers("steps", 4) or [1] * len(starts)
    cut = [slice(None)] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            node.fail(f"a step of {step} is not supported")
        cut[axis % rank] = slice(start, end, step)
    return _taken(node, value, tuple(cut))


def _taken(node: Node, value: Value, cut: Any) -> Value:
    node.ctx.open(value)
    elements = value.elements[cut]
    if elements.size == 0 or elements.shape[:1] != (1,):
        node.fail(f"leaves {elements.shape} of an array of shape {value.dims}")
    return value.with_elements(elements)


@operator("Split", unit="view", how="nothing for channels", limits="not the batch")
def _split(node: Node) -> list[Value]:
    value, count = node.value(), node.attributes["_outputs"]
    axis = node.attributes.get("axis", 0) % len(value.dims)
    sizes = node.numbers("split", 1)
    if not sizes:
        part = -(-value.dims[axis] // count)
        sizes = [min(part, value.dims[axis] - part * place) for place in range(count)]
    if sum(sizes) != value.dims[axis] or len(sizes) != count:
        node.fail(f"splits {value.dims[axis]} into {sizes}")
    ends = np.cumsum(sizes).tolist()
    return [_taken(node, value, (slice(None),) * axis + (slice(end - size, end),)) for size, end in zip(sizes, ends, strict=True)]


@operator("Gather", unit="view", how="nothing for channels: a selection", limits="indices constant, not the batch")
def _gather(node: Node) -> Value:
    value, axis = node.value(), node.attributes.get("axis", 0) % len(node.value().dims)
    places = node.needed("its indices", 1)
    if axis == 0:
        node.fail("selects from the batch")
    node.ctx.open(value)
    return value.with_elements(np.take(value.elements, places, axis=axis))


@operator("Expand", unit="view", how="nothing", limits="to the shape that it has")
def _expand(node: Node) -> Value:
    value = node.value()
    shape = tuple(node.numbers("shape", 1) or ())
    if np.broadcast_shapes(value.dims, shape) != value.dims:
        node.fail(f"expands {value.dims} to {shape}")
    return value


@operator("Shape", unit="constant", how="computed while reading")
def _shape(node: Node) -> np.ndarray:
    dims = node.value().dims
    return np.array(dims[slice(node.attributes.get("start", 0), node.attributes.get("end"))], np.int64)


@operator("Size", unit="constant", how="computed while reading")
def _size(node: Node) -> np.ndarray:
    return np.array(int(np.prod(node.value().dims)), np.int64)


@operator("Constant", unit="constant", how="computed while reading")
def _constant(node: Node) -> np.ndarray:
    from onnx import numpy_helper

    for key, value in node.attributes.items():
        if key == "value":
            return numpy_helper.to_array(value)
        if key in ("value_float", "value_floats", "value_int", "value_ints"):
            return np.array(value, np.float32 if "float" in key else np.int64)
    return node.fail(f"a constant given as {', '.join(node.attributes)} is not supported")
