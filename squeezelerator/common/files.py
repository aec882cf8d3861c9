"""Files that are there whole or not at all."""

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def write_whole(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file whole or not at all; whatever was at ``path`` stays until the new file is complete.

    Parameters
    ----------
    path : path
        In a folder that exists. A device or a pipe is written to as it is.
    write : callable
        Is given the open binary file.

    Raises
    ------
    OSError
        With ``path`` as its ``filename``.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            with open(path, "wb") as file:  # a directory refuses by itself
                write(file)
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None


def check_writable(path: str | Path) -> None:
    """Raise OSError unless a file can be written at ``path``: long work should not end with that news."""
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))


def check_folder(path: str | Path) -> None:
    """Raise OSError unless ``path`` is a folder that can be written to, or one that could be made."""
    folder = Path(path)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
