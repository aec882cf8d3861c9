"""What a user can choose about a compilation, as one frozen object."""

import dataclasses
import enum
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
    energy_costs : mapping
        {event: energy}, see :func:`spec.energy.read_costs`; what the objective energy counts with.

    Raises
    ------
    CompileError
        If a word is none of its enum's; one line.
    """

    dataflow: DataflowChoice = DataflowChoice.AUTO
    fusion: bool = True
    objective: Objective = Objective.CYCLES
    effort: Effort = Effort.NORMAL
    memory: DramProfile = REFERENCE
    energy_costs: Mapping[str, float] = dataclasses.field(default_factory=read_costs)

    def __post_init__(self) -> None:
        for name, words in (("dataflow", DataflowChoice), ("objective", Objective), ("effort", Effort)):
            value = getattr(self, name)
            try:
                object.__setattr__(self, name, words(value))
            except ValueError:
                raise CompileError(f"{name} must be one of {', '.join(words)}, not {value!r}") from None
        object.__setattr__(self, "energy_costs", MappingProxyType(dict(self.energy_costs)))

    def __str__(self) -> str:
        fusion = "fusion" if self.fusion else "no fusion"
        return (
            f"dataflow {self.dataflow}, {fusion}, objective {self.objective}, effort {self.effort}, "
            f"memory {self.memory.name}"
        )
