"""SqueezeNext networks: depths, widths, the two wirings of a stage's first block, and the group variant.

Sources: the SqueezeNext paper and the authors' published definitions as far as they exist. What no source states (the
wiring of v2 to v4, the depths of the 34-module network) is marked in :mod:`models.zoo` and explained in
``docs/networks.md``.
"""

from models.builder import TableBuilder

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


def squeezenext(name, depths, *, width=1.0, conv1_kernel=7, shortcut_feeds_block=False, groups=1, classes=1000,
                size=SOURCE_SIZE):  # fmt: skip
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
        Wiring of a stage's first block: whether the first squeeze reads the shortcut convolution's output (``v5``) or the
        stage's input (``23``).
    groups : int
        Groups of the first squeeze and of both separable convolutions of every block.
    """
    net = TableBuilder(name, (3, size, size))
    net.conv("conv1", CONV1_FILTERS, conv1_kernel, stride=2)
    last = net.max_pool("pool1", 3, 2, ceil=True)
    number = 0
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
    net.conv("conv_last", LAST_FILTERS)
    net.avg_pool("avgpool")
    net.fc(f"fc{classes}", classes)
    return net.table()
