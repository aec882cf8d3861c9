"""Every network by name."""

from pathlib import Path

from squeezelerator.common.errors import UserError
from squeezelerator.models.networks import digits, peers, squeezenet, squeezenext
from squeezelerator.models.networks.network import Network
from squeezelerator.models.networks.tiny import TINY
from squeezelerator.models.tables.csv_file import read_csv
from squeezelerator.spec.network.layer_table import LayerTable


class UnknownNetwork(UserError, ValueError):
    """No network has this name; the message says which exist."""


_NETWORKS = {
    network.name: network
    for network in (
        *squeezenext.NETWORKS,
        *squeezenet.NETWORKS,
        *peers.NETWORKS,
        digits.NETWORK,
        *(
            Network(name=name, build=lambda build=build: build().table(), test_only=True)
            for name, build in TINY.items()
        ),
    )
}


def _folded(name: str) -> str:
    """A name without the differences that papers make between its spellings."""
    return "".join(mark for mark in name.lower() if mark not in " -_")


_KNOWN = {
    _folded(alias): network.name
    for network in _NETWORKS.values()
    for alias in (network.name, network.title, *network.aliases)
    if alias
}


def names(*, test_only: bool | None = None) -> tuple[str, ...]:
    """Names of all networks, aliases left out; ``test_only`` selects those that exist for tests, or the others."""
    return tuple(network.name for network in _NETWORKS.values() if test_only in (None, network.test_only))


def network(name: str) -> Network:
    """The :class:`~models.networks.network.Network` of a name, or of a paper's name for it.

    Raises
    ------
    UnknownNetwork
        If there is no such network.
    """
    try:
        return _NETWORKS[_KNOWN[_folded(name)]]
    except KeyError:
        raise UnknownNetwork(f"unknown network {name!r}; there are {', '.join(_NETWORKS)}") from None


def canonical(name: str) -> str:
    """The project's name of a network that may be given by the name that a paper uses."""
    return network(name).name


def get(name: str) -> LayerTable:
    """The :class:`~spec.network.layer_table.LayerTable` of a network, by its name or a paper's name for it."""
    return network(name).table


def load(name_or_path: str | Path) -> LayerTable:
    """The table of a network's name, or of a layer table's file (whose name ends in ``.csv``)."""
    return read_csv(name_or_path) if str(name_or_path).lower().endswith(".csv") else get(str(name_or_path))
