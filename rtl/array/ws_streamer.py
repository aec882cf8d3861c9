"""WS: streams the pixels of a pass past the weight tile that the array holds."""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.geometry import View, first_row, next_line
from squeezelerator.rtl.buffer.ports import AccessInterface, ReadPort
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec.machine import MachineConfig

__all__ = ["WsStreamer", "ws_tile_layout"]


def ws_tile_layout(cfg: MachineConfig) -> data.StructLayout:
    """Layout of a tile's description: where its pixels lie and where their sums go."""
    return data.StructLayout({
        "view": View, "last_x": range(cfg.ws_pixels), "last_y": range(cfg.ws_pixels), "bank": 1, "fresh": 1, "last": 1,
        "y": signed(17), "past": signed(18), "x": signed(17), "row": 16,  # its first pixel, as in View
    })


class WsStreamer(wiring.Component):
    """One pixel a cycle, from the cycle after ``take`` on.

    Members
    -------
    take, tile : begin this tile. may_take : idle, or sending the last pixel.
    rd : activation buffer (row access).
    active : a pixel is sent in this cycle; in_range : it lies inside the input (otherwise it is zero).
    slot_row, slot_entry : register-file row and entry of its partial sums. bank, fresh : of the pass.
    end : it is the last pixel of the pass.
    """

    take: Signal
    tile: data.View
    may_take: Signal
    rd: AccessInterface
    active: Signal
    in_range: Signal
    slot_row: Signal
    slot_entry: Signal
    bank: Signal
    fresh: Signal
    end: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("WsStreamer", cfg)
        super().__init__({
            "take": In(1), "tile": In(ws_tile_layout(cfg)), "may_take": Out(1), "rd": Out(ReadPort(cfg.n)),
            "active": Out(1), "in_range": Out(1), "slot_row": Out(range(cfg.n)), "slot_entry": Out(range(cfg.rf)),
            "bank": Out(1), "fresh": Out(1), "end": Out(1),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        n = self.cfg.n
        tile = Signal(ws_tile_layout(self.cfg), reset_less=True)
        view = tile.view
        y = Signal(signed(17))
        x = Signal(signed(17))
        line_x = Signal(signed(17))
        past = Signal(signed(18))
        addr = Signal(16)
        line_addr = Signal(16)
        ox = Signal.like(tile.last_x)
        oy = Signal.like(tile.last_y)
        end_of_line = Signal()
        end_of_tile = Signal()
        m.d.comb += [
            end_of_line.eq(ox == tile.last_x),
            end_of_tile.eq(end_of_line & (oy == tile.last_y)),
            self.may_take.eq(~self.active | end_of_tile),
            self.in_range.eq((y >= 0) & (y < view.in_h) & (x >= 0) & (x < view.in_w)),
            self.rd.en.eq(self.active & self.in_range), self.rd.row.eq(addr), self.rd.mask.eq(~0),
            self.bank.eq(tile.bank), self.fresh.eq(tile.fresh), self.end.eq(tile.last & end_of_tile),
        ]
        with m.If(self.active):
            m.d.sync += self.slot_row.eq(self.slot_row + 1)
            with m.If(self.slot_row == n - 1):
                m.d.sync += [self.slot_row.eq(0), self.slot_entry.eq(self.slot_entry + 1)]
            with m.If(end_of_line):
                row = line_addr + next_line(past, view)
                m.d.sync += [
                    ox.eq(0), oy.eq(oy + 1), x.eq(line_x), y.eq(y + view.stride_y), past.eq(past + view.stride_y),
                    addr.eq(row), line_addr.eq(row),
                ]
            with m.Else():
                m.d.sync += [ox.eq(ox + 1), x.eq(x + view.stride_x), addr.eq(addr + view.stride_x)]
            with m.If(end_of_tile):
                m.d.sync += self.active.eq(0)
        with m.If(self.take):
            row = first_row(self.tile.row, self.tile.past, self.tile.view)
            m.d.sync += [
                self.active.eq(1), tile.eq(self.tile), ox.eq(0), oy.eq(0), self.slot_row.eq(0), self.slot_entry.eq(0),
                y.eq(self.tile.y), past.eq(self.tile.past), x.eq(self.tile.x), line_x.eq(self.tile.x), addr.eq(row), line_addr.eq(row),
            ]
        return m
