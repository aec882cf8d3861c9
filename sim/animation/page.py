"""The animation as one HTML page."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources

from squeezelerator.sim.animation.draw import HEIGHT, WIDTH, drawn
from squeezelerator.sim.animation.example import Example
from squeezelerator.sim.animation.frames import Frame

__all__ = ["page"]

_TITLES = {
    "OS": ("Output stationary",
           "Each PE owns an output pixel (array row: line, column: column of the map). Pixels of an input channel are loaded into next, "
           "become stationary, and are multiplied by one weight after the other, the same in all PEs; entry k of the register file is the "
           "partial sum of output channel k. Zero weights are not in the stream. For the next kernel line the pixels move up by a row, and "
           "only the last row is read. With so few weights for each pixel most cycles wait for the next record."),
    "WS": ("Weight stationary",
           "Each PE holds a weight (array row: input channel, column: output channel). Pixels stream through, in the second row a cycle "
           "later; products are added down the columns, and the sums of pixel t are kept in array row t mod 2, entry t / 2. Zeros are "
           "multiplied, too. The second tile of weights (the second kernel line) is loaded into next while the first one works."),
}  # fmt: skip


def _file(name: str) -> str:
    return (resources.files(__package__ or __name__) / name).read_text(encoding="utf-8")


def _player(dataflow: str, shown: Sequence[Frame]) -> str:
    title, text = _TITLES[dataflow]
    groups = "".join(drawn(frame) for frame in shown)
    return (
        f'<section class="player" id="{dataflow}"><h2>{title}</h2><p>{text}</p>\n'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}, cycle by cycle">\n{groups}</svg>\n'
        '<div class="bar"><button type="button" class="back">back</button><button type="button" class="play">play</button>'
        '<button type="button" class="on">on</button><input type="range" min="0" value="0" aria-label="cycle"><output></output></div>'
        "</section>\n"
    )


def page(example: Example, shown: Mapping[str, Sequence[Frame]]) -> str:
    """The page's text; ``shown``: frames by dataflow."""
    players = "".join(_player(dataflow, found) for dataflow, found in shown.items())
    numbers = (f"Pixels (channel, line, column): {example.pixels.tolist()}. Weights (output channel, input channel, line, column): "
               f"{example.weights.tolist()}. Sums (output channel, line, column): {example.outputs.tolist()}.")  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>Two dataflows on 2 x 2 PEs</title>\n<style>\n{_file('animation.css')}</style>\n</head>\n<body>\n"
        "<h1>Two dataflows on 2 x 2 PEs</h1>\n<p>The same convolution, two channels to two, a kernel of two lines and one column, cycle by "
        "cycle. Every number is read from a simulation of the generated hardware: what the registers of each PE hold at the beginning of "
        f"the cycle. What changes in a cycle is lit.</p>\n<p>{escape(numbers)}</p>\n{players}<script>\n{_file('animation.js')}</script>\n"
        "</body>\n</html>\n"
    )
