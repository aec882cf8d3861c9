"""Consistency checks of a layer table; every complaint is one line that names the layer."""

from squeezelerator.models.tables.layer_table import ACTIVATIONS, NETWORK_INPUT, POOLS, TYPES, TableError

_POSITIVE = ("w_i", "h_i", "c_i", "k_w", "k_h", "w_o", "h_o", "c_o", "s_x", "s_y", "groups")


def permitted_outputs(size, kernel, stride, pad):
    """Smallest and largest output size along one axis.

    The smallest is floor mode with the same padding on both sides. The largest is ceil mode, or one more element of
    padding after than before (what an even kernel at "same" size needs), as long as the last window still touches the
    input.
    """
    room = size + 2 * pad - kernel
    low = room // stride + 1
    high = max(-(-room // stride), (room + 1) // stride) + 1
    return max(low, 1), min(high, (size + pad - 1) // stride + 1)


def check_numbers(layer):
    """Refuse sizes below 1, and padding as wide as the kernel."""
    for field in _POSITIVE:
        if getattr(layer, field) < 1:
            raise TableError(f"layer {layer.name}: {field} must be at least 1, not {getattr(layer, field)}")
    for pad, kernel in (("p_w", "k_w"), ("p_h", "k_h")):
        if not 0 <= getattr(layer, pad) < getattr(layer, kernel):
            raise TableError(
                f"layer {layer.name}: {pad} must be between 0 and {kernel} - 1 = {getattr(layer, kernel) - 1}, "
                f"not {getattr(layer, pad)}"
            )


def _check_inputs(layer, shapes):
    if not layer.inputs:
        raise TableError(f"layer {layer.name}: has no input")
    for source in layer.inputs:
        if source not in shapes:
            raise TableError(f"layer {layer.name}: input {source!r} is no earlier layer")
    maps = {shapes[source][1:] for source in layer.inputs}
    if maps != {(layer.h_i, layer.w_i)}:
        found = ", ".join(f"{name} {shapes[name][2]}x{shapes[name][1]}" for name in layer.inputs)
        raise TableError(f"layer {layer.name}: expects input maps of {layer.w_i}x{layer.h_i}, but gets {found}")
    channels = [shapes[source][0] for source in layer.inputs]
    if layer.type == "Add":
        if len(channels) != 2 or set(channels) != {layer.c_i}:
            raise TableError(
                f"layer {layer.name}: Add needs two inputs of {layer.c_i} channels, not {len(channels)} with {channels}"
            )
    elif sum(channels) != layer.c_i:
        raise TableError(f"layer {layer.name}: expects {layer.c_i} input channels, but its inputs have {sum(channels)}")


def _check_axes(layer):
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


def _check_kind(layer):
    if layer.type not in TYPES:
        raise TableError(f"layer {layer.name}: type must be one of {', '.join(TYPES)}, not {layer.type!r}")
    if layer.activation not in ACTIVATIONS:
        raise TableError(
            f"layer {layer.name}: activation must be one of {', '.join(ACTIVATIONS)}, not {layer.activation!r}"
        )
    if layer.type in POOLS and layer.activation != "none":
        raise TableError(f"layer {layer.name}: a pool has no activation, not {layer.activation!r}")
    if layer.type in (*POOLS, "Add") and layer.c_i != layer.c_o:
        raise TableError(
            f"layer {layer.name}: {layer.type} keeps its {layer.c_i} channels, c_o must not be {layer.c_o}"
        )
    if layer.type != "Conv" and layer.groups != 1:
        raise TableError(f"layer {layer.name}: only Conv has groups, not {layer.type}")
    if layer.c_i % layer.groups or layer.c_o % layer.groups:
        raise TableError(
            f"layer {layer.name}: {layer.groups} groups do not divide {layer.c_i} input and {layer.c_o} output channels"
        )
    if layer.type == "FC" and (layer.k_w, layer.k_h) != (layer.w_i, layer.h_i):
        raise TableError(
            f"layer {layer.name}: FC covers its whole {layer.w_i}x{layer.h_i} input, not {layer.k_w}x{layer.k_h}"
        )
    if layer.type == "Add" and (layer.k_w, layer.k_h, layer.s_x, layer.s_y) != (1, 1, 1, 1):
        raise TableError(f"layer {layer.name}: Add has kernel 1x1 and stride 1")


def check_table(table):
    """Raise :class:`TableError` at the first inconsistency of ``table``."""
    if len(table.input_shape) != 3 or min(table.input_shape) < 1:
        raise TableError(f"network {table.name}: input shape must be three positive numbers, not {table.input_shape}")
    if not table.layers:
        raise TableError(f"network {table.name}: has no layers")
    shapes = {NETWORK_INPUT: tuple(table.input_shape)}
    for layer in table.layers:
        if layer.name in shapes:
            raise TableError(f"layer {layer.name}: the name is used twice")
        check_numbers(layer)
        _check_kind(layer)
        _check_inputs(layer, shapes)
        _check_axes(layer)
        shapes[layer.name] = layer.out_shape
