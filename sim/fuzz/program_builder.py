"""Random programs, instruction by instruction: what each touches, its tickets, transfers and places of maps.

What an instruction reads and writes is known for each, so that tickets can order what may not meet.
"""

import dataclasses
from collections.abc import Collection
from typing import Any

import numpy as np

from squeezelerator.compiler.mapping.weight_packing import pack
from squeezelerator.sim.fuzz.choices import Choices
from squeezelerator.spec.isa import DRAIN, LOAD, MEM_ACT, MEM_BIAS, MEM_PACKED, MEM_WEIGHT, POOL, STORE, UNITS, Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["CODE", "SIZE", "SOURCE", "TARGET", "ProgramBuilder", "RandomProgram", "Use"]

#: The program's memory: random words that are loaded, what STORE writes, instructions.
SOURCE, TARGET, CODE, SIZE = 0, 0x40000, 0x60000, 0x68000


@dataclasses.dataclass
class RandomProgram:
    """What the engines need to know of a program: as ``spec.program.Program``, with the memory's contents."""

    cfg: MachineConfig
    instructions: list[Instruction]
    image: bytes
    prog_offset: int = CODE
    mem_bytes: int = SIZE

    @property
    def layer_of(self) -> list[None]:
        return [None] * len(self.instructions)

    def __repr__(self) -> str:
        return "\n".join([f"{self.cfg}", *map(str, self.instructions)])


