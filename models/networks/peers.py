"""The networks that the paper compares with, in the settings that reproduce its counts."""

from squeezelerator.models.networks.network import BATCHNORM, BIAS, Network
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer import Activation
from squeezelerator.spec.network.layer_table import LayerTable


def alexnet(name: str = "alexnet") -> LayerTable:
    """AlexNet at 227x227 with two groups on conv2, conv4 and conv5; local response normalisation is left out."""
    net = TableBuilder(name, (3, 227, 227))
    net.conv("conv1", 96, 11, stride=4)
    net.max_pool("pool1", 3, 2)
    net.conv("conv2", 256, 5, pad=2, groups=2)
    net.max_pool("pool2", 3, 2)
    net.conv("conv3", 384, 3, pad=1)
    net.conv("conv4", 384, 3, pad=1, groups=2)
    net.conv("conv5", 256, 3, pad=1, groups=2)
    net.max_pool("pool5", 3, 2)
    net.fc("fc6", 4096, activation=Activation.RELU)
    net.fc("fc7", 4096, activation=Activation.RELU)
    net.fc("fc8", 1000)
    return net.table()


def alexnet_one_tower(name: str = "alexnet_one_tower") -> LayerTable:
    """The later AlexNet without groups, at 224x224: the one whose parameters stand in the metaparameter study."""
    net = TableBuilder(name, (3, 224, 224))
    net.conv("conv1", 64, 11, stride=4, pad=2)
    net.max_pool("pool1", 3, 2)
    net.conv("conv2", 192, 5, pad=2)
    net.max_pool("pool2", 3, 2)
    net.conv("conv3", 384, 3, pad=1)
    net.conv("conv4", 256, 3, pad=1)
    net.conv("conv5", 256, 3, pad=1)
    net.max_pool("pool5", 3, 2)
    net.fc("fc6", 4096, activation=Activation.RELU)
    net.fc("fc7", 4096, activation=Activation.RELU)
    net.fc("fc8", 1000)
    return net.table()


def tiny_darknet(name: str = "tiny_darknet") -> LayerTable:
    """Tiny Darknet at 224x224: pairs of narrow 1x1 and wide 3x3 convolutions between max pools; leaky ReLU."""
    net = TableBuilder(name, (3, 224, 224))
    number = 0
    for stage, filters in enumerate(
        ((16,), (32,), (16, 128, 16, 128), (32, 256, 32, 256), (64, 512, 64, 512, 128)), start=1
    ):
        for position, c_o in enumerate(filters):
            number += 1
            kernel = 1 if stage > 2 and position % 2 == 0 else 3
            net.conv(f"conv{number}", c_o, kernel, pad=kernel // 2, activation=Activation.LEAKY)
        if stage < 5:
            net.max_pool(f"pool{stage}", 2, 2)
    net.conv(f"conv{number + 1}", 1000, activation=Activation.NONE)
    net.avg_pool("avgpool")
    return net.table()


def mobilenet(name: str = "mobilenet") -> LayerTable:
    """MobileNet v1 of width 1.0 at 224x224, with ReLU6 as in its authors' code."""
    net = TableBuilder(name, (3, 224, 224))
    net.conv("conv1", 32, 3, stride=2, pad=1, activation=Activation.RELU6)
    pairs = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    for number, (c_o, stride) in enumerate(pairs, start=2):
        channels = net.shape(net.last)[0]
        net.conv(f"conv{number}_dw", channels, 3, stride=stride, pad=1, groups=channels, activation=Activation.RELU6)
        net.conv(f"conv{number}_pw", c_o, activation=Activation.RELU6)
    net.avg_pool("avgpool")
    net.fc("fc1000", 1000)
    return net.table()


def vgg19(name: str = "vgg19") -> LayerTable:
    """VGG-19 at 224x224."""
    net = TableBuilder(name, (3, 224, 224))
    for stage, (filters, depth) in enumerate(((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)), start=1):
        for number in range(1, depth + 1):
            net.conv(f"conv{stage}_{number}", filters, 3, pad=1)
        net.max_pool(f"pool{stage}", 2, 2)
    net.fc("fc6", 4096, activation=Activation.RELU)
    net.fc("fc7", 4096, activation=Activation.RELU)
    net.fc("fc8", 1000)
    return net.table()


_HALF = {"fc6": 0.5, "fc7": 0.5}

NETWORKS = (
    Network(name="alexnet", title="AlexNet", build=alexnet, dropout=_HALF, params_published=60.9, macs_published=725e6,
            note="local response normalisation left out"),
    Network(name="alexnet_one_tower", build=alexnet_one_tower, dropout=_HALF,
            note="without groups; for the metaparameter study only"),
    Network(name="tiny_darknet", title="Tiny Darknet", build=tiny_darknet, aliases=("Tiny DarkNet", "TinyDarknet"),
            conv_norm=BATCHNORM, norms={"conv16": BIAS}, params_published=1.0, macs_published=495e6),
    Network(name="mobilenet", title="MobileNet", build=mobilenet, aliases=("MobileNet v1", "MobileNetV1"),
            conv_norm=BATCHNORM, params_published=4.2, macs_published=574e6),
    Network(name="vgg19", title="VGG-19", build=vgg19, dropout=_HALF, params_published=138,
            note="the published 138M is VGG-16's count"),
)  # fmt: skip
"""Entries of the zoo."""
