"""A proof that a program's tickets order everything that must be ordered, from the encoded program alone.

Independent of the passes: addresses are worked out from the decoded fields, and for OS from the weight streams that earlier LOADs
have brought. Two instructions of different units must be ordered if one writes rows, register-file banks or bytes that the
other reads or writes, or if both use the read (or write) port of a sector; so must a DRAIN or POOL and an earlier one of its own
unit whose results it reads. A STORE is over for the others when it has read its rows, for a LOAD of what it has stored when that is in
DRAM.
"""

import numpy as np

from squeezelerator.spec.isa import (
    BY_NAME,
    DRAIN,
    MEM_ACT,
    MEM_BIAS,
    MEM_PACKED,
    MEM_WEIGHT,
    MODE_OS,
    POOL,
    STORE,
    UNITS,
    WRITTEN,
    Instruction,
    IsaError,
)
from squeezelerator.spec.weight_decode import unpack


class VerifyError(ValueError):
    """A program that its tickets do not order, or that leaves a buffer; the message names the instructions."""


class _Addresses:
    """Rows and banks that instructions touch."""

    def __init__(self, program):
        self.cfg = program.cfg
        self.memory = np.frombuffer(program.image, np.uint8)
        self.weight = np.zeros((self.cfg.weight_rows, self.cfg.n), np.uint16)

    def of(self, i):
        """{(space, "r" or "w"): array of cells} of an instruction."""
        return {"LOAD": self._load, "STORE": self._store, "OS": self._os, "WS": self._ws, "DRAIN": self._drain,
                "POOL": self._pool}[i.op](i)  # fmt: skip

    def _dma(self, i):
        line = np.arange(i["lines"])[:, None]
        rows = i["row"] + line * i["row_pitch"] + np.arange(i["rows"])
        beats = i["rows"] * self.cfg.row_beats
        dram = (i["dram"] + line * i["dram_pitch"]) // self.cfg.bus_bytes + np.arange(beats)
        if i["dram"] % self.cfg.bus_bytes or i["dram_pitch"] % self.cfg.bus_bytes:
            raise VerifyError("a transfer is not aligned to beats")
        return rows.ravel(), dram.ravel()

    def _load(self, i):
        rows, dram = self._dma(i)
        if i["mem"] in (MEM_WEIGHT, MEM_PACKED):
            cells = dram[:, None] * self.cfg.bus_bytes + np.arange(self.cfg.bus_bytes)
            if cells.max() >= len(self.memory):
                raise VerifyError("a transfer of weights leaves the memory")
            words = self.memory[cells.ravel()].view("<u2")
            if i["mem"] == MEM_PACKED:
                words, rows = unpack(self.cfg, words)[: i["row_pitch"]], i["row"] + np.arange(i["row_pitch"])
                if not self.cfg.unpacks or len(words) < len(rows):
                    raise VerifyError(f"packed weights have {len(words)} of {len(rows)} rows")
            else:
                words = words.reshape(len(rows), -1)[:, : self.cfg.n]
            if rows.max(initial=0) >= len(self.weight):
                raise VerifyError("a transfer of weights leaves the buffer")
            self.weight[rows] = words
        return {({MEM_ACT: "act", MEM_BIAS: "bias"}.get(i["mem"], "weight"), "w"): rows, ("dram", "r"): dram}

    def _store(self, i):
        rows, dram = self._dma(i)
        return {("act", "r"): rows, ("dram", "w"): dram}

    @staticmethod
    def _seen(i, y, x, extra, kx, ky):
        """Rows of the positions inside the map: output lines y and columns x (input coordinates at tap 0), tap kx, ky."""
        inside = (y + ky >= 0) & (y + ky < i["in_h"]) & (x + kx >= 0) & (x + kx < i["in_w"])
        rows = i["in_base"] + extra + y * i["in_pitch"] + x - np.where(y + ky >= i["wrap_line"], i["wrap_rows"], 0)
        rows, inside = np.broadcast_arrays(rows, inside)
        return np.unique(rows[inside] % 65536)

    @staticmethod
    def _pixels(i):
        """(line, column) of every output pixel of an OS pass."""
        segment = i["seg0"] + np.arange(i["nrows"])
        lane = np.arange(i["seg_len"])
        column = (segment % i["segs"])[:, None] * i["seg_len"] + lane
        return np.broadcast_to((segment // i["segs"])[:, None], column.shape), column

    def _os(self, i):
        n, words = self.cfg.n, self.cfg.header_words
        head = i["hdr_row"] + np.arange(-(-i["records"] * words // n))
        values = i["val_row"] + np.arange(-(-i["values"] // n))
        if max(head.max(), values.max()) >= len(self.weight):
            raise VerifyError("a weight stream leaves the weight buffer")
        headers = self.weight[head].ravel()[: i["records"] * words].reshape(-1, words).astype(np.int64)
        line, column = self._pixels(i)
        y = i["y0"] + line * i["stride_y"]
        x = i["x0"] + column * i["stride_x"]
        kx, ky = headers[:, 1] >> 5 & 31, headers[:, 1] >> 10
        found = set()
        # Records of one block and tap differ in their lane only.
        for offset, kx_, ky_ in set(zip(headers[:, 0].tolist(), kx.tolist(), ky.tolist(), strict=True)):
            found.update(self._seen(i, y, x, offset, kx_, ky_).tolist())
        weights = np.concatenate((head, values))
        return {("act", "r"): np.array(sorted(found), int), ("weight", "r"): weights, ("rf", "w"): np.array([i["bank"]])}

    def _window(self, i, blocks):
        oy, ox = np.arange(i["out_h"])[:, None], np.arange(i["out_w"])
        found = [
            self._seen(i, i["y0"] + oy * i["stride_y"], i["x0"] + ox * i["stride_x"], b * i["in_plane"] + ky * i["in_pitch"] + kx,
                       kx, ky)
            for b in range(blocks) for ky in range(i["kh"]) for kx in range(i["kw"])
        ]  # fmt: skip
        return np.unique(np.concatenate(found)) if found else np.empty(0, int)

    def _ws(self, i):
        weights = i["val_row"] + np.arange(i["tiles"] * self.cfg.n)
        return {("act", "r"): self._window(i, i["blocks"]), ("weight", "r"): weights, ("rf", "w"): np.array([i["bank"]])}

    def _written(self, i, prefix, blocks):
        if i.op == "DRAIN" and i["mode"] == MODE_OS:
            line, column = self._pixels(i)
            valid = column < i["out_w"]
            line, column = line[valid], column[valid]
        else:
            line, column = (g.ravel() for g in np.meshgrid(np.arange(i["out_h"]), np.arange(i["out_w"]), indexing="ij"))
        rows = i[f"{prefix}_base"] + line * i[f"{prefix}_pitch"] + column
        rows = rows - np.where(line >= i[f"{prefix}_wrap_line"], i[f"{prefix}_wrap_rows"], 0)
        return np.unique((rows + np.arange(blocks)[:, None] * i[f"{prefix}_plane"]).ravel())

    def _drain(self, i):
        blocks = -(-(i["lane0"] + i["channels"]) // self.cfg.n) if i["mode"] == MODE_OS else 1
        bias = i["bias_row"] + np.arange(2 * blocks)
        found = {("act", "w"): self._written(i, "out", blocks), ("bias", "r"): bias, ("rf", "r"): np.array([i["bank"]])}
        if i["residual"]:
            found["act", "r"] = self._written(i, "res", blocks)
        return found

    def _pool(self, i):
        return {("act", "r"): self._window(i, i["blocks"]), ("act", "w"): self._written(i, "out", i["blocks"])}


class _History:
    """Latest reader and writer of each cell by unit, as 1-based numbers within the unit."""

    def __init__(self, sizes):
        self.last = {(space, how): np.zeros((len(UNITS), size), int) for space, size in sizes.items() for how in "rw"}


def _lift(tickets, issued):
    """Ticket counts without the reduction modulo 65536, given how many instructions of each unit came before."""
    lifted = {}
    for unit, count in tickets.items():
        distance = (issued[unit] - count) % 65536
        if distance >= 32768 or distance > issued[unit]:
            raise VerifyError(f"waits for {UNITS[unit]} number {count} of {issued[unit]} before it")
        lifted[unit] = issued[unit] - distance
    return lifted


def verify(program):
    """Check every instruction of a :class:`~spec.program.Program`.

    Raises
    ------
    VerifyError
        At the first instruction that could run before or beside one that it must follow, or that leaves a buffer.
    """
    cfg = program.cfg
    sizes = {"act": cfg.act_rows, "weight": cfg.weight_rows, "bias": cfg.bias_rows, "rf": 2,
             "dram": -(-program.mem_bytes // cfg.bus_bytes), "port": cfg.sectors}  # fmt: skip
    history, addresses = _History(sizes), _Addresses(program)
    issued = [0] * len(UNITS)
    knows = [np.zeros(len(UNITS) + 1, int) for _ in UNITS]
    at_start = [[] for _ in UNITS]
    code = program.code
    for number in range(len(program.instructions)):
        try:
            instruction = Instruction.decode(code[64 * number : 64 * number + 64])
            _check_one(instruction, addresses, history, sizes, issued, knows, at_start, cfg)
        except (VerifyError, IsaError) as error:
            raise VerifyError(f"instruction {number} ({program.instructions[number].op}): {error}") from None


def _check_one(instruction, addresses, history, sizes, issued, knows, at_start, cfg):
    unit = instruction.unit
    tickets = _lift(instruction.tickets, issued)
    if unit is None:
        if any(tickets.get(u, 0) != count for u, count in enumerate(issued) if count):
            raise VerifyError("the program ends before all units are done")
        return
    known = knows[unit].copy()
    for other, count in tickets.items():
        if count:
            known = np.maximum(known, at_start[other][count - 1])
            known[other] = max(known[other], count)
            if other == STORE and instruction.fields.get("written"):
                known[WRITTEN] = max(known[WRITTEN], count)
    knows[unit] = known
    at_start[unit].append(known)
    issued[unit] += 1
    touched = addresses.of(instruction)
    ports = {("port", how): np.unique(touched["act", how] // cfg.sector_rows) for how in "rw" if ("act", how) in touched}
    own = BY_NAME[instruction.op].unit in (DRAIN, POOL)
    for (space, how), cells in (touched | ports).items():
        if cells.size and (cells.min() < 0 or cells.max() >= sizes[space]):
            raise VerifyError(f"reaches {space} {int(cells.max())} of {sizes[space]}")
        against = how if space == "port" else "w" if how == "r" else "rw"
        for other_how in against:
            latest = history.last[space, other_how][:, cells].max(axis=1, initial=0)
            for other in range(len(UNITS)):
                if other == unit and not (own and how == "r" and other_how == "w" and space != "port"):
                    continue
                if latest[other] > known[WRITTEN if other == STORE and space == "dram" else other]:
                    raise VerifyError(f"may run beside {UNITS[other]} number {latest[other]}, which uses the same {space}")
    for (space, how), cells in (touched | ports).items():
        history.last[space, how][unit, cells] = issued[unit]


__all__ = ["VerifyError", "verify"]
