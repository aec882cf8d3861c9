"""Pictures and arrays as a network's input."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from squeezelerator.host.link import BoardError
from squeezelerator.spec.program import Program, TensorMap

__all__ = ["Picture", "centred_table", "input_from", "inputs_from"]


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """An input as bytes, from which the board makes values where it can.

    Parameters
    ----------
    pixels : ndarray
        uint8 (H, W, C).
    table : ndarray
        int16 (C, 256): the value of each byte, for each channel.

    Raises
    ------
    BoardError
        Another shape or type.
    """

    pixels: np.ndarray
    table: np.ndarray

    def __post_init__(self) -> None:
        channels = self.pixels.shape[-1] if self.pixels.ndim == 3 else 0
        if self.pixels.ndim != 3 or self.pixels.dtype != np.uint8:
            raise BoardError(f"a picture is uint8 (H, W, C), not {self.pixels.dtype} {self.pixels.shape}")
        if self.table.shape != (channels, 256) or self.table.dtype != np.int16:
            raise BoardError(f"a picture's table is int16 ({channels}, 256), not {self.table.dtype} {self.table.shape}")

    def values(self) -> np.ndarray:
        """int16 (C, H, W)."""
        return np.stack([some[self.pixels[:, :, channel]] for channel, some in enumerate(self.table)])


def centred_table(channels: int, frac: int) -> np.ndarray:
    """The table that makes bytes 0 ... 255 numbers -1 ... 1 with ``frac`` fractional bits."""
    values = np.rint((np.arange(256) / 127.5 - 1) * (1 << frac))
    return np.tile(np.clip(values, -32768, 32767).astype(np.int16), (channels, 1))


def input_from(path: str | Path, tensor: TensorMap) -> np.ndarray | Picture:
    """The input ``tensor``, int16 (C, H, W) or a picture, from the file ``path``.

    A ``.npy`` file holds the former. Anything else is a picture: the short side is scaled to the input, the centre is cut out, and values
    0 ... 255 become -1 ... 1 in the input's format; for weights that need another preparation, give it a ``.npy`` file.

    Raises
    ------
    BoardError
        The file cannot be read, is no picture, or has another shape or type.
    """
    if Path(path).suffix == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise BoardError(f"cannot read {path}: {error}") from None
        if x.shape != (tensor.c, tensor.h, tensor.w) or x.dtype != np.int16:
            raise BoardError(f"{path}: the input must be int16 {(tensor.c, tensor.h, tensor.w)}, not {x.dtype} {x.shape}")
        return x
    from PIL import Image, ImageOps, UnidentifiedImageError
    if tensor.c not in (1, 3):
        raise BoardError(f"{path}: a picture has 1 or 3 channels, the network's input {tensor.c}")
    try:
        picture = ImageOps.fit(Image.open(path).convert("RGB" if tensor.c == 3 else "L"), (tensor.w, tensor.h), Image.Resampling.BILINEAR)
    except UnidentifiedImageError:
        raise BoardError(f"{path} is neither .npy nor a picture") from None
    except OSError as error:
        raise BoardError(f"cannot read {path}: {error.strerror or error}") from None
    return Picture(np.asarray(picture, np.uint8).reshape(tensor.h, tensor.w, tensor.c), centred_table(tensor.c, tensor.frac))


def inputs_from(given: Sequence[str], program: Program) -> list[tuple[str, np.ndarray | Picture]]:
    """``(title, input)`` of each run that the options ask for: one for each file, or for a program with several inputs one of all
    ``NAME=FILE`` together.

    Raises
    ------
    BoardError
        As :func:`input_from`; an input is missing, unknown or given twice.
    """
    ports = program.quantisation.get("ports", {}).get("inputs", [])
    if len(ports) < 2:
        return [(path, input_from(path, program.inputs[0])) for path in given]
    names, files = [port["name"] for port in ports], {}
    for item in given:
        name, equals, path = item.partition("=")
        if not equals or name not in names:
            raise BoardError(f"{item}: the program has the inputs {', '.join(names)}: --input NAME=FILE for each")
        if name in files:
            raise BoardError(f"{item}: input {name} is given twice")
        files[name] = path
    missing = [name for name in names if name not in files]
    if missing:
        raise BoardError(f"input {missing[0]} is missing: --input {missing[0]}=FILE; the program has the inputs {', '.join(names)}")
    return [(" ".join(given), _joined(files, ports, program.inputs[0]))]


def _joined(files: dict[str, str], ports: Sequence[dict[str, Any]], tensor: TensorMap) -> np.ndarray:
    """The input map in which several inputs lie one after the other along the channels, each in its format."""
    packed, first = np.zeros((tensor.c, tensor.h, tensor.w), np.int16), 0
    for port in ports:
        x = _real(files[port["name"]], port)
        channels, lines, columns = x.shape
        codes = np.rint(x.astype(np.float64) * 2.0 ** (tensor.frac + port.get("shift", 0)))
        packed[first : first + channels, :lines, :columns] = np.clip(codes, -32768, 32767)
        first += channels
    return packed


def _real(path: str, port: dict[str, Any]) -> np.ndarray:
    """One input (C, H, W) of real numbers in the network's own units and layout, with or without a batch of 1."""
    try:
        x = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise BoardError(f"cannot read {path}: {error}") from None
    dims = tuple(port["dims"])
    if x.dtype.kind != "f" or x.shape not in (dims, dims[1:]) or not np.isfinite(x).all():
        raise BoardError(f"{path}: input {port['name']} must be finite real numbers {dims}, not {x.dtype} {x.shape}")
    return x.reshape(port["split"]).transpose(port["axes"])
