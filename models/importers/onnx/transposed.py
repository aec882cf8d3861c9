"""ONNX transposed convolutions: sizes and padding in all the ways in which a node may give them."""

from dataclasses import replace

from squeezelerator.models.importers.lowering.geometry import Geometry, Pads
from squeezelerator.models.importers.lowering.operators import convolution, upsampling, views
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.models.importers.onnx.layers import pair_of
from squeezelerator.models.importers.operator_table import Node, operator


@operator("ConvTranspose", unit="array", how="a convolution that computes every phase of the larger map (stride x stride of them) as "
          "channels of their own; the next layer reads these", limits="1-D and 2-D, output a multiple of the stride")  # fmt: skip
def _conv_transpose(node: Node) -> Value:
    value, weight = node.value(), node.ctx.finite("its weight", node.needed("its weight", 1))
    if weight.ndim not in (3, 4) or len(value.dims) != weight.ndim:
        node.fail(f"only 1-D and 2-D transposed convolutions are supported, not weights of shape {weight.shape} for an input of shape "
                  f"{value.dims}")  # fmt: skip
    shape = node.attributes.get("kernel_shape")
    if shape is not None and tuple(shape) != weight.shape[2:]:
        node.fail(f"kernel_shape is {tuple(shape)}, but the weights have {weight.shape[2:]}")
    rank = weight.ndim - 2
    moves = Geometry(pair_of(node, "strides", rank), (0, 0, 0, 0), pair_of(node, "dilations", rank))
    extra = pair_of(node, "output_padding", rank, 0)
    if rank == 1:
        value, weight, extra = views.reshape(node.ctx, value, (1, value.dims[1], 1, value.dims[2])), weight[:, :, None], (extra[0], 0)
    weight = convolution.dilated(weight, moves.dilation)
    moves = replace(moves, pads=_pads(node, value, (weight.shape[3], weight.shape[2]), moves, extra))
    out = upsampling.conv_transpose(node.ctx, value, weight, node.array("its bias", 2), moves, extra, node.attributes.get("group", 1))
    return views.reshape(node.ctx, out, (1, out.dims[1], out.dims[3])) if rank == 1 else out


def _pads(node: Node, value: Value, kernel: tuple[int, int], moves: Geometry, extra: tuple[int, int]) -> Pads:
    """Padding (left, top, right, bottom): given, or what leads to the size that ``output_shape`` or ``auto_pad`` asks for."""
    automatic, wanted, given = node.text("auto_pad", "NOTSET"), node.attributes.get("output_shape"), node.attributes.get("pads")
    rank = len(node.value().dims) - 2
    if automatic not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"):
        node.fail(f"auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID, not {automatic!r}")
    if wanted is None and not automatic.startswith("SAME"):
        pads = list(given or [0] * (2 * rank)) if automatic == "NOTSET" else [0] * (2 * rank)
        if len(pads) != 2 * rank:
            node.fail(f"pads must have two numbers for each of {rank} spatial axes, not {len(pads)}")
        return (pads[0], 0, pads[1], 0) if rank == 1 else (pads[1], pads[0], pads[3], pads[2])
    return _pads_for(node, value, kernel, moves, extra)


def _pads_for(node: Node, value: Value, kernel: tuple[int, int], moves: Geometry, extra: tuple[int, int]) -> Pads:
    """Padding that leads to the size of ``output_shape``, or to ``auto_pad``'s: the input's times the stride."""
    automatic, wanted = node.text("auto_pad", "NOTSET"), node.attributes.get("output_shape")
    rank, found = len(node.value().dims) - 2, []
    for axis in (0, 1):
        size, stride = value.dims[3 - axis], moves.stride[axis]
        end = size * stride if wanted is None else int(wanted[-1 - axis]) if axis < rank else 1
        total = (size - 1) * stride + extra[axis] + kernel[axis] - end
        if total < 0:
            node.fail(f"its output of {end} is larger than what its kernel reaches")
        found.append((total // 2, total - total // 2) if automatic == "SAME_UPPER" else (total - total // 2, total // 2))
    (left, right), (top, bottom) = found
    return left, top, right, bottom
