"""Classic networks as small PyTorch modules, with random weights: what a user might bring."""

import math

import torch
from torch import nn
from torch.nn import functional

__all__ = ["NETWORKS", "build"]


def conv(c_i, c_o, kernel=3, stride=1, groups=1, activation=nn.ReLU):
    """Convolution, batch norm and activation (``None``: none)."""
    layers = [nn.Conv2d(c_i, c_o, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(c_o)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class Residual(nn.Module):
    """``activation(body(x) + shortcut(x))``."""

    def __init__(self, body, shortcut=None, activation=None):
        super().__init__()
        self.body, self.shortcut, self.activation = body, shortcut or nn.Identity(), activation or nn.Identity()

    def forward(self, x):
        return self.activation(self.body(x) + self.shortcut(x))


class Concat(nn.Module):
    """The outputs of several branches, joined along the channels."""

    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed, activation, gate):
        super().__init__()
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, squeezed, 1), activation(), nn.Conv2d(squeezed, channels, 1),
                                  gate())

    def forward(self, x):
        return x * self.gate(x)


def head(channels, classes=1000):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


# -- residual networks -------------------------------------------------------------------------------------------------


def _basic(c_i, c_o, stride):
    short = conv(c_i, c_o, 1, stride, activation=None) if stride > 1 or c_i != c_o else None
    return Residual(nn.Sequential(conv(c_i, c_o, 3, stride), conv(c_o, c_o, activation=None)), short, nn.ReLU())


def _bottleneck(c_i, c_o, stride):
    middle, short = c_o // 4, conv(c_i, c_o, 1, stride, activation=None) if stride > 1 or c_i != c_o else None
    body = nn.Sequential(conv(c_i, middle, 1), conv(middle, middle, 3, stride), conv(middle, c_o, 1, activation=None))
    return Residual(body, short, nn.ReLU())


def _resnet(block, counts, widths, channels=64):
    layers = [conv(3, channels, 7, 2), nn.MaxPool2d(3, 2, 1)]
    for stage, (count, width) in enumerate(zip(counts, widths, strict=True)):
        for place in range(count):
            layers.append(block(channels, width, 2 if stage and not place else 1))
            channels = width
    return nn.Sequential(*layers, head(channels))


def resnet18():
    return _resnet(_basic, (2, 2, 2, 2), (64, 128, 256, 512))


def resnet18_narrow():
    """An eighth of the channels: all of its layers in a short time."""
    return _resnet(_basic, (2, 2, 2, 2), (8, 16, 32, 64), 8)


def resnet50():
    return _resnet(_bottleneck, (3, 4, 6, 3), (256, 512, 1024, 2048))


# -- mobile networks ---------------------------------------------------------------------------------------------------


def _inverted(c_i, expanded, c_o, stride, kernel=3, activation=nn.ReLU6, squeeze=None):
    layers = [conv(c_i, expanded, 1, activation=activation)] if expanded != c_i else []
    layers += [conv(expanded, expanded, kernel, stride, expanded, activation), *([squeeze] if squeeze else [])]
    body = nn.Sequential(*layers, conv(expanded, c_o, 1, activation=None))
    return Residual(body) if stride == 1 and c_i == c_o else body


def mobilenet_v1(width=1.0, classes=1000):
    sizes = [(32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), *[(512, 512, 1)] * 5, (512, 1024, 2),
             (1024, 1024, 1)]
    layers = [conv(3, int(32 * width), 3, 2)]
    for c_i, c_o, stride in sizes:
        c_i, c_o = int(c_i * width), int(c_o * width)
        layers += [conv(c_i, c_i, 3, stride, c_i), conv(c_i, c_o, 1)]
    return nn.Sequential(*layers, head(c_o, classes))


