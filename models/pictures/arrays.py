"""Arrays from ``.npy`` and ``.npz`` files."""

import zipfile
from pathlib import Path

import numpy as np

from squeezelerator.common.errors import UserError

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
    try:
        with open(path, "rb") as file:
            found = np.load(file, allow_pickle=False)
            arrays = {"": found} if isinstance(found, np.ndarray) else {key: found[key] for key in found.files}
    except OSError as error:
        raise ArrayError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ArrayError(f"cannot read {path}: {str(error).splitlines()[0]}") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise ArrayError(f"{path}: {f'{name} ' if name else ''}must hold real numbers, not {array.dtype}")
    return arrays
