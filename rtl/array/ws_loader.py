"""WS: walks over the weight tiles of a pass and moves each tile's rows into the array."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.geometry import View
from squeezelerator.rtl.array.ws_streamer import ws_tile_layout
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["WsLoader"]


class WsLoader(wiring.Component):
    """Offers one weight row after the other, then the tile that they make.

    Latency: a ``pop`` in cycle t brings the first ``row_valid`` in t + 1; the description in ``tile`` is complete two cycles after a
    ``pop`` and three after a ``take``. Throughput: one weight row a cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``n`` (2 to 32: rows of a tile) and ``ws_pixels`` (most output pixels of a pass).

    Members
    -------
    valid, word, pop : the next instruction, 64 bytes; taken when the last tile of the one before is taken.
    view : its view, of :func:`~rtl.array.geometry.view_layout`.
    row_valid : the next weight row is wanted.
    row_select : a bit for the array row that it goes to.
    row_first, row_last : it begins, completes the tile.
    row_pop : the row has gone into the array; only with ``row_valid``.
    tile : the next tile to be taken, of :func:`~rtl.array.ws_streamer.ws_tile_layout`.
    take : the array begins to compute it, in the cycle of its first row or later.

    A tile is taken while its rows are on their way. So ``row_pop`` of a first row waits for the ``take`` of the tile before, and for
    ``tile`` to be complete; the rows behind it belong to a tile that may have been taken, of an instruction that may have been left.
    """

    valid: Signal
    word: Signal
    view: data.View
    pop: Signal
    row_valid: Signal
    row_select: Signal
    row_first: Signal
    row_last: Signal
    row_pop: Signal
    tile: data.View
    take: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("WsLoader", cfg)
        super().__init__({
            "valid": In(1), "word": In(8 * isa.INSTRUCTION_BYTES), "view": In(View), "pop": Out(1),
            "row_valid": Out(1),
            "row_select": Out(cfg.n, init=1),  # pyright: ignore[reportCallIssue] - the stubs have its old name
            "row_first": Out(1), "row_last": Out(1), "row_pop": In(1),
            "tile": Out(ws_tile_layout(cfg)), "take": In(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        active = Signal()
        word = Signal(8 * isa.INSTRUCTION_BYTES, reset_less=True)
        ws = decode("WS", word)
        tile = Signal(ws_tile_layout(self.cfg), reset_less=True)
        kx = Signal(5)
        ky = Signal(5)
        offset = Signal(16)
        block_offset = Signal(16)
        line_offset = Signal(16)
        tiles_left = Signal(16)
        m.d.comb += [
            self.pop.eq(self.valid & ~active),
            self.row_valid.eq(active | ~self.row_first),
            self.row_first.eq(self.row_select[0]), self.row_last.eq(self.row_select[-1]),
            self.tile.eq(tile),
            self.tile.last.eq(tiles_left == 1),
        ]
        with m.If(self.row_pop):
            m.d.sync += self.row_select.eq(self.row_select.rotate_left(1))
        taken = Signal()  # the next tile's first row takes its time, and so may its description
        m.d.sync += taken.eq(self.take)
        with m.If(self.take & self.tile.last):
            m.d.sync += active.eq(0)
        with m.If(taken):
            m.d.sync += [tiles_left.eq(tiles_left - 1), tile.fresh.eq(0)]
            with m.If(kx != ws.kw - 1):
                m.d.sync += [kx.eq(kx + 1), offset.eq(offset + 1)]
            with m.Elif(ky != ws.kh - 1):
                m.d.sync += [
                    kx.eq(0), ky.eq(ky + 1),
                    offset.eq(line_offset + tile.view.pitch), line_offset.eq(line_offset + tile.view.pitch),
                ]
            with m.Else():
                following = Signal(16)
                m.d.comb += following.eq(block_offset + ws.in_plane)
                m.d.sync += [
                    kx.eq(0), ky.eq(0), offset.eq(following),
                    line_offset.eq(following), block_offset.eq(following),
                ]
        # The first row comes two cycles after ``pop`` or four after ``take`` at the earliest.
        m.d.sync += [
            tile.y.eq(tile.view.y0 + ky), tile.past.eq(tile.view.past + ky), tile.x.eq(tile.view.x0 + kx),
            tile.row.eq(tile.view.org + offset),
        ]
        with m.If(self.pop):
            new = decode("WS", self.word)
            m.d.sync += [
                active.eq(1), word.eq(self.word), tiles_left.eq(new.tiles),
                block_offset.eq(0), line_offset.eq(0),
                tile.view.eq(self.view), offset.eq(0), kx.eq(0), ky.eq(0),
                tile.last_x.eq(new.out_w - 1), tile.last_y.eq(new.out_h - 1), tile.bank.eq(new.bank), tile.fresh.eq(new.first),
            ]
        return m