def mobilenet_v2():
    layers, channels = [conv(3, 32, 3, 2, activation=nn.ReLU6)], 32
    for t, c, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for place in range(n):
            layers.append(_inverted(channels, t * channels, c, 1 if place else s))
            channels = c
    return nn.Sequential(*layers, conv(320, 1280, 1, activation=nn.ReLU6), head(1280))


def _eighth(number):
    return max(8, int(number + 4) // 8 * 8) + (8 if max(8, int(number + 4) // 8 * 8) < 0.9 * number else 0)


def mobilenet_v3_small():
    layers, channels = [conv(3, 16, 3, 2, activation=nn.Hardswish)], 16
    for kernel, expanded, c_o, squeezes, swish, stride in (
        (3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2), *[(5, 240, 40, 1, 1, 1)] * 2,
        (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1), (5, 288, 96, 1, 1, 2), (5, 576, 96, 1, 1, 1), (5, 576, 96, 1, 1, 1),
    ):
        squeeze = SqueezeExcite(expanded, _eighth(expanded // 4), nn.ReLU, nn.Hardsigmoid) if squeezes else None
        layers.append(_inverted(channels, expanded, c_o, stride, kernel, nn.Hardswish if swish else nn.ReLU, squeeze))
        channels = c_o
    return nn.Sequential(*layers, conv(96, 576, 1, activation=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024),
                         nn.Hardswish(), nn.Linear(1024, 1000))


def efficientnet_b0():
    layers, channels = [conv(3, 32, 3, 2, activation=nn.SiLU)], 32
    for t, kernel, s, c, n in ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
                               (6, 3, 1, 320, 1)):
        for place in range(n):
            squeeze = SqueezeExcite(t * channels, channels // 4, nn.SiLU, nn.Sigmoid)
            layers.append(_inverted(channels, t * channels, c, 1 if place else s, kernel, nn.SiLU, squeeze))
            channels = c
    return nn.Sequential(*layers, conv(320, 1280, 1, activation=nn.SiLU), head(1280))


class _ShuffleUnit(nn.Module):
    def __init__(self, c_i, c_o, stride):
        super().__init__()
        half, self.splits = c_o // 2, stride == 1
        first = half if self.splits else c_i
        self.right = nn.Sequential(conv(first, half, 1), conv(half, half, 3, stride, half, None), conv(half, half, 1))
        self.left = nn.Identity() if self.splits else nn.Sequential(conv(c_i, c_i, 3, stride, c_i, None), conv(c_i, half, 1))

    def forward(self, x):
        left, right = x.chunk(2, 1) if self.splits else (x, x)
        return functional.channel_shuffle(torch.cat((self.left(left), self.right(right)), 1), 2)


def shufflenet_v2():
    layers, channels = [conv(3, 24, 3, 2), nn.MaxPool2d(3, 2, 1)], 24
    for count, width in ((4, 48), (8, 96), (4, 192)):
        for place in range(count):
            layers.append(_ShuffleUnit(channels, width, 1 if place else 2))
            channels = width
    return nn.Sequential(*layers, conv(192, 1024, 1), head(1024))


# -- chains and branches -----------------------------------------------------------------------------------------------


def lenet():
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
                         nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))


def vgg11():
    layers, channels = [], 3
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        layers.append(conv(channels, width) if width else nn.MaxPool2d(2))
        channels = width or channels
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1000))


def alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 96, 11, 4), nn.ReLU(), nn.LocalResponseNorm(5, k=2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(96, 256, 5, padding=2, groups=2), nn.ReLU(), nn.LocalResponseNorm(5, k=2.0), nn.MaxPool2d(3, 2),
        nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1, groups=2), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1, groups=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1000),
    )  # fmt: skip


def zfnet():
    return nn.Sequential(
        nn.Conv2d(3, 96, 7, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5), nn.Conv2d(96, 256, 5, 2), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5), nn.Conv2d(256, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 384, 3, padding=1),
        nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(256, 1000),
    )  # fmt: skip


