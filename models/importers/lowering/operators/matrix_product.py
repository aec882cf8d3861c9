"""Products with a constant matrix."""

from typing import Any

import numpy as np

from squeezelerator.models.importers.lowering.context import OperatorContext
from squeezelerator.models.importers.lowering.operators.convolution import conv
from squeezelerator.models.importers.lowering.value import Value


def fc(ctx: OperatorContext, value: Value, weight: Any, bias: Any) -> Value:
    """A matrix product over the last axis; ``weight`` is (O, elements of that axis), ``bias`` (O), one number, or ``None``."""
    ctx.open(value)
    weight = ctx.finite("its weight", weight)
    length = value.dims[-1]
    if weight.ndim != 2 or weight.shape[1] != length:
        ctx.fail(f"weights of shape {weight.shape} do not fit an input of {length} elements")
    bias = _checked_bias(ctx, bias, weight.shape[0])
    if int(np.prod(value.dims)) != length:
        return _at_every_position(ctx, value, weight, bias)
    filters, (_, height, width) = weight.shape[0], value.shape
    if value.index is not None or length != value.size:
        weight, bias = _over_whole_map(value, weight, bias)
    made = ctx.add_step("FC", value, (filters, 1, 1), kernel=(width, height), weight=weight.reshape(filters, *value.shape),
                        bias=np.array(bias))  # fmt: skip
    return Value((made,), (filters, 1, 1), (*value.dims[:-1], filters))


def _checked_bias(ctx: OperatorContext, bias: Any, filters: int) -> np.ndarray:
    bias = np.zeros(filters, np.float32) if bias is None else ctx.finite("its bias", bias).reshape(-1)
    bias = np.broadcast_to(bias, (filters,)) if bias.size == 1 else bias
    if bias.shape != (filters,):
        ctx.fail(f"its bias must have {filters} elements, not {bias.size}")
    return bias


def _over_whole_map(value: Value, weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(weight, bias)`` over the elements of the physical map instead of those of the array; padding is a constant and joins the bias."""
    elements = value.elements.reshape(-1)
    taken = elements >= 0
    whole = np.zeros((weight.shape[0], value.size), np.float32)
    np.add.at(whole.T, elements[taken], weight[:, taken].T)
    return whole, bias + np.float32(value.fill) * weight[:, ~taken].sum(axis=1)


def _at_every_position(ctx: OperatorContext, value: Value, weight: np.ndarray, bias: np.ndarray) -> Value:
    """A matrix product at every position: a 1x1 convolution over the last axis as channels."""
    rank = len(value.dims)
    if rank not in (3, 4) or value.dims[0] != 1:
        ctx.fail(f"is applied to the last axis of an array of shape {value.dims}, which is no map")
    turned = value.with_elements(np.moveaxis(value.elements, -1, 1))
    shape = (*weight.shape, *(1,) * (rank - 2))
    out = conv(ctx, turned, weight.reshape(shape), bias)
    return out.with_elements(np.moveaxis(out.elements, 1, -1))
