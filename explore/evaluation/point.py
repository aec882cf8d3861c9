"""Points: from the values of a space's parameters to what is known at once, to jobs, and from their outcomes to a row."""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from squeezelerator.common.errors import UserError
from squeezelerator.explore.evaluation.area import area
from squeezelerator.explore.evaluation.compose import Recipe, Recipes, combined
from squeezelerator.explore.evaluation.job import Job, Outcome
from squeezelerator.explore.space.axes import SpaceError, Value
from squeezelerator.explore.space.families import FAMILIES
from squeezelerator.explore.space.memories import memory_from
from squeezelerator.explore.space.space import Space
from squeezelerator.models.sources import load_table
from squeezelerator.spec.energy import energy
from squeezelerator.spec.events import DRAM_WORDS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.network.layer_table import LayerTable

__all__ = ["METRICS", "Point", "Points", "Row"]

#: What a row says about a point that did not fail, in the order of its columns.
METRICS = ("cycles", "energy", "edp", "dram_words", "instructions", "parameters", "macs", "luts", "flip_flops", "multipliers", "block_rams")


@dataclass(frozen=True)
class Row:
    """A point and what it costs.

    Parameters
    ----------
    number : int
        Of the point in its space.
    values : mapping
        {parameter with section: value}.
    metrics : mapping
        {metric of ``METRICS``: number}; for a point that failed, what was known before.
    reason : str
        Why it failed; empty if it did not.
    """

    number: int
    values: Mapping[str, Value]
    metrics: Mapping[str, float]
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether there are figures."""
        return not self.reason


@dataclass(frozen=True)
class Point:
    """A point before its jobs are done.

    Parameters
    ----------
    number, values
        As in :class:`Row`.
    job : Job or None
        The whole network's job; None if it has no network or no machine.
    recipe : Recipe
        The jobs that it needs; empty if it failed already.
    known : dict of str to float
        Parameters, MACs, area.
    reason : str
        Why there are no jobs.
    """

    number: int
    values: Mapping[str, Value]
    job: Job | None
    recipe: Recipe
    known: Mapping[str, float]
    reason: str = ""


def _section(values: Mapping[str, Value], section: str) -> dict[str, Any]:
    prefix = f"{section}."
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}


class Points:
    """The points of a space.

    Parameters
    ----------
    space : Space
    costs : mapping
        Energy costs of events.
    usual_costs : bool
        Whether these are the project's own.
    """

    def __init__(self, space: Space, costs: Mapping[str, float], usual_costs: bool = True) -> None:
        self.space, self.costs = space, costs
        self._job_costs = () if usual_costs else tuple(sorted(costs.items()))
        self._recipes = Recipes()
        self._last_network: tuple[object, LayerTable | None, str] = None, None, ""
        self._machine = functools.lru_cache(maxsize=256)(lambda items: MachineConfig(**dict(items)))
        self._digest = functools.lru_cache(maxsize=256)(_digest)

    # -- before -----------------------------------------------------------------------------------------------

    def allowed(self, number: int) -> Point | None:
        """The point with a number, None if it does not satisfy the constraints; one that cannot even be built does not where they ask for
        what is not known of it."""
        values = self.space.values(number)
        # Those that ask for parameters alone come first: most points of a restricted run need not be built.
        if not all(one.holds(values) for one in self.space.constraints if one.used <= values.keys()):
            return None
        point = self.point(number)
        values = {**point.values, **point.known}
        return point if all(one.used <= values.keys() and one.holds(values) for one in self.space.constraints) else None

    def point(self, number: int) -> Point:
        """The point with a number, whatever the constraints say."""
        values = self.space.values(number)
        try:
            table, digest = self._network(_section(values, "network"))
            cfg = self._machine(tuple(_section(values, "machine").items()))
        except UserError as error:
            return Point(number, values, None, (), {}, str(error))
        known = {"parameters": table.params, "macs": table.macs, **asdict(area(cfg))}
        job, choices = self._job(values, table, digest, cfg), _section(values, "compile")
        return Point(number, values, job, self._recipes.recipe(job, choices["context"], choices["step"]), known)

    def _network(self, values: Mapping[str, Any]) -> tuple[LayerTable, str]:
        """(table, digest of the file that it comes from); of neighbouring points it is the same object."""
        key = tuple(values.items())
        if self._last_network[0] != key:
            family, table, digest = FAMILIES[self.space.family], None, ""
            if family.build is not None:
                table = family.build(values)
            else:
                path = str(self._path(values["file"]))
                table, digest = load_table(path), self._digest(path)
            self._last_network = key, table, digest
        table = self._last_network[1]
        assert table is not None
        return table, self._last_network[2]

    def _path(self, name: str) -> Path:
        return self.space.folder / name

    def _job(self, values: Mapping[str, Value], table: LayerTable, digest: str, cfg: MachineConfig) -> Job:
        network, choices = _section(values, "network"), _section(values, "compile")
        own = {} if digest else {"sparsity": float(network["sparsity"]), "seed": network["seed"]}
        return Job(
            table=None if digest else table, file=str(self._path(network["file"]).resolve()) if digest else "", digest=digest, cfg=cfg,
            memory=memory_from(_section(values, "memory")),
            dataflow=choices["dataflow"], objective=choices["objective"], effort=choices["effort"],  # pyright: ignore[reportArgumentType] - checked when the space was read
            costs=self._job_costs if choices["objective"] != "cycles" else (), **own)  # fmt: skip

    # -- afterwards -------------------------------------------------------------------------------------------

    def row(self, point: Point, outcomes: Mapping[str, Outcome]) -> Row:
        """The row of a point, from the outcomes of its jobs, {key: outcome}."""
        if point.reason:
            return Row(point.number, point.values, point.known, point.reason)
        outcome = combined(point.recipe, outcomes)
        if outcome.reason:
            return Row(point.number, point.values, point.known, outcome.reason)
        return Row(point.number, point.values, {**self.metrics(outcome), **point.known})

    def metrics(self, outcome: Outcome) -> dict[str, float]:
        """Cycles, energy (units of one MAC), their product, DRAM words and instructions of an outcome."""
        used, cycles = round(energy(outcome.counters, self.costs)), outcome.counters["cycles"]
        words = sum(outcome.counters.get(name, 0) for name in DRAM_WORDS)
        return {"cycles": cycles, "energy": used, "edp": float(used) * cycles, "dram_words": words, "instructions": outcome.instructions}


def _digest(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise SpaceError(f"cannot read {path}: {error.strerror}") from None
