"""Every network by name."""

from functools import cache

from models.squeezenext import squeezenext
from models.tiny import TINY


class UnknownNetwork(ValueError):
    """No network has this name; the message says which exist."""


_BUILDERS = {
    "sqnxt23": lambda: squeezenext("sqnxt23", (6, 6, 8, 1)),
    "sqnxt23v5": lambda: squeezenext("sqnxt23v5", (2, 4, 14, 1), conv1_kernel=5, shortcut_feeds_block=True),
} | {name: lambda build=build: build().table() for name, build in TINY.items()}

_ALIASES = {"1.0-SqNxt-23v5": "sqnxt23v5"}


def names():
    """Names of all networks, aliases left out."""
    return tuple(_BUILDERS)


def canonical(name):
    """The project's name of a network that may be given by the name that a paper uses.

    Raises
    ------
    UnknownNetwork
        If there is no such network.
    """
    known = {key.lower(): key for key in _BUILDERS} | {key.lower(): value for key, value in _ALIASES.items()}
    try:
        return known[name.lower()]
    except KeyError:
        raise UnknownNetwork(f"unknown network {name!r}; there are {', '.join(_BUILDERS)}") from None


@cache
def _build(name):
    return _BUILDERS[name]()


def get(name):
    """The :class:`~models.layer_table.LayerTable` of a network, by its name or a paper's name for it."""
    return _build(canonical(name))
