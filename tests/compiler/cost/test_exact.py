"""What the search takes a schedule's cycles to be is what the cycle model counts of its program."""

import pytest

from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.cost.exact import exact_cycles
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.sim.engines.run import run_program_engine
from squeezelerator.spec.machine import MachineConfig


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt", "tiny_avgpool_fc"])
@pytest.mark.parametrize(("n", "dataflow"), [(2, "auto"), (3, "os"), (8, "auto"), (5, "ws")])
def test_cycles_without_contents_are_those_of_the_program(name, n, dataflow):
    net, cfg = synthetic(zoo.get(name)), MachineConfig(n=n)
    found = compile_full(net, cfg, dataflow=dataflow)
    counted = run_program_engine("model", found.program, synthetic_input(net.table)).result.cycles
    assert exact_cycles(cfg, found.program.instructions, [step.records for step in found.steps], found.program.prog_offset) == counted