@dataclasses.dataclass
class Use:
    """What an instruction touches: ``reads`` and ``writes`` of (kind, number), kinds act, weight, bias (rows), bank and dram (page)."""

    unit: int
    reads: set[tuple[str, int]]
    writes: set[tuple[str, int]]

    def sectors(self, cfg: MachineConfig, what: Collection[tuple[str, int]]) -> set[int]:
        """Sectors of the activation buffer in which ports are used."""
        return {row // cfg.sector_rows for kind, row in what if kind == "act"}

    def must_follow(self, other: "Use", cfg: MachineConfig) -> bool:
        """Whether this instruction may only start when the earlier ``other`` has retired."""
        data = self.reads & other.writes
        if self.unit == other.unit:
            # In order, but DRAIN and POOL begin to read while the one before is still writing, and LOAD while STORE's data is on its way.
            return bool(data)
        ports = (self.sectors(cfg, self.reads) & other.sectors(cfg, other.reads)
                 or self.sectors(cfg, self.writes) & other.sectors(cfg, other.writes))
        return bool(data or self.writes & (other.reads | other.writes) or ports)

    def needs_written(self, other: "Use") -> bool:
        """Whether the earlier ``other`` must not only have read its rows but have its data in DRAM."""
        return self.unit == LOAD and other.unit == STORE and bool(self.reads & other.writes)


class ProgramBuilder:
    """Draws instructions one by one and keeps what later ones must know. Here: transfers, and where maps lie in the buffer."""

    def __init__(self, choices: Choices, cfg: MachineConfig) -> None:
        self.number, self.choice, self.cfg, self.n = choices.number, choices.choice, cfg, cfg.n
        rng = np.random.default_rng(self.number(0, 9))
        self.memory = bytearray(SIZE)
        self.memory[SOURCE:TARGET] = rng.integers(0, 256, TARGET - SOURCE, dtype=np.uint8).tobytes()
        self.free = 0x8000  # where the next weight stream goes in DRAM
        self.target = TARGET
        self.program: list[Instruction] = []
        self.uses: list[Use] = []
        # What a bank holds: None, ("OS", array rows, lanes) or ("WS", pixels).
        self.holds: list[Any] = [None, None]

    def flag(self) -> bool:
        return self.number(0, 1) == 1

    def add(self, op: str, fields: dict[str, int], reads: Collection[tuple[str, int]], writes: Collection[tuple[str, int]]) -> None:
        instr = Instruction(op, fields)
        assert instr.unit is not None
        use = Use(instr.unit, set(reads), set(writes))
        issued = [0] * len(UNITS)
        for _earlier, other in zip(self.program, self.uses, strict=False):
            issued[other.unit] += 1
            if use.must_follow(other, self.cfg):
                instr.tickets[other.unit] = issued[other.unit]
                if use.needs_written(other):
                    instr.fields["written"] = 1
        if self.flag():
            unit = self.number(0, len(UNITS) - 1)
            count = self.number(0, issued[unit])
            instr.tickets[unit] = max(instr.tickets.get(unit, 0), count)
        if instr.unit == LOAD and self.number(0, 7) == 0:
            instr.fields["written"] = 1
        self.program.append(instr)
        self.uses.append(use)

    # -- regions of the activation buffer ---------------------------------------------------------------------

    def region(self, prefix: str, blocks: int, lines: int, columns: int, *, taken: Collection[int] = frozenset(),
               named: bool = True) -> tuple[dict[str, int], set[int], int, int] | None:
        """({field: value}, rows) of a map of so many blocks, lines and columns, clear of the rows in ``taken``, or None."""
        pitch_rows = columns + self.number(0, 2)
        wrap_line, wrap_rows = 65535, 0
        if lines > 1 and self.flag():
            wrap_line, wrap_rows = self.number(1, lines - 1), lines * pitch_rows + self.number(0, 3)
        plane_rows = lines * pitch_rows + wrap_rows + self.number(0, 2)
        b, y, x = (g.ravel() for g in np.meshgrid(np.arange(blocks), np.arange(lines), np.arange(columns), indexing="ij"))
        rows = b * plane_rows + y * pitch_rows + x - np.where(y >= wrap_line, wrap_rows, 0)
        rows -= rows.min()
        first = int(rows[0])
        start = self.number(0, 3) + self.number(0, self.cfg.sectors - 1) * self.cfg.sector_rows
        placed = set((rows + start).tolist())
        if int(rows.max()) + start >= self.cfg.act_rows or not placed.isdisjoint(taken):
            return None
        fields = {f"{prefix}base": start + first, f"{prefix}pitch": pitch_rows}
        wrap = prefix if prefix != "in_" else ""
        fields |= {f"{wrap}wrap_line": wrap_line, f"{wrap}wrap_rows": wrap_rows}
        if named:
            fields[f"{prefix}plane"] = plane_rows
        return fields, placed, plane_rows, pitch_rows

    def input(self, blocks: int, *, named: bool = True) -> tuple[dict[str, int], set[int], int, int] | None:
        in_w, in_h = self.number(1, 7), self.number(1, 5)
        found = self.region("in_", blocks, in_h, in_w, named=named)
        if found is None:
            return None
        fields, rows, plane, pitch = found
        fields |= {"in_w": in_w, "in_h": in_h, "y0": self.number(-3, 2), "x0": self.number(-3, 2), "stride_y": self.number(1, 4),
                   "stride_x": self.number(1, 4)}
        return fields, rows, plane, pitch

    # -- instructions -----------------------------------------------------------------------------------------

    def load(self, mem: int | None = None, row: int | None = None, dram: int | None = None, rows: int | None = None) -> None:
        """LOAD of something anywhere, or of a weight stream."""
        cfg = self.cfg
        mem = self.number(0, 3 if cfg.unpacks else 2) if mem is None else mem
        if mem == MEM_PACKED:
            self.load_packed()
            return
        limit = {MEM_ACT: cfg.act_rows, MEM_WEIGHT: cfg.weight_rows, MEM_BIAS: cfg.bias_rows}[mem]
        if rows is None:
            lines, rows = self.number(1, 3), self.number(1, min(9, limit))
            pitch = rows + self.number(0, 2)
        else:
            lines, pitch = 1, rows
        span = (lines - 1) * pitch + rows
        if span > limit:
            return
        row = self.number(0, limit - span) if row is None else row
        if dram is None:
            dram = self.choice([SOURCE, SOURCE, TARGET]) + self.number(0, 300) * cfg.bus_bytes
        dram_pitch = rows * cfg.row_bytes + self.number(0, 3) * cfg.bus_bytes
        name = {MEM_ACT: "act", MEM_WEIGHT: "weight", MEM_BIAS: "bias"}[mem]
        self.add("LOAD", {"mem": mem, "row": row, "rows": rows, "lines": lines, "row_pitch": pitch, "dram": dram, "dram_pitch": dram_pitch},
                 self.pages(dram, lines, dram_pitch, rows),
                 {(name, row + line * pitch + r) for line in range(lines) for r in range(rows)})

    def load_packed(self, row: int | None = None, dram: int | None = None, rows: int | None = None, count: int | None = None) -> None:
        """LOAD of packed weights, or of anything as if it were."""
        cfg = self.cfg
        lines = self.number(1, 3) if rows is None else 1
        rows = self.number(1, 9) if rows is None else rows
        count = self.number(0, 20) if count is None else count
        row = self.number(0, cfg.weight_rows - count) if row is None else row
        if dram is None:
            dram = self.choice([SOURCE, SOURCE, TARGET]) + self.number(0, 300) * cfg.bus_bytes
        dram_pitch = rows * cfg.row_bytes + self.number(0, 3) * cfg.bus_bytes
        fields = {"mem": MEM_PACKED, "row": row, "rows": rows, "lines": lines, "row_pitch": count, "dram": dram, "dram_pitch": dram_pitch}
        self.add("LOAD", fields, self.pages(dram, lines, dram_pitch, rows), {("weight", row + r) for r in range(count)})

    def store(self) -> None:
        cfg = self.cfg
        lines, rows = self.number(1, 3), self.number(1, 9)
        pitch = rows + self.number(0, 2)
        row = self.number(0, cfg.act_rows - lines * pitch)
        # Each in a place of its own: what a row's padding holds afterwards is nobody's business.
        dram = self.target + self.number(0, 3) * cfg.bus_bytes
        dram_pitch = rows * cfg.row_bytes + self.number(0, 3) * cfg.bus_bytes
        self.target = dram + lines * dram_pitch
        self.add("STORE", {"row": row, "rows": rows, "lines": lines, "row_pitch": pitch, "dram": dram, "dram_pitch": dram_pitch},
                 {("act", row + line * pitch + r) for line in range(lines) for r in range(rows)},
                 self.pages(dram, lines, dram_pitch, rows))

    def pages(self, dram: int, lines: int, pitch: int, rows: int) -> set[tuple[str, int]]:
        starts = (dram + line * pitch for line in range(lines))
        return {("dram", page) for start in starts for page in range(start >> 8, (start + rows * self.cfg.row_bytes - 1 >> 8) + 1)}

    def weights(self, rows: np.ndarray) -> int | None:
        """LOAD of so many rows of uint16 (rows, N) into the weight buffer; returns the first row there, None if there is no room."""
        cfg = self.cfg
        if len(rows) > cfg.weight_rows or self.free + len(rows) * cfg.row_bytes > TARGET:
            return None
        row = self.number(0, cfg.weight_rows - len(rows))
        if cfg.unpacks and self.flag():
            padded = pack(cfg, rows)
            if self.free + padded.nbytes > TARGET:
                return None
            self.load_packed(row, self.free, len(padded), len(rows))
        else:
            padded = np.zeros((len(rows), cfg.row_bytes // 2), np.uint16)
            padded[:, : self.n] = rows
            self.load(MEM_WEIGHT, row, self.free, len(rows))
        self.memory[self.free : self.free + padded.nbytes] = padded.tobytes()
        self.free += padded.nbytes
        return row

    def show(self) -> None:
        """STORE the rows between the first and the last that DRAIN and POOL have written: else few results would reach the memory."""
        cfg = self.cfg
        written = {row for use in self.uses if use.unit in (DRAIN, POOL) for kind, row in use.writes if kind == "act"}
        if not written:
            return
        first, rows = min(written), max(written) - min(written) + 1
        if self.target + rows * cfg.row_bytes > CODE:
            return
        self.add("STORE", {"row": first, "rows": rows, "lines": 1, "dram": self.target},
                 {("act", row) for row in range(first, first + rows)}, self.pages(self.target, 1, 0, rows))

    def finish(self) -> RandomProgram:
        issued = [sum(use.unit == unit for use in self.uses) for unit in range(len(UNITS))]
        self.program.append(Instruction("END", {}, {unit: count for unit, count in enumerate(issued) if count}))
        code = b"".join(instr.encode() for instr in self.program)
        self.memory[CODE : CODE + len(code)] = code
        return RandomProgram(self.cfg, self.program, bytes(self.memory))
