"""Random programs over the whole instruction set: the functional model, the cycle model and the generated Verilog agree on everything."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from support.machines import MACHINES
from support.programs import random_programs

from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, run_rtl
from squeezelerator.spec.isa import UNITS
from squeezelerator.spec.machine import MachineConfig

#: The same programs every time; none takes long, but a machine may have to be built first.
SETTINGS = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck),
            "phases": [Phase.explicit, Phase.generate, Phase.shrink]}


def check(program):
    """Memory, cycles, counters and the cycle of every start and retirement."""
    model = run_model(program, bytearray(program.image))
    rtl = run_rtl(program.cfg, RtlProgram.of(program, program.image), RtlOptions(limit=2 * model.cycles))
    assert rtl.error is None
    for unit, name in enumerate(UNITS):
        assert (rtl.starts[unit], rtl.retires[unit]) == (model.starts[unit], model.retires[unit]), name
    assert rtl.cycles == model.cycles
    assert rtl.counters == model.counters
    assert rtl.memory == model.memory


@settings(max_examples=20, **SETTINGS)
@given(program=random_programs(MACHINES))
def test_random_programs(program):
    check(program)


@settings(max_examples=30, **SETTINGS)
@given(program=random_programs({6: MACHINES[6]}))
def test_random_programs_with_packed_weights(program):
    check(program)


@pytest.mark.slow
@settings(max_examples=60, **SETTINGS)
@given(program=random_programs({9: MachineConfig(n=9, rf=8), 17: MachineConfig(n=17, rf=4, bus_bits=64)}))
def test_random_programs_with_packed_weights_on_other_machines(program):
    check(program)


@pytest.mark.slow
@settings(max_examples=600, **SETTINGS)
@given(program=random_programs(MACHINES))
def test_many_random_programs(program):
    check(program)
