"""What the streams of one channel group are made from."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from squeezelerator.compiler.ir.arrays import IntArray
from squeezelerator.compiler.ir.graph import Op
from squeezelerator.spec.machine import MachineConfig


class StreamInput(NamedTuple):
    """Weights of a channel group, dense, and the place of every input channel.

    Attributes
    ----------
    op : Op
    cfg : spec.machine.MachineConfig
    weight : numpy.ndarray
        int16 (O, I, Kh, Kw); zero where groups of the convolution have none.
    first : int
        Channel of the layer's input that is the first of the I inputs.
    real : numpy.ndarray
        (I,) outputs that have weights for each input.
    part, block, lane : numpy.ndarray
        (I,) where each input lies: part of the operation, channel block in it, lane of the block.
    limit : int
        Most rows of the weight buffer that a chunk may take.
    by_channels : bool
        Whether no chunk may go over a start, in any part of the kernel; otherwise only the first does not.
    """

    op: Op
    cfg: MachineConfig
    weight: npt.NDArray[np.int16]
    first: int
    real: IntArray
    part: IntArray
    block: IntArray
    lane: IntArray
    limit: int
    by_channels: bool = False
