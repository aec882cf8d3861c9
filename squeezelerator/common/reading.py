"""What all readers of a user's files share: one line for whatever a library throws, and budgets before anything is allocated.

A file can lie about its contents: an archive of a few megabytes unpacks to gigabytes, a header announces a shape that no memory holds. So
what a file announces is compared with a budget before it is read, and what slips through ends in one line all the same.
"""

import contextlib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from squeezelerator.common.errors import UserError

__all__ = ["MOST_BYTES", "MOST_MEMBERS", "NotNumbersError", "first_line", "read_npy", "read_npz_members", "reading"]

#: Bytes that a file of arrays may unpack to.
MOST_BYTES = 2 << 30
#: Arrays in one file.
MOST_MEMBERS = 100_000
#: Characters of a library's own words.
_MOST_TEXT = 300


class NotNumbersError(ValueError):
    """An array, called ``name`` in its archive, of something else than numbers."""

    def __init__(self, name: str = "") -> None:
        super().__init__(f"{name or 'its array'} holds Python objects")
        self.name = name


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or the name of its class; what is very long is cut, what cannot be printed is replaced."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    line = re.sub(r"[^\x20-\x7e\xa0-\uffff]", "?", lines[0])
    return line if len(line) <= _MOST_TEXT else line[:_MOST_TEXT] + " ..."


@contextlib.contextmanager
def reading(path: str | Path, what: str, error: type[UserError]) -> Iterator[None]:
    """For the time of a ``with`` block, whatever a library throws becomes ``error`` with one line that names the file.

    Parameters
    ----------
    path : path
    what : str
        What the file should be, with its article.
    error : type
        A class of :class:`UserError`.
    """
    try:
        yield
    except (UserError, ModuleNotFoundError):
        raise
    except MemoryError:
        raise error(f"{path}: needs more memory than there is") from None
    except RecursionError:
        raise error(f"{path}: is nested too deeply") from None
    except OSError as cause:
        raise error(f"{path}: cannot be read: {cause.strerror or first_line(cause)}") from None
    except Exception as cause:  # a library may throw anything at what it does not expect
        raise error(f"{path}: is no {what}, or a damaged one: {first_line(cause)}") from None


def _announced(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of the array that begins here, from its header alone."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise NotNumbersError
    return shape, dtype


def _size(shape: tuple[int, ...], dtype: np.dtype) -> int:
    size = dtype.itemsize
    for length in shape:
        if length < 0:
            raise ValueError(f"a shape of {shape}")
        size *= length
    return size


def read_npy(file: IO[bytes], available: int, limit: int = MOST_BYTES) -> np.ndarray:
    """One array in numpy's format from a file that can be searched.

    Parameters
    ----------
    file : binary file
        At the beginning of the array.
    available : int
        Bytes from there to the end.
    limit : int
        Bytes that the array may have.

    Raises
    ------
    ValueError
        If the header is damaged, or announces more than there is or more than the limit.
    """
    begin = file.tell()
    shape, dtype = _announced(file)
    size, behind = _size(shape, dtype), available - (file.tell() - begin)
    if size > limit:
        raise ValueError(f"its array takes {size:,} bytes, {limit:,} are accepted")
    if size > behind:
        raise ValueError(f"its header announces {size:,} bytes, and {behind:,} follow it")
    file.seek(begin)
    return np.lib.format.read_array(file, allow_pickle=False)


def read_npz_members(file: IO[bytes], limit: int = MOST_BYTES) -> dict[str, np.ndarray]:
    """The arrays of an open ``.npz`` file by name.

    Parameters
    ----------
    file : binary file
    limit : int
        Bytes to which all of them may unpack.

    Raises
    ------
    ValueError
        If there are too many, or they take more; the sizes in the archive's table are compared before anything is unpacked.
    zipfile.BadZipFile
        If it is no archive, or a damaged one.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) > MOST_MEMBERS:
            raise ValueError(f"it has {len(members):,} members, {MOST_MEMBERS:,} are accepted")
        total = sum(member.file_size for member in members)
        if total > limit:
            raise ValueError(f"its arrays take {total:,} bytes, {limit:,} are accepted")
        arrays = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            try:
                with archive.open(member) as part:
                    arrays[name] = read_npy(part, member.file_size, limit)
            except NotNumbersError:
                raise NotNumbersError(name) from None
        return arrays
