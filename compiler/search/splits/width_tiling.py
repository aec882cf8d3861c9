"""Width tiling: operations of which not even a line fits the activation buffer are cut into strips of columns.

It is the last resort: where the channels of a map can be taken apart so that a line fits, nothing is cut. Strips come from DRAM and go
there, and neighbours read the columns of the halo twice, so wide strips are better, but for the room that they leave to transfers.
"""

import math
from typing import NoReturn

from squeezelerator.compiler.errors import CompileError, GroupError, larger_buffer
from squeezelerator.compiler.fusion.group_context import GroupContext
from squeezelerator.compiler.fusion.tiling_search import TilingSearch
from squeezelerator.compiler.ir.graph import Graph, Op
from squeezelerator.compiler.lowering.width_strips import channel_pieces, strip, strips, with_strips
from squeezelerator.compiler.mapping.plan_cache import PlanCache
from squeezelerator.compiler.search_config import SearchConfig
from squeezelerator.compiler.tuning import WIDTH_TILING
from squeezelerator.spec.machine import MachineConfig


def _lines_read(op: Op) -> int:
    """Input lines that some output line needs at the same time."""
    height, (step, _), (top, _), (size, _) = op.parts[0].h, op.stride, op.pad, op.kernel
    return max(1, *(min(height, y * step - top + size) - max(0, y * step - top) for y in range(op.out.h)))


class WidthTiler:
    """Cuts a graph's operations where nothing else makes them fit; parameters as of
    :class:`~compiler.fusion.tiling_search.TilingSearch`."""

    def __init__(self, cfg: MachineConfig, dataflow: str, config: SearchConfig, plan_cache: PlanCache) -> None:
        self.cfg, self.dataflow, self.config, self.plan_cache = cfg, dataflow, config, plan_cache

    def run(self, graph: Graph) -> Graph:
        """The graph with strips in place of what no split of the channels makes fit."""
        search = TilingSearch(graph, self.cfg, self.dataflow, self.config, self.plan_cache)
        for op in graph.ops:
            if self._never_fits(search, op):
                # Readers of strips are other objects than before.
                graph = self.cut(graph, next(other for other in graph.ops if other.name == op.name))
        return graph

    def cut(self, graph: Graph, op: Op) -> Graph:
        """The graph with ``op`` in the strips that cost least by themselves; raises GroupError if none fit."""
        search = TilingSearch(graph, self.cfg, self.dataflow, self.config, self.plan_cache)
        least, best = math.inf, None
        size = -(-op.out.c // self.cfg.n) * self.cfg.n
        while size >= self.cfg.n:
            cost, width = self._cheapest_width(search, op, size, least)
            if cost < least:
                least, best = cost, (size, width)
            elif best is not None:
                break
            size = -(-size // self.cfg.n // 2) * self.cfg.n if size > self.cfg.n else 0
        if best is None:
            self._refuse(search, op)
        size, width = best
        return with_strips(graph, op, [one for piece in channel_pieces(op, size, self.cfg.n) for one in strips(piece, width)])

    def _refuse(self, search: TilingSearch, op: Op) -> NoReturn:
        """A column of a block of channels needs more rows than there are."""
        need = search.min_rows(GroupContext.alone(self._inner(channel_pieces(op, self.cfg.n, self.cfg.n)[0], 1)))
        raise GroupError(f"layer {op.layers[0]}: needs {need} rows of activation buffer for a single column, there are {self.cfg.act_rows}"
                         + larger_buffer(self.cfg, lambda larger: larger.act_rows >= need), op.out)  # fmt: skip

    # -- what fits --------------------------------------------------------------------------------------------

    def _fits(self, search: TilingSearch, op: Op) -> bool:
        """Whether an operation fits the buffer with nothing else in it."""
        try:
            return search.best(GroupContext.alone(op), self.cfg.act_rows) is not None
        except CompileError:
            return False

    def _never_fits(self, search: TilingSearch, op: Op) -> bool:
        """Whether an operation does not fit with the fewest channels that it can have."""
        n = self.cfg.n
        blocks = 1 if op.is_depthwise or op.groups > 1 else sum(part.blocks(n) for part in op.parts)
        if blocks * _lines_read(op) * op.parts[0].w + op.out.w <= self.cfg.act_rows:
            return False
        piece = channel_pieces(op, n, n)[0]
        return not self._fits(search, piece)

    def _widest(self, search: TilingSearch, op: Op) -> int:
        """The widest strip that fits; 0 if none does."""
        low, high = 0, op.out.w
        while low < high:
            middle = (low + high + 1) // 2
            if self._fits(search, self._inner(op, middle)):
                low = middle
            else:
                high = middle - 1
        return low

    @staticmethod
    def _inner(op: Op, width: int) -> Op:
        """A strip of so many columns that reads as many as any."""
        first = width if op.out.w >= 2 * width else 0
        return strip(op, op.name, first, first + width)

    # -- costs ------------------------------------------------------------------------------------------------

    def _widths(self, op: Op, widest: int) -> list[int]:
        """Widths worth trying: equal strips, and such as fill array tiles."""
        total, n = op.out.w, self.cfg.n
        fewest = -(-total // widest)
        found = {-(-total // (fewest + more)) for more in range(WIDTH_TILING.more_strips + 1)} | {-(-widest // 2)}
        found |= {width // n * n for width in (widest, widest // 2) if width >= n}
        return sorted(found, reverse=True)

    def _cheapest_width(self, search: TilingSearch, op: Op, size: int, limit: float) -> tuple[float, int]:
        """(cost, width) of the cheapest strips of pieces of ``size`` channels, if that is less than ``limit``."""
        pieces = channel_pieces(op, size, self.cfg.n)
        if len(pieces) == 1 and size < op.out.c:
            return math.inf, 0
        first, best = pieces[0], 0
        widest = self._widest(search, first)
        for width in self._widths(first, widest) if widest else ():
            count = len(pieces) * -(-op.out.w // width)
            tiling = search.best(GroupContext.alone(self._inner(first, width)), self.cfg.act_rows, limit / count)
            if tiling is not None:
                limit, best = tiling.cost * op.out.w / width * len(pieces), width
        return (limit, best) if best else (math.inf, 0)
