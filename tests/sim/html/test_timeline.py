"""Intervals of the units for the page's timeline."""

import dataclasses

from squeezelerator.sim.html.timeline import intervals
from squeezelerator.spec.isa import Instruction


@dataclasses.dataclass
class Run:
    starts: list
    retires: list
    cycles: int = 100
    counters: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Listing:
    instructions: list
    layer_of: list
    layers: list


PROGRAM = Listing([Instruction(op, {}) for op in ("LOAD", "OS", "OS", "OS", "END")], ["a", "a", "a", "b", None], ["a", "b"])
RUN = Run([[0], [10, 18, 40], [], [], []], [[9], [20, 30, 50], [], [], []])


def test_each_instruction_is_an_interval_and_overlaps_go_to_the_earlier_one():
    found = intervals(PROGRAM, RUN)
    load, array, *rest = found["units"]
    assert (found["layers"], found["cycles"], found["merged"]) == (["a", "b"], 100, False)
    assert (load["begin"], load["end"], load["layer"]) == ([0], [10], [0])
    assert (array["name"], array["begin"], array["end"]) == ("ARRAY", [10, 21, 40], [21, 31, 51])
    assert (array["layer"], array["number"], array["count"]) == ([0, 0, 1], [1, 2, 3], [1, 1, 1])
    assert all(unit["begin"] == [] for unit in rest)


def test_neighbours_of_one_layer_are_merged_where_there_are_too_many():
    found = intervals(PROGRAM, RUN, most=3)
    array = found["units"][1]
    assert found["merged"] and (array["begin"], array["end"], array["layer"], array["count"]) == ([10, 40], [31, 51], [0, 1], [2, 1])