def _inception(c_i, one, three, five, pooled):
    return Concat(conv(c_i, one, 1), nn.Sequential(conv(c_i, three[0], 1), conv(three[0], three[1])),
                  nn.Sequential(conv(c_i, five[0], 1), conv(five[0], five[1], 5)),
                  nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(c_i, pooled, 1)))


def googlenet():
    return nn.Sequential(
        conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), nn.LocalResponseNorm(5), conv(64, 64, 1), conv(64, 192), nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, 2, 1), _inception(192, 64, (96, 128), (16, 32), 32), _inception(256, 128, (128, 192), (32, 96), 64),
        nn.MaxPool2d(3, 2, 1), _inception(480, 192, (96, 208), (16, 48), 64), _inception(512, 160, (112, 224), (24, 64), 64),
        _inception(512, 128, (128, 256), (24, 64), 64), _inception(512, 112, (144, 288), (32, 64), 64),
        _inception(528, 256, (160, 320), (32, 128), 128), nn.MaxPool2d(3, 2, 1), _inception(832, 256, (160, 320), (32, 128), 128),
        _inception(832, 384, (192, 384), (48, 128), 128), head(1024),
    )  # fmt: skip


def _dense_layer(channels):
    body = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, 128, 1), nn.Conv2d(128, 32, 3, padding=1, bias=False))
    return Concat(nn.Identity(), body)


def densenet121():
    layers, channels = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for block, count in enumerate((6, 12, 24, 16)):
        for _ in range(count):
            layers.append(_dense_layer(channels))
            channels += 32
        layers += [nn.BatchNorm2d(channels), nn.ReLU()]
        if block < 3:
            layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
            channels //= 2
    return nn.Sequential(*layers, head(channels))


# -- maps as results ---------------------------------------------------------------------------------------------------


class UNet(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        def double(c_i, c_o):
            return nn.Sequential(conv(c_i, c_o), conv(c_o, c_o))

        sizes = [width, 2 * width, 4 * width]
        self.down = nn.ModuleList(double(c_i, c_o) for c_i, c_o in zip([3, *sizes], sizes, strict=False))
        self.bottom = double(4 * width, 8 * width)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * size, size, 2, 2) for size in sizes[::-1])
        self.join = nn.ModuleList(double(2 * size, size) for size in sizes[::-1])
        self.last = nn.Conv2d(width, 2, 1)

    def forward(self, x):
        kept = []
        for block in self.down:
            kept.append(block(x))
            x = functional.max_pool2d(kept[-1], 2)
        x = self.bottom(x)
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat((kept.pop(), up(x)), 1))
        return self.last(x)


class YoloTiny(nn.Module):
    def __init__(self, part=1):
        """A ``part`` of the channels."""
        super().__init__()
        def leaky(c_i, c_o, kernel=3):
            return conv(c_i, c_o, kernel, activation=lambda: nn.LeakyReLU(0.1))

        layers, channels = [], 3
        for width in (16 // part, 32 // part, 64 // part, 128 // part, 256 // part):
            layers += [leaky(channels, width), nn.MaxPool2d(2)]
            channels = width
        half, twice, most, heads = channels // 2, 2 * channels, 4 * channels, 255 // part
        self.start, self.fourth = nn.Sequential(*layers[:-1]), layers[-1]
        self.middle = nn.Sequential(leaky(channels, twice), nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, 1), leaky(twice, most),
                                    leaky(most, channels, 1))
        self.coarse = nn.Sequential(leaky(channels, twice), nn.Conv2d(twice, heads, 1))
        self.route = leaky(channels, half, 1)
        self.fine = nn.Sequential(leaky(channels + half, channels), nn.Conv2d(channels, heads, 1))

    def forward(self, x):
        early = self.start(x)
        late = self.middle(self.fourth(early).relu())
        up = functional.interpolate(self.route(late), scale_factor=2)
        return self.coarse(late), self.fine(torch.cat((up, early), 1))


