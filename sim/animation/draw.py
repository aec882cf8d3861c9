"""A frame as SVG."""

from html import escape

from squeezelerator.sim.animation.example import CFG
from squeezelerator.sim.animation.frames import Frame, Pe

__all__ = ["HEIGHT", "WIDTH", "drawn"]

#: Sizes of the picture and, in it, of a PE, of the gaps between PEs and of the borders (left, top).
WIDTH, HEIGHT = 700, 560
_PE = (250, 190)
_GAP = 40
_LEFT, _TOP = 130, 60


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def _value(x: float, y: float, what: str, value: object, *, lit: bool = False) -> str:
    """A named number; ``data-what`` says which register it is."""
    style = "value lit" if lit else "value"
    return (f'{_text(x, y, what.split(" ")[0], "name")}<text x="{x + 150}" y="{y}" class="{style}" text-anchor="end" '
            f'data-what="{escape(what)}">{escape(str(value))}</text>')  # fmt: skip


def _pe(pe: Pe, row: int, column: int, frame: Frame) -> str:
    x, y = _LEFT + column * (_PE[0] + _GAP), _TOP + row * (_PE[1] + _GAP)
    busy = " busy" if frame.streams[row] is not None else ""
    lines = [f'<g data-pe="{row} {column}"><rect x="{x}" y="{y}" width="{_PE[0]}" height="{_PE[1]}" rx="8" class="pe{busy}"/>',
             _text(x + _PE[0] - 10, y + 18, f"PE {row},{column}", "name", "end"),
             _value(x + 12, y + 28, "next", pe.following, lit=row in frame.loads or frame.shift),
             _value(x + 12, y + 52, "stationary", pe.stationary, lit=row in frame.swaps or frame.streams[row] is not None),
             _value(x + 12, y + 76, "product", pe.product), _value(x + 12, y + 100, "sum", pe.total)]  # fmt: skip
    for entry in range(CFG.rf):
        shown = "-" if pe.entries[entry] is None else pe.entries[entry]
        written = pe.written is not None and pe.written[0] == entry
        after = f" <- {pe.written[1]}" if pe.written is not None and written else ""
        place = x + 12 + 120 * (entry % 2), y + 130 + 26 * (entry // 2)
        style = "value lit" if written else "value"
        lines.append(_text(*place, f"[{entry}]", "name"))
        lines.append(f'<text x="{place[0] + 28}" y="{place[1]}" class="{style}" data-what="entry {entry}">{shown}{escape(after)}</text>')
    return "".join([*lines, "</g>"])


def _around(frame: Frame) -> str:
    """Operands above the columns, streams beside the rows."""
    lines = []
    for column in range(CFG.n):
        x = _LEFT + column * (_PE[0] + _GAP) + _PE[0] / 2
        shown = str(frame.operand[column]) if frame.loads else ""
        lines.append(_text(x, 24, "operand", "name", "middle"))
        lines.append(f'<text x="{x}" y="46" class="value lit" text-anchor="middle" data-what="operand {column}">{shown}</text>')
    for row in range(CFG.n):
        y = _TOP + row * (_PE[1] + _GAP) + _PE[1] / 2
        value = frame.streams[row]
        lines.append(_text(20, y - 8, "stream", "name"))
        lines.append(f'<text x="20" y="{y + 16}" class="value lit" data-what="stream {row}">{"" if value is None else value}</text>')
        if value is not None:
            lines.append(f'<path d="M70 {y + 10} H{_LEFT - 10} m-8 -6 l8 6 l-8 6" class="arrow"/>')
    return "".join(lines)


def drawn(frame: Frame) -> str:
    """The frame as a group of SVG elements."""
    pes = "".join(_pe(pe, row, column, frame) for row, line in enumerate(frame.pes) for column, pe in enumerate(line))
    words = _text(20, HEIGHT - 22, f"cycle {frame.cycle}: {'; '.join(frame.text)}", "words")
    return f'<g class="frame" data-cycle="{frame.cycle}">{_around(frame)}{pes}{words}</g>\n'
