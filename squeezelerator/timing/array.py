"""Exact timing of ARRAY: the recurrences that its pipeline stages obey, record by record (OS) or tile by tile (WS).

The stages (see rtl/array/array_control.py, os_loader.py, ws_loader.py, array_unit.py) are coupled only by one-place buffers and FIFOs with
credits, so every time is the maximum of a few earlier times plus a constant (max-plus equations). Names below: ``pop`` = cycle in which
a header is taken, ``ask`` = buffer request of an array row, ``put`` = cycle in which a row, or the first of a tile, goes into the PEs'
``next`` registers, ``take`` = cycle in which the computing stage takes a record or tile.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from squeezelerator.spec.constants.units import FIFO_ROWS, PREFETCH_ROWS
from squeezelerator.spec.isa import Instruction
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.weight_decode import Headers

__all__ = ["ArraySpan", "ArrayTiming", "column_words", "loaded_rows", "pipeline_tail"]

LONG_AGO = -(1 << 40)


def pipeline_tail(cfg: MachineConfig, op: str) -> int:
    """Cycles from the last one in which an OS or WS multiplies to its retire pulse: sums on their way to the register files."""
    return cfg.n + 3 + cfg.read_latency if op == "WS" else 2


@dataclasses.dataclass(frozen=True)
class ArraySpan:
    """What an instruction of ARRAY did with its time.

    Parameters
    ----------
    take : int
        Cycle in which its first record or tile was taken; it multiplies from the next one on.
    done : int
        The last cycle in which it multiplies.
    computing : int
        Cycles in which it multiplies.
    headers : int
        Of the cycles between ``take`` and ``done`` in which it does not: those that it would have multiplied if the headers of its
        records had been parsed at once. The others wait for operands.
    first_load : int
        Buffer reads before ``take``: those of the first record in OS, one in WS, where a tile is taken with its first row.
    """

    take: int
    done: int
    computing: int
    headers: int
    first_load: int

    @property
    def loads(self) -> int:
        """Cycles between ``take`` and ``done`` that wait for operands to be read from the buffers into the PEs."""
        return self.done - self.take - self.computing - self.headers


class _Rows:
    """The ``put`` cycles of the last rows, kept as runs of consecutive cycles."""

    def __init__(self) -> None:
        self.runs = [(LONG_AGO, 1 << 30)]  # (first cycle, rows), newest last

    def back(self, distance: int, first: int, rows: int) -> int:
        """Cycle of the row ``distance`` rows before row ``rows - 1`` of the run that begins at ``first``."""
        if distance < rows:
            return first + rows - 1 - distance
        distance -= rows
        for start, count in reversed(self.runs):
            if distance < count:
                return start + count - 1 - distance
            distance -= count
        return LONG_AGO

    def add(self, first: int, rows: int) -> None:
        self.runs.append((first, rows))
        if len(self.runs) > 24:
            del self.runs[:12]


class ArrayTiming:
    """Timing of ARRAY's instructions, in the order of their acceptance.

    Parameters
    ----------
    cfg : MachineConfig
    stream_of : callable(Instruction) -> spec.weight_decode.Headers
        The records of an OS instruction.
    phase : int
        Parity of the cycles in which headers may be read.
    fresh_of : callable(Instruction) -> int
        Additions of an OS instruction that begin a partial sum; for the counters.
    weights_of : callable(Instruction) -> int
        Weights of a WS instruction that are not zero; for the counters.
    keep_spans : bool
        Whether ``spans`` gets an :class:`ArraySpan` for every instruction accepted.
    """

    def __init__(self, cfg: MachineConfig, stream_of: Callable[[Instruction], Headers], *, phase: int = 0,
                 fresh_of: Callable[[Instruction], int] = lambda instr: 0,
                 weights_of: Callable[[Instruction], int] = lambda instr: 0, keep_spans: bool = False) -> None:
        self.spans: list[ArraySpan] = []
        self._keep_spans = keep_spans
        self._fresh_of = fresh_of
        self._weights_of = weights_of
        self.cfg = cfg
        self.stream_of = stream_of
        self.phase = phase
        self._loaded = {}
        self.ws = None
        self.retired = LONG_AGO
        self.free = LONG_AGO
        self._reset()

    def _reset(self) -> None:
        self.rows = _Rows()
        self.take = LONG_AGO  # last take
        self.done = LONG_AGO  # earliest next take as far as computing goes
        self.asked = LONG_AGO  # last request of the loader (OS) or of the weight prefetcher (WS)

    def ready_for(self, instr: Instruction) -> int:
        """First cycle in which ``instr`` could be accepted."""
        if self.ws is None or (instr.op == "WS") == self.ws:
            return self.free
        return max(self.free, self.retired + 1)

    def accept(self, instr: Instruction, t: int) -> tuple[int, int]:
        """Account for ``instr`` accepted in cycle ``t``; returns (first cycle ready again for the same dataflow, retire)."""
        ws = instr.op == "WS"
        if ws != self.ws:
            self._reset()
            self.ws = ws
        self.free, self.retired = self._accept_ws(instr, t) if ws else self._accept_os(instr, t)
        return self.free, self.retired

    def _accept_os(self, instr: Instruction, t: int) -> tuple[int, int]:
        parse = self.cfg.header_words
        windows = instr["windows"]
        slot = t + 1 + ((t + 1 + self.phase) & 1)
        header = slot + 2 + parse
        rows, take, done, asked = self.rows, self.take, self.done, self.asked
        back, add = rows.back, rows.add
        latency = self.cfg.read_latency + 1
        pop = t
        keep, first, headers, computing = self._keep_spans, None, 0, 0
        nnz_of, rows_of = self.stream_of(instr).nnz, self._rows_of(instr)
        for nnz, loaded in zip(nnz_of, rows_of, strict=False):
            size = loaded * windows
            pop = header if header > asked else asked
            room = back(FIFO_ROWS - 1, 0, 0) + 1
            ask = max(pop + 1, room)
            put = max(take + 1, ask + latency)
            last = put + size - 1
            if keep:
                if first is None:
                    first = max(last, done)
                elif last > done:  # what if the header had not been waited for
                    sooner = max(take + 1, max(asked + 1, room) + latency) + size - 1
                    headers += last - max(sooner, done)
                computing += nnz
            asked = max(ask + size - 1, back(FIFO_ROWS, put, size) + 1)
            add(put, size)
            take = last if last > done else done
            done = take + nnz
            header = pop + 1 + parse
        self.take, self.done, self.asked = take, done, asked
        if first is not None:
            self.spans.append(ArraySpan(first, done, computing, headers, rows_of[0] * windows))
        return pop + 1, done + pipeline_tail(self.cfg, instr.op)

    def _accept_ws(self, instr: Instruction, t: int) -> tuple[int, int]:
        n, latency = self.cfg.n, self.cfg.read_latency + 1
        pixels = instr["out_w"] * instr["out_h"]
        start = max(t + 1, self.asked + 1)
        pop = max(t + 2, self.take + 1)
        rows, take, done = self.rows, self.take, self.done
        asked = start  # the first request follows a cycle later
        put_after = max(pop + 1, rows.back(0, 0, 0) + 1)
        first = None
        for _ in range(instr["tiles"]):
            ask = max(asked + 1, rows.back(PREFETCH_ROWS - 1, 0, 0) + 1)
            put = max(take + latency, ask + 2, put_after)
            asked = max(ask + n - 1, rows.back(PREFETCH_ROWS, put, n) + 1)
            rows.add(put, n)
            put_after = put + n
            take = max(put, done)
            first = take if first is None else first
            done = take + pixels
        self.take, self.done, self.asked = take, done, asked
        if self._keep_spans and first is not None:
            self.spans.append(ArraySpan(first, done, instr["tiles"] * pixels, 0, 1))
        return pop + 1, done + pipeline_tail(self.cfg, instr.op)

    def _rows_of(self, instr: Instruction) -> list[int]:
        """``loaded_rows`` of an OS instruction, remembered."""
        headers = self.stream_of(instr)
        # The streams themselves keep their place in memory as long as this object lives: it holds them here.
        key = id(headers), *(instr[name] for name in ("nrows", "segs", "in_pitch", "stride_y"))
        if key not in self._loaded:
            self._loaded[key] = headers, loaded_rows(self.cfg, instr, headers).tolist()
        return self._loaded[key][1]

    def counters(self, instr: Instruction) -> dict[str, int]:
        """Events of ``instr``: dict of the names in ``ArrayUnit.events`` plus ``zeros_skipped`` and ``computing`` (cycles)."""
        n = self.cfg.n
        if instr.op == "WS":
            pixels = instr["out_w"] * instr["out_h"]
            tiles = instr["tiles"]
            return {
                "macs": self._weights_of(instr) * pixels, "neighbour_words": tiles * pixels * n * n,
                "rf_words": n * pixels * (2 * tiles - instr["first"]),
                "act_read_words": n * _ws_inside(instr), "weight_words": tiles * n * n, "zeros_skipped": 0,
                "computing": tiles * pixels,
            }
        headers = self.stream_of(instr)
        nnz = np.asarray(headers.nnz)
        loaded = np.asarray(self._rows_of(instr))
        shifts = int(loaded[loaded < instr["nrows"]].sum())
        total = int(nnz.sum())
        header_rows = -(-len(nnz) * self.cfg.header_words // n)
        return {
            "macs": total * instr["pixels"], "neighbour_words": shifts * (instr["nrows"] - 1) * instr["seg_len"],
            "rf_words": instr["pixels"] * (2 * total - self._fresh_of(instr)),
            "act_read_words": _os_inside(instr, headers, loaded), "weight_words": n * (header_rows + -(-total // n)),
            "zeros_skipped": instr["skipped"] * instr["pixels"], "computing": total,
        }


def loaded_rows(cfg: MachineConfig, instr: Instruction, headers: Headers) -> np.ndarray:
    """Array rows that each record of an OS instruction loads: all in use, or those that shifting leaves (int array)."""
    rows = np.full(len(headers.nnz), instr["nrows"])
    same = (np.diff(headers.lane) == 0) & (np.diff(headers.kx) == 0)
    offset, line = np.diff(headers.offset) % 65536, np.diff(headers.ky)
    for lines in cfg.shift_lines:
        if lines * instr["segs"] < instr["nrows"]:
            step = lines * instr["stride_y"]
            rows[1:][same & (line == step) & (offset == step * instr["in_pitch"] % 65536)] = lines * instr["segs"]
    return rows


def column_words(instr: Instruction, kx: int, ky: int, rows: int) -> int:
    """Words that an OS instruction reads for the last ``rows`` segments of a record at tap (ky, kx): in-range pixels."""
    end = instr["seg0"] + instr["nrows"]
    number = np.arange(end - rows, end)
    line, segment = number // instr["segs"], number % instr["segs"]
    y = instr["y0"] + line * instr["stride_y"] + ky
    column = segment * instr["seg_len"]
    x = instr["x0"] + kx + (column[:, None] + np.arange(instr["seg_len"])) * instr["stride_x"]
    inside = (x >= 0) & (x < instr["in_w"])
    return int(inside.sum(axis=1)[(y >= 0) & (y < instr["in_h"])].sum())


def _os_inside(instr: Instruction, headers: Headers, loaded: np.ndarray) -> int:
    kinds, counts = np.unique((headers.ky * 32 + headers.kx) * 64 + loaded, return_counts=True)
    return sum(int(c) * column_words(instr, int(kind) // 64 % 32, int(kind) // 2048, int(kind) % 64)
               for kind, c in zip(kinds, counts, strict=False))


def _ws_inside(instr: Instruction) -> int:
    total = 0
    for ky in range(instr["kh"]):
        y = instr["y0"] + ky + np.arange(instr["out_h"]) * instr["stride_y"]
        lines = int(((y >= 0) & (y < instr["in_h"])).sum())
        for kx in range(instr["kw"]):
            x = instr["x0"] + kx + np.arange(instr["out_w"]) * instr["stride_x"]
            total += lines * int(((x >= 0) & (x < instr["in_w"])).sum())
    return total * instr["blocks"]
