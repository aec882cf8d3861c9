"""The network that the project ships trained: a small SqueezeNext for handwritten digits. Its weights lie beside this file.

:mod:`models.digits` holds the pictures and the trained network.
"""

from pathlib import Path

from squeezelerator.models.networks.network import BATCHNORM, PLAIN, Network
from squeezelerator.models.networks.squeezenext import Block, add_block
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.spec.network.layer_table import LayerTable

NAME = "digits"
WEIGHTS = Path(__file__).with_name("digits.npz")
"""The trained weights, batch norm folded."""
PREPROCESSING = "unit"
"""How its pictures become inputs, see :mod:`models.pictures.images`."""
_STAGES = ((16, 2), (32, 2), (64, 1))
"""Channels and blocks of the stages; every stage but the first halves the 8x8 pixels."""


def digits_table(name: str = NAME) -> LayerTable:
    """Layer table: input 1 x 8 x 8, blocks wired as in 1.0-SqNxt-23v5, 10 classes."""
    net = TableBuilder(name, (1, 8, 8))
    last, number = net.conv("conv1", 16, 3, pad=1), 0
    for stage, (channels, blocks) in enumerate(_STAGES, start=1):
        for block in range(1, blocks + 1):
            number += 1
            parts = Block(channels=channels, stride=2 if block == 1 and stage > 1 else 1, first=block == 1, shortcut_feeds_block=True,
                          tall_first=number % 2 == 1)
            last = add_block(net, f"stage{stage}_block{block}", last, parts)
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
