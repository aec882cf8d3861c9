"""The board's memory: initialisation over LiteDRAM's software port, a test, writing with read-back."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from squeezelerator.host.link import BoardError, Link, LinkError

__all__ = ["CHUNK", "check_memory", "initialise", "write_checked"]

#: Bytes that are written and read back together.
CHUNK = 1 << 15
#: Tries for a chunk that does not arrive.
TRIES = 3
#: Bytes of the test at each address.
TEST_BYTES = 256
#: LiteDRAM's control: the hardware controls the memory.
_HARDWARE = 1


def initialise(link: Link, system: dict[str, Any]) -> None:
    """Bring the memory chip up. Its waiting times have passed before the next command comes over any serial port.

    Raises
    ------
    BoardError
        For a kind of memory that needs more than commands.
    """
    csrs = system["csrs"]
    if system["memory"]["kind"] != "SDR" and "ddrphy_rdly_dq_rst" in csrs:
        raise BoardError(f"{link.name}: DDR3 needs read levelling, which this driver does not do; SDR boards and simulations work")
    for step in system["initialisation"]:
        link.write_word(csrs["sdram_dfii_pi0_address"], step["address"])
        link.write_word(csrs["sdram_dfii_pi0_baddress"], step["bank"])
        if "control" in step:
            link.write_word(csrs["sdram_dfii_control"], step["control"])
        else:
            link.write_word(csrs["sdram_dfii_pi0_command"], step["command"])
            link.write_word(csrs["sdram_dfii_pi0_command_issue"], 1)
    link.write_word(csrs["sdram_dfii_control"], _HARDWARE)


def check_memory(link: Link, memory: dict[str, Any]) -> None:
    """Write and read patterns at every power of two, so that a wire of address or data that is stuck is found.

    Raises
    ------
    BoardError
        With the address, what was written and what was read.
    """
    places = [0, *(1 << bit for bit in range(9, (memory["bytes"] - 1).bit_length()))]
    patterns = {at: np.random.default_rng(at).bytes(TEST_BYTES) for at in places if at + TEST_BYTES <= memory["bytes"]}
    for at, data in patterns.items():
        link.write(memory["base"] + at, data)
    for at, data in patterns.items():
        found = link.read(memory["base"] + at, TEST_BYTES)
        if found != data:
            word = int(np.flatnonzero(np.frombuffer(found, "<u4") != np.frombuffer(data, "<u4"))[0])
            wanted, read = (int.from_bytes(some[4 * word : 4 * word + 4], "little") for some in (data, found))
            raise BoardError(f"{link.name}: the memory fails its test: {wanted:#010x} was written to byte {at + 4 * word:#x}, "
                             f"{read:#010x} read")


def _try(link: Link, address: int, data: bytes) -> str | None:
    """Write and read back; None if it arrived, else what happened."""
    try:
        link.write(address, data)
        found = link.read(address, len(data))
    except LinkError as error:
        link.drain()
        return str(error)
    if found == data:
        return None
    link.drain()
    wrong = int((np.frombuffer(found, np.uint8) != np.frombuffer(data, np.uint8)).sum())
    return f"{link.name}: {wrong} of {len(data)} bytes at {address:#x} do not read back as written"


def write_checked(link: Link, address: int, data: bytes) -> Iterator[int]:
    """Write ``data`` (padded to whole words) at ``address`` in chunks, each read back; yields the bytes done after each.

    Raises
    ------
    LinkError
        If a chunk does not arrive in a few tries.
    """
    padded = data + bytes(-len(data) % 4)
    for first in range(0, len(padded), CHUNK):
        chunk = padded[first : first + CHUNK]
        tries = 1
        while failure := _try(link, address + first, chunk):
            if tries == TRIES:
                raise LinkError(failure)
            tries += 1
        yield min(first + CHUNK, len(data))
