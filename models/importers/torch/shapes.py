"""ATen operators that move elements and compute nothing: the next layer reads them where they are.

Each function lowers one operator, with the arguments of its ATen schema; ``x`` is the first.
"""

from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators import upsampling, views
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.torch.operator_table import operator


@operator("upsample_nearest2d", like="Resize")
def _upsample_nearest2d(ctx: OperatorContext, x: Any, output_size: Any = None, scale_factors: Any = None, **_: Any) -> Value:
    return upsampling.nearest(ctx, x, (1, 1, *_factors(ctx, x, output_size, scale_factors)))


@operator("upsample_bilinear2d", like="Resize")
def _upsample_bilinear2d(ctx: OperatorContext, x: Any, output_size: Any = None, align_corners: bool = False, scale_factors: Any = None,
                         **_: Any) -> Value:  # fmt: skip
    if align_corners:
        ctx.fail("only centres can be aligned, not corners")
    return upsampling.bilinear(ctx, ctx.open(x), _factors(ctx, x, output_size, scale_factors))


def _factors(ctx: OperatorContext, x: Any, output_size: Any, scale_factors: Any) -> tuple[int, int]:
    """By how much a map grows, (y, x)."""
    sizes = x.dims[2:]
    wanted = list(output_size) if output_size else [size * scale for size, scale in zip(sizes, scale_factors, strict=True)]
    if any(want % size for want, size in zip(wanted, sizes, strict=True)):
        ctx.fail(f"only whole factors are supported, not from {sizes} to {tuple(wanted)}")
    height, width = (int(want // size) for want, size in zip(wanted, sizes, strict=True))
    return height, width


@operator("pixel_shuffle", like="DepthToSpace")
def _pixel_shuffle(ctx: OperatorContext, x: Any, upscale_factor: int) -> Value:
    block, (_, channels, height, width) = upscale_factor, x.dims
    ctx.open(x)
    elements = x.elements.reshape(1, channels // block**2, block, block, height, width).transpose(0, 1, 4, 2, 5, 3)
    return x.with_elements(elements.reshape(1, channels // block**2, height * block, width * block))


@operator("pixel_unshuffle", like="SpaceToDepth")
def _pixel_unshuffle(ctx: OperatorContext, x: Any, downscale_factor: int) -> Value:
    return upsampling.space_to_depth(ctx, x, downscale_factor, blocks_first=False)


@operator("cat", like="Concat")
def _cat(ctx: OperatorContext, x: Any, dim: int = 0) -> Value:
    if not all(isinstance(value, Value) for value in x):
        ctx.fail("concatenates a map and a constant")
    return views.concat(ctx, x, dim)


@operator("pad", like="Pad")
def _pad(ctx: OperatorContext, x: Any, pad: Any, mode: str = "constant", value: Any = None) -> Value:
    if mode != "constant":
        ctx.fail(f"only constant padding is supported, not {mode}")
    widths = [(0, 0)] * len(x.dims)
    for place in range(len(pad) // 2):
        widths[len(x.dims) - 1 - place] = (pad[2 * place], pad[2 * place + 1])
    if widths[0] != (0, 0):
        ctx.fail("pads the batch")
    return views.pad(ctx, x, widths, value or 0.0)


@operator("flatten", like="Flatten")
def _flatten(ctx: OperatorContext, x: Any, start_dim: int = 0, end_dim: int = -1) -> Value:
    start, end = start_dim % len(x.dims), end_dim % len(x.dims)
    if start == 0 and end:
        ctx.fail("flattens the batch as well")
    return views.reshape(ctx, x, (*x.dims[:start], -1, *x.dims[end + 1 :]))


@operator("unflatten", like="Reshape")
def _unflatten(ctx: OperatorContext, x: Any, dim: int, sizes: Any) -> Value:
    dim %= len(x.dims)
    return views.reshape(ctx, x, (*x.dims[:dim], *sizes, *x.dims[dim + 1 :]))


@operator("view", like="Reshape")
def _view(ctx: OperatorContext, x: Any, shape: Any = None, size: Any = None) -> Value:
    return views.reshape(ctx, x, shape if shape is not None else size)


@operator("permute", like="Transpose")
def _permute(ctx: OperatorContext, x: Any, dims: tuple[int, ...]) -> Value:
    return views.transpose(ctx, x, dims)


@operator("transpose", like="Transpose")
def _transpose(ctx: OperatorContext, x: Any, dim0: int, dim1: int) -> Value:
    axes = list(range(len(x.dims)))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return views.transpose(ctx, x, axes)


@operator("channel_shuffle", like="Transpose")
def _channel_shuffle(ctx: OperatorContext, x: Any, groups: int) -> Value:
    channels = x.dims[1]
    split = views.reshape(ctx, x, (1, groups, channels // groups, *x.dims[2:]))
    turned = views.transpose(ctx, split, (0, 2, 1, *range(3, len(split.dims))))
    return views.reshape(ctx, turned, x.dims)


@operator("squeeze", like="Squeeze")
def _squeeze(ctx: OperatorContext, x: Any, dim: Any = None) -> Value:
    dims = range(1, len(x.dims)) if dim is None else [dim] if isinstance(dim, int) else dim
    gone = {axis % len(x.dims) for axis in dims if x.dims[axis] == 1}
    if 0 in gone:
        ctx.fail("squeezes the batch")
    return views.reshape(ctx, x, [size for axis, size in enumerate(x.dims) if axis not in gone])


@operator("unsqueeze", like="Unsqueeze")
def _unsqueeze(ctx: OperatorContext, x: Any, dim: int) -> Value:
    dim %= len(x.dims) + 1
    if dim == 0:
        ctx.fail("adds an axis before the batch")
    return views.reshape(ctx, x, (*x.dims[:dim], 1, *x.dims[dim:]))


def _taken(ctx: OperatorContext, x: Any, axis: int, places: Any) -> Value:
    """The elements of some places of an axis."""
    ctx.open(x)
    elements = x.elements[(slice(None),) * axis + (places,)]
    if elements.size == 0 or (axis == 0 and elements.shape[:1] != (1,)):
        ctx.fail(f"leaves {elements.shape} of an array of shape {x.dims}")
    return x.with_elements(elements)


@operator("slice", like="Slice")
def _slice(ctx: OperatorContext, x: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Value:
    return _taken(ctx, x, dim % len(x.dims), slice(start, end, step))


@operator("select", like="Gather")
def _select(ctx: OperatorContext, x: Any, dim: int, index: Any) -> Value:
    if dim % len(x.dims) == 0:
        ctx.fail("selects from the batch")
    return _taken(ctx, x, dim % len(x.dims), index)


@operator("index_select", like="Gather")
def _index_select(ctx: OperatorContext, x: Any, dim: int, index: Any) -> Value:
    return _taken(ctx, x, dim % len(x.dims), index)


@operator("split", like="Split")
def _split(ctx: OperatorContext, x: Any, split_size: Any, dim: int = 0) -> list[Value]:
    dim %= len(x.dims)
    total = x.dims[dim]
    sizes = [split_size] * (total // split_size) if isinstance(split_size, int) else list(split_size)
    sizes += [total - sum(sizes)] * (sum(sizes) < total)
    ends = np.cumsum(sizes).tolist()
    return [_taken(ctx, x, dim, slice(end - size, end)) for size, end in zip(sizes, ends, strict=True)]


@operator("split_with_sizes", like="Split")
def _split_with_sizes(ctx: OperatorContext, x: Any, split_sizes: Any, dim: int = 0) -> list[Value]:
    return _split(ctx, x, list(split_sizes), dim)


@operator("chunk", like="Split")
def _chunk(ctx: OperatorContext, x: Any, chunks: int, dim: int = 0) -> list[Value]:
    return _split(ctx, x, -(-x.dims[dim] // chunks), dim)
