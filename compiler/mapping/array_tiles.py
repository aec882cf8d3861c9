"""How a band of output lines is cut into array tiles, and how long the array computes one.

An array tile fills one register-file bank. OS: up to N segments of up to N output columns, segments counted along the lines, so a tile
may begin and end inside a line. WS: up to N * rf pixels, whole lines or a part of one line.
"""

import dataclasses
import functools
import itertools

from squeezelerator.compiler.ir.graph import Op
from squeezelerator.compiler.ir.group_schedule import StepTime
from squeezelerator.compiler.mapping.weight_plan import ChannelGroup, WeightPlan
from squeezelerator.spec.enums import Dataflow
from squeezelerator.spec.machine import MachineConfig


@dataclasses.dataclass(frozen=True)
class ArrayTile:
    """Output pixels of one array tile. ``line``: its first line; OS: ``seg0`` and ``nrows``; WS: ``x``, ``width``, ``height``."""

    line: int
    seg0: int = 0
    nrows: int = 0
    x: int = 0
    width: int = 0
    height: int = 0

    def lines(self, segs: int) -> int:
        """Number of output lines that it touches; ``segs``: segments in a line."""
        return self.height or (self.seg0 + self.nrows - 1) // segs + 1


@dataclasses.dataclass(frozen=True)
class Segments:
    """How an output line is cut in OS: ``segs`` segments of ``seg_len`` columns, ``windows`` buffer reads each."""

    segs: int
    seg_len: int
    windows: int

    @classmethod
    def of(cls, width: int, stride_x: int, n: int) -> "Segments":
        """The fewest segments of about equal length."""
        segs = -(-width // n)
        seg_len = -(-width // segs)
        return cls(segs, seg_len, -(-((seg_len - 1) * stride_x + 1) // n))


@functools.lru_cache(maxsize=65536)
def os_tiles(segs: int, first: int, last: int, n: int) -> tuple[ArrayTile, ...]:
    """OS tiles of segments ``first`` .. ``last - 1``, counted from the map's first line."""
    return tuple(ArrayTile(at // segs, seg0=at % segs, nrows=min(n, last - at)) for at in range(first, last, n))


@functools.lru_cache(maxsize=65536)
def ws_tiles(width: int, first: int, last: int, n: int, rf: int) -> tuple[ArrayTile, ...]:
    """WS tiles of output lines ``first`` .. ``last - 1``."""
    most, lines = n * rf, last - first
    if width > most:
        parts = -(-width // most)
        edges = [width * i // parts for i in range(parts + 1)]
        return tuple(ArrayTile(y, x=a, width=b - a, height=1) for y in range(first, last) for a, b in itertools.pairwise(edges))
    count = -(-lines // (most // width))
    edges = [first + lines * i // count for i in range(count + 1)]
    return tuple(ArrayTile(a, width=width, height=b - a) for a, b in itertools.pairwise(edges))


def units_of(dataflow: Dataflow, op: Op, n: int) -> int:
    """Units in an output line: segments in OS, the line itself in WS."""
    return Segments.of(op.out.w, op.stride[1], n).segs if dataflow == Dataflow.OS else 1


def newest_lines_last(op: Op, n: int) -> bool:
    """Whether in OS the weights for the kernel lines that the tile before did not need form streams of their own behind the others.

    They do where no tile reaches the line below, so that no pixels would be kept from it: transfers of those lines may come while the
    array works on the others.
    """
    return op.kernel[0] > op.stride[0] and units_of(Dataflow.OS, op, n) >= n


def array_tiles(dataflow: Dataflow, op: Op, first: int, last: int, cfg: MachineConfig) -> tuple[ArrayTile, ...]:
    """Tiles of units ``first`` .. ``last - 1`` of a convolution's output."""
    if dataflow == Dataflow.OS:
        return os_tiles(units_of(dataflow, op, cfg.n), first, last, cfg.n)
    return ws_tiles(op.out.w, first, last, cfg.n, cfg.rf)


def newest_cycles(cfg: MachineConfig, plan: WeightPlan, tile: ArrayTile) -> int:
    """Array cycles at the end of a tile, of its last channel group, that alone need the newest lines of the input."""
    op = plan.op
    if plan.dataflow != Dataflow.OS or not newest_lines_last(op, cfg.n):
        return 0
    seg = Segments.of(op.out.w, op.stride[1], cfg.n)
    newest = [chunk for chunk in plan.groups[-1].chunks if chunk.lines[0] >= op.kernel[0] - op.stride[0]]
    return sum(chunk.stream.cycles(tile.nrows, seg.segs, seg.windows) for chunk in newest)


def tile_cycles(cfg: MachineConfig, plan: WeightPlan, group: ChannelGroup, tile: ArrayTile) -> tuple[int, int]:
    """(array, drain) cycles of one tile for a channel group."""
    if plan.dataflow == Dataflow.OS:
        seg = Segments.of(plan.op.out.w, plan.op.stride[1], cfg.n)
        cycles = sum(chunk.stream.cycles(tile.nrows, seg.segs, seg.windows) for chunk in group.chunks)
        return cycles, group.channels * tile.nrows
    pixels = tile.width * tile.height
    return sum(chunk.ws_cycles(cfg, pixels) for chunk in group.chunks), pixels


class ArrayCost:
    """The first of the cost models: array cycles of a weight plan in closed form, each computed once.

    All drains but the last are taken to hide behind other tiles; transfers, ports and dependences do not exist here.
    """

    def __init__(self, cfg: MachineConfig, plan: WeightPlan) -> None:
        self.cfg, self.plan = cfg, plan
        self.units = units_of(plan.dataflow, plan.op, cfg.n)
        self._known: dict[int, StepTime] = {}
        #: (array rows, pixels) of a tile -> its array cycles, its last drain, and what of them needs the newest lines alone.
        self._shapes: dict[tuple[int, int], tuple[int, int, int]] = {}

    def of(self, count: int) -> StepTime:
        """Time of ``count`` units."""
        if count not in self._known:
            total, tail, tiles, newest = 0, 0, 0, 0
            for tile in array_tiles(self.plan.dataflow, self.plan.op, 0, count, self.cfg):
                key = (tile.nrows, tile.width * tile.height)
                if key not in self._shapes:
                    costs = [tile_cycles(self.cfg, self.plan, group, tile) for group in self.plan.groups]
                    self._shapes[key] = sum(max(cost) for cost in costs), costs[-1][1], newest_cycles(self.cfg, self.plan, tile)
                work, tail, newest = self._shapes[key]
                total += work
                tiles += len(self.plan.groups)
            self._known[count] = StepTime(total, tail, tiles, newest)
        return self._known[count]

    @property
    def whole(self) -> int:
        """Array cycles of the whole map in full tiles."""
        return self.of(self.plan.op.out.h * self.units).work
