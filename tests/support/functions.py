"""A small network with products and functions."""

from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer_types import LayerType

__all__ = ["squeeze_excite"]


def squeeze_excite():
    """HardSwish, squeeze-excite with a sigmoid, a square, a concatenation with its product, a residual sum."""
    net = TableBuilder("squeeze_excite", (3, 9, 7))
    net.conv("c", 7, 3, pad=1, activation="none")
    h = net.layer("hs", LayerType.HARD_SWISH)
    net.avg_pool("mean")
    net.conv("reduce", 3)
    net.conv("expand", 7, activation="none")
    gate = net.layer("gate", LayerType.SIGMOID)
    scaled = net.layer("scaled", LayerType.MUL, source=(h, gate))
    square = net.layer("square", LayerType.MUL, source=("c", "c"))
    net.conv("both", 14, 1, source=(scaled, square), activation="none")
    net.layer("silu", LayerType.SILU)
    net.layer("mixed", LayerType.MUL, source=(("silu"), "both"))
    net.conv("back", 7, 3, pad=1, activation="none")
    net.add("sum", "back", scaled)
    net.fc("fc", 5)
    return net.table()
