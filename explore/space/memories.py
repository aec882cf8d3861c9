"""The section ``memory`` of a space: memories by their names, and their latency."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from squeezelerator.common.errors import UserError
from squeezelerator.explore.space.axes import INT, WORD, Axis, SpaceError
from squeezelerator.explore.space.families import Parameter
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile, memory_of

__all__ = ["MEMORY_PARAMETERS", "check_memories", "memory_from"]

#: ``name`` as ``--memory`` of the compiler takes it; without ``latency`` the memory's own is used.
MEMORY_PARAMETERS = {"name": Parameter(WORD, REFERENCE.name), "latency": Parameter(INT)}


def memory_from(values: Mapping[str, Any]) -> DramProfile:
    """The memory of a point, from its values of the section; raises UnknownMemory."""
    memory = memory_of(values["name"])
    return replace(memory, latency=values["latency"]) if "latency" in values else memory


def check_memories(axes: Iterable[Axis]) -> None:
    """Raise SpaceError if a value of the section is none: not only at the point that has it."""
    for one in axes:
        section, name = one.name.split(".")
        for value in one.values if section == "memory" else ():
            try:
                memory_from({"name": REFERENCE.name, name: value})
            except UserError as error:
                raise SpaceError(f"{one.name}: {error}") from None
