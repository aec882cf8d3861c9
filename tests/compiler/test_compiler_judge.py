"""What the search takes a schedule's cycles to be is what the cycle model counts of its program."""

import pytest

from compiler.api import compile_full
from compiler.judge import cycles
from models import zoo
from models.synthetic import synthetic, synthetic_input
from rtl.config import MachineConfig
from sim.engines import run_program_engine


@pytest.mark.parametrize("name", ["tiny_all", "tiny_sqnxt", "tiny_avgpool_fc"])
@pytest.mark.parametrize(("n", "dataflow"), [(2, "auto"), (3, "os"), (8, "auto"), (5, "ws")])
def test_cycles_without_contents_are_those_of_the_program(name, n, dataflow):
    net, cfg = synthetic(zoo.get(name)), MachineConfig(n=n)
    found = compile_full(net, cfg, dataflow=dataflow)
    counted = run_program_engine("model", found.program, synthetic_input(net.table)).result.cycles
    assert cycles(cfg, found.program.instructions, found.steps, found.program.prog_offset) == counted
