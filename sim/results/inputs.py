"""Reads a network's input from a file."""

from pathlib import Path

import numpy as np

from squeezelerator.models.arithmetic.golden import InputError
from squeezelerator.spec.network.layer import Shape

__all__ = ["read_input"]


def read_input(path: str | Path, shape: Shape, frac: int) -> np.ndarray:
    """int16 (C, H, W) from ``path``.

    A ``.npy`` file holds just that. Anything else is read as an image: the short side is scaled to the network's input, the centre is cut
    out, and values 0 ... 255 become -1 ... 1 in the input's format (``frac`` fractional bits).

    Raises
    ------
    InputError
        One line: the file cannot be read, is no image, or has another shape or type.
    """
    if Path(path).suffix == ".npy":
        try:
            x = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {path}: {error}") from None
        if x.shape != tuple(shape) or x.dtype != np.int16:
            raise InputError(f"{path}: the input must be int16 {tuple(shape)}, not {x.dtype} {x.shape}")
        return x
    return _read_image(path, shape, frac)


def _read_image(path: str | Path, shape: Shape, frac: int) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    channels, height, width = shape
    if channels not in (1, 3):
        raise InputError(f"{path}: an image has 1 or 3 channels, the network's input {channels}")
    try:
        image = Image.open(path).convert("RGB" if channels == 3 else "L")
    except UnidentifiedImageError:
        raise InputError(f"{path} is neither .npy nor an image") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error}") from None
    scale = max(width / image.width, height / image.height)
    image = image.resize((max(width, round(image.width * scale)), max(height, round(image.height * scale))), Image.Resampling.BILINEAR)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    pixels = np.asarray(image.crop((left, top, left + width, top + height)), np.float64).reshape(height, width, channels)
    values = np.rint((pixels.transpose(2, 0, 1) / 127.5 - 1) * (1 << frac))
    return np.clip(values, -32768, 32767).astype(np.int16)
