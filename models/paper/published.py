"""What the SqueezeNext paper published: tables 1 to 3 and the claims in its text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Accuracy:
    """A row of table 1 or 2: accuracies in %, parameters in millions, compression against AlexNet (``None`` in table
    2).
    """

    network: str
    title: str
    top1: float
    top5: float
    params: float
    compression: int | None = None


TABLE_1 = (
    Accuracy("alexnet", "AlexNet", 57.10, 80.30, 60.9, 1),
    Accuracy("squeezenet1_0", "SqueezeNet", 57.50, 80.30, 1.2, 51),
    Accuracy("sqnxt23", "1.0-SqNxt-23", 58.98, 82.33, 0.72, 84),
    Accuracy("gsqnxt23", "1.0-G-SqNxt-23", 56.88, 80.83, 0.54, 112),
    Accuracy("sqnxt23_ida", "1.0-SqNxt-23-IDA", 60.35, 83.56, 0.9, 68),
    Accuracy("sqnxt34", "1.0-SqNxt-34", 61.39, 84.31, 1.0, 61),
    Accuracy("sqnxt34_ida", "1.0-SqNxt-34-IDA", 62.56, 84.93, 1.3, 47),
    Accuracy("sqnxt44", "1.0-SqNxt-44", 62.64, 85.15, 1.2, 51),
    Accuracy("sqnxt44_ida", "1.0-SqNxt-44-IDA", 63.75, 85.97, 1.5, 41),
)

TABLE_2 = (
    Accuracy("sqnxt23_w1_5", "1.5-SqNxt-23", 63.52, 85.15, 1.4),
    Accuracy("sqnxt34_w1_5", "1.5-SqNxt-34", 65.99, 87.40, 2.1),
    Accuracy("sqnxt44_w1_5", "1.5-SqNxt-44", 67.27, 88.15, 2.6),
    Accuracy("vgg19", "VGG-19", 68.50, 88.50, 138),
    Accuracy("sqnxt23_w2", "2.0-SqNxt-23", 67.18, 88.17, 2.4),
    Accuracy("sqnxt34_w2", "2.0-SqNxt-34", 68.46, 88.78, 3.8),
    Accuracy("sqnxt44_w2", "2.0-SqNxt-44", 69.08, 89.36, 4.4),
    Accuracy("mobilenet", "MobileNet", 67.50, 86.59, 4.2),
    Accuracy("sqnxt23v5_w2", "2.0-SqNxt-23v5", 67.44, 88.20, 3.2),
)

SMALL, LARGE = "8x8", "16x16"
CONFIGURATIONS = (SMALL, LARGE)


@dataclass(frozen=True)
class Simulated:
    """A row of table 3: parameters in millions, MACs, accuracies in %, and by configuration the time (normalised to
    the fastest network of that configuration) and the energy (of which one MAC is the unit).
    """

    network: str
    title: str
    params: float
    macs: float
    top1: float
    top5: float
    time: dict[str, float]
    energy: dict[str, float]


_TABLE_3 = (
    ("alexnet", "AlexNet", 60.9, 725e6, 57.10, 80.30, 5.46, 1.6e10, 8.26, 1.5e10),
    ("squeezenet1_0", "SqueezeNet v1.0", 1.2, 837e6, 57.50, 80.30, 3.42, 6.7e9, 2.59, 4.5e9),
    ("squeezenet1_1", "SqueezeNet v1.1", 1.2, 352e6, 57.10, 80.30, 1.60, 3.3e9, 1.31, 2.4e9),
    ("tiny_darknet", "Tiny Darknet", 1.0, 495e6, 58.70, 81.70, 1.92, 3.8e9, 1.50, 2.5e9),
    ("sqnxt23", "1.0-SqNxt-23", 0.72, 282e6, 59.05, 82.60, 1.17, 3.2e9, 1.22, 2.5e9),
    ("sqnxt23v2", "1.0-SqNxt-23v2", 0.74, 228e6, 58.55, 82.09, 1.00, 2.8e9, 1.13, 2.4e9),
    ("sqnxt23v3", "1.0-SqNxt-23v3", 0.74, 228e6, 58.18, 81.96, 1.00, 2.7e9, 1.08, 2.3e9),
    ("sqnxt23v4", "1.0-SqNxt-23v4", 0.77, 228e6, 59.09, 82.41, 1.00, 2.6e9, 1.02, 2.2e9),
    ("sqnxt23v5", "1.0-SqNxt-23v5", 0.94, 228e6, 59.24, 82.41, 1.00, 2.6e9, 1.00, 2.0e9),
    ("mobilenet", "MobileNet", 4.2, 574e6, 67.50, 86.59, 2.94, 9.1e9, 2.60, 5.8e9),
    ("sqnxt23_w2", "2.0-SqNxt-23", 2.4, 749e6, 67.18, 88.17, 3.24, 8.1e9, 2.72, 5.9e9),
    ("sqnxt23v4_w2", "2.0-SqNxt-23v4", 2.56, 708e6, 66.95, 87.89, 3.17, 7.5e9, 2.55, 5.4e9),
    ("sqnxt23v5_w2", "2.0-SqNxt-23v5", 3.23, 708e6, 67.44, 88.20, 3.17, 7.4e9, 2.55, 5.4e9),
)
"""network, title, parameters, MACs, top-1, top-5, then time and energy on the small and on the large configuration."""

TABLE_3 = tuple(
    Simulated(name, title, params, macs, top1, top5, {SMALL: time8, LARGE: time16}, {SMALL: energy8, LARGE: energy16})
    for name, title, params, macs, top1, top5, time8, energy8, time16, energy16 in _TABLE_3
)

VARIANTS = ("sqnxt23", "sqnxt23v2", "sqnxt23v3", "sqnxt23v4", "sqnxt23v5")
"""The networks of figures 6 and 8, v1 to v5."""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper's text for 16x16: of ``network`` against ``than``, as a ratio ``than / network`` of a
    quantity.

    ``quantity`` is ``time`` or ``energy``; ``value`` is the ratio, or for claims in per cent the saving ``1 - network
    / than``.
    """

    text: str
    quantity: str
    network: str
    than: str
    value: float
    saving: bool = False


CLAIMS = (
    Claim("v5 is 12% faster than the baseline", "time", "sqnxt23v5", "sqnxt23", 0.12, True),
    Claim("v5 is 17% more energy efficient than the baseline", "energy", "sqnxt23v5", "sqnxt23", 0.17, True),
    Claim("2.59x faster than SqueezeNet", "time", "sqnxt23v5", "squeezenet1_0", 2.59),
    Claim("8.26x faster than AlexNet", "time", "sqnxt23v5", "alexnet", 8.26),
    Claim("2.25x more energy efficient than SqueezeNet", "energy", "sqnxt23v5", "squeezenet1_0", 2.25),
    Claim("7.5x more energy efficient than AlexNet", "energy", "sqnxt23v5", "alexnet", 7.5),
)
CONV1_SHARE = 0.26
"""Share of conv1 in the time of 1.0-SqNxt-23 at 16x16."""
