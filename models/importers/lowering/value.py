"""Values of a foreign graph: which elements of which layers' outputs an array of the graph consists of.

Reshapes, transpositions, slices and padding move elements and compute nothing. They are kept as an index: for each element of the array
that the graph sees, the element of the physical map (C, H, W) that it is. What reads such an array finds out whether it is a map whose
channels, lines and columns the hardware can read (:func:`analyse`).
"""

from dataclasses import dataclass, replace

import numpy as np

NO_PAD = (0, 0, 0, 0)
PADDING = -1
"""Index of an element that is no element of the map, but padding."""


@dataclass(frozen=True, eq=False)
class Value:
    """An array within the graph.

    Parameters
    ----------
    sources : tuple of str
        The layers whose outputs, concatenated along the channels, are the physical map.
    shape : (int, int, int)
        Channels, height, width of the physical map.
    dims : tuple of int
        Shape as the graph sees it, with a batch of 1.
    index : int ndarray of shape ``dims``, or None
        Elements of the flat physical map; ``None``: all of them in order.
    fill : float
        Value of elements whose index is ``PADDING``.
    host : tuple
        What the host does with it afterwards (see :mod:`models.arithmetic.ports`): nothing else may follow.
    """

    sources: tuple[str, ...]
    shape: tuple[int, int, int]
    dims: tuple[int, ...]
    index: np.ndarray | None = None
    fill: float = 0.0
    host: tuple[tuple, ...] = ()

    @property
    def size(self) -> int:
        """Number of elements of the physical map."""
        return int(np.prod(self.shape))

    @property
    def elements(self) -> np.ndarray:
        """The index, also where it is left out."""
        return np.arange(self.size, dtype=np.int32).reshape(self.dims) if self.index is None else self.index

    @property
    def padded(self) -> bool:
        """Whether some elements are padding."""
        return self.index is not None and bool((self.index < 0).any())

    @property
    def map_dims(self) -> tuple[int, int, int] | None:
        """Channels, height and width if the array is read as a map, a signal or a vector; ``None`` if it cannot be."""
        if not 2 <= len(self.dims) <= 4 or self.dims[0] != 1:
            return None
        return {2: (*self.dims[1:], 1, 1), 3: (self.dims[1], 1, *self.dims[2:]), 4: self.dims[1:]}[len(self.dims)]

    def with_elements(self, elements: np.ndarray, fill: float | None = None) -> "Value":
        """The same physical map with another index."""
        fill = self.fill if fill is None else fill
        ordered = elements.size == self.size and bool((elements.reshape(-1) == np.arange(self.size)).all())
        return replace(self, dims=tuple(elements.shape), index=None if ordered else elements, fill=fill)

    def reshaped(self, dims: tuple[int, ...]) -> "Value":
        """The same elements in the same order under another shape of as many elements."""
        return replace(self, dims=tuple(dims), index=None if self.index is None else self.index.reshape(dims))


@dataclass(frozen=True, eq=False)
class Selection:
    """What a map takes from a physical one: ``channels`` (an index for each, ``PADDING`` for zeros), first line, distance and number of
    lines, the same of columns, and the padding (left, top, right, bottom) around it."""

    channels: np.ndarray
    lines: tuple[int, int, int]
    columns: tuple[int, int, int]
    pad: tuple[int, int, int, int]

    def whole(self, shape: tuple[int, int, int]) -> bool:
        """Whether all lines and columns are taken."""
        return self.lines == (0, 1, shape[1]) and self.columns == (0, 1, shape[2])

    def all_channels(self, shape: tuple[int, int, int]) -> bool:
        """Whether all channels are taken in order."""
        return len(self.channels) == shape[0] and bool((self.channels == np.arange(shape[0])).all())


def _progression(places: np.ndarray) -> tuple[int, int, int] | None:
    steps = set(np.diff(places).tolist())
    if len(steps) > 1 or (steps and min(steps) < 1):
        return None
    return int(places[0]), steps.pop() if steps else 1, len(places)


def analyse(value: Value) -> Selection | None:
    """The :class:`Selection` that a value is, read as (C, H, W); ``None`` if it is none."""
    dims, (channels, height, width) = value.map_dims, value.shape
    if dims is None:
        return None
    if value.index is None and dims == value.shape:
        return Selection(np.arange(channels), (0, 1, height), (0, 1, width), NO_PAD)
    elements = value.elements.reshape(dims)
    inside = elements >= 0
    lines, columns = (np.flatnonzero(inside.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(lines):
        return None
    pad = (int(columns[0]), int(lines[0]), int(dims[2] - 1 - columns[-1]), int(dims[1] - 1 - lines[-1]))
    core = elements[:, lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1]
    used = inside.any(axis=(1, 2))
    first = core[int(np.argmax(used))]
    rows, places = first[:, 0] % (height * width) // width, first[0] % width
    chosen = np.where(used, core[:, 0, 0] // (height * width), PADDING)
    expected = chosen[used][:, None, None] * (height * width) + rows[None, :, None] * width + places
    if expected.shape != core[used].shape or not (expected == core[used]).all():
        return None
    taken_lines, taken_columns = _progression(rows), _progression(places)
    if taken_lines is None or taken_columns is None:
        return None
    return Selection(chosen, taken_lines, taken_columns, pad)
