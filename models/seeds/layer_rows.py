"""The published layer table of 1.0-SqNxt-23, row by row, beside the network here."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from squeezelerator.models.networks import zoo
from squeezelerator.models.seeds.item import Item, Text, Verdict

__all__ = ["ROWS", "Row", "layer_items"]


class Row(NamedTuple):
    """A row as published: sizes, repetitions, and thousands of parameters and of MACs of all repetitions, KiB of activations of one."""

    name: str
    w_i: int
    c_i: int
    k_w: int
    k_h: int
    w_o: int
    c_o: int
    stride: int
    repeat: int
    params: float
    macs: int
    act: int


_TEXT = """
conv1 227 3 7 7 111 64 2 1 9.5 116705 3080
conv2 55 64 1 1 55 32 1 1 2.1 6292 378
conv3 55 64 1 1 55 16 1 1 1.0 3146 189
conv4 55 16 1 1 55 8 1 1 0.1 411 95
conv5 55 8 1 3 55 16 1 1 0.4 1210 189
conv6 55 16 3 1 55 16 1 1 0.8 2372 189
conv7 55 16 1 1 55 32 1 1 0.5 1646 378
conv8 55 32 1 1 55 16 1 5 2.6 7986 189
conv9 55 16 1 1 55 8 1 5 0.7 2057 95
conv10 55 8 3 1 55 16 1 5 2.0 6050 189
conv11 55 16 1 3 55 16 1 5 3.9 11858 89
conv12 55 16 1 1 55 32 1 5 2.7 8228 378
conv33 55 32 1 1 28 64 2 1 2.1 1656 196
conv34 55 32 1 1 28 32 2 1 1.1 828 98
conv35 28 32 1 1 28 16 1 1 0.5 414 49
conv36 28 16 3 1 28 32 1 1 1.6 1229 98
conv37 28 32 3 1 28 32 1 1 3.1 2434 98
conv38 28 32 1 1 28 64 1 1 2.1 1656 196
conv39 28 64 1 1 28 32 1 5 10.4 8154 98
conv40 28 32 1 1 28 16 1 5 2.6 2070 49
conv41 28 16 3 1 28 32 1 5 7.8 6147 98
conv42 28 32 1 3 28 32 1 5 15.5 12168 98
conv43 28 32 1 1 28 64 1 5 10.6 8279 196
conv64 28 64 1 1 14 128 2 1 8.3 1631 98
conv65 28 64 1 1 14 64 2 1 4.2 815 49
conv66 14 64 1 1 14 32 1 1 2.1 408 25
conv67 14 32 1 3 14 64 1 1 6.2 1217 49
conv68 14 64 3 1 14 64 1 1 12.4 2421 49
conv69 14 64 1 1 14 128 1 1 8.3 1631 98
conv70 14 128 1 1 14 64 1 7 57.8 11327 49
conv71 14 64 1 1 14 32 1 7 14.6 2854 25
conv72 14 32 3 1 14 64 1 7 43.5 8517 49
conv73 14 64 1 3 14 64 1 7 86.5 16947 49
conv74 14 64 1 1 14 128 1 7 58.2 11415 98
conv105 14 128 1 1 7 256 2 1 33.0 1618 49
conv106 14 128 1 1 7 128 2 1 16.5 809 25
conv107 7 128 1 1 7 64 1 1 8.3 405 12
conv108 7 64 1 3 7 128 1 1 24.7 1210 25
conv109 7 128 3 1 7 128 1 1 49.3 2415 25
conv110 7 128 1 1 7 256 1 1 33.0 1618 49
conv111 7 256 1 1 7 128 1 1 32.9 1612 25
fc1000 1 128 1 1 1 1000 1 1 129.0 129 4
"""


def _row(line: str) -> Row:
    name, w_i, c_i, k_w, k_h, w_o, c_o, stride, repeat, params, macs, act = line.split()
    sizes = map(int, (w_i, c_i, k_w, k_h, w_o, c_o, stride, repeat))
    return Row(name, *sizes, params=float(params), macs=int(macs), act=int(act))


ROWS = tuple(map(_row, _TEXT.strip().splitlines()))
"""The rows; heights equal widths but for kernels."""

_MISPRINTS = {
    "conv11": "the printed size of its activations lacks a digit: 16 channels of 55x55 in four bytes are 189 KiB, as in conv8",
    "conv36": "its kernel is printed as 3 wide, and its padding is that of one 3 high; the pair has one of each",
}


def _counted(row: Row) -> tuple[float, int, int]:
    """(thousands of parameters, thousands of MACs, KiB of activations) of a row's shape, biases counted."""
    params = (row.k_w * row.k_h * row.c_i + 1) * row.c_o
    return params * row.repeat / 1e3, round(params * row.w_o * row.w_o * row.repeat / 1e3), round(row.c_o * row.w_o * row.w_o * 4 / 1024)


def layer_items() -> Iterator[Item]:
    """An item for each row: its counts from its shape, and as many layers of its shape in the network here (a separable pair in either
    order)."""

    def shape(w_i: int, c_i: int, kernel: tuple[int, int], w_o: int, c_o: int) -> tuple[object, ...]:
        return w_i, c_i, tuple(sorted(kernel)), w_o, c_o

    has = Counter(
        shape(layer.w_i, layer.c_i, (layer.k_w, layer.k_h), layer.w_o, layer.c_o)
        for layer in zoo.get("sqnxt23").layers
        if layer.has_weights
    )
    for row in ROWS:
        params, macs, act = _counted(row)
        layers = has[shape(row.w_i, row.c_i, (row.k_w, row.k_h), row.w_o, row.c_o)]
        same = abs(params - row.params) <= 0.1 and abs(macs - row.macs) <= 1 and abs(act - row.act) <= 1 and layers >= row.repeat
        why = _MISPRINTS.get(row.name, "")
        verdict = Verdict.REPRODUCED if same and not why else Verdict.DIFFERS
        yield Item(
            Text.SLIDES,
            "layer table",
            f"{row.name}: {row.repeat} x {row.c_i} to {row.c_o} channels, {row.k_w}x{row.k_h}, {row.w_o}x{row.w_o}",
            f"{row.params:g}k, {row.macs:,}k MACs, {row.act:,} KiB",
            f"{params:.1f}k, {macs:,}k MACs, {act:,} KiB",
            verdict,
            "python -m models 1.0-SqNxt-23",
            why or ("" if same else "no layer of this shape"),
        )
