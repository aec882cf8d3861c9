"""Random programs (:mod:`sim.fuzz.programs`) as a strategy of Hypothesis."""

from hypothesis import strategies as st

from squeezelerator.sim.fuzz.program_builder import SIZE, RandomProgram
from squeezelerator.sim.fuzz.programs import random_program

__all__ = ["SIZE", "RandomProgram", "random_programs"]


class _Drawn:
    """Choices that Hypothesis makes, and makes smaller."""

    def __init__(self, draw):
        self.draw = draw

    def number(self, low, high):
        return self.draw(st.integers(low, high))

    def choice(self, values):
        return self.draw(st.sampled_from(values))


@st.composite
def random_programs(draw, machines):
    """A legal program for one of ``machines`` ({N: MachineConfig}), as a RandomProgram."""
    return random_program(_Drawn(draw), machines)
