"""Arrays from ``.npy`` and ``.npz`` files."""

from pathlib import Path

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.common.reading import first_line, read_npy, read_npz_members, reading

SUFFIXES = (".npy", ".npz")


class ArrayError(UserError, ValueError):
    """A file that holds no usable arrays; the message is one line that names it."""


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name, or the one of a ``.npy`` file under the empty name.

    Raises
    ------
    ArrayError
        If the file cannot be read or holds other things than real numbers.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file, reading(path, "file of arrays", ArrayError):
            # Which of the two it is the file says, whatever it is called.
            one = file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX
            file.seek(0)
            arrays = {"": read_npy(file, path.stat().st_size)} if one else read_npz_members(file)
    except OSError as error:
        raise ArrayError(f"cannot read {path}: {error.strerror or first_line(error)}") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ArrayError(f"{path}: {f'{name} ' if name else ''}must hold real numbers, not {array.dtype}")
    return arrays
