"""Folders of labelled pictures for training.

``DIR/train/CLASS/*`` and ``DIR/val/CLASS/*``, or ``DIR/CLASS/*`` alone, of which a tenth is then kept for validation. Classes are numbered
in the order of their folders' names, by number where all are numbers.
"""


from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from squeezelerator.common.errors import UserError
from squeezelerator.models.pictures import images
from squeezelerator.spec.network.layer import Shape

_KEEP_IN_MEMORY = 20000
_VALIDATION_SHARE = 10
_BORDER = 7
"""Of so many pixels of an input, one is added for random crops: 32 to 224."""


class DataError(UserError, ValueError):
    """A folder that holds no labelled pictures; the message is one line that names it."""


def _class_folders(folder: Path) -> list[Path]:
    folders = [item for item in folder.iterdir() if item.is_dir()]
    if all(item.name.isdigit() for item in folders):
        return sorted(folders, key=lambda item: int(item.name))
    return sorted(folders, key=lambda item: item.name)


def _labelled(root: Path) -> tuple[list[tuple[Path, int]], list[str]]:
    """The pictures in the folders of ``root``, one a class, as (path, class), and the classes' names."""
    if not root.is_dir():
        raise DataError(f"{root}: is no folder; beside train there must be val")
    classes = _class_folders(root)
    pictures = []
    for number, item in enumerate(classes):
        try:
            pictures += [(path, number) for path in images.list_images(item)]
        except images.ImageError as error:
            raise DataError(str(error)) from None
    if not pictures:
        raise DataError(f"{root}: holds no folders of pictures, one a class")
    return pictures, [item.name for item in classes]


def find_pictures(folder: str | Path) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]], list[str]]:
    """``(train, validation, classes)``: lists of (path, class), and the classes' names.

    Raises
    ------
    DataError
        If the folder is none, a class has no pictures, or training and validation have different classes.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: is no folder")
    if not (folder / "train").is_dir():
        pictures, names = _labelled(folder)
        train = [item for index, item in enumerate(pictures) if index % _VALIDATION_SHARE]
        return train, pictures[::_VALIDATION_SHARE], names
    (train, names), (validation, others) = _labelled(folder / "train"), _labelled(folder / "val")
    if names != others:
        missing = sorted(set(names) ^ set(others))
        raise DataError(f"{folder}: train and val have different classes, such as {missing[0]}")
    return train, validation, names


class Pictures(Dataset):
    """Pictures as (float tensor (C, H, W), class).

    Parameters
    ----------
    items : list of (path, int)
    shape : (int, int, int)
        Of the network's input.
    preprocessing : str
        See :mod:`models.pictures.images`.
    shift : int
        Largest random displacement in pixels for training; 0 for none.
    flip : bool
        Whether half of the pictures are mirrored.
    seed : int
        Of the random displacements, together with the epoch (see :meth:`set_epoch`) and the picture's number.
    """

    def __init__(self, items: Sequence[tuple[Path, int]], shape: Shape, preprocessing: str, *,
                 shift: int = 0, flip: bool = False, seed: int = 0) -> None:
        self._items, self._shape, self._shift, self._flip, self._seed = items, tuple(shape), shift, flip, seed
        self._prepare = images.preprocessing_of(preprocessing)
        self._epoch = 0
        self._kept = {} if len(items) <= _KEEP_IN_MEMORY and np.prod(shape) <= 1 << 14 else None

    def __len__(self) -> int:
        return len(self._items)

    def set_epoch(self, epoch: int) -> None:
        """Draw other displacements: the same for the same epoch, so that a resumed training repeats nothing."""
        self._epoch = epoch

    def _pixels(self, index: int) -> np.ndarray:
        if self._kept is not None and index in self._kept:
            return self._kept[index]
        channels, height, width = self._shape
        border = self._shift if self._prepare.crop else 0
        x = images.load(self._items[index][0], (channels, height + 2 * border, width + 2 * border), self._prepare)
        if self._shift and not border:
            # Where the whole picture is used there is nothing around it; it is continued by its edge.
            x = np.pad(x, ((0, 0), (self._shift, self._shift), (self._shift, self._shift)), mode="edge")
        if self._kept is not None:
            self._kept[index] = x
        return x

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        x, label = self._pixels(index), self._items[index][1]
        _, height, width = self._shape
        if self._shift or self._flip:
            rng = np.random.default_rng([self._seed, self._epoch, index])
            top, left = rng.integers(0, 2 * self._shift + 1, 2)
            x = x[:, top : top + height, left : left + width]
            if self._flip and rng.integers(2):
                x = x[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(x)), label


def default_shift(shape: Shape) -> int:
    """Displacement for an input of this shape: 1 pixel for each 14 of its width, at least 1."""
    return max(1, shape[2] // (2 * _BORDER))


