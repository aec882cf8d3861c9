"""What a command line says of single layers: shares to prune, bits of shared weights."""

from argparse import Namespace
from collections.abc import Callable
from typing import TypeVar

from squeezelerator.models.compress.errors import CompressError
from squeezelerator.models.compress.prune import check_sparsity
from squeezelerator.models.compress.share import check_bits
from squeezelerator.spec.network.layer_table import LayerTable

__all__ = ["by_layer", "settings"]

_Number = TypeVar("_Number", int, float)


def by_layer(option: str, text: str, number: Callable[[str], _Number]) -> tuple[_Number | None, dict[str, _Number]]:
    """``(default, {layer: value})`` of an option's text such as ``6,conv1=8``; ``default`` is None if the text gives none.

    Parameters
    ----------
    option : str
        Named in complaints.
    number : type
        int or float.

    Raises
    ------
    CompressError
        If a part is no number, or two say the same.
    """
    default: _Number | None = None
    layers: dict[str, _Number] = {}
    for part in text.split(","):
        name, equals, text_value = part.strip().rpartition("=")
        try:
            value = number(text_value)
        except ValueError:
            example = "6,conv1=8" if number is int else "0.6,conv1=0.2"
            raise CompressError(f"{option} takes a number, and others for single layers if need be ({example}), not {text!r}") from None
        if name in layers or (not equals and default is not None):
            raise CompressError(f"{option} {text}: says twice what holds for {f'layer {name}' if equals else 'all other layers'}")
        if equals:
            layers[name] = value
        else:
            default = value
    return default, layers


def settings(options: Namespace, table: LayerTable) -> tuple[float | dict[str, float] | None, dict[str, int]]:
    """``(sparsity, bits)`` as :func:`models.compress.table.compress` takes them, checked."""
    names = [layer.name for layer in table.layers if layer.has_weights]
    sparsity = None
    if options.sparsity is not None:
        default, layers = by_layer("--sparsity", options.sparsity, float)
        sparsity = layers if default is None else dict.fromkeys(names, default) | layers if layers else default
        check_sparsity(table, sparsity, options.scope)
    default, layers = by_layer("--bits", options.bits, int)
    return sparsity, check_bits(table, layers if default is None else dict.fromkeys(names, default) | layers)
