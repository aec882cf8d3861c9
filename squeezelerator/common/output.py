"""Writes files whole or not at all."""

from pathlib import Path

from squeezelerator.common.command_line import OptionError
from squeezelerator.common.files import write_whole


def write_file(path: str | Path, data: bytes) -> None:
    """Write ``data`` (bytes) to ``path``, whole or not at all.

    Raises
    ------
    OptionError
        If that is impossible.
    """
    try:
        write_whole(path, lambda file: file.write(data))
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror}") from None
