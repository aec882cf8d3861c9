"""Addresses in a ring buffer: which rows lines occupy, and the fields by which instructions describe them."""

from squeezelerator.compiler.ir.buffer import Buffer
from squeezelerator.compiler.ir.graph import Tensor

#: Rows of one kind of buffer, from a first to the one behind the last.
Interval = tuple[str, int, int]

NO_WRAP = 0xFFFF


def intervals(kind: str, buffer: Buffer, blocks: tuple[int, int], y0: int, y1: int) -> list[Interval]:
    """Row intervals (``kind``, low, high) of lines y0 .. y1-1 of channel blocks ``blocks[0]`` .. ``blocks[1]-1``."""
    if y1 <= y0:
        return []
    first, count = buffer.line_index(y0), y1 - y0
    if count > buffer.lines:
        raise AssertionError(f"{count} lines of {buffer!r}")
    if count == buffer.lines:
        return [(kind, buffer.base + blocks[0] * buffer.plane, buffer.base + blocks[1] * buffer.plane)]
    plane, pitch = buffer.plane, buffer.pitch
    spans = [(first * pitch, min(first + count, buffer.lines) * pitch)]
    if first + count > buffer.lines:
        spans.append((0, (first + count - buffer.lines) * pitch))
    bases = range(buffer.base + blocks[0] * plane, buffer.base + blocks[1] * plane, plane)
    return [(kind, base + low, base + high) for base in bases for low, high in spans]


def input_view(buffer: Buffer, tensor: Tensor, block: int, y0: int, last: int, x0: int, stride: tuple[int, int]) -> dict[str, int]:
    """Fields by which an instruction reads ``tensor`` whose topmost input line is ``y0`` and whose lowest is ``last``."""
    first, last = max(0, min(y0, tensor.h - 1)), max(0, min(last, tensor.h - 1))
    rounds = (first + buffer.rotation) // buffer.lines
    end = (rounds + 1) * buffer.lines - buffer.rotation
    base = buffer.base + block * buffer.plane + buffer.rotation * buffer.pitch - rounds * buffer.plane
    return {
        "in_base": base & 0xFFFF, "in_w": tensor.w, "in_h": tensor.h, "in_pitch": buffer.pitch,
        "wrap_line": end if last >= end else NO_WRAP, "wrap_rows": buffer.plane if last >= end else 0,
        "y0": y0, "x0": x0, "stride_y": stride[0], "stride_x": stride[1],
    }  # fmt: skip


def output_view(prefix: str, buffer: Buffer, block: int, y0: int, lines: int, x: int = 0) -> dict[str, int]:
    """Fields ``{prefix}_base`` and so on for ``lines`` lines from line ``y0``, column ``x`` on."""
    first = buffer.line_index(y0)
    wraps = first + lines > buffer.lines
    return {
        f"{prefix}_base": buffer.base + block * buffer.plane + first * buffer.pitch + x,
        f"{prefix}_pitch": buffer.pitch, f"{prefix}_plane": buffer.plane,
        f"{prefix}_wrap_line": buffer.lines - first if wraps else NO_WRAP, f"{prefix}_wrap_rows": buffer.plane if wraps else 0,
    }  # fmt: skip
