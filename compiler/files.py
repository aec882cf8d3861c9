"""Writes files whole or not at all."""

import os
import tempfile
from pathlib import Path

from compiler.options import OptionError


def write_file(path, data):
    """Write ``data`` (bytes) to ``path``, whole or not at all.

    Raises
    ------
    OptionError
        If that is impossible.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # a device or a pipe; a directory refuses by itself
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror}") from None
