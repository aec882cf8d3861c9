"""SqueezeNext networks: depths, widths, the two wirings of a stage's first block, and the group variant.

Sources: the SqueezeNext paper and the authors' published definitions as far as they exist. What no source states (the
wiring of v2 to v4, the depths of the 34-module network, iterative deep aggregation) is marked in ``NETWORKS`` below and
explained in ``docs/networks.md``.
"""

from squeezelerator.models.networks.network import BATCHNORM, PLAIN, Network
from squeezelerator.models.tables.builder import TableBuilder

STAGE_CHANNELS = (32, 64, 128, 256)
SOURCE_SIZE = 227
CONV1_FILTERS = 64
LAST_FILTERS = 128


def add_block(net, prefix, source, channels, *, stride, first, shortcut_feeds_block, tall_first, groups):
    """One SqueezeNext block; returns the name of its sum."""
    shortcut, squeeze_source, squeeze_stride = source, source, stride
    if first:
        shortcut = net.conv(f"{prefix}_shortcut", channels, source=source, stride=stride)
        if shortcut_feeds_block:
            squeeze_source, squeeze_stride = shortcut, 1
    net.conv(f"{prefix}_squeeze1", channels // 2, source=squeeze_source, stride=squeeze_stride, groups=groups)
    net.conv(f"{prefix}_squeeze2", channels // 4)
    tall, wide = ("3x1", (1, 3), (0, 1)), ("1x3", (3, 1), (1, 0))
    for label, kernel, pad in (tall, wide) if tall_first else (wide, tall):
        net.conv(f"{prefix}_sep{label}", channels // 2, kernel, pad=pad, groups=groups)
    expand = net.conv(f"{prefix}_expand", channels)
    return net.add(f"{prefix}_add", expand, shortcut)


def _aggregate(net, prefix, merged, last):
    """One node of the aggregation: ``merged`` at the size of ``last``, concatenated with it and mixed by a 1x1
    convolution.
    """
    channels = net.shape(last)[0]
    down = net.conv(f"{prefix}_ida_down", channels, source=merged, stride=2)
    return net.conv(f"{prefix}_ida", channels, source=(down, last))


def squeezenext(
    name,
    depths,
    *,
    width=1.0,
    conv1_kernel=7,
    shortcut_feeds_block=False,
    groups=1,
    classes=1000,
    aggregate=False,
    size=SOURCE_SIZE,
):
    """Layer table of a SqueezeNext network.

    Parameters
    ----------
    depths : sequence of int
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
    """
    net = TableBuilder(name, (3, size, size))
    net.conv("conv1", CONV1_FILTERS, conv1_kernel, stride=2)
    last = net.max_pool("pool1", 3, 2, ceil=True)
    number, merged = 0, None
    for stage, (blocks, base) in enumerate(zip(depths, STAGE_CHANNELS, strict=True), start=1):
        for block in range(1, blocks + 1):
            number += 1
            last = add_block(
                net,
                f"stage{stage}_block{block}",
                last,
                int(base * width),
                stride=2 if block == 1 and stage > 1 else 1,
                first=block == 1,
                shortcut_feeds_block=shortcut_feeds_block,
                # The order of the pair alternates over the whole network, not within a stage.
                tall_first=number % 2 == 1,
                groups=groups,
            )
        if aggregate:
            merged = _aggregate(net, f"stage{stage}", merged, last) if merged else last
    net.conv("conv_last", LAST_FILTERS, source=merged or last)
    net.avg_pool("avgpool")
    net.fc(f"fc{classes}", classes)
    return net.table()


_DEPTHS = {23: (6, 6, 8, 1), 34: (9, 9, 12, 2), 44: (12, 12, 16, 2)}
_VERSIONS = {2: (6, 6, 8, 1), 3: (4, 8, 8, 1), 4: (2, 10, 8, 1), 5: (2, 4, 14, 1)}
_WIDTHS = {1.0: "", 1.5: "_w1_5", 2.0: "_w2"}
_DEPTH_34 = "depths 9-9-12-2"
_VERSION_WIRING = "wiring of a stage's first block"
_IDA_WIRING = "wiring of the aggregation"


def _entry(name, title, depths, *, params, macs=None, inferred=(), **options):
    return Network(
        name=name,
        title=title,
        build=lambda: squeezenext(name, depths, **options),
        conv_norm=BATCHNORM,
        norms={"fc1000": PLAIN},
        params_published=params,
        macs_published=macs,
        inferred="; ".join(inferred),
    )


def _baseline(modules, width, params, macs=None, **options):
    """The networks of conv1 7x7: N modules, a width, optionally with groups or aggregation."""
    ida, grouped = options.get("aggregate"), "groups" in options
    name = f"{'g' if grouped else ''}sqnxt{modules}{'_ida' if ida else ''}{_WIDTHS[width]}"
    title = f"{width}-{'G-' if grouped else ''}SqNxt-{modules}{'-IDA' if ida else ''}"
    inferred = [_DEPTH_34] * (modules == 34) + [_IDA_WIRING] * bool(ida)
    return _entry(name, title, _DEPTHS[modules], width=width, params=params, macs=macs, inferred=inferred, **options)


def _version(version, width, params, macs):
    """The networks v2 to v5: conv1 5x5 and other depths."""
    return _entry(
        f"sqnxt23v{version}{_WIDTHS[width]}",
        f"{width}-SqNxt-23v{version}",
        _VERSIONS[version],
        width=width,
        params=params,
        macs=macs,
        inferred=[_VERSION_WIRING] * (version < 5),
        conv1_kernel=5,
        shortcut_feeds_block=True,
    )


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
