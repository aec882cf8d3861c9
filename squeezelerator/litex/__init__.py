"""The machine as a peripheral for LiteX: importing this package gives every LiteX system on chip the method ``add_squeezelerator``."""

from litex.soc.integration.soc import LiteXSoC

from squeezelerator.litex.peripheral import MachineModule, add_squeezelerator

__all__ = ["MachineModule", "add_squeezelerator"]

LiteXSoC.add_squeezelerator = add_squeezelerator
