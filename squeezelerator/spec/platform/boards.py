"""The boards, a record each: everything that differs between them. Plain data, which driver, compiler and system on chip read."""

import dataclasses
import enum
from typing import Self

from squeezelerator.common.errors import UserError
from squeezelerator.spec.platform.memory import MEMORIES, DramProfile

__all__ = ["BOARDS", "BoardRecord", "MemoryKind", "UnknownBoard", "board_record"]


#: Width of a block RAM with a read and a write port, of the devices of all boards.
BLOCK_RAM_BITS = 36
#: Sectors of the activation buffer where wires are scarce: every sector is one more input of the buffer's multiplexers.
LEAN_SECTORS = 2
#: PEs a side that no machine exceeds.
ANY_SIZE = 1 << 10


class UnknownBoard(UserError, ValueError):
    """A board that has no record; the message is one line."""


class MemoryKind(enum.Enum):
    """Kind of memory chip; both run at twice the system's clock."""

    SDR = "SDR"
    DDR3 = "DDR3"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoardRecord:
    """A board.

    Parameters
    ----------
    name, title : str
        As on the command line, as in print.
    target : str
        Module of ``litex_boards`` with the clock generator (``targets``) and the pins (``platforms``).
    platform_options : tuple of (str, str)
        Keyword arguments of the platform.
    architecture, package, grade : str
        As place and route calls them: ``--85k``, ``--package``, ``--speed``.
    memory : MemoryKind
    chip : str
        Class of the memory chip in ``litedram.modules``.
    chip_bits : int
        Width of the chip's data bus.
    refresh_ns : float or None
        tRFC of the chip in nanoseconds. LiteDRAM has it in clocks for DDR3, which is far too long at these clocks; None: as it is there.
    memory_pins : str
        The chip's name in the platform.
    serial_pins : tuple of (str, str), or None
        TX and RX of the UART where the board has none of its own: names of pins at a connector; 3.3 V.
    clocks : str
        Class of the clock generator in ``target``.
    swapped_masks : bool
        The two data masks of the memory are exchanged on the board.
    clock_mhz : float
        System clock to aim at.
    loader : str
        The board's name for openFPGALoader.
    lean_from : int
        PEs a side from which on, unless the user says otherwise, partial sums have the width of the device's block RAMs, and the activation
        buffer two sectors: with 40 bits or four sectors a system of 8 x 8 PEs does not route, or misses its clock (``docs/fpga.md``).
    images_up_to : int
        PEs a side up to which a system has an image unpacker, unless the user says otherwise: larger ones were not routed with it.
    """

    name: str
    title: str
    target: str
    platform_options: tuple[tuple[str, str], ...] = ()
    architecture: str
    package: str
    grade: int
    memory: MemoryKind
    chip: str
    chip_bits: int = 16
    refresh_ns: float | None = None
    memory_pins: str
    serial_pins: tuple[str, str] | None = None
    clocks: str = "_CRG"
    swapped_masks: bool = False
    clock_mhz: float
    loader: str
    lean_from: int = 8
    images_up_to: int = 4

    def machine_defaults(self, n: int) -> dict[str, int]:
        """Parameters of a machine of ``n`` x ``n`` PEs that are not the usual ones on this board."""
        return {"acc_bits": BLOCK_RAM_BITS, "sectors": LEAN_SECTORS} if n >= self.lean_from else {}

    def has_images(self, n: int) -> bool:
        """Whether a system with ``n`` x ``n`` PEs has an image unpacker."""
        return n <= self.images_up_to

    def with_images(self, wanted: bool | None) -> Self:
        """The board with or without an image unpacker whatever its machine's size; None: as it is."""
        return self if wanted is None else dataclasses.replace(self, images_up_to=ANY_SIZE if wanted else 0)

    @property
    def memory_timing(self) -> DramProfile:
        """The chip behind its controller, as the compiler and the models see it."""
        return MEMORIES["sdr16" if self.memory is MemoryKind.SDR else "ddr3x16"]


BOARDS = {board.name: board for board in (
    BoardRecord(
        name="ulx3s", title="ULX3S 85F", target="radiona_ulx3s", platform_options=(("device", "LFE5U-85F"),), architecture="85k",
        package="CABGA381", grade=6, memory=MemoryKind.SDR, chip="MT48LC16M16", memory_pins="sdram", clock_mhz=40.0, loader="ulx3s"),
    BoardRecord(
        name="ecpix5", title="ECPIX-5 85F", target="lambdaconcept_ecpix5", platform_options=(("device", "85F"),),
        architecture="um5g-85k", package="CABGA554", grade=8, memory=MemoryKind.DDR3, chip="MT41K256M16", refresh_ns=260,
        memory_pins="ddram", clock_mhz=50.0, loader="ecpix5"),
    BoardRecord(
        name="butterstick", title="ButterStick r1.0", target="gsd_butterstick",
        platform_options=(("device", "85F"), ("revision", "1.0")), architecture="um5g-85k", package="CABGA381", grade=8,
        memory=MemoryKind.DDR3, chip="MT41K64M16", refresh_ns=110, memory_pins="ddram", serial_pins=("SYZYGY0:S0", "SYZYGY0:S1"),
        clock_mhz=50.0, loader="butterstick"),
    BoardRecord(
        name="orangecrab", title="OrangeCrab r0.2 85F", target="gsd_orangecrab",
        platform_options=(("device", "85F"), ("revision", "0.2")), architecture="85k", package="CSFBGA285", grade=8,
        memory=MemoryKind.DDR3, chip="MT41K64M16", refresh_ns=110, memory_pins="ddram", serial_pins=("GPIO:1", "GPIO:0"),
        clocks="_CRGSDRAM", swapped_masks=True, clock_mhz=50.0, loader="orangecrab"),
)}  # fmt: skip


def board_record(name: str) -> BoardRecord:
    """The record of the board called ``name``. Raises UnknownBoard."""
    if name not in BOARDS:
        raise UnknownBoard(f"unknown board {name!r}; there are {', '.join(BOARDS)}")
    return BOARDS[name]
