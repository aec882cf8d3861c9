"""What an empty array waits for, on timelines written by hand."""

from squeezelerator.sim.explain.causes import Cause
from squeezelerator.sim.explain.critical_path import CriticalPath
from squeezelerator.spec.constants.units import LATEST_FAULT
from squeezelerator.spec.isa import ARRAY, DRAIN, LOAD, WRITTEN, Instruction
from squeezelerator.timing.kernel import Timeline


def path(ops, starts, retires, dispatched, tickets, **more):
    more = {"cycles": 1000, "reads": [], "queue_depth": 16} | more
    timeline = Timeline(starts=starts, retires=retires, cycles=more["cycles"], waits=[], tail=0, occupied=0, fetch_beats=0,
                        dispatched=dispatched, tickets=tickets, reads=more["reads"])  # fmt: skip
    return CriticalPath([Instruction(op, {}) for op in ops], timeline, more["queue_depth"])


def test_a_load_that_waited_for_a_drain_counts_as_drain_until_that_retired():
    found = path(["OS", "DRAIN", "LOAD", "OS", "END"], [[61], [5, 161], [21], [], []], [[160], [20, 200], [60], [], []], [1, 2, 3, 4, 5],
                 [[], [(ARRAY, 1)], [(DRAIN, 1)], [(LOAD, 1)], []])  # fmt: skip
    assert found.before_array(1, floor=21) == [(21, 61, Cause.DRAIN), (61, 161, Cause.DRAM)]


def test_a_load_behind_another_is_one_wait():
    found = path(["OS", "LOAD", "LOAD", "OS", "END"], [[10, 60], [5, 161], [], [], []], [[70, 160], [20, 200], [], [], []],
                 [1, 2, 3, 4, 5], [[], [], [], [(LOAD, 2)], []])  # fmt: skip
    assert found.before_array(1, floor=21) == [(21, 161, Cause.DRAM)]


def test_an_instruction_that_comes_late_is_waited_for():
    found = path(["OS", "OS", "END"], [[], [5, 100], [], [], []], [[], [20, 200], [], [], []], [1, 99, 100], [[], [], []])
    assert found.before_array(1, floor=21) == [(21, 100, Cause.FETCH)]


def test_a_full_queue_hands_on_what_its_first_instruction_waits_for():
    # The second LOAD leaves the queue of one in cycle 60, after the DRAIN; only then the third and the OS are dispatched.
    found = path(["OS", "DRAIN", "LOAD", "LOAD", "OS", "END"], [[30, 60], [5, 64], [21], [], []], [[200, 201], [20, 300], [59], [], []],
                 [1, 2, 3, 31, 63, 64], [[], [(ARRAY, 1)], [], [(DRAIN, 1)], [], []], queue_depth=1)  # fmt: skip
    assert found.before_array(1, floor=21)[-1] == (21, 64, Cause.FETCH)
    found = path(["OS", "DRAIN", "LOAD", "LOAD", "LOAD", "OS", "END"], [[30, 60, 90], [5, 63], [21], [], []],
                 [[200, 201, 202], [20, 300], [59], [], []], [1, 2, 3, 31, 61, 62, 63], [[], [(ARRAY, 1)], [], [(DRAIN, 1)], [], [], []],
                 queue_depth=1)  # fmt: skip
    assert found.before_array(1, floor=21) == [(21, 60, Cause.DRAIN), (60, 61, Cause.CONTROL), (61, 63, Cause.FETCH)]


def test_the_end_waits_for_what_was_stored():
    found = path(["OS", "STORE", "END"], [[], [5], [], [], [21]], [[], [20], [], [], [90]], [1, 2, 91 + LATEST_FAULT],
                 [[], [(ARRAY, 1)], [(WRITTEN, 1)]], cycles=92 + LATEST_FAULT, reads=[40])  # fmt: skip
    assert found.before_end(floor=21) == [(21, 91, Cause.DRAM), (91, 92 + LATEST_FAULT, Cause.CONTROL)]
