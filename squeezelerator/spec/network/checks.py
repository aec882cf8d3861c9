"""Consistency checks of a layer table; every complaint is one line that names the layer."""

import math
from collections.abc import Sequence

from squeezelerator.spec.network.layer import NETWORK_INPUT, Activation, Layer, LayerType, Shape, TableError
from squeezelerator.spec.network.layer_types import LAYER_TYPES, Kernel, layer_rule

__all__ = ["MOST_ELEMENTS", "MOST_LAYERS", "MOST_SIDE", "check_layers", "check_numbers", "permitted_outputs"]

#: Layers of a network.
MOST_LAYERS = 4096
#: Any one number of a layer.
MOST_SIDE = 1 << 20
#: Elements of a map, and weights of all layers together.
MOST_ELEMENTS = 1 << 28
_POSITIVE = ("w_i", "h_i", "c_i", "k_w", "k_h", "w_o", "h_o", "c_o", "s_x", "s_y", "groups")


def permitted_outputs(size: int, kernel: int, stride: int, pad: int) -> tuple[int, int]:
    """Smallest and largest output size along one axis: no padding behind the input, or as much as leaves the beginning of the last window
    inside the input or the padding before it.
    """
    low = (size + pad - kernel) // stride + 1
    return max(low, 1), max(1, (size + pad - 1) // stride + 1)


def check_numbers(layer: Layer) -> None:
    """Refuse sizes below 1, and padding as wide as the kernel."""
    for field in _POSITIVE:
        if getattr(layer, field) < 1:
            raise TableError(f"layer {layer.name}: {field} must be at least 1, not {getattr(layer, field)}")
        if getattr(layer, field) > MOST_SIDE:
            raise TableError(f"layer {layer.name}: {field} must be at most {MOST_SIDE}, not {getattr(layer, field)}")
    for pad, kernel in (("p_w", "k_w"), ("p_h", "k_h")):
        if not 0 <= getattr(layer, pad) < getattr(layer, kernel):
            raise TableError(
                f"layer {layer.name}: {pad} must be between 0 and {kernel} - 1 = {getattr(layer, kernel) - 1}, "
                f"not {getattr(layer, pad)}"
            )


def _check_inputs(layer: Layer, shapes: dict[str, Shape]) -> None:
    """Refuse inputs that are no earlier layers, or whose shapes do not fit; ``shapes`` are those of all earlier layers."""
    if not layer.inputs:
        raise TableError(f"layer {layer.name}: has no input")
    for source in layer.inputs:
        if source not in shapes:
            raise TableError(f"layer {layer.name}: input {source!r} is no earlier layer")
    maps = {shapes[source][1:] for source in layer.inputs[: 1 if _has_vector(layer, shapes) else None]}
    if maps != {(layer.h_i, layer.w_i)}:
        found = ", ".join(f"{name} {shapes[name][2]}x{shapes[name][1]}" for name in layer.inputs)
        raise TableError(f"layer {layer.name}: expects input maps of {layer.w_i}x{layer.h_i}, but gets {found}")
    _check_input_channels(layer, [shapes[source][0] for source in layer.inputs])


def _has_vector(layer: Layer, shapes: dict[str, Shape]) -> bool:
    """Whether the second operand is a vector that counts for all elements of its channels."""
    return layer.rule.broadcasts and len(layer.inputs) == 2 and shapes[layer.inputs[1]][1:] == (1, 1)


def _check_input_channels(layer: Layer, channels: list[int]) -> None:
    operands = layer.rule.operands
    if operands is not None:
        if len(channels) != operands or set(channels) != {layer.c_i}:
            raise TableError(
                f"layer {layer.name}: {layer.type} needs {operands} input{'s' if operands > 1 else ''} of {layer.c_i} channels, "
                f"not {len(channels)} with {channels}"
            )
    elif sum(channels) != layer.c_i:
        raise TableError(f"layer {layer.name}: expects {layer.c_i} input channels, but its inputs have {sum(channels)}")


def _check_axes(layer: Layer) -> None:
    for axis, size, kernel, stride, pad, out in (
        ("w_o", layer.w_i, layer.k_w, layer.s_x, layer.p_w, layer.w_o),
        ("h_o", layer.h_i, layer.k_h, layer.s_y, layer.p_h, layer.h_o),
    ):
        low, high = permitted_outputs(size, kernel, stride, pad)
        if not low <= out <= high:
            wanted = str(low) if low >= high else f"{low} to {high}"
            raise TableError(
                f"layer {layer.name}: {axis} must be {wanted} for input {size}, kernel {kernel}, stride {stride}, "
                f"padding {pad}, not {out}"
            )


def _check_type(layer: Layer) -> None:
    """Refuse types and activations that do not exist, or not together."""
    rule = layer_rule(layer.type)
    if rule is None:
        raise TableError(f"layer {layer.name}: type must be one of {', '.join(LayerType)}, not {str(layer.type)!r}")
    if layer.activation not in list(Activation):
        raise TableError(f"layer {layer.name}: activation must be one of {', '.join(Activation)}, not {str(layer.activation)!r}")
    if not rule.activation and layer.activation != Activation.NONE:
        raise TableError(f"layer {layer.name}: {layer.type} has no activation, not {str(layer.activation)!r}")


def _check_channels(layer: Layer) -> None:
    if layer.rule.keeps_channels and layer.c_i != layer.c_o:
        raise TableError(
            f"layer {layer.name}: {layer.type} keeps its {layer.c_i} channels, c_o must not be {layer.c_o}"
        )
    if not layer.rule.groups and layer.groups != 1:
        grouped = ", ".join(rule.name for rule in LAYER_TYPES.values() if rule.groups)
        raise TableError(f"layer {layer.name}: only {grouped} has groups, not {layer.type}")
    if layer.c_i % layer.groups or layer.c_o % layer.groups:
        raise TableError(
            f"layer {layer.name}: {layer.groups} groups do not divide {layer.c_i} input and {layer.c_o} output channels"
        )


def _check_kernel(layer: Layer) -> None:
    if layer.rule.kernel is Kernel.WHOLE_MAP and (layer.k_w, layer.k_h) != (layer.w_i, layer.h_i):
        raise TableError(
            f"layer {layer.name}: {layer.type} covers its whole {layer.w_i}x{layer.h_i} input, not {layer.k_w}x{layer.k_h}"
        )
    if layer.rule.kernel is Kernel.POINT and (layer.k_w, layer.k_h, layer.s_x, layer.s_y) != (1, 1, 1, 1):
        raise TableError(f"layer {layer.name}: {layer.type} has kernel 1x1 and stride 1")


def check_layers(name: str, input_shape: Shape, layers: Sequence[Layer]) -> None:
    """Raise :class:`TableError` at the first inconsistency of the network ``name``."""
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise TableError(f"network {name}: input shape must be three positive numbers, not {input_shape}")
    if not layers:
        raise TableError(f"network {name}: has no layers")
    if len(layers) > MOST_LAYERS:
        raise TableError(f"network {name}: has {len(layers)} layers, {MOST_LAYERS} are accepted")
    shapes: dict[str, Shape] = {NETWORK_INPUT: input_shape}
    weights = 0
    for layer in layers:
        if layer.name in shapes:
            raise TableError(f"layer {layer.name}: the name is used twice")
        check_numbers(layer)
        _check_type(layer)
        _check_channels(layer)
        _check_kernel(layer)
        _check_inputs(layer, shapes)
        _check_axes(layer)
        shapes[layer.name] = layer.out_shape
        weights += layer.params
        _check_budget(layer, weights)


def _check_budget(layer: Layer, weights: int) -> None:
    """Refuse maps and weights that no memory is meant to hold; ``weights`` are those of all layers so far."""
    for what, count in (("its input has", math.prod(layer.in_shape)), ("its output has", math.prod(layer.out_shape)),
                        ("the weights up to here have", weights)):
        if count > MOST_ELEMENTS:
            raise TableError(f"layer {layer.name}: {what} {count:,} elements, {MOST_ELEMENTS:,} are accepted")
