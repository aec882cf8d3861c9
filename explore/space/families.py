"""Families of networks: what of a network can vary, and how its layer table is built from the values.

A family is one record of :data:`FAMILIES`; a new one needs nothing else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from squeezelerator.explore.space.axes import FLOAT, INT, INTS, TRUTH, WORD, Kind, SpaceError
from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.squeezenet import BYPASSES, Metaparameters, squeezenet
from squeezelerator.models.networks.squeezenext import SOURCE_SIZE, STAGE_CHANNELS, Variant, squeezenext
from squeezelerator.spec.network.layer_table import LayerTable

__all__ = ["FAMILIES", "Family", "Parameter"]


@dataclass(frozen=True)
class Parameter:
    """A parameter: the kind of its values, and its value where a space does not name it (None: it must be named)."""

    kind: Kind
    default: Any = None


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Parameters
    ----------
    doc : str
        What it is, for the manual and for messages.
    parameters : dict of str to Parameter
    build : callable
        Makes the layer table from {parameter: value}. None: ``name`` says which network it is.

    Raises
    ------
    UserError
        ``build`` raises one if the values make no network; its message becomes the reason of a failed row.
    """

    doc: str
    parameters: Mapping[str, Parameter]
    build: Callable[[Mapping[str, Any]], LayerTable] | None


#: Of the synthetic weights of every network whose weights come from no file.
SYNTHETIC = {"sparsity": Parameter(FLOAT, 0.4), "seed": Parameter(INT, 0)}


def _squeezenext(values: Mapping[str, Any]) -> LayerTable:
    depths, size = values["depths"], values["size"]
    if len(depths) != len(STAGE_CHANNELS) or min(depths) < 1:
        raise SpaceError(f"depths must be {len(STAGE_CHANNELS)} numbers of at least 1, not {list(depths)}")
    for name, least in (("size", 32), ("classes", 1), ("conv1_kernel", 1), ("groups", 1)):
        if values[name] < least:
            raise SpaceError(f"{name} must be at least {least}, not {values[name]}")
    if values["width"] * STAGE_CHANNELS[0] < 4:
        raise SpaceError(f"width {values['width']} leaves no channels")
    return squeezenext("squeezenext", Variant(
        depths=depths, width=values["width"], conv1_kernel=values["conv1_kernel"], groups=values["groups"], classes=values["classes"],
        shortcut_feeds_block=values["shortcut_feeds_block"], aggregate=values["aggregate"], size=size))


def _squeezenet(values: Mapping[str, Any]) -> LayerTable:
    meta = Metaparameters(**{name: values[name] for name in ("base_e", "incr_e", "pct_3x3", "freq", "sr")})
    if len(values["conv1"]) != 2 or min(values["conv1"]) < 1:
        raise SpaceError(f"conv1 must be filters and kernel, not {list(values['conv1'])}")
    if values["bypass"] not in BYPASSES:
        raise SpaceError(f"bypass must be one of {', '.join(BYPASSES)}, not {values['bypass']!r}")
    return squeezenet("squeezenet", meta, classes=values["classes"], pool_after=values["pool_after"], size=values["size"],
                      conv1=values["conv1"], bypass=values["bypass"])


def _zoo(values: Mapping[str, Any]) -> LayerTable:
    return zoo.load(values["name"])


FAMILIES = {
    "squeezenext": Family(
        "SqueezeNext: depths of the four stages, width, conv1's kernel, the wiring of a stage's first block, groups, aggregation",
        {"depths": Parameter(INTS), "width": Parameter(FLOAT, 1.0), "conv1_kernel": Parameter(INT, 5),
         "shortcut_feeds_block": Parameter(TRUTH, True), "groups": Parameter(INT, 1), "aggregate": Parameter(TRUTH, False),
         "classes": Parameter(INT, 1000), "size": Parameter(INT, SOURCE_SIZE), **SYNTHETIC},
        _squeezenext),
    "squeezenet": Family(
        "SqueezeNet: the five metaparameters, conv1 (filters, kernel), the modules behind which pools stand, shortcuts",
        {"base_e": Parameter(INT, 128), "incr_e": Parameter(INT, 128), "pct_3x3": Parameter(FLOAT, 0.5), "freq": Parameter(INT, 2),
         "sr": Parameter(FLOAT, 0.125), "conv1": Parameter(INTS, (96, 7)), "pool_after": Parameter(INTS, (0, 3, 7)),
         "bypass": Parameter(WORD, "none"), "classes": Parameter(INT, 1000), "size": Parameter(INT, 227), **SYNTHETIC},
        _squeezenet),
    "zoo": Family("networks by name, or layer tables by their files (.csv)", {"name": Parameter(WORD), **SYNTHETIC}, _zoo),
    "onnx": Family("networks and weights of ONNX files", {"file": Parameter(WORD)}, None),
}  # fmt: skip
