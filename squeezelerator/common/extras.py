"""Packages that only some commands need: where one is missing, one line names the extra that brings it."""

import importlib
from types import ModuleType

from squeezelerator.common.errors import UserError

__all__ = ["MissingExtra", "require"]


class MissingExtra(UserError, ImportError):
    """An optional package is not installed."""


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``.

    Raises
    ------
    MissingExtra
        If its package is not installed; ``extra`` is the part of ``pyproject.toml`` that lists it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there and itself misses something
        raise MissingExtra(f"{module.split('.')[0]} is not installed; pip install 'squeezelerator[{extra}]' brings it") from None
