"""The network that the project ships trained: a small SqueezeNext for the handwritten digits that come with scikit-learn.

``python -m models.networks.digits DIR`` writes those digits as a folder of pictures, ``DIR/train/CLASS/*.png`` and
``DIR/val/CLASS/*.png``, on which ``python -m models.train digits --data DIR`` trains. The trained weights lie beside this file.
"""

import sys
from pathlib import Path

import numpy as np

from squeezelerator.common.command_line import OneLineParser
from squeezelerator.models.networks.network import BATCHNORM, PLAIN, Network
from squeezelerator.models.networks.squeezenext import add_block
from squeezelerator.models.tables.builder import TableBuilder

NAME = "digits"
WEIGHTS = Path(__file__).with_name("digits.npz")
"""The trained weights, batch norm folded."""
PREPROCESSING = "unit"
_STAGES = ((16, 2), (32, 2), (64, 1))
"""Channels and blocks of the stages; every stage but the first halves the 8x8 pixels."""
_TEST_SHARE = 5
_PIXEL_MAX = 16


def digits_table(name=NAME):
    """Layer table: input 1 x 8 x 8, blocks wired as in 1.0-SqNxt-23v5, 10 classes."""
    net = TableBuilder(name, (1, 8, 8))
    last, number = net.conv("conv1", 16, 3, pad=1), 0
    for stage, (channels, blocks) in enumerate(_STAGES, start=1):
        for block in range(1, blocks + 1):
            number += 1
            last = add_block(
                net, f"stage{stage}_block{block}", last, channels, stride=2 if block == 1 and stage > 1 else 1,
                first=block == 1, shortcut_feeds_block=True, tall_first=number % 2 == 1, groups=1,
            )  # fmt: skip
    net.conv("conv_last", 32)
    net.avg_pool("avgpool")
    net.fc("fc10", 10)
    return net.table()


NETWORK = Network(
    name=NAME,
    title="SqNxt for digits",
    build=digits_table,
    conv_norm=BATCHNORM,
    norms={"fc10": PLAIN},
    note="trained weights are shipped",
)
"""The network's entry of the zoo."""


def load_digits():
    """``(pixels, labels)``: uint8 (1797, 8, 8) of 0 ... 255 and the digits' classes."""
    from sklearn import datasets

    data = datasets.load_digits()
    # 0 ... 16 becomes 0 ... 255, so that an ordinary picture of a digit is prepared alike.
    return np.rint(data.images * (255 / _PIXEL_MAX)).astype(np.uint8), data.target


def split(labels):
    """Indices ``(train, test)``: of every class each fifth digit is for testing, in the order of the data set."""
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        test[np.flatnonzero(labels == label)[_TEST_SHARE - 1 :: _TEST_SHARE]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def network_input(pixels):
    """A digit's pixels, uint8 (8, 8), as the network's float32 input (1, 8, 8)."""
    from squeezelerator.models.pictures import images

    return images.normalise(pixels[None].astype(np.float32), images.preprocessing_of(PREPROCESSING))


def test_digits(count=None):
    """``(inputs, pixels, labels)`` of the first ``count`` test digits (of all, by default)."""
    pixels, labels = load_digits()
    chosen = split(labels)[1][:count]
    return [network_input(pixels[index]) for index in chosen], pixels[chosen], labels[chosen]


def float_digits():
    """The trained :class:`~models.arithmetic.float_network.FloatNetwork`."""
    from dataclasses import replace

    from squeezelerator.models import importers

    return replace(importers.load_weights(WEIGHTS, NETWORK.table), preprocessing=PREPROCESSING)


def quantised_digits():
    """The trained network in 16 bits, calibrated on training digits."""
    from squeezelerator.models.quantisation.formats import quantise

    pixels, labels = load_digits()
    return quantise(float_digits(), [network_input(pixels[index]) for index in split(labels)[0][:200]])


def picture(pixels):
    """A digit's pixels as lines of text, two characters a pixel."""
    shades = " .:-=+*#%@"
    return ["".join(shades[int(value) * (len(shades) - 1) // 255] * 2 for value in row) for row in pixels]


def export(folder):
    """Write the digits as ``folder/train/CLASS/NUMBER.png`` and ``folder/val/CLASS/NUMBER.png``; returns the folder's path."""
    from PIL import Image

    pixels, labels = load_digits()
    for part, chosen in zip(("train", "val"), split(labels), strict=True):
        for index in chosen:
            path = Path(folder) / part / str(labels[index]) / f"{index:04d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[index]).save(path)
    return Path(folder)


def main(arguments=None):
    """Command line; returns the exit code."""
    parser = OneLineParser(prog="python -m models.networks.digits", description="Write the digits as a folder of pictures.")
    parser.add_argument("folder")
    folder = parser.parse_args(arguments).folder
    try:
        print(f"wrote {export(folder)}")
    except OSError as error:
        print(f"error: {folder}: cannot be written: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
