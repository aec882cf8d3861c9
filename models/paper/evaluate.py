"""The 13 networks of table 3 on the paper's machine: times, energies, errors, and what each assumption does to them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from squeezelerator.models.networks import zoo
from squeezelerator.models.paper.assumptions import ALTERNATIVES, Alternative, Assumptions, machine
from squeezelerator.models.paper.energy import Accesses, accesses
from squeezelerator.models.paper.machine import OS, WS, LayerCost, network_costs
from squeezelerator.models.paper.published import CONFIGURATIONS, TABLE_3

TIME_LIMITS = (0.025, 0.07)
ENERGY_LIMITS = (0.06, 0.15)
"""Mean and largest error that the reproduction must meet."""


@dataclass(frozen=True)
class Result:
    """A network on one configuration of the paper's machine: its layers' costs and the sums of them."""

    network: str
    configuration: str
    costs: tuple[LayerCost, ...]
    accesses: Accesses
    cycles_ws: float
    cycles_os: float

    @property
    def cycles(self) -> float:
        """Total cycles, each layer in its faster dataflow."""
        return sum(cost.cycles for cost in self.costs)

    @property
    def energy(self) -> int:
        """In units of one MAC."""
        return self.accesses.energy


def evaluate(network: str, configuration: str, assumptions: Assumptions | None = None) -> Result:
    """The :class:`Result` of a network (by name) on ``8x8`` or ``16x16``."""
    config = machine(configuration, assumptions)
    table = zoo.get(network)
    costs = network_costs(table, config)
    total = sum((accesses(cost, config) for cost in costs), Accesses())
    forced = (sum(cost.cycles for cost in network_costs(table, config, dataflow)) for dataflow in (WS, OS))
    return Result(network, configuration, costs, total, *forced)


@dataclass(frozen=True)
class Evaluation:
    """Table 3 under some assumptions."""

    assumptions: Assumptions = field(default_factory=Assumptions)

    @cached_property
    def results(self) -> dict[tuple[str, str], Result]:
        """:class:`Result` by (network, configuration)."""
        return {
            (row.network, configuration): evaluate(row.network, configuration, self.assumptions)
            for row in TABLE_3
            for configuration in CONFIGURATIONS
        }

    def time(self, network: str, configuration: str) -> float:
        """Cycles relative to the fastest network of the configuration."""
        fastest = min(result.cycles for key, result in self.results.items() if key[1] == configuration)
        return self.results[network, configuration].cycles / fastest

    def energy(self, network: str, configuration: str) -> int:
        """In units of one MAC."""
        return self.results[network, configuration].energy

    def errors(self, quantity: str) -> dict[tuple[str, str], float]:
        """Relative errors of ``time`` or ``energy`` against the published numbers, by (network, configuration)."""
        return {
            (row.network, configuration):
                getattr(self, quantity)(row.network, configuration) / getattr(row, quantity)[configuration] - 1
            for row in TABLE_3
            for configuration in CONFIGURATIONS
        }  # fmt: skip

    def summary(self, quantity: str) -> tuple[float, float]:
        """Mean and largest magnitude of the errors of ``time`` or ``energy``."""
        magnitudes = [abs(error) for error in self.errors(quantity).values()]
        return sum(magnitudes) / len(magnitudes), max(magnitudes)


def sensitivities() -> Iterator[tuple[Alternative, Any, tuple[float, float], tuple[float, float]]]:
    """``(Alternative, default value, time summary, energy summary)`` for every alternative assumption."""
    default = Assumptions()
    for alternative in ALTERNATIVES:
        evaluation = Evaluation(alternative.apply(default))
        yield alternative, getattr(default, alternative.field), evaluation.summary("time"), evaluation.summary("energy")
