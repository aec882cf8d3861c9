"""Every cycle belongs to one layer."""

from squeezelerator.sim.results.layer_cycles import layer_cycles
from squeezelerator.spec.isa import Instruction


def test_array_pool_and_tail():
    instructions = [Instruction("OS", {}), Instruction("POOL", {}), Instruction("WS", {}), Instruction("END", {})]
    starts = [[], [10, 60], [], [25], []]
    retires = [[], [19, 89], [], [49], []]
    found = layer_cycles(instructions, ["a", "pool", "b", None], starts, retires, 100)
    # a: 0-19; then b's until POOL works (20-24), POOL's (25-49), b's from 50 to its retirement, and the tail.
    assert found == {"a": 20, "pool": 25, "b": 5 + 10 + 30 + 10}
    assert sum(found.values()) == 100


def test_pool_beside_the_array_costs_nothing():
    instructions = [Instruction("OS", {}), Instruction("POOL", {}), Instruction("END", {})]
    assert layer_cycles(instructions, ["a", "p", None], [[], [0], [], [5], []], [[], [19], [], [15], []], 20) == {"a": 20}


def test_pool_at_the_end_gets_the_tail():
    instructions = [Instruction("OS", {}), Instruction("POOL", {}), Instruction("END", {})]
    assert layer_cycles(instructions, ["a", "p", None], [[], [0], [], [12], []], [[], [9], [], [30], []], 40) == {"a": 10, "p": 30}
