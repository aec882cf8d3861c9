"""Checks of whole programs that several tests share."""

import numpy as np

from squeezelerator.models.arithmetic import golden
from squeezelerator.models.quantisation.synthetic import synthetic_input
from squeezelerator.sim.engines.functional import run_functional
from squeezelerator.spec.verification.verify import verify

__all__ = ["check"]


def check(net, program, seed=0):
    """Run a program and compare everything that leaves the chip with the golden model."""
    x = synthetic_input(net.table, seed)
    expected = golden.run(net, x)
    memory = run_functional(program, program.memory(input=x))
    found = program.results_from(memory)
    assert set(program.results) <= set(found)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    verify(program)
