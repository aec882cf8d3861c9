"""Layers in the making: what a front end emits before scales and activations are folded into the layers before them."""

from dataclasses import dataclass, replace

import numpy as np

from squeezelerator.spec.functions.activations import CLIP, SLOPE


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
    exponent: float = 1.0

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(weight, bias) of a step that has them."""
        if self.weight is None or self.bias is None:
            raise ValueError(f"{self.origin}: a step without weights was asked for them")
        return self.weight, self.bias


def identity_conv(step: Step, factor: np.ndarray, offset: np.ndarray) -> Step:
    """``step`` as a depthwise 1x1 convolution with one factor and offset a channel."""
    channels = step.in_shape[0]
    return replace(step, kind="Conv", groups=channels, weight=factor.reshape(channels, 1, 1, 1), bias=offset)