# -- MLPerf Tiny, and a signal -----------------------------------------------------------------------------------------


def mlperf_resnet8():
    layers, channels = [conv(3, 16)], 16
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        layers.append(_basic(channels, width, stride))
        channels = width
    return nn.Sequential(*layers, head(64, 10), nn.Softmax(1))


def mlperf_mobilenet():
    return nn.Sequential(mobilenet_v1(0.25, 2), nn.Softmax(1))


def mlperf_keywords():
    layers = [nn.Conv2d(1, 64, (10, 4), (2, 2), (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    for _ in range(4):
        layers += [conv(64, 64, 3, 1, 64), conv(64, 64, 1)]
    return nn.Sequential(*layers, head(64, 12), nn.Softmax(1))


def mlperf_autoencoder():
    layers, channels = [], 640
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        layers += [nn.Linear(channels, width), nn.BatchNorm1d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers, nn.Linear(128, 640))


def signal_cnn():
    layers, channels = [], 2
    for width in (16, 32, 64):
        layers += [nn.Conv1d(channels, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(2)]
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 6))


#: {name: (what makes it, shape of its input, whether it needs a machine with functions)}; inputs are as small as the network permits.
NETWORKS = {
    "lenet": (lenet, (1, 1, 28, 28), True), "signal_cnn": (signal_cnn, (1, 2, 128), False),
    "mlperf_resnet8": (mlperf_resnet8, (1, 3, 32, 32), False), "mlperf_mobilenet": (mlperf_mobilenet, (1, 3, 96, 96), False),
    "mlperf_keywords": (mlperf_keywords, (1, 1, 49, 10), False), "mlperf_autoencoder": (mlperf_autoencoder, (1, 640), False),
    "resnet18": (resnet18, (1, 3, 64, 64), False), "resnet50": (resnet50, (1, 3, 64, 64), False),
    "mobilenet_v1": (mobilenet_v1, (1, 3, 64, 64), False), "mobilenet_v2": (mobilenet_v2, (1, 3, 64, 64), False),
    "mobilenet_v3_small": (mobilenet_v3_small, (1, 3, 64, 64), True), "efficientnet_b0": (efficientnet_b0, (1, 3, 64, 64), True),
    "shufflenet_v2": (shufflenet_v2, (1, 3, 64, 64), False), "densenet121": (densenet121, (1, 3, 64, 64), False),
    "googlenet": (googlenet, (1, 3, 64, 64), True), "vgg11": (vgg11, (1, 3, 32, 32), False), "alexnet": (alexnet, (1, 3, 67, 67), True),
    "zfnet": (zfnet, (1, 3, 67, 67), True), "unet": (UNet, (1, 3, 32, 32), False), "yolo_tiny": (YoloTiny, (1, 3, 64, 64), False),
    "resnet18_narrow": (resnet18_narrow, (1, 3, 32, 32), False), "yolo_tiny_narrow": (lambda: YoloTiny(8), (1, 3, 32, 32), False),
}  # fmt: skip


def build(name, seed=0):
    """``(module, input)`` of a network: weights as He and others draw them, batch norm with statistics of its own."""
    make, shape, _ = NETWORKS[name]
    random = torch.Generator().manual_seed(seed)
    module = make().eval()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                fan_in = part.weight[0].numel() if not isinstance(part, nn.ConvTranspose2d) else part.weight.shape[0]
                part.weight.normal_(0, math.sqrt(2 / fan_in), generator=random)
                if part.bias is not None:
                    part.bias.normal_(0, 0.1, generator=random)
            elif isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                part.weight.uniform_(0.5, 1.5, generator=random)
                part.running_var.uniform_(0.5, 1.5, generator=random)
                part.bias.normal_(0, 0.1, generator=random)
                part.running_mean.normal_(0, 0.1, generator=random)
    return module, torch.randn(shape, generator=random)
