"""SqueezeNext networks: depths, widths, the two wirings of a stage's first block, and the group variant.

Sources: the SqueezeNext paper and the authors' published definitions as far as they exist. What no source states (the
wiring of v2 to v4, the depths of the 34-module network, iterative deep aggregation) is marked in ``NETWORKS`` below and
explained in ``docs/networks.md``.
"""

from dataclasses import dataclass

from squeezelerator.models.networks.network import BATCHNORM, PLAIN, Network
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer_table import LayerTable

STAGE_CHANNELS = (32, 64, 128, 256)
SOURCE_SIZE = 227
CONV1_FILTERS = 64
LAST_FILTERS = 128


@dataclass(frozen=True, kw_only=True)
class Block:
    """A SqueezeNext block.

    Parameters
    ----------
    channels : int
        Of its sum.
    stride : int
    first : bool
        Whether it is its stage's first: its shortcut is then a convolution.
    shortcut_feeds_block : bool
        Whether the first squeeze reads that convolution's output instead of the block's input.
    tall_first : bool
        Whether the 3x1 convolution stands before the 1x3.
    groups : int
        Of the first squeeze and of both separable convolutions.
    """

    channels: int
    stride: int = 1
    first: bool = False
    shortcut_feeds_block: bool = False
    tall_first: bool = True
    groups: int = 1


