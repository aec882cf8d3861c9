"""Convolutions of whole maps, as layers can compute them: every other convolution is brought into this form."""

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.geometry import LARGEST_STRIDE, Geometry, Pads, Pair, output_size, split_stride, widen
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.network.layer import NETWORK_INPUT, Shape


def convolve_map(ctx: OperatorContext, value: Value, weight: np.ndarray, bias: np.ndarray | None = None, geometry: Geometry | None = None,
                 groups: int = 1) -> Value:  # fmt: skip
    """A convolution of all elements of a map, as (1, O, H, W).

    Parameters
    ----------
    value : Value
        Only its physical map is looked at, not its index.
    weight : ndarray (O, I/groups, Kh, Kw)
        Over the map's channels, dilated already.
    bias : ndarray (O), optional
        By default 0.
    geometry : Geometry, optional
        By default stride 1 without padding; its dilation is not looked at.
    """
    geometry = geometry or Geometry()
    filters, pads = weight.shape[0], geometry.pads
    kernel = (weight.shape[3], weight.shape[2])
    size = _positions(ctx, value.shape, kernel, geometry.stride, pads)
    # Space to depth takes any stride of a convolution that reads the network's input.
    direct = value.sources == (NETWORK_INPUT,) and groups == 1
    first, rest = (geometry.stride, (1, 1)) if direct else split_strides(ctx, geometry.stride, size)
    if rest != (1, 1):
        size = _positions(ctx, value.shape, kernel, first, pads)
    grown = [widen(value.shape[2 - axis], kernel[axis], first[axis], pads[axis], size[axis]) for axis in (0, 1)]
    weight = np.pad(weight, ((0, 0), (0, 0), grown[1], grown[0]))
    out = ctx.add_map("Conv", value, (filters, size[1], size[0]), kernel=(weight.shape[3], weight.shape[2]), stride=first,
                      pad=(pads[0] + grown[0][0], pads[1] + grown[1][0]), groups=groups, weight=weight,
                      bias=np.zeros(filters, np.float32) if bias is None else bias)  # fmt: skip
    return out if rest == (1, 1) else copy_map(ctx.part("stride"), out, Geometry(rest))


def copy_map(ctx: OperatorContext, value: Value, geometry: Geometry) -> Value:
    """The elements of a map that a window of one element meets: every few lines and columns, padded with zeros."""
    channels = value.shape[0]
    return convolve_map(ctx, value, np.ones((channels, 1, 1, 1), np.float32), None, geometry, channels)


def split_strides(ctx: OperatorContext, stride: Pair, size: Pair) -> tuple[Pair, Pair]:
    """The strides of a layer whose output has ``size`` (W, H), and those of the layers after it that are left to do."""
    found = []
    for step, count in zip(stride, size, strict=True):
        parts = split_stride(step, count)
        if parts is None:
            ctx.fail(f"a stride of {step} is not supported: above {LARGEST_STRIDE} it must be made up of factors 2 and 3")
        found.append(parts)
    return (found[0][0], found[1][0]), (found[0][1], found[1][1])


def _positions(ctx: OperatorContext, shape: Shape, kernel: Pair, stride: Pair, pads: Pads) -> Pair:
    """``(W, H)`` of the output of windows on a map of ``shape``."""
    if min(pads) < 0:
        ctx.fail("negative padding is not supported")
    if min(kernel) < 1 or min(stride) < 1:
        ctx.fail(f"kernel {kernel} and stride {stride} must be at least 1")
    sizes = []
    for axis in (0, 1):
        size = shape[2 - axis]
        if kernel[axis] > size + pads[axis] + pads[axis + 2]:
            ctx.fail(f"a kernel of {kernel[axis]} is larger than its input of {size}")
        sizes.append(output_size(size, kernel[axis], stride[axis], pads[axis], pads[axis + 2], False))
    return sizes[0], sizes[1]
