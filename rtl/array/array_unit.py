"""ARRAY: control, loaders, computing stage and the PEs."""

import dataclasses
from collections.abc import Iterable

from amaranth.hdl import Array, Cat, Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.array_control import ArrayControl
from squeezelerator.rtl.array.os_loader import OsLoader, record_layout
from squeezelerator.rtl.array.pe_array import PEArray
from squeezelerator.rtl.array.weight_count import WeightCount
from squeezelerator.rtl.array.ws_loader import WsLoader
from squeezelerator.rtl.array.ws_streamer import WsStreamer
from squeezelerator.rtl.buffer.ports import AccessInterface, DrainInterface, DrainPort, ReadPort, RowInterface, RowReadPort
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.primitives.broadcast import broadcast
from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.events import event_ports
from squeezelerator.rtl.primitives.parameters import check_config, check_flag
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["ArrayUnit"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """The submodules of ARRAY, and its dataflow: ``ws`` is 1 for weight stationary."""

    control: ArrayControl
    os_loader: OsLoader
    ws_loader: WsLoader
    streamer: WsStreamer
    pes: PEArray
    ws: Signal


@dataclasses.dataclass(frozen=True, kw_only=True)
class OsStage:
    """What the computing stage of OS tells the others.

    Parameters
    ----------
    issue : a weight goes to the multipliers in this cycle. end : the last partial sum of an instruction is written.
    swap : the PEs take the operands of the next record. value : the weight for all rows.
    held : for each register-file bank a bit for each entry in which something is accumulated.
    pixels, rf_words : increments of two counters.
    """

    issue: Signal
    end: Value
    swap: Signal
    value: Signal
    held: "Array[Signal]"
    pixels: Value
    rf_words: Value


@dataclasses.dataclass(frozen=True, kw_only=True)
class WsStage:
    """What the computing stage of WS tells the others.

    Parameters
    ----------
    end : the last partial sum of an instruction is written.
    swapped : the last array row takes the weights of the next tile.
    leaving : sums of a pixel are about to leave the array; in the cycle after ``swapped`` at the earliest where they are the next tile's.
    """

    end: Value
    swapped: Value
    leaving: Value


class ArrayUnit(wiring.Component):
    """Executes OS and WS instructions.

    Members
    -------
    instr : instructions whose tickets are satisfied. retire : pulse when an instruction's last partial sum is written.
    rd : activation buffer. wt : weight buffer. drain : register-file reads of DRAIN.
    computing : the multipliers work in this cycle. occupied : an instruction is here.
    ev_... : event counts of this cycle, see ``events``.

    Latency: OS, a weight issued in cycle t is accumulated in t + 2; WS, a pixel asked for in t is accumulated in
    t + 6 + N. Throughput: N * N MACs a cycle.
    """

    instr: stream.Interface
    retire: Signal
    rd: AccessInterface
    wt: RowInterface
    drain: DrainInterface
    computing: Signal
    occupied: Signal
    ev_macs: Signal
    ev_rf_words: Signal
    ev_neighbour_words: Signal
    ev_act_read_words: Signal
    ev_weight_words: Signal
    ev_zeros_skipped: Signal

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """Counted events and the range of their increments.

        ``macs`` counts, in OS, the PEs with an output pixel, in WS those that hold a weight that is not zero; ``neighbour_words``, in OS
        input pixels, in WS partial sums.
        """
        pes = cfg.n * cfg.n
        return {
            "macs": range(pes + 1), "rf_words": range(2 * pes + 1), "neighbour_words": range(pes + 1),
            "act_read_words": range(cfg.n + 1), "weight_words": range(cfg.n + 1), "zeros_skipped": 36,
        }

    def __init__(self, *, cfg: MachineConfig, instance: bool = True) -> None:
        self.cfg = check_config("ArrayUnit", cfg)
        self.instance = check_flag("ArrayUnit", "instance", instance)
        n = cfg.n
        super().__init__({
            "instr": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)), "retire": Out(1),
            "rd": Out(ReadPort(n)), "wt": Out(RowReadPort(n)), "drain": In(DrainPort(n, cfg.acc_bits, cfg.rf)),
            "computing": Out(1), "occupied": Out(1),
            **event_ports(self.events(cfg)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg, n = self.cfg, self.cfg.n
        control = m.submodules.control = ArrayControl(cfg=cfg)
        os_loader = m.submodules.os_loader = OsLoader(cfg=cfg)
        ws_loader = m.submodules.ws_loader = WsLoader(cfg=cfg)
        streamer = m.submodules.streamer = WsStreamer(cfg=cfg)
        pes = m.submodules.pes = PEArray(cfg=cfg, instance=self.instance)
        wiring.connect(m, wiring.flipped(self.instr), control.instr)
        wiring.connect(m, control.wt, wiring.flipped(self.wt))
        ws = broadcast(m, control.ws, "ws") if self.instance else control.ws
        m.d.comb += [
            control.retire.eq(self.retire),
            os_loader.valid.eq(control.header_valid), control.header_pop.eq(os_loader.valid & os_loader.ready),
            os_loader.view.eq(control.view), os_loader.pass_.eq(control.os_pass),
            ws_loader.valid.eq(control.ws_valid), ws_loader.word.eq(control.ws_word), ws_loader.view.eq(control.view),
            control.ws_pop.eq(ws_loader.pop),
            pes.ws.eq(control.ws),
            self.occupied.eq(control.busy | self.instr.valid),
        ]
        for name in ("offset", "lane", "kx", "ky", "bitmap", "first", "last", "down"):
            m.d.comb += getattr(os_loader, name).eq(getattr(control, name))
        for name in ("en", "row", "col", "lane", "mask"):
            m.d.comb += getattr(self.rd, name).eq(Mux(ws, getattr(streamer.rd, name), getattr(os_loader.rd, name)))
        m.d.comb += [os_loader.rd.data.eq(self.rd.data), streamer.rd.data.eq(self.rd.data)]

        parts = Parts(control=control, os_loader=os_loader, ws_loader=ws_loader, streamer=streamer, pes=pes, ws=ws)
        os_may_take = Signal(name="os_taking")
        os_take, ws_take, record = self._operands(m, parts, os_may_take)
        os = self._os_compute(m, parts, os_take, record, os_may_take)
        ws_stage = self._ws_compute(m, parts, ws_take, os)
        weights = m.submodules.weights = WeightCount(cfg=cfg)
        m.d.comb += [
            self.retire.eq(os.end | ws_stage.end),
            self.computing.eq(os.issue | streamer.active),
            weights.row.eq(control.row), weights.pop.eq(ws_loader.row_pop),
            weights.last.eq(ws_loader.row_last), weights.swapped.eq(ws_stage.swapped),
            self.ev_macs.eq(Mux(ws_stage.leaving, weights.current, os.pixels)),
            self.ev_neighbour_words.eq(Mux(streamer.active, n * n, os_loader.moved)),
            self.ev_act_read_words.eq(Mux(ws, Mux(streamer.rd.en, n, 0), os_loader.words)),
            self.ev_weight_words.eq(Mux(control.weight_read, n, 0)),
        ]
        self._drain(m, pes, os.held)
        return m

    def _operands(self, m: Module, parts: Parts, os_taking: Signal) -> tuple[Signal, Signal, data.View]:
        """Moves array rows into the PEs' ``next`` registers; ``os_taking``: OS can take a record in this cycle.

        A record is taken when all of it is there, a tile with its first row: the swap goes through the array as its rows come, a row a
        cycle, so that each finds its weights. Returns when a record (OS) and when a tile (WS) is taken, and the record.
        """
        control, os_loader, ws_loader, streamer, pes = parts.control, parts.os_loader, parts.ws_loader, parts.streamer, parts.pes
        ws = parts.ws
        os_take = Signal()
        ws_take = Signal()
        waiting = Signal()  # a whole record, or a tile of which the first row is there, is not yet taken
        hold = Signal(2)  # WS: a row of `next` is still needed until the swap has reached it
        # Only the loader of the dataflow offers rows. What both need is put together last: all this happens in one cycle.
        os_pop = Signal()
        ws_pop = Signal()
        os_last = Signal()
        ws_first = Signal()
        waiting_record = Signal(record_layout(self.cfg))
        record = Signal(record_layout(self.cfg))
        m.d.comb += [
            os_pop.eq(~waiting & os_loader.row_valid),
            # The rows of a tile follow each other without a gap: the first is there, and the others come as fast from the weight buffer.
            ws_pop.eq(ws_loader.row_valid & control.value_valid & (~ws_loader.row_first | (~waiting & (hold == 0)))),
            os_last.eq(os_pop & os_loader.row_last), ws_first.eq(ws_pop & ws_loader.row_first),
            os_take.eq(((waiting & ~ws) | os_last) & os_taking),
            ws_take.eq(((waiting & ws) | ws_first) & streamer.may_take),
            os_loader.row_pop.eq(os_pop), ws_loader.row_pop.eq(ws_pop), control.row_pop.eq(ws_pop),
            ws_loader.take.eq(ws_take),
            pes.load_row.eq(Mux(os_pop, os_loader.row_select, 0) | Mux(ws_pop, ws_loader.row_select, 0)),
            pes.load_col.eq(Mux(ws, ~0, os_loader.row_cols)),
            pes.operand.eq(Mux(ws, control.row, os_loader.row_data)),
            pes.shift.eq(os_pop & os_loader.row_shift),
            record.eq(Mux(waiting, waiting_record, os_loader.record)),
        ]
        m.d.sync += waiting.eq((waiting | os_last | ws_first) & ~os_take & ~ws_take)
        with m.If(os_last):
            m.d.sync += waiting_record.eq(os_loader.record)
        with m.If(ws_take):
            m.d.sync += hold.eq(3)
        with m.Elif(hold != 0):
            m.d.sync += hold.eq(hold - 1)
        return os_take, ws_take, record

    def _os_compute(self, m: Module, parts: Parts, take: Signal, following: data.View, may_take: Signal) -> OsStage:
        """Issues one non-zero weight a cycle; ``take``: the record ``following`` is next, which is allowed where it drives ``may_take``."""
        cfg, control, pes = self.cfg, parts.control, parts.pes
        record = Signal(record_layout(cfg))
        first_value = Signal()
        bits = record.bitmap
        rest = Signal(cfg.rf)
        lowest = Signal(cfg.rf)
        k = Signal(range(cfg.rf))
        issue = Signal()
        final = Signal()
        m.d.comb += [
            rest.eq(bits & (bits - 1)), lowest.eq(bits & ~rest),
            issue.eq((bits != 0) & control.value_valid & ~control.ws),
            final.eq(issue & (rest == 0)),
            control.value_pop.eq(issue),
        ]
        for b in range(len(k)):
            m.d.comb += k[b].eq(sum_or(lowest[i] for i in range(cfg.rf) if i >> b & 1))
        with m.If(issue):
            m.d.sync += [bits.eq(rest), first_value.eq(0)]
        with m.If(take):
            m.d.sync += [record.eq(following), first_value.eq(1)]

        # One register to the stream, one more beside the product.
        clear = Signal()
        m.d.comb += clear.eq(first_value & record.fresh)
        stage = Cat(issue, final & record.last, clear, record.bank, k, record.pixels)
        travel = Signal(len(stage), name="os_travel")
        m.d.sync += travel.eq(stage)
        adding = Signal(len(stage), name="os_adding")
        m.d.sync += adding.eq(travel)
        add, end, add_clear, add_bank = adding[0], adding[1], adding[2], adding[3]
        add_k = adding[4 : 4 + len(k)]
        pixels = adding[4 + len(k) :]

        swap = Signal(name="os_swap")
        m.d.sync += swap.eq(take)

        held = Array([Signal(cfg.rf, name=f"held{b}") for b in range(2)])
        # Whether nothing is accumulated in the entry of the next cycle: found a cycle ahead, past the addition of this one.
        fresh = Signal()
        seen = Signal()
        same = Signal()
        next_k = travel[4 : 4 + len(k)]
        m.d.comb += [
            seen.eq(held[travel[3]].bit_select(next_k, 1)),
            same.eq(add & (add_bank == travel[3])),
        ]
        next_fresh = Signal()
        m.d.comb += next_fresh.eq(travel[2] | ~Mux(same, (seen & ~add_clear) | (add_k == next_k), seen))
        m.d.sync += fresh.eq(next_fresh)
        m.d.comb += [
            # The array wants these a cycle ahead.
            pes.os_write.eq(travel[0]), pes.os_bank.eq(travel[3]), pes.os_entry.eq(next_k), pes.os_fresh.eq(next_fresh),
            pes.os_next_entry.eq(k),
        ]
        with m.If(add):
            m.d.sync += held[add_bank].eq(Mux(add_clear, 0, held[add_bank]) | (1 << add_k))
        self._count_skipped(m, control)
        m.d.comb += may_take.eq((bits == 0) | final)
        return OsStage(
            issue=issue, end=add & end, swap=swap, value=control.value, held=held, pixels=Mux(add, pixels, 0),
            rf_words=Mux(add, Mux(fresh, pixels, pixels << 1), 0))

    def _count_skipped(self, m: Module, control: ArrayControl) -> None:
        """The zero weights that an OS instruction leaves out are counted when it is accepted."""
        new = decode("OS", control.instr.payload)
        m.d.sync += self.ev_zeros_skipped.eq(0)
        with m.If(control.instr.valid & control.instr.ready & (control.instr.payload[:8] == isa.BY_NAME["OS"].code)):
            m.d.sync += self.ev_zeros_skipped.eq(new.skipped[:24] * new.pixels[:12])

    def _ws_compute(self, m: Module, parts: Parts, take: Signal, os: OsStage) -> WsStage:
        """Delays and skews pixels, swaps and accumulation; drives the rows."""
        cfg, n, streamer, pes = self.cfg, self.cfg.n, parts.streamer, parts.pes
        m.d.comb += [streamer.take.eq(take), streamer.tile.eq(parts.ws_loader.tile)]
        in_range = delayed(m, streamer.active & streamer.in_range, cfg.read_latency, "in_range")
        swap = delayed(m, take, cfg.read_latency, "ws_swap")
        lanes = []
        for i in range(n):
            word = Signal(16, name=f"lane{i}")
            m.d.comb += word.eq(Mux(in_range, self.rd.data[16 * i : 16 * (i + 1)], 0))
            lanes.append(word)
        swapped = swap
        for i in range(n):
            late_word = delayed(m, lanes[i], i, f"skew{i}", reset_less=True)
            late_swap = delayed(m, swap, i, f"swap_skew{i}")
            row_word = Signal(16, name=f"stream{i}", reset_less=True)
            row_swap = Signal(name=f"row_swap{i}")
            m.d.sync += [row_word.eq(Mux(parts.ws, late_word, os.value)), row_swap.eq(late_swap)]
            m.d.comb += [pes.stream[16 * i : 16 * (i + 1)].eq(row_word), pes.swap[i].eq(row_swap | os.swap)]
            swapped = row_swap

        sums = Cat(streamer.active, streamer.end & streamer.active, streamer.bank, streamer.fresh,
                   streamer.slot_row, streamer.slot_entry)
        earlier = delayed(m, sums, n + cfg.read_latency - 1, "earlier_sums")
        early = delayed(m, earlier, 1, "early_sums")
        sums = delayed(m, early, 3, "sums")
        row_end = 4 + len(streamer.slot_row)
        valid, end, bank, fresh = sums[0], sums[1], sums[2], sums[3]
        m.d.comb += [
            # The array reads the entry, adds and writes in the three cycles that follow.
            pes.ws_write.eq(early[0]), pes.ws_bank.eq(early[2]), pes.ws_row.eq(early[4:row_end]), pes.ws_entry.eq(early[row_end:]),
            pes.ws_next_fresh.eq(earlier[3]), pes.ws_next_row.eq(earlier[4:row_end]), pes.ws_next_entry.eq(earlier[row_end:]),
            self.ev_rf_words.eq(Mux(valid, Mux(fresh, n, 2 * n), os.rf_words)),
        ]
        with m.If(valid):
            m.d.sync += os.held[bank].eq(~0)
        return WsStage(end=valid & end, swapped=swapped, leaving=early[0])

    def _drain(self, m: Module, pes: PEArray, held: "Array[Signal]") -> None:
        """DRAIN's reads: request and address registered (in the array), then the register file, then the answer registered."""
        port = self.drain
        answer = Signal.like(port.data, name="drain_answer", reset_less=True)
        m.d.comb += [
            pes.drain_en.eq(port.en), pes.drain_bank.eq(port.bank), pes.drain_entry.eq(port.k), pes.drain_row.eq(port.row),
            # A bank that is drained is not computed into: what it holds may be looked up ahead.
            pes.drain_empty.eq(~held[port.bank].bit_select(port.k, 1)),
            port.data.eq(answer),
        ]
        m.d.sync += answer.eq(pes.drain_data)


def sum_or(bits: Iterable[Value]) -> Value:
    """OR of single bits."""
    result: Value | int = 0
    for bit in bits:
        result = result | bit
    return Value.cast(result)
