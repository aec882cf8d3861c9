"""DRAM words of a layer on the paper's machine, where every layer's input and output cross DRAM."""

import math

from squeezelerator.models.paper.assumptions import Machine
from squeezelerator.spec.network.layer import Layer


def dram_words(layer: Layer, config: Machine, *, weight_stationary: bool, blocks: int) -> int:
    """16-bit words between DRAM and chip.

    OS streams the weights once for each of ``blocks`` blocks of N x N outputs, whose inputs it holds. WS keeps a band
    of the input or a part of the weights in the buffer, whichever needs less traffic, and fetches the other operand
    again for each such part; where one of them fits whole, nothing is fetched twice. A single output pixel (FC) reads
    everything once.
    """
    assumed = config.assumptions
    once = layer.in_size + layer.params + layer.out_size
    if not weight_stationary:
        return once + (layer.params * (blocks - 1) if assumed.os_weights_each_block else 0)
    if not assumed.ws_refetch or layer.h_o * layer.w_o == 1:
        return once
    room = config.buffer_words * assumed.buffer_share * layer.groups
    bands, parts = math.ceil(layer.in_size / room), math.ceil(layer.params / room)
    return once + min(layer.params * (bands - 1), layer.in_size * (parts - 1))
