"""How a band of output lines is cut into array passes, and what a pass costs.

A pass fills one register-file bank. OS: up to N segments of up to N output columns, segments counted along the lines, so a
pass may begin and end inside a line. WS: up to N * rf pixels, whole lines or a part of one line.
"""

import dataclasses
import functools
import itertools

from rtl.isa import MODE_OS


@dataclasses.dataclass(frozen=True)
class SpatialPass:
    """Output pixels of one pass. ``line``: its first line; OS: ``seg0`` and ``nrows``; WS: ``x``, ``width``, ``height``."""

    line: int
    seg0: int = 0
    nrows: int = 0
    x: int = 0
    width: int = 0
    height: int = 0

    def lines(self, segs):
        """Number of output lines that it touches."""
        return self.height or (self.seg0 + self.nrows - 1) // segs + 1


@dataclasses.dataclass(frozen=True)
class Segments:
    """How an output line is cut in OS: ``segs`` segments of ``seg_len`` columns, ``windows`` buffer reads each."""

    segs: int
    seg_len: int
    windows: int

    @classmethod
    def of(cls, width, stride_x, n):
        """The fewest segments of about equal length."""
        segs = -(-width // n)
        seg_len = -(-width // segs)
        return cls(segs, seg_len, -(-((seg_len - 1) * stride_x + 1) // n))


@functools.lru_cache(maxsize=65536)
def spatial_passes(mode, width, stride_x, lines, n, rf):
    """Passes over ``lines`` lines of ``width`` output columns; their ``line`` counts from 0."""
    found = []
    if mode == MODE_OS:
        segs = Segments.of(width, stride_x, n).segs
        for at in range(0, lines * segs, n):
            found.append(SpatialPass(line=at // segs, seg0=at % segs, nrows=min(n, lines * segs - at)))
    elif width > n * rf:
        parts = -(-width // (n * rf))
        edges = [width * i // parts for i in range(parts + 1)]
        for y in range(lines):
            found += [SpatialPass(line=y, x=a, width=b - a, height=1) for a, b in itertools.pairwise(edges)]
    else:
        count = -(-lines // (n * rf // width))
        edges = [lines * i // count for i in range(count + 1)]
        found += [SpatialPass(line=a, width=width, height=b - a) for a, b in itertools.pairwise(edges)]
    return tuple(found)


def pass_cycles(cfg, plan, group, spatial):
    """(array, drain) cycles of one pass of a channel group."""
    if plan.mode == MODE_OS:
        windows = Segments.of(plan.op.out.w, plan.op.stride[1], cfg.n).windows
        load = spatial.nrows * windows
        return sum(chunk.cycles(cfg.n, load) for chunk in group.chunks), group.channels * spatial.nrows
    pixels = spatial.width * spatial.height
    return sum(chunk.cycles(cfg.n, pixels) for chunk in group.chunks), pixels


class PlanCost:
    """Closed-form cycles of a plan for bands of lines, remembered."""

    def __init__(self, cfg, plan):
        self.cfg, self.plan = cfg, plan
        self._known, self._shapes = {}, {}

    def lines(self, lines):
        """Cycles on the array for a band of ``lines`` output lines, its drains hidden behind other passes."""
        if lines not in self._known:
            op, cfg = self.plan.op, self.cfg
            total = 0
            for spatial in spatial_passes(self.plan.mode, op.out.w, op.stride[1], lines, cfg.n, cfg.rf):
                key = (spatial.nrows, spatial.width * spatial.height)
                if key not in self._shapes:
                    self._shapes[key] = sum(max(pass_cycles(cfg, self.plan, g, spatial)) for g in self.plan.groups)
                total += self._shapes[key]
            self._known[lines] = total
        return self._known[lines]
