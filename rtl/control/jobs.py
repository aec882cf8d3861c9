"""What a job takes along from the registers when it is started."""

from amaranth.lib import data

__all__ = ["OPEN_BITS", "AxiAttributes", "Job"]

#: Bits of the counts of open AXI transactions: FETCH has at most 16, LOAD and STORE ``outstanding``.
OPEN_BITS = 6


class AxiAttributes(data.StructLayout):
    """Attributes of the AXI requests, laid out as in the register AXI_ATTR."""

    def __init__(self) -> None:
        super().__init__({"arcache": 4, "awcache": 4, "prot": 3})


class Job(data.StructLayout):
    """A program to run; ``mem_base`` without its twelve low bits, ``cycle_limit`` in units of LIMIT_UNIT."""

    def __init__(self) -> None:
        super().__init__({
            "mem_base": 52, "mem_size": 32, "prog_offset": 32, "prog_count": 24, "cycle_limit": 32, "prog_check": 32,
            "attributes": AxiAttributes(),
        })
