"""What a user can choose about a compilation, as one frozen object."""

import dataclasses
import enum
import math
from collections.abc import Mapping
from types import MappingProxyType

from squeezelerator.compiler.errors import CompileError
from squeezelerator.spec.energy import read_costs
from squeezelerator.spec.platform.memory import REFERENCE, DramProfile

__all__ = ["CompileOptions", "DataflowChoice", "Effort", "Objective"]


class DataflowChoice(enum.StrEnum):
    """The dataflow of all convolutions."""

    #: The better one for each convolution.
    AUTO = "auto"
    #: Output stationary.
    OS = "os"
    #: Weight stationary.
    WS = "ws"


class Objective(enum.StrEnum):
    """What the schedule is chosen for."""

    CYCLES = "cycles"
    #: Less energy, above all less DRAM traffic, even where that takes a little longer.
    ENERGY = "energy"
    #: Energy times cycles.
    EDP = "edp"


class Effort(enum.StrEnum):
    """How long the search for a schedule is."""

    NORMAL = "normal"
    #: A longer search, with the normal one's result among its candidates.
    HIGH = "high"


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompileOptions:
    """Choices of a compilation; words stand for their enums.

    Parameters
    ----------
    dataflow : DataflowChoice or str
    fusion : bool
        Whether groups of layers may run together, a band of lines at a time; False: layer by layer.
    objective : Objective or str
    effort : Effort or str
    memory : spec.platform.memory.DramProfile
        What is behind the machine's port; a good schedule for a fast memory may be a bad one for a slow memory.
    energy_weight : float or None
        Cycles that a unit of energy (a multiplication) counts as, for the objective energy; None: as ``compiler.tuning`` has it.
    max_cycles, max_words : int or None
        What the program may take at most, cycles by the exact cost model and DRAM words. For the objective energy nothing else counts
        then.
    front : bool
        Look for the programs between the fastest and the leanest, as the objective edp and bounds do.
    energy_costs : mapping
        {event: energy}, see :func:`spec.energy.read_costs`; what the objective energy counts with.

    Raises
    ------
    CompileError
        If a word is none of its enum's, or a number not above 0; one line.
    """

    dataflow: DataflowChoice = DataflowChoice.AUTO
    fusion: bool = True
    objective: Objective = Objective.CYCLES
    effort: Effort = Effort.NORMAL
    memory: DramProfile = REFERENCE
    energy_weight: float | None = None
    max_cycles: int | None = None
    max_words: int | None = None
    front: bool = False
    energy_costs: Mapping[str, float] = dataclasses.field(default_factory=read_costs)

    def __post_init__(self) -> None:
        for name, words in (("dataflow", DataflowChoice), ("objective", Objective), ("effort", Effort)):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, words(value))
            except ValueError:
                raise CompileError(f"{name} must be one of {', '.join(words)}, not {value!r}") from None
        for name in ("energy_weight", "max_cycles", "max_words"):
            number = getattr(self, name)
            if number is not None and not 0 < number < math.inf:
                raise CompileError(f"{name} must be a number above 0, not {number!r}")
        if self.energy_weight is not None and self.objective is not Objective.ENERGY:
            raise CompileError(f"energy_weight is for the objective energy, not {self.objective}")
        object.__setattr__(self, "energy_costs", MappingProxyType(dict(self.energy_costs)))

    @property
    def trades(self) -> bool:
        """Whether programs between the fastest and the leanest are looked for."""
        return self.front or self.objective is Objective.EDP or self.max_cycles is not None or self.max_words is not None

    def __str__(self) -> str:
        fusion = "fusion" if self.fusion else "no fusion"
        return (
            f"dataflow {self.dataflow}, {fusion}, objective {self.objective}, effort {self.effort}, "
            f"memory {self.memory.name}"
            + (f", energy weight {self.energy_weight:g}" if self.energy_weight is not None else "")
            + (f", at most {self.max_cycles:,} cycles" if self.max_cycles is not None else "")
            + (f", at most {self.max_words:,} DRAM words" if self.max_words is not None else "")
        )
