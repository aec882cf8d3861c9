"""The machines that random programs run on, and the tests share: each has to be built only once."""

from squeezelerator.spec.machine import MachineConfig

__all__ = ["FUZZED", "MACHINES"]

#: One for each N: odd shapes of everything on purpose.
MACHINES = {
    2: MachineConfig(n=2, rf=4, bus_bits=64),
    3: MachineConfig(n=3, rf=17, sectors=8, functions=True),
    4: MachineConfig(n=4),
    5: MachineConfig(n=5, rf=8, bus_bits=256, sectors=3, functions=True),
    6: MachineConfig(n=6, rf=12, bus_bits=64, sectors=2),
    8: MachineConfig(n=8),
}
#: Those of the campaign of random programs, unless others are named.
FUZZED = (2, 3, 4, 5, 8)
