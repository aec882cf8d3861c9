"""Every cycle belongs to one layer."""

from squeezelerator.sim.results.layer_cycles import layer_cycles
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=4)


def test_array_pool_and_tail():
    instructions = [Instruction("OS", {}), Instruction("POOL", {}), Instruction("WS", {}), Instruction("END", {})]
    starts = [[], [10, 60], [], [25], []]
    retires = [[], [19, 89], [], [49], []]
    found = layer_cycles(CFG, instructions, ["a", "pool", "b", None], (starts, retires), 100)
    # a: 0-19; then b's until POOL works (20-24), POOL's (25-49), b's from 50 to its retirement, and the tail.
    assert found == {"a": 20, "pool": 25, "b": 5 + 10 + 30 + 10}
    assert sum(found.values()) == 100


def test_pool_beside_the_array_costs_nothing():
    instructions = [Instruction("OS", {}), Instruction("POOL", {}), Instruction("END", {})]
    assert layer_cycles(CFG, instructions, ["a", "p", None], ([[], [0], [], [5], []], [[], [19], [], [15], []]), 20) == {"a": 20}


def test_pool_at_the_end_gets_the_tail():
    instructions = [Instruction("OS", {}), Instruction("POOL", {}), Instruction("END", {})]
    assert layer_cycles(CFG, instructions, ["a", "p", None], ([[], [0], [], [12], []], [[], [9], [], [30], []]), 40) == {"a": 10, "p": 30}


def test_the_next_layer_begins_when_it_multiplies():
    # At N=4 a WS retires 10 cycles after its last multiplication, an OS 2: b multiplies in 90, and c is accepted while b's sums leave.
    instructions = [Instruction("WS", {}), Instruction("WS", {}), Instruction("OS", {}), Instruction("END", {})]
    starts, retires = [[], [10, 20, 195], [], [], []], [[], [99, 199, 250], [], [], []]
    found = layer_cycles(CFG, instructions, ["a", "b", "c", None], (starts, retires), 260)
    assert found == {"a": 10 + 80, "b": 105, "c": 65}
