"""Pictures and arrays as a network's input."""

from pathlib import Path

import numpy as np

from squeezelerator.host.link import BoardError
from squeezelerator.spec.program import TensorMap

__all__ = ["input_from"]


def input_from(path: str | Path, tensor: TensorMap) -> np.ndarray:
    """The input ``tensor``, int16 (C, H, W), from the file ``path``.

    A ``.npy`` file holds just that. Anything else is a picture: the short side is scaled to the input, the centre is cut out, and values
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
    pixels = np.asarray(picture, np.float64).reshape(tensor.h, tensor.w, tensor.c)
    values = np.rint((pixels.transpose(2, 0, 1) / 127.5 - 1) * (1 << tensor.frac))
    return np.clip(values, -32768, 32767).astype(np.int16)
