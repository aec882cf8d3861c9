"""The machine in somebody else's LiteX system."""

from litex.soc.integration.soc import LiteXSoC

import squeezelerator.litex
from squeezelerator.boards.soc import System


def test_every_litex_system_has_the_method() -> None:
    assert LiteXSoC.add_squeezelerator is squeezelerator.litex.add_squeezelerator
    assert callable(System.add_squeezelerator)
