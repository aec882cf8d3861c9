"""The form of a device's description: what synthesis, placement and routing have to know of it."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import NamedTuple

from squeezelerator.spec.machine import MachineConfig

__all__ = ["Device", "Family", "FloorPlan", "Place", "Resource"]


class Place(NamedTuple):
    """Cells whose names match ``pattern`` and that are of type ``cell`` lie at ``bel``, as nextpnr calls the places of a device."""

    pattern: str
    cell: str
    bel: str


class Resource(NamedTuple):
    """A kind of cell: its ``label`` in the printed table, its name ``cell`` in the report of place and route."""

    label: str
    cell: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """What devices of one architecture share.

    Parameters
    ----------
    synth : str
        The synthesis command of yosys, with its options.
    place_and_route : str
        The tool, as it is called in the Python environment.
    options : tuple of str
        Its options for placer and router.
    resources : tuple of Resource
        What is counted.
    block_ram : str
        The cell that is a block RAM with a read and a write port.
    block_ram_shapes : tuple of (int, int)
        Words and bits that one holds, in its useful shapes.
    cells : str
        Verilog of modules of the machine that are better made of the family's cells; they replace those of the same names.
    """

    synth: str
    place_and_route: str
    options: tuple[str, ...]
    resources: tuple[Resource, ...]
    block_ram: str
    block_ram_shapes: tuple[tuple[int, int], ...]
    cells: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloorPlan:
    """Fixed places for what takes most block RAMs and multipliers.

    Parameters
    ----------
    fits : whether there are places for a machine all of whose register files lie in block RAMs.
    places : what lies where.
    cells : Verilog of further modules to be replaced, where the plan makes that possible.
    crowded : share of the block RAMs from which on the plan is used: with fewer the placer finds good places itself.
    """

    fits: Callable[[MachineConfig], bool]
    places: Callable[[MachineConfig], Iterable[Place]]
    cells: str = ""
    crowded: float = 0.6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """An FPGA.

    Parameters
    ----------
    name : str
        As its manufacturer calls it.
    family : Family
    arguments : tuple of str
        Options of place and route that choose the device and its package.
    speeds : tuple of int
        Speed grades, slowest first.
    capacities : dict of str to int
        Cells of each kind in ``family.resources``.
    global_buffers : tuple of Place
        Where the buffers of global networks lie; left to the placer if empty.
    floor_plan : FloorPlan or None
        Where the rest lies; None: left to the placer.
    """

    name: str
    family: Family
    arguments: tuple[str, ...]
    speeds: tuple[int, ...]
    capacities: dict[str, int]
    global_buffers: tuple[Place, ...] = ()
    floor_plan: FloorPlan | None = None

    def __post_init__(self) -> None:
        wanted = {resource.cell for resource in self.family.resources}
        if set(self.capacities) != wanted:
            raise ValueError(f"{self.name}: capacities must be given for {', '.join(sorted(wanted))}, not for "
                             f"{', '.join(sorted(self.capacities)) or 'nothing'}")
        if not self.speeds:
            raise ValueError(f"{self.name}: at least one speed grade must be given, not {self.speeds!r}")

    @property
    def block_rams(self) -> int:
        """Block RAMs that it has."""
        return self.capacities[self.family.block_ram]
