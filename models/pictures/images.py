"""Pictures as network inputs: decoding, resizing, cropping, and the normalisation that the weights were trained with."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from squeezelerator.common.errors import UserError
from squeezelerator.common.reading import first_line
from squeezelerator.spec.network.layer import Shape

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".webp", ".tif", ".tiff")
SHORT_SIDE = 256
"""Length in pixels to which the shorter side is resized before cropping, for networks of about 224 pixels."""

MOST_PIXELS = 1 << 26
"""Pixels of a picture, as it is and as it is resized."""


class ImageError(UserError, ValueError):
    """A file that is no usable picture, or a folder without any; the message is one line that names it."""


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What turns a picture's bytes into a network's input: ``(value / scale - mean) / std`` per channel.

    ``order`` is ``RGB`` or ``BGR``; ``mean`` and ``std`` have one entry a channel of that order, and only the first is used for networks
    with one input channel, whose pictures are made grey. ``crop`` says whether the middle of the picture is used; if not,
    the whole picture is squeezed into the input.
    """

    order: str = "RGB"
    scale: float = 255.0
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop: bool = True


PREPROCESSINGS = {
    "imagenet": Preprocessing(),
    "caffe": Preprocessing(order="BGR", scale=1.0, mean=(104.0, 117.0, 123.0), std=(1.0, 1.0, 1.0)),
    "unit": Preprocessing(mean=(0.0,) * 3, std=(1.0,) * 3, crop=False),
}
"""Preparations by name: torchvision's for ImageNet, Caffe's for the same, and plain 0 ... 1 of the whole picture."""


def preprocessing_of(name: str) -> Preprocessing:
    """The :class:`Preprocessing` of a name, such as ``imagenet``, or of a name with numbers of one's own behind it, such as
    ``imagenet,scale=1,mean=104/117/123``; the empty name means ``imagenet``.

    Raises
    ------
    ImageError
        If there is no such preparation.
    """
    base, *changes = (name or "imagenet").split(",")
    if base not in PREPROCESSINGS:
        raise ImageError(f"unknown preprocessing {base!r}; there are {', '.join(PREPROCESSINGS)}")
    return replace(PREPROCESSINGS[base], **dict(_change(change) for change in changes))


