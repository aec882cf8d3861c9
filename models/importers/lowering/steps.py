"""Layers in the making: what a front end emits before scales and activations are folded into the layers before them."""

from dataclasses import dataclass, replace

import numpy as np

from squeezelerator.spec.activations import CLIP, SLOPE

LARGEST_POOL = 31
"""Widest window of a pool; larger ones become several."""
LARGEST_STRIDE = 4
"""Largest stride, except where there is one position only; larger ones become two steps."""


@dataclass
class Step:
    """One layer in the making. ``kind`` is a layer type, or ``Scale`` (per channel, ``weight`` and ``bias`` of shape (C)) or ``Act``."""

    name: str
    kind: str
    inputs: list[str]
    in_shape: tuple[int, int, int]
    out_shape: tuple[int, int, int]
    origin: str
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    groups: int = 1
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    activation: str = "none"
    clip: float = CLIP.default
    slope: float = SLOPE.default

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(weight, bias) of a step that has them."""
        if self.weight is None or self.bias is None:
            raise ValueError(f"{self.origin}: a step without weights was asked for them")
        return self.weight, self.bias


def identity_conv(step: Step, factor: np.ndarray, offset: np.ndarray) -> Step:
    """``step`` as a depthwise 1x1 convolution with one factor and offset a channel."""
    channels = step.in_shape[0]
    return replace(step, kind="Conv", groups=channels, weight=factor.reshape(channels, 1, 1, 1), bias=offset)


def output_size(size: int, kernel: int, stride: int, before: int, after: int, ceil: bool) -> int:
    """Positions of a window along one axis; in ceil mode the last one begins inside the input or the padding before it."""
    room = size + before + after - kernel
    count = (-(-room // stride) if ceil else room // stride) + 1
    return count - 1 if ceil and (count - 1) * stride >= size + before else count


def split_stride(stride: int, count: int) -> tuple[int, int]:
    """``(first, second)`` with the product ``stride``, the first within the limit where there are factors; ``count`` positions."""
    if stride <= LARGEST_STRIDE or count <= 1:
        return stride, 1
    first = max(step for step in range(1, LARGEST_STRIDE + 1) if stride % step == 0)
    return first, stride // first


def widen(size: int, kernel: int, stride: int, before: int, count: int) -> tuple[int, int]:
    """Zeros ``(in front, behind)`` by which a kernel grows so that its padding ``before`` is smaller than it is, and its last of ``count``
    windows begins inside the input or the padding before it."""
    front = max(0, (count - 1) * stride - size - before + 1)
    return front, max(0, before + 1 - kernel)
