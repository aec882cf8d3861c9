"""ARRAY: control, loaders, computing stage and the PEs."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.array.array_control import ArrayControl
from squeezelerator.rtl.array.os_loader import OsLoader, record_layout
from squeezelerator.rtl.array.pe_array import PEArray
from squeezelerator.rtl.array.weight_count import COUNT_DELAY, WeightCount
from squeezelerator.rtl.array.ws_loader import WsLoader
from squeezelerator.rtl.array.ws_streamer import WsStreamer
from squeezelerator.rtl.buffer.ports import AccessInterface, DrainInterface, DrainPort, ReadPort, RowInterface, RowReadPort
from squeezelerator.rtl.control.decode import decode
from squeezelerator.rtl.primitives.broadcast import broadcast
from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.parameters import check_config, check_flag
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["ArrayUnit"]


class ArrayUnit(wiring.Component):
    """Executes OS and WS instructions.

    Members
    -------
    instr : instructions whose tickets are satisfied. retire : pulse when an instruction's last partial sum is written.
    rd : activation buffer. wt : weight buffer. drain : register-file reads of DRAIN.
    computing : the multipliers work in this cycle. occupied : an instruction is here.
    ev_... : event counts of this cycle, see ``EVENTS``.

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

    #: Event outputs: name -> (largest count a cycle, meaning).
    @staticmethod
    def events(cfg):
        n = cfg.n
        return {
            "macs": (n * n, "multiplications by a weight that is not zero: OS, PEs with an output pixel; WS, PEs that hold one"),
            "rf_words": (2 * n * n, "partial sums read from or written to register files by ARRAY"),
            "neighbour_words": (n * n, "WS: partial sums, OS: input pixels passed from PE to PE"),
            "act_read_words": (n, "words read from the activation buffer by ARRAY"),
            "weight_words": (n, "words read from the weight buffer"),
            "zeros_skipped": ((1 << 36) - 1, "multiplications that OS streams left out because the weight is zero"),
        }

    def __init__(self, *, cfg: MachineConfig, instance: bool = True) -> None:
        self.cfg = check_config("ArrayUnit", cfg)
        self.instance = check_flag("ArrayUnit", "instance", instance)
        n = cfg.n
        super().__init__({
            "instr": In(stream.Signature(8 * isa.INSTRUCTION_BYTES)), "retire": Out(1),
            "rd": Out(ReadPort(n)), "wt": Out(RowReadPort(n)), "drain": In(DrainPort(n, cfg.acc_bits, cfg.rf)),
            "computing": Out(1), "occupied": Out(1),
            **{f"ev_{name}": Out(range(most + 1)) for name, (most, _) in self.events(cfg).items()},
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

        os_take, ws_take, record = self._operands(m, ws, control, os_loader, ws_loader, streamer, pes)
        os_issue, os_last = self._os_compute(m, control, pes, os_take, record)
        ws_last = self._ws_compute(m, streamer, ws_loader, pes, ws, ws_take)
        weights = m.submodules.weights = WeightCount(cfg=cfg)
        # Events may come some cycles late: ARRAY retires later still.
        multiplies = delayed(m, streamer.active, COUNT_DELAY - 1, "ws_multiplies")
        m.d.comb += [
            self.retire.eq(os_last | ws_last),
            self.computing.eq(os_issue | streamer.active),
            weights.row.eq(control.row), weights.pop.eq(ws_loader.row_pop),
            weights.last.eq(ws_loader.row_last), weights.take.eq(ws_take),
            self.ev_macs.eq(Mux(multiplies, weights.current, self._os_pixels)),
            self.ev_neighbour_words.eq(Mux(streamer.active, n * n, os_loader.moved)),
            self.ev_act_read_words.eq(Mux(ws, Mux(streamer.rd.en, n, 0), os_loader.words)),
            self.ev_weight_words.eq(Mux(control.weight_read, n, 0)),
        ]
        self._drain(m, pes)
        return m

    def _operands(self, m, ws, control, os_loader, ws_loader, streamer, pes):
        """Moves array rows into the PEs' ``next`` registers; returns when a record and a tile is taken, and the record."""
        os_take = Signal()
        ws_take = Signal()
        os_taking = self._os_taking = Signal()
        waiting = Signal()  # a whole record or tile is in the `next` registers and not yet taken
        hold = Signal(2)  # WS: `next` is still needed until the swap has reached it
        # Only the loader of the dataflow offers rows. What both need is put together last: all this happens in one cycle.
        os_pop = Signal()
        ws_pop = Signal()
        os_last = Signal()
        ws_last = Signal()
        waiting_record = Signal(record_layout(self.cfg))
        record = Signal(record_layout(self.cfg))
        m.d.comb += [
            os_pop.eq(~waiting & os_loader.row_valid),
            ws_pop.eq(~waiting & ws_loader.row_valid & control.value_valid & (hold == 0)),
            os_last.eq(os_pop & os_loader.row_last), ws_last.eq(ws_pop & ws_loader.row_last),
            os_take.eq(((waiting & ~ws) | os_last) & os_taking),
            ws_take.eq(((waiting & ws) | ws_last) & streamer.may_take),
            os_loader.row_pop.eq(os_pop), ws_loader.row_pop.eq(ws_pop), control.row_pop.eq(ws_pop),
            ws_loader.take.eq(ws_take),
            pes.load_row.eq(Mux(os_pop, os_loader.row_select, 0) | Mux(ws_pop, ws_loader.row_select, 0)),
            pes.load_col.eq(Mux(ws, ~0, os_loader.row_cols)),
            pes.operand.eq(Mux(ws, control.row, os_loader.row_data)),
            pes.shift.eq(os_pop & os_loader.row_shift),
            record.eq(Mux(waiting, waiting_record, os_loader.record)),
        ]
        m.d.sync += waiting.eq((waiting | os_last | ws_last) & ~os_take & ~ws_take)
        with m.If(os_last):
            m.d.sync += waiting_record.eq(os_loader.record)
        with m.If(ws_take):
            m.d.sync += hold.eq(3)
        with m.Elif(hold != 0):
            m.d.sync += hold.eq(hold - 1)
        return os_take, ws_take, record

    def _os_compute(self, m, control, pes, take, following):
        """Issues one non-zero weight a cycle; returns (issuing, retire pulse)."""
        cfg = self.cfg
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

        self._os_next_value, self._os_swap = control.value, Signal(name="os_swap")
        m.d.sync += self._os_swap.eq(take)

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
        self._held = held
        new = decode("OS", control.instr.payload)
        m.d.sync += self.ev_zeros_skipped.eq(0)
        with m.If(control.instr.valid & control.instr.ready & (control.instr.payload[:8] == isa.BY_NAME["OS"].code)):
            m.d.sync += self.ev_zeros_skipped.eq(new.skipped[:24] * new.pixels[:12])

        self._os_pixels = Mux(add, pixels, 0)
        self._os_rf = Mux(add, Mux(fresh, pixels, pixels << 1), 0)
        m.d.comb += self._os_taking.eq((bits == 0) | final)
        return issue, add & end

    def _ws_compute(self, m, streamer, loader, pes, ws, take):
        """Delays and skews pixels, swaps and accumulation; drives the rows; returns the retire pulse."""
        cfg, n = self.cfg, self.cfg.n
        m.d.comb += [streamer.take.eq(take), streamer.tile.eq(loader.tile)]
        in_range = delayed(m, streamer.active & streamer.in_range, cfg.read_latency, "in_range")
        swap = delayed(m, take, cfg.read_latency, "ws_swap")
        lanes = []
        for i in range(n):
            word = Signal(16, name=f"lane{i}")
            m.d.comb += word.eq(Mux(in_range, self.rd.data[16 * i : 16 * (i + 1)], 0))
            lanes.append(word)
        for i in range(n):
            late_word = delayed(m, lanes[i], i, f"skew{i}", reset_less=True)
            late_swap = delayed(m, swap, i, f"swap_skew{i}")
            row_word = Signal(16, name=f"stream{i}", reset_less=True)
            row_swap = Signal(name=f"row_swap{i}")
            m.d.sync += [row_word.eq(Mux(ws, late_word, self._os_next_value)), row_swap.eq(late_swap)]
            m.d.comb += [pes.stream[16 * i : 16 * (i + 1)].eq(row_word), pes.swap[i].eq(row_swap | self._os_swap)]

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
            self.ev_rf_words.eq(Mux(valid, Mux(fresh, n, 2 * n), self._os_rf)),
        ]
        with m.If(valid):
            m.d.sync += self._held[bank].eq(~0)
        return valid & end

    def _drain(self, m, pes):
        """DRAIN's reads: request and address registered (in the array), then the register file, then the answer registered."""
        port = self.drain
        answer = Signal.like(port.data, name="drain_answer", reset_less=True)
        m.d.comb += [
            pes.drain_en.eq(port.en), pes.drain_bank.eq(port.bank), pes.drain_entry.eq(port.k), pes.drain_row.eq(port.row),
            # A bank that is drained is not computed into: what it holds may be looked up ahead.
            pes.drain_empty.eq(~self._held[port.bank].bit_select(port.k, 1)),
            port.data.eq(answer),
        ]
        m.d.sync += answer.eq(pes.drain_data)


def sum_or(bits):
    """OR of single bits."""
    result = 0
    for bit in bits:
        result = result | bit
    return result