def _change(change: str) -> tuple[str, Any]:
    """Field of a :class:`Preprocessing` and its value, of ``scale=NUMBER``, ``mean=NUMBERS`` or ``std=NUMBERS``."""
    field, _, text = change.partition("=")
    try:
        numbers = tuple(float(number) for number in text.split("/"))
    except ValueError:
        numbers = ()
    if field == "scale" and len(numbers) == 1 and numbers[0] > 0:
        return field, numbers[0]
    if field in ("mean", "std") and len(numbers) in (1, 3) and (field == "mean" or min(numbers) > 0):
        return field, numbers * (3 // len(numbers))
    raise ImageError(f"preprocessing: {field} takes {'a number' if field == 'scale' else 'one or three numbers'}"
                     f"{'' if field == 'mean' else ' above 0'}, not {text!r}")  # fmt: skip


def changed(name: str, **changes: str | None) -> str:
    """The name of a preparation with other numbers: ``mean``, ``std`` or ``scale``, of one or three numbers with commas between them.

    Raises
    ------
    ImageError
        If these are no such numbers.
    """
    found = [name or "imagenet", *(f"{field}={text.replace(',', '/')}" for field, text in changes.items() if text is not None)]
    preprocessing_of(",".join(found))
    return ",".join(found) if len(found) > 1 else name


def _check_pixels(path: str | Path, size: tuple[int, int], what: str) -> None:
    if size[0] * size[1] > MOST_PIXELS:
        raise ImageError(f"{path}: {what} {size[0]} x {size[1]} pixels, {MOST_PIXELS:,} are accepted")


def _resized(size: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """Width and height to which a picture is resized whose middle is used, for inputs of ``height`` lines and ``width`` columns."""
    # For inputs of other sizes the border that is cut off keeps its share of 224 in 256.
    short = SHORT_SIDE if 224 <= max(height, width) <= SHORT_SIDE else round(max(height, width) * SHORT_SIDE / 224)
    ratio = short / min(size)
    return max(short, round(size[0] * ratio)), max(short, round(size[1] * ratio))


def _open(path: str | Path, mode: str, shape: Shape, crop: bool) -> Image.Image:
    """The picture's pixels, unless they, or those that it is resized to, are too many: that is known before it is decoded."""
    try:
        with Image.open(path) as image:
            _check_pixels(path, image.size, "has")
            if crop:
                what = f"is {image.width} x {image.height} pixels and would have to be resized to"
                _check_pixels(path, _resized(image.size, *shape[1:]), what)
            return image.convert(mode)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{path}: is no picture") from None
    except MemoryError:
        raise
    except Exception as error:  # every format has a decoder of its own, with errors of its own
        raise ImageError(f"{path}: cannot be read as a picture: {getattr(error, 'strerror', None) or first_line(error)}") from None


def load(path: str | Path, shape: Shape, preprocessing: str | Preprocessing = "imagenet") -> np.ndarray:
    """A picture as float32 (C, H, W).

    Parameters
    ----------
    path : path
    shape : (int, int, int)
        Channels (1 or 3), height and width of the network's input.
    preprocessing : str or Preprocessing

    Raises
    ------
    ImageError
        If the file is no picture, or the network's input is none.
    """
    prepare = preprocessing if isinstance(preprocessing, Preprocessing) else preprocessing_of(preprocessing)
    channels, height, width = shape
    if channels not in (1, 3):
        raise ImageError(f"{path}: a picture has 1 or 3 channels, but the network's input has {channels}")
    image = _open(path, "L" if channels == 1 else "RGB", shape, prepare.crop)
    if prepare.crop:
        size = _resized(image.size, height, width)
        image = image.resize(size, Image.Resampling.BILINEAR)
        left, top = (size[0] - width) // 2, (size[1] - height) // 2
        image = image.crop((left, top, left + width, top + height))
    else:
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32).reshape(height, width, channels).transpose(2, 0, 1)
    return normalise(pixels, prepare)


def normalise(pixels: np.ndarray, prepare: Preprocessing) -> np.ndarray:
    """Pixels 0 ... 255, (C, H, W) in RGB order or grey, as the float32 input that ``prepare`` describes."""
    channels = pixels.shape[0]
    if channels == 3 and prepare.order == "BGR":
        pixels = pixels[::-1]
    mean, std = (np.array(value[:channels], np.float32)[:, None, None] for value in (prepare.mean, prepare.std))
    return np.ascontiguousarray((pixels / np.float32(prepare.scale) - mean) / std, np.float32)


def list_images(folder: str | Path) -> list[Path]:
    """Paths of the pictures in a folder (not in folders below), sorted by name.

    Raises
    ------
    ImageError
        If it is no folder or holds no pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder}: is no folder of pictures")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise ImageError(f"{folder}: holds no pictures ({', '.join(SUFFIXES)})")
    return paths


def load_folder(folder: str | Path, shape: Shape, preprocessing: str | Preprocessing = "imagenet",
                limit: int | None = None) -> list[np.ndarray]:
    """Pictures of a folder as a list of float32 (C, H, W); with ``limit``, that many spread evenly over the folder."""
    paths = list_images(folder)
    if limit and len(paths) > limit:
        paths = [paths[index * len(paths) // limit] for index in range(limit)]
    return [load(path, shape, preprocessing) for path in paths]


def read_labels(path: str | Path) -> list[tuple[str, int]]:
    """``[(file name, class)]`` of a CSV with the columns ``file`` and ``index``.

    Raises
    ------
    ImageError
        If the file cannot be read or is no such table.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
        return [(row["file"], int(row["index"])) for row in rows]
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error):
        raise ImageError(f"{path}: must be a CSV with the columns file and index (a whole number)") from None
