"""The space file: what is explored, for what, and how it is searched.

A TOML file with the sections ``network`` (a family and its parameters), ``machine``, ``memory``, ``compile`` and ``search``, and at its top
``objectives`` and ``constraints``. Every parameter of the first four is an axis: a value, a list, or a range. ``[[mark]]`` names points
that the report ranks among the others.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from squeezelerator.compiler.compile_options import DataflowChoice, Effort, Objective
from squeezelerator.explore.space.axes import FLOAT, INT, WORD, Axis, Kind, SpaceError, Value, axis
from squeezelerator.explore.space.constraints import Constraint
from squeezelerator.explore.space.families import FAMILIES, Parameter
from squeezelerator.explore.space.memories import MEMORY_PARAMETERS, check_memories
from squeezelerator.spec.machine import MachineConfig

__all__ = ["COMPOSED", "KNOWN_BEFORE", "METHODS", "OBJECTIVES", "SAMPLERS", "Mark", "Search", "Space", "read_space"]

#: Effort of which the network is no whole: parts of it are compiled with normal effort and added up (``explore.evaluation.compose``).
COMPOSED = "composed"
#: What a point can be judged by; less is better in each.
OBJECTIVES = ("cycles", "energy", "edp", "dram_words", "parameters", "macs", "luts", "flip_flops", "multipliers", "block_rams")
#: What is known of a point before it is compiled: constraints may use it.
KNOWN_BEFORE = ("parameters", "macs", "luts", "flip_flops", "multipliers", "block_rams")
METHODS = ("all", "random", "optuna")
SAMPLERS = ("nsga2", "nsga3", "tpe", "random")

_MACHINE = {item.name: Parameter(FLOAT if item.name == "buffer_kib" else INT) for item in fields(MachineConfig)}
_COMPILE = {"effort": Parameter(WORD, Effort.NORMAL.value), "dataflow": Parameter(WORD, DataflowChoice.AUTO.value),
            "objective": Parameter(WORD, Objective.CYCLES.value), "context": Parameter(INT, 1), "step": Parameter(INT, 3)}  # fmt: skip
_WORDS = {"compile.effort": (*Effort, COMPOSED), "compile.dataflow": tuple(DataflowChoice), "compile.objective": tuple(Objective)}
_AT_LEAST_ONE = ("compile.context", "compile.step")
_SECTIONS = ("network", "machine", "memory", "compile", "search", "objectives", "constraints", "mark", "title")


@dataclass(frozen=True)
class Search:
    """How points are chosen: ``method`` of ``METHODS``; ``points`` of them at most (but for all), ``seed`` of the choice, and with Optuna
    its ``sampler`` and how many points it chooses at a time (``batch``)."""

    method: str = "all"
    points: int = 100
    seed: int = 0
    sampler: str = "nsga2"
    batch: int = 20


@dataclass(frozen=True)
class Mark:
    """A point that the report names: the values of some parameters, {name with section: value}."""

    name: str
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Space:
    """A space: its points are numbered from 0, the last axis changing fastest.

    Parameters
    ----------
    title, family : str
    axes : tuple of Axis
        Of every parameter, also those with one value.
    objectives : tuple of str
        Of ``OBJECTIVES``.
    constraints : tuple of Constraint
    search : Search
    marks : tuple of Mark
    folder : Path
        Where the file lies: names of files in it are relative to that.
    """

    title: str
    family: str
    axes: tuple[Axis, ...]
    objectives: tuple[str, ...]
    constraints: tuple[Constraint, ...] = ()
    search: Search = Search()
    marks: tuple[Mark, ...] = ()
    folder: Path = field(default=Path(), compare=False)

    @property
    def size(self) -> int:
        """Number of points, those that a constraint rules out included."""
        return math.prod(len(one.values) for one in self.axes)

    @property
    def varied(self) -> tuple[Axis, ...]:
        """The axes with more than one value."""
        return tuple(one for one in self.axes if len(one.values) > 1)

    def values(self, number: int) -> dict[str, Value]:
        """The values of point ``number``, {name with section: value}."""
        found: dict[str, Value] = {}
        for one in reversed(self.axes):
            number, place = divmod(number, len(one.values))
            found[one.name] = one.values[place]
        return dict(reversed(found.items()))

    def number(self, places: Mapping[str, int]) -> int:
        """The number of the point with the values at ``places`` of the axes that vary."""
        found = 0
        for one in self.axes:
            found = found * len(one.values) + places.get(one.name, 0)
        return found


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name, {})
    if not isinstance(found, dict):
        raise SpaceError(f"{name} must be a section [{name}], not {found!r}")
    return found


def _axes(section: str, given: Mapping[str, Any], parameters: Mapping[str, Parameter]) -> list[Axis]:
    """The axes of a section; a parameter of machine or memory that is not named has no axis: its
    default may depend on others."""
    unknown = sorted(given.keys() - parameters.keys())
    if unknown:
        raise SpaceError(f"[{section}] has no parameter {unknown[0]!r}; there are {', '.join(parameters)}")
    found = []
    for name, parameter in parameters.items():
        if name in given:
            found.append(axis(f"{section}.{name}", given[name], parameter.kind))
        elif parameter.default is not None:
            found.append(Axis(f"{section}.{name}", (parameter.default,)))
        elif section == "network":
            raise SpaceError(f"[network] must name {name!r}")
    return found


def _words(axes: list[Axis]) -> None:
    for one in axes:
        allowed = _WORDS.get(one.name)
        for value in one.values:
            if allowed is not None and value not in allowed:
                raise SpaceError(f"{one.name} must be one of {', '.join(allowed)}, not {value!r}")
            if one.name in _AT_LEAST_ONE and not (type(value) is int and value >= 1):
                raise SpaceError(f"{one.name} must be at least 1, not {value!r}")


def _objectives(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not given:
        raise SpaceError(f"objectives must be a list of {', '.join(OBJECTIVES)}, not {given!r}")
    for name in given:
        if name not in OBJECTIVES:
            raise SpaceError(f"objectives: {name!r} is none of {', '.join(OBJECTIVES)}")
    return tuple(dict.fromkeys(given))


def _search(given: Mapping[str, Any]) -> Search:
    kinds: dict[str, Kind] = {"method": WORD, "points": INT, "seed": INT, "sampler": WORD, "batch": INT}
    unknown = sorted(given.keys() - kinds.keys())
    if unknown:
        raise SpaceError(f"[search] has no parameter {unknown[0]!r}; there are {', '.join(kinds)}")
    for name, value in given.items():
        if kinds[name].read(value) is None or (name in ("points", "batch") and value < 1) or (name == "seed" and value < 0):
            raise SpaceError(f"search.{name} takes {kinds[name].name}{' above 0' if name in ('points', 'batch') else ''}, not {value!r}")
    search = Search(**given)
    for name, allowed in (("method", METHODS), ("sampler", SAMPLERS)):
        if getattr(search, name) not in allowed:
            raise SpaceError(f"search.{name} must be one of {', '.join(allowed)}, not {getattr(search, name)!r}")
    return search


def _mark(given: object, axes: Mapping[str, Axis]) -> Mark:
    """A mark of the file: ``name``, and sections with the values of parameters that vary."""
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise SpaceError("[[mark]] needs a name")
    values: dict[str, Value] = {}
    for section, table in given.items():
        if section == "name":
            continue
        for name, value in (table if isinstance(table, dict) else {"": table}).items():
            full = f"{section}.{name}"
            found = tuple(value) if isinstance(value, list) else value
            if full not in axes:
                raise SpaceError(f"mark {given['name']!r}: {full} is no parameter of this space")
            if found not in axes[full].values:
                raise SpaceError(f"mark {given['name']!r}: {value!r} is no value of {full}")
            values[full] = found
    return Mark(given["name"], values)


def space_of(data: Mapping[str, Any], title: str, folder: Path) -> Space:
    """The :class:`Space` of a file's contents; raises SpaceError."""
    unknown = sorted(data.keys() - set(_SECTIONS))
    if unknown:
        raise SpaceError(f"unknown {unknown[0]!r}; a space has {', '.join(_SECTIONS)}")
    network = dict(_table(data, "network"))
    family = network.pop("family", None)
    if family not in FAMILIES:
        raise SpaceError(f"network.family must be one of {', '.join(FAMILIES)}, not {family!r}")
    axes = [
        *_axes("network", network, FAMILIES[family].parameters), *_axes("machine", _table(data, "machine"), _MACHINE),
        *_axes("memory", _table(data, "memory"), MEMORY_PARAMETERS), *_axes("compile", _table(data, "compile"), _COMPILE),
    ]  # fmt: skip
    _words(axes)
    check_memories(axes)
    if FAMILIES[family].build is None and any(COMPOSED in one.values for one in axes if one.name == "compile.effort"):
        raise SpaceError(f"compile.effort {COMPOSED} is for networks without weights of their own, not for family {family}")
    by_name = {one.name: one for one in axes}
    constraints, marks = data.get("constraints", []), data.get("mark", [])
    if not isinstance(constraints, list) or not isinstance(marks, list):
        raise SpaceError("constraints must be a list of expressions, and marks be written as [[mark]]")
    names = frozenset(by_name) | frozenset(KNOWN_BEFORE)
    return Space(
        title=str(data.get("title", title)), family=family, axes=tuple(axes),
        objectives=_objectives(data.get("objectives", ["cycles", "energy"])), constraints=tuple(Constraint(text, names) for text in
        constraints), search=_search(_table(data, "search")), marks=tuple(_mark(given, by_name) for given in marks), folder=folder)


def read_space(path: str | Path, where: Sequence[str] = ()) -> Space:
    """The space of a TOML file, with the constraints ``where`` beside its own.

    Raises
    ------
    SpaceError
        If it cannot be read or is no space; the message begins with the file's name.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        space = space_of(data, path.stem, path.parent)
        names = frozenset(one.name for one in space.axes) | frozenset(KNOWN_BEFORE)
        return replace(space, constraints=(*space.constraints, *(Constraint(text, names) for text in where)))
    except OSError as error:
        raise SpaceError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: is no TOML: {error}") from None
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
