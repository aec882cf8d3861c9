"""The convolution that the animation shows, and the instruction of each dataflow that computes it."""

import dataclasses

import numpy as np

from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["CFG", "EXAMPLE", "Case", "Example", "os_case", "ws_case"]

#: The smallest machine.
CFG = MachineConfig(n=2, rf=4)


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """A convolution of two channels to two, stride 1, without padding: ``pixels`` (channel, line, column), ``weights`` (output channel,
    input channel, ky, kx)."""

    pixels: np.ndarray
    weights: np.ndarray

    @property
    def outputs(self) -> np.ndarray:
        """Sums (output channel, line, column), straight from the definition."""
        _, _, k_h, k_w = self.weights.shape
        _, height, width = self.pixels.shape
        found = np.zeros((len(self.weights), height - k_h + 1, width - k_w + 1), int)
        for ky in range(k_h):
            for kx in range(k_w):
                window = self.pixels[:, ky : ky + found.shape[1], kx : kx + found.shape[2]]
                found += np.einsum("oi,ihw->ohw", self.weights[:, :, ky, kx], window)
        return found


#: Kernels of two lines; three of the eight weights are zero. Two output lines of two pixels fill the array.
EXAMPLE = Example(
    np.array([[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 1], [2, 3]]]),
    np.array([[[[2], [3]], [[0], [1]]], [[[0], [-1]], [[4], [0]]]]),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """What the array is given: an instruction of ``dataflow``, rows of the activation buffer and of the weight buffer (N words each).

    ``sums`` : {(entry, array row): [partial sum of each column]} that the register files must hold in the end.
    """

    dataflow: str
    instruction: Instruction
    activations: np.ndarray
    weights: np.ndarray
    sums: dict[tuple[int, int], list[int]]


def _activations(example: Example) -> np.ndarray:
    """Rows of the activation buffer: pixel (y, x) is row y * width + x, a lane for each channel."""
    return example.pixels.reshape(len(example.pixels), -1).T


def _view(example: Example) -> dict[str, int]:
    _, height, width = example.pixels.shape
    return {"in_w": width, "in_h": height, "in_pitch": width, "stride_x": 1, "stride_y": 1, "first": 1}


def _rows(words: list[int]) -> list[list[int]]:
    """Words of a stream in rows of the weight buffer."""
    padded = words + [0] * (-len(words) % CFG.n)
    return [padded[at : at + CFG.n] for at in range(0, len(padded), CFG.n)]


def os_case(example: Example) -> Case:
    """Output stationary: a record for each input channel and kernel line, with its weights that are not zero."""
    headers: list[int] = []
    values: list[int] = []
    records = 0
    channels, inputs, k_h, _ = example.weights.shape
    width = example.pixels.shape[2]
    for lane in range(inputs):
        for ky in range(k_h):
            chosen = [k for k in range(channels) if example.weights[k, lane, ky, 0]]
            if not chosen:
                continue
            records += 1
            headers += [ky * width, lane | ky << 10, sum(1 << k for k in chosen)]
            values += [int(example.weights[k, lane, ky, 0]) for k in chosen]
    header_rows, outputs = _rows(headers), example.outputs
    fields = {**_view(example), "seg_len": outputs.shape[2], "segs": 1, "nrows": outputs.shape[1], "windows": 1, "records": records,
              "values": len(values), "val_row": len(header_rows), "pixels": outputs[0].size,
              "skipped": int(np.count_nonzero(example.weights == 0))}  # fmt: skip
    sums = {(k, line): outputs[k, line].tolist() for k in range(channels) for line in range(outputs.shape[1])}
    return Case("OS", Instruction("OS", fields), _activations(example), np.array(header_rows + _rows(values)), sums)


def ws_case(example: Example) -> Case:
    """Weight stationary: a tile of weights for each kernel line, input channels by output channels."""
    _, _, k_h, k_w = example.weights.shape
    tiles = example.weights[:, :, :, 0].transpose(2, 1, 0)
    outputs = example.outputs
    fields = {**_view(example), "out_w": outputs.shape[2], "out_h": outputs.shape[1], "kw": k_w, "kh": k_h, "blocks": 1,
              "in_plane": example.pixels[0].size, "tiles": len(tiles)}  # fmt: skip
    flat = outputs.reshape(len(outputs), -1)
    sums = {(t // CFG.n, t % CFG.n): flat[:, t].tolist() for t in range(flat.shape[1])}
    return Case("WS", Instruction("WS", fields), _activations(example), tiles.reshape(-1, CFG.n), sums)