def add_block(net: TableBuilder, prefix: str, source: str, block: Block) -> str:
    """Add one SqueezeNext block; returns the name of its sum."""
    shortcut, squeeze_source, squeeze_stride = source, source, block.stride
    if block.first:
        shortcut = net.conv(f"{prefix}_shortcut", block.channels, source=source, stride=block.stride)
        if block.shortcut_feeds_block:
            squeeze_source, squeeze_stride = shortcut, 1
    net.conv(f"{prefix}_squeeze1", block.channels // 2, source=squeeze_source, stride=squeeze_stride, groups=block.groups)
    net.conv(f"{prefix}_squeeze2", block.channels // 4)
    tall, wide = ("3x1", (1, 3), (0, 1)), ("1x3", (3, 1), (1, 0))
    for label, kernel, pad in (tall, wide) if block.tall_first else (wide, tall):
        net.conv(f"{prefix}_sep{label}", block.channels // 2, kernel, pad=pad, groups=block.groups)
    expand = net.conv(f"{prefix}_expand", block.channels)
    return net.add(f"{prefix}_add", expand, shortcut)


def _aggregate(net: TableBuilder, prefix: str, merged: str, last: str) -> str:
    """One node of the aggregation: ``merged`` at the size of ``last``, concatenated with it and mixed by a 1x1
    convolution.
    """
    channels = net.shape(last)[0]
    down = net.conv(f"{prefix}_ida_down", channels, source=merged, stride=2)
    return net.conv(f"{prefix}_ida", channels, source=(down, last))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What distinguishes one SqueezeNext network from another.

    Parameters
    ----------
    depths : tuple of int
        Blocks in each of the stages.
    width : float
        Multiplier of the stages' channels; conv1 and the last 1x1 convolution keep 64 and 128 filters.
    conv1_kernel : int
        7 in the baseline, 5 from v2 on.
    shortcut_feeds_block : bool
        Wiring of a stage's first block: whether the first squeeze reads the shortcut convolution's output (``v5``) or
        the stage's input (``23``).
    groups : int
        Groups of the first squeeze and of both separable convolutions of every block.
    aggregate : bool
        Iterative deep aggregation: the stages' outputs are merged one after the other, from the first to the last, and
        the last 1x1 convolution reads the result.
    classes : int
        Outputs of the last layer.
    size : int
        Height and width of the input.
    """

    depths: tuple[int, ...]
    width: float = 1.0
    conv1_kernel: int = 7
    shortcut_feeds_block: bool = False
    groups: int = 1
    aggregate: bool = False
    classes: int = 1000
    size: int = SOURCE_SIZE


def squeezenext(name: str, variant: Variant) -> LayerTable:
    """Layer table of a SqueezeNext network."""
    net = TableBuilder(name, (3, variant.size, variant.size))
    net.conv("conv1", CONV1_FILTERS, variant.conv1_kernel, stride=2)
    last = net.max_pool("pool1", 3, 2, ceil=True)
    number, merged = 0, None
    for stage, (blocks, base) in enumerate(zip(variant.depths, STAGE_CHANNELS, strict=True), start=1):
        for index in range(1, blocks + 1):
            number += 1
            block = Block(
                channels=int(base * variant.width),
                stride=2 if index == 1 and stage > 1 else 1,
                first=index == 1,
                shortcut_feeds_block=variant.shortcut_feeds_block,
                # The order of the pair alternates over the whole network, not within a stage.
                tall_first=number % 2 == 1,
                groups=variant.groups,
            )
            last = add_block(net, f"stage{stage}_block{index}", last, block)
        if variant.aggregate:
            merged = _aggregate(net, f"stage{stage}", merged, last) if merged else last
    net.conv("conv_last", LAST_FILTERS, source=merged or last)
    net.avg_pool("avgpool")
    net.fc(f"fc{variant.classes}", variant.classes)
    return net.table()


_DEPTHS = {23: (6, 6, 8, 1), 34: (9, 9, 12, 2), 44: (12, 12, 16, 2)}
_VERSIONS = {2: (6, 6, 8, 1), 3: (4, 8, 8, 1), 4: (2, 10, 8, 1), 5: (2, 4, 14, 1)}
_WIDTHS = {1.0: "", 1.5: "_w1_5", 2.0: "_w2"}
_DEPTH_34 = "depths 9-9-12-2"
_VERSION_WIRING = "wiring of a stage's first block"
_IDA_WIRING = "wiring of the aggregation"


def _entry(name: str, title: str, variant: Variant, *, params: float, macs: float | None, inferred: list[str]) -> Network:
    return Network(
        name=name,
        title=title,
        build=lambda: squeezenext(name, variant),
        conv_norm=BATCHNORM,
        norms={"fc1000": PLAIN},
        params_published=params,
        macs_published=macs,
        inferred="; ".join(inferred),
    )


def _baseline(modules: int, width: float, params: float, macs: float | None = None, *, groups: int = 1, aggregate: bool = False) -> Network:
    """The networks of conv1 7x7: N modules, a width, optionally with groups or aggregation."""
    grouped = groups > 1
    name = f"{'g' if grouped else ''}sqnxt{modules}{'_ida' if aggregate else ''}{_WIDTHS[width]}"
    title = f"{width}-{'G-' if grouped else ''}SqNxt-{modules}{'-IDA' if aggregate else ''}"
    inferred = [_DEPTH_34] * (modules == 34) + [_IDA_WIRING] * aggregate
    variant = Variant(depths=_DEPTHS[modules], width=width, groups=groups, aggregate=aggregate)
    return _entry(name, title, variant, params=params, macs=macs, inferred=inferred)


def _version(version: int, width: float, params: float, macs: float) -> Network:
    """The networks v2 to v5: conv1 5x5 and other depths."""
    variant = Variant(depths=_VERSIONS[version], width=width, conv1_kernel=5, shortcut_feeds_block=True)
    return _entry(f"sqnxt23v{version}{_WIDTHS[width]}", f"{width}-SqNxt-23v{version}", variant, params=params, macs=macs,
                  inferred=[_VERSION_WIRING] * (version < 5))


NETWORKS = (
    _baseline(23, 1.0, 0.72, 282e6),
    _version(2, 1.0, 0.74, 228e6),
    _version(3, 1.0, 0.74, 228e6),
    _version(4, 1.0, 0.77, 228e6),
    _version(5, 1.0, 0.94, 228e6),
    _baseline(23, 1.0, 0.54, groups=2),
    _baseline(23, 1.0, 0.9, aggregate=True),
    _baseline(34, 1.0, 1.0),
    _baseline(34, 1.0, 1.3, aggregate=True),
    _baseline(44, 1.0, 1.2),
    _baseline(44, 1.0, 1.5, aggregate=True),
    _baseline(23, 1.5, 1.4),
    _baseline(34, 1.5, 2.1),
    _baseline(44, 1.5, 2.6),
    _baseline(23, 2.0, 2.4, 749e6),
    _baseline(34, 2.0, 3.8),
    _baseline(44, 2.0, 4.4),
    _version(4, 2.0, 2.56, 708e6),
    _version(5, 2.0, 3.23, 708e6),
)
"""Entries of the zoo."""
