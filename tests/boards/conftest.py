"""The simulated system that these tests share: generating its Verilog, to see whether it is built, is most of their time."""

from pathlib import Path

import pytest

from squeezelerator.boards.simulation import build_simulation
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.boards import board_record


@pytest.fixture(scope="session")
def system() -> Path:
    """The simulated ULX3S with a machine of 2 x 2 PEs."""
    return build_simulation(board_record("ulx3s"), MachineConfig(n=2), "build/boards/ulx3s-pe2-sim")
