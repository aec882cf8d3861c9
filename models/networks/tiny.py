"""Tiny networks for tests: each shows one feature, and ``tiny_all`` has them together."""

from squeezelerator.models.networks.squeezenext import Block, add_block
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer import Activation


def _chain() -> TableBuilder:
    net = TableBuilder("tiny_chain", (3, 8, 8))
    net.conv("conv1", 5, 3, pad=1)
    net.conv("conv2", 4)
    net.conv("conv3", 6, 3, activation=Activation.NONE)
    return net


def _residual() -> TableBuilder:
    net = TableBuilder("tiny_residual", (3, 8, 8))
    first = net.conv("conv1", 8)
    net.conv("conv2", 4, 3, pad=1)
    right = net.conv("conv3", 8)
    net.add("add1", right, first)
    net.conv("conv4", 3, activation=Activation.NONE)
    return net


def _strided() -> TableBuilder:
    net = TableBuilder("tiny_strided", (3, 11, 9))
    net.conv("conv1", 6, 3, stride=2, pad=1)
    net.conv("conv2", 5, 1, stride=2)
    net.conv("conv3", 4, (3, 2), stride=(2, 1), pad=(1, 0))
    return net


def _concat() -> TableBuilder:
    net = TableBuilder("tiny_concat", (3, 8, 8))
    squeeze = net.conv("squeeze", 4)
    left = net.conv("expand1x1", 5, source=squeeze)
    right = net.conv("expand3x3", 6, 3, source=squeeze, pad=1)
    net.max_pool("pool", 2, 2, source=(left, right))
    net.conv("last", 7, activation=Activation.NONE)
    return net


def _maxpool() -> TableBuilder:
    net = TableBuilder("tiny_maxpool", (3, 8, 8))
    net.conv("conv1", 5, 3, pad=1)
    net.max_pool("pool1", 3, 2, ceil=True)
    net.conv("conv2", 6, 1)
    net.max_pool("pool2", 2, 2, pad=1)
    return net


def _avgpool_fc() -> TableBuilder:
    net = TableBuilder("tiny_avgpool_fc", (3, 8, 8))
    net.conv("conv1", 8, 3, pad=1)
    net.avg_pool("avgpool")
    net.fc("fc", 10)
    return net


def _fc() -> TableBuilder:
    net = TableBuilder("tiny_fc", (2, 5, 4))
    net.fc("fc1", 9, activation=Activation.RELU)
    net.fc("fc2", 6)
    return net


def _separable() -> TableBuilder:
    net = TableBuilder("tiny_separable", (3, 8, 8))
    net.conv("conv3x1", 6, (1, 3), pad=(0, 1))
    net.conv("conv1x3", 6, (3, 1), pad=(1, 0))
    return net


def _grouped() -> TableBuilder:
    net = TableBuilder("tiny_grouped", (4, 8, 8))
    net.conv("grouped", 6, 3, pad=1, groups=2)
    net.conv("depthwise", 6, 3, stride=2, pad=1, groups=6, activation=Activation.RELU6)
    net.conv("pointwise", 5, activation=Activation.LEAKY)
    return net


def _mini_squeezenext() -> TableBuilder:
    net = TableBuilder("tiny_sqnxt", (3, 23, 23))
    net.conv("conv1", 8, 5, stride=2)
    last = net.max_pool("pool1", 3, 2, ceil=True)
    for number, (name, channels, stride, first) in enumerate(
        (("stage1_block1", 8, 1, True), ("stage1_block2", 8, 1, False), ("stage2_block1", 16, 2, True)), start=1
    ):
        block = Block(channels=channels, stride=stride, first=first, shortcut_feeds_block=True, tall_first=number % 2 == 1)
        last = add_block(net, name, last, block)
    net.conv("conv_last", 12)
    net.avg_pool("avgpool")
    net.fc("fc10", 10)
    return net


def _all() -> TableBuilder:
    net = TableBuilder("tiny_all", (3, 20, 19))
    net.conv("conv1", 8, 5, stride=2, pad=2)
    pool = net.max_pool("pool1", 3, 2, ceil=True)
    squeeze = net.conv("squeeze", 4, source=pool, activation=Activation.LEAKY)
    left = net.conv("expand1x1", 4, source=squeeze)
    right = net.conv("expand3x3", 4, 3, source=squeeze, pad=1)
    net.conv("grouped", 8, (3, 1), source=(left, right), pad=(1, 0), groups=2)
    merged = net.conv("merge", 8, activation=Activation.NONE)
    net.add("add", merged, pool)
    net.conv("depthwise", 8, 3, stride=2, pad=1, groups=8, activation=Activation.RELU6)
    net.conv("last", 12)
    net.avg_pool("avgpool")
    net.fc("fc", 10)
    return net


TINY = {"tiny_" + name: builder for name, builder in (
    ("chain", _chain), ("residual", _residual), ("strided", _strided), ("concat", _concat), ("maxpool", _maxpool),
    ("avgpool_fc", _avgpool_fc), ("fc", _fc), ("separable", _separable), ("grouped", _grouped),
    ("sqnxt", _mini_squeezenext), ("all", _all),
)}  # fmt: skip
"""Functions that build each tiny network's :class:`~models.tables.builder.TableBuilder`, by name."""
