"""The machine's configuration: one frozen object that every part of the project reads."""

import dataclasses
import functools
import hashlib
import json
from typing import Any, cast

from squeezelerator.common.errors import UserError

__all__ = ["ConfigError", "MachineConfig"]

#: Version of the instruction set, the program format and the machine together.
ISA_VERSION = 3


class ConfigError(UserError, ValueError):
    """A machine that cannot be built; the message is one line for the user."""


def _check(ok: bool, message: str) -> None:
    if not ok:
        raise ConfigError(message)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MachineConfig:
    """Everything that distinguishes one Squeezelerator from another.

    Parameters
    ----------
    n : int
        PEs a side (the array is ``n`` x ``n``); 2 to 32. Also the number of words in a buffer row and of banks.
    buffer_kib : float or None
        On-chip SRAM in KiB, activations, weights and biases together. None: n * n / 2 (128 KiB at 16, 32 KiB at 8).
    rf : int
        Partial sums in *one* register-file bank of a PE; a PE has two banks (one computes, one drains). 4 to 64.
    bus_bits : int
        Width of the AXI4 master's data bus: 64, 128 or 256.
    acc_bits : int
        Width of a partial sum; 34 to 48.
    sectors : int or None
        Independent slices of the activation buffer; each serves one read and one write a cycle. 2 to 32. None: 4 up to n = 8, else 8.
    queue_depth : int
        Instructions that may wait in front of each unit; 2 to 255.
    burst_beats : int
        Longest AXI burst in beats; 1 to 256, at most 4 KiB. An AXI3 port takes 16.
    outstanding : int
        AXI read bursts that LOAD keeps in flight, write bursts that STORE keeps in flight; 2 to 32.
    read_latency : int
        Cycles from asking the activation buffer for a row to having it; the buffer that there is takes 3.
    functions : bool
        Whether POOL also multiplies maps and looks functions up in tables (the instructions MUL, LOOKUP and TABLE).
    """

    n: int = 16
    # None stands for the default, which ``__post_init__`` puts there: whoever reads the object finds a number.
    buffer_kib: float = cast("float", None)
    rf: int = 32
    bus_bits: int = 128
    acc_bits: int = 40
    sectors: int = cast("int", None)
    queue_depth: int = 16
    burst_beats: int = 64
    outstanding: int = 4
    read_latency: int = 3
    functions: bool = False

    def __post_init__(self) -> None:
        n = self.n
        _check(isinstance(n, int) and 2 <= n <= 32, f"N must be a whole number from 2 to 32, not {n!r}")
        if self.buffer_kib is None:
            object.__setattr__(self, "buffer_kib", n * n / 2)
        kib = self.buffer_kib
        low, high = n * n / 8, min(n * n * 4, 56 * n)
        if self.sectors is None:
            # Few PEs have few rows, and a memory for each bank of a sector costs a block RAM and its wires however little it holds.
            object.__setattr__(self, "sectors", 4 if n <= 8 else 8)
        _check(isinstance(kib, (int, float)) and low <= kib <= high,
               f"the buffer must be between {low:g} and {high:g} KiB for N={n}, not {kib!r} KiB")
        _check(isinstance(self.rf, int) and 4 <= self.rf <= 64, f"rf must be a whole number from 4 to 64, not {self.rf!r}")
        _check(self.bus_bits in (64, 128, 256), f"the bus width must be 64, 128 or 256 bits, not {self.bus_bits!r}")
        _check(isinstance(self.acc_bits, int) and 34 <= self.acc_bits <= 48,
               f"acc_bits must be a whole number from 34 to 48, not {self.acc_bits!r}")
        _check(isinstance(self.sectors, int) and 2 <= self.sectors <= 32,
               f"sectors must be a whole number from 2 to 32, not {self.sectors!r}")
        most_beats = min(256, 4096 // self.bus_bytes)
        for name, lowest, highest in (("queue_depth", 2, 255), ("burst_beats", 1, most_beats), ("outstanding", 2, 32)):
            value = getattr(self, name)
            _check(isinstance(value, int) and lowest <= value <= highest,
                   f"{name} must be a whole number from {lowest} to {highest}, not {value!r}")
        _check(isinstance(self.functions, bool), f"functions must be True or False, not {self.functions!r}")
        _check(self.read_latency == 3, f"read_latency must be 3, not {self.read_latency!r}")

    # -- buffer geometry (rows of n 16-bit words) -------------------------------------------------------------

    @functools.cached_property
    def total_rows(self) -> int:
        """Buffer rows in all; a row is ``n`` words."""
        return int(self.buffer_kib * 1024) // (2 * self.n)

    @functools.cached_property
    def weight_rows(self) -> int:
        """Rows of the weight buffer: 7/32 of all."""
        return self.total_rows * 7 // 32

    @functools.cached_property
    def bias_rows(self) -> int:
        """Rows of the bias buffer: 1/64 of all, even; two rows hold the biases of ``n`` channels."""
        return max(4, self.total_rows // 64 // 2 * 2)

    @functools.cached_property
    def sector_rows(self) -> int:
        """Rows of one sector of the activation buffer."""
        return (self.total_rows - self.weight_rows - self.bias_rows) // self.sectors

    @functools.cached_property
    def act_rows(self) -> int:
        """Rows of the activation buffer."""
        return self.sector_rows * self.sectors

    # -- register file ----------------------------------------------------------------------------------------

    @property
    def ws_pixels(self) -> int:
        """Most output pixels of one WS pass: one partial sum a PE and register."""
        return self.n * self.rf

    @property
    def ws_tile_cycles(self) -> int:
        """Least cycles from one WS tile to the next: its rows of weights, or as many as the array needs one of the tile before."""
        return max(self.n, self.read_latency + 1)

    @functools.cached_property
    def bitmap_words(self) -> int:
        """Words of the zero bitmap in a record of the OS weight stream."""
        return -(-self.rf // 16)

    @functools.cached_property
    def header_words(self) -> int:
        """Words of a record's header in the OS weight stream: offset, position, bitmap."""
        return 2 + self.bitmap_words

    @property
    def record_cycles(self) -> int:
        """Fewest cycles from one OS record to the next: its header is parsed word by word, then taken."""
        return self.header_words + 1

    @property
    def shift_lines(self) -> tuple[int, int]:
        """Distances in output lines at which an OS record can take over the pixels of the record before."""
        return 1, 2

    # -- DRAM -------------------------------------------------------------------------------------------------

    @property
    def bus_words(self) -> int:
        """16-bit words in a beat."""
        return self.bus_bits // 16

    @functools.cached_property
    def bus_bytes(self) -> int:
        """Bytes in a beat."""
        return self.bus_bits // 8

    @functools.cached_property
    def row_beats(self) -> int:
        """Beats that a buffer row takes in DRAM; a row is padded to whole beats."""
        return -(-self.n // self.bus_words)

    @functools.cached_property
    def row_bytes(self) -> int:
        """Bytes that a buffer row takes in DRAM."""
        return self.row_beats * self.bus_bytes

    # -- packed weights ---------------------------------------------------------------------------------------

    @property
    def unpacks(self) -> bool:
        """Whether LOAD knows packed weights: only where a row takes more than one beat can zeros left out save any."""
        return self.n > self.bus_words

    @functools.cached_property
    def mask_words(self) -> int:
        """Words of the bitmap in front of each row of packed weights."""
        return -(-self.n // 16)

    # -- identity ---------------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> int:
        """32-bit hash of everything that a program depends on; programs and hardware both carry it."""
        text = json.dumps([ISA_VERSION, self.as_dict()], sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")

    def as_dict(self) -> dict[str, Any]:
        """The parameters, for JSON; ``MachineConfig(**d)`` restores the object.

        ``functions`` is left out where it is off: programs for such machines are what they were before it existed.
        """
        found = dataclasses.asdict(self)
        if not self.functions:
            del found["functions"]
        return found
