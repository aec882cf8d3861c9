"""Writes output whole or not at all."""

import sys
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


def write_stdout(data: bytes) -> None:
    """Write ``data`` to standard output, all of it.

    Raises
    ------
    OSError
        If that is impossible; the command's decorator takes back what was written to a file.
    """
    rest = memoryview(data)
    # Where Python runs without buffers (PYTHONUNBUFFERED) a write may take a part and say nothing.
    while rest:
        rest = rest[sys.stdout.buffer.write(rest) :]
    sys.stdout.buffer.flush()
