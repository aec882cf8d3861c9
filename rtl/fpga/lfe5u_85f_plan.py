"""Where multipliers and block RAMs lie on an LFE5U-85F.

The device has its block RAMs in four rows and its multipliers in three, in groups of four above each other. The placer spreads them among
the logic as if they were everywhere, and then moves each to the nearest free place, which doubles the wires where most are used. A fixed
place for those of the array and of the activation buffer leaves it the logic, which it is good at.

A column of the array lies along half a row of block RAMs, two PEs (two banks each) at a group, because its bits pass from PE to PE and are
chosen among all of them: the device has as many wires across as it has up and down, but more of the latter are taken at the block RAMs. The
groups that are left over lie among the others, which gives those more wires.

All columns read and write all of the activation buffer. With four sectors it lies in the middle, between the columns. That is where a
system around the machine has its logic, too, and the wires for both are too few; with two sectors its halves lie in the middle of the
columns on either side.
"""

from collections.abc import Iterator

from squeezelerator.rtl.fpga.device import Place
from squeezelerator.spec.machine import MachineConfig

__all__ = ["GLOBAL_BUFFERS", "fits", "places"]

#: Global buffers, like ``places``: those above and below the middle, as far as there are wires to them.
GLOBAL_BUFFERS = (
    *(Place(f"array.pes.{name}_broadcast.*", "DCCA", f"X67/Y0/TDCC{number}") for number, name in enumerate(("own0", "own1", "again"))),
    *(Place(f"{name}_broadcast.*", "DCCA", f"X67/Y95/BDCC{number}") for number, name in enumerate(("array.pes.ws", "array.ws", "reset"))),
)

#: Leftmost tile of a group of four block RAMs, and of the four multipliers above or below it.
GROUPS = (*range(4, 59, 9), *range(69, 115, 9))
#: Rows of block RAMs, each for two array columns, and the rows of their multipliers; the first of the four in a group that they take.
RAM_ROWS, MULTIPLIER_ROWS, FIRST_MULTIPLIERS = (82, 70, 46, 22), (58, 58, 34, 10), (0, 2, 0, 0)
#: Tile of each multiplier in its group and its name there.
MULTIPLIERS = ((0, "MULT18_0"), (1, "MULT18_1"), (4, "MULT18_4"), (5, "MULT18_5"))
#: Groups of the two array columns in a row, from the first PEs to the last.
ARRAY_GROUPS = ((0, 1, 3, 4), (12, 11, 9, 8))
#: Sectors -> the two groups in a row with a bank of the activation buffer each.
BUFFER_GROUPS = {4: (5, 7), 2: (2, 10)}
#: PEs a side and rows of a sector for which there is room.
MOST_PES, MOST_SECTOR_ROWS = 8, 1024


def fits(cfg: MachineConfig) -> bool:
    """Whether there are places for machine ``cfg``, if all its register files lie in block RAMs."""
    return cfg.n <= MOST_PES and cfg.sectors in BUFFER_GROUPS and cfg.sector_rows <= MOST_SECTOR_ROWS


def _block_ram(group: int, row: int, number: int) -> str:
    return f"X{GROUPS[group] + 2 * number}/Y{RAM_ROWS[row]}/EBR{number}"


def places(cfg: MachineConfig) -> Iterator[Place]:
    """What lies where; raises IndexError for a machine that does not fit."""
    for j in range(cfg.n):
        row = j // 2
        for i in range(cfg.n):
            pe, group = f"array.pes.pe_{i}_{j}", ARRAY_GROUPS[j % 2][i // 2]
            for bank in range(2):
                yield Place(f"{pe}.bank{bank}.*", "DP16KD", _block_ram(group, row, i % 2 * 2 + bank))
            tile, name = MULTIPLIERS[FIRST_MULTIPLIERS[row] + i % 2]
            yield Place(f"{pe}.*", "MULT18X18D", f"X{GROUPS[group] + tile}/Y{MULTIPLIER_ROWS[row]}/{name}")
    for bank in range(cfg.n):
        for sector in range(cfg.sectors):
            yield Place(f"act.sector{sector}_bank{bank}.*", "DP16KD", _block_ram(BUFFER_GROUPS[cfg.sectors][bank % 2], bank // 2, sector))
