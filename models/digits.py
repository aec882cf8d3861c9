"""Handwritten digits: the pictures that come with scikit-learn, and the network that the project ships trained on them.

``python -m models.digits DIR`` writes those digits as a folder of pictures, ``DIR/train/CLASS/*.png`` and ``DIR/val/CLASS/*.png``, on
which ``python -m models.train digits --data DIR`` trains.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.models import importers
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.networks.digits import NAME, NETWORK, PREPROCESSING, WEIGHTS
from squeezelerator.models.pictures import images
from squeezelerator.models.quantisation.formats import quantise

__all__ = [
    "NAME", "NETWORK", "PREPROCESSING", "WEIGHTS", "export", "float_digits", "load_digits", "main", "network_input", "picture",
    "quantised_digits", "split", "test_digits",
]

_TEST_SHARE = 5
_PIXEL_MAX = 16


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """``(pixels, labels)``: uint8 (1797, 8, 8) of 0 ... 255 and the digits' classes."""
    # Here because scikit-learn takes a second to start, which every command would spend that only names the network.
    from sklearn import datasets

    data: Any = datasets.load_digits()
    # 0 ... 16 becomes 0 ... 255, so that an ordinary picture of a digit is prepared alike.
    return np.rint(data.images * (255 / _PIXEL_MAX)).astype(np.uint8), data.target


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices ``(train, test)``: of every class each fifth digit is for testing, in the order of the data set."""
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[_TEST_SHARE - 1 :: _TEST_SHARE]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def network_input(pixels: np.ndarray) -> np.ndarray:
    """A digit's pixels, uint8 (8, 8), as the network's float32 input (1, 8, 8)."""
    return images.normalise(pixels[None].astype(np.float32), images.preprocessing_of(PREPROCESSING))


def test_digits(count: int | None = None) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """``(inputs, pixels, labels)`` of the first ``count`` test digits (of all, by default)."""
    pixels, labels = load_digits()
    chosen = split(labels)[1][:count]
    return [network_input(pixels[index]) for index in chosen], pixels[chosen], labels[chosen]


def float_digits() -> FloatNetwork:
    """The trained :class:`~models.arithmetic.float_network.FloatNetwork`."""
    return replace(importers.load_weights(WEIGHTS, NETWORK.table), preprocessing=PREPROCESSING)


def quantised_digits() -> QuantNetwork:
    """The trained network in 16 bits, calibrated on training digits."""
    pixels, labels = load_digits()
    return quantise(float_digits(), [network_input(pixels[index]) for index in split(labels)[0][:200]])


def picture(pixels: np.ndarray) -> list[str]:
    """A digit's pixels as lines of text, two characters a pixel."""
    shades = " .:-=+*#%@"
    return ["".join(shades[int(value) * (len(shades) - 1) // 255] * 2 for value in row) for row in pixels]


def export(folder: str | Path) -> Path:
    """Write the digits as ``folder/train/CLASS/NUMBER.png`` and ``folder/val/CLASS/NUMBER.png``; returns the folder's path."""
    pixels, labels = load_digits()
    for part, chosen in zip(("train", "val"), split(labels), strict=True):
        for index in chosen:
            path = Path(folder) / part / str(labels[index]) / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[index]).save(path)
    return Path(folder)


@command("models.digits")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("models.digits"), description="Write the digits as a folder of pictures.")
    parser.add_argument("folder")
    folder = parser.parse_args(arguments).folder
    print(f"wrote {export(folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
