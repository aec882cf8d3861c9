"""FETCH: reads the program and hands every instruction to the queue of its unit."""

from amaranth.hdl import Cat, Module, Mux, ShapeLike, Signal
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.control.faults import CODE, FaultPort, FaultReport
from squeezelerator.rtl.control.queues import TICKET_BITS, ticket_waits
from squeezelerator.rtl.control.ranges import out_of_range
from squeezelerator.rtl.dma.axi import BurstRequest, ReadBeat, ReadBeatPort
from squeezelerator.rtl.dma.bursts import BurstGenerator
from squeezelerator.rtl.dma.checksum import checksum
from squeezelerator.rtl.primitives.delay import delayed
from squeezelerator.rtl.primitives.events import event_ports
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.checksum import CHECK_START
from squeezelerator.spec.constants.dma import FETCH_DEPTH, fetch_burst_beats, instruction_beats
from squeezelerator.spec.constants.units import LATEST_FAULT
from squeezelerator.spec.machine import MachineConfig

__all__ = ["FetchUnit"]

WORD_BITS = 8 * isa.INSTRUCTION_BYTES


class FetchUnit(wiring.Component):
    """Prefetches instructions and dispatches them in order, one a cycle.

    In the first cycle of ``run``, cycle 0, it looks at the program's place; the first burst is asked for in cycle 1, then one a cycle
    as long as the instructions held or asked for do not exceed FETCH_DEPTH (a dispatch in cycle t makes room in t + 1). An
    instruction whose last beat comes in cycle t can be dispatched in t + 1. END is not dispatched: it waits for its tickets
    here and raises ``finish`` LATEST_FAULT cycles later, when nothing that the tickets stand for can report a fault any more.

    Throughput: one instruction a cycle, where its queue has room and memory keeps up.

    Parameters
    ----------
    cfg : MachineConfig
        The machine; of it ``bus_bits`` and what bounds the instructions' fields (:func:`~rtl.control.ranges.out_of_range`).

    Members
    -------
    run : the machine executes.
    prog_offset : byte offset of the first instruction in the program's memory, a multiple of 64.
    prog_count : number of the instructions, below 2**24; an END must be among them.
    prog_check : what the checksum of all instructions has to be (:func:`~rtl.dma.checksum.checksum`); 0: anything.
    mem_size : bytes of the program's memory.
    request : stream of AXI reads, :class:`~rtl.dma.axi.BurstRequest`.
    r : their beats, :class:`~rtl.dma.axi.ReadBeat`.
    word : the oldest instruction, 64 bytes.
    push : bit u: ``word`` is offered to the queue of unit u of ``spec.isa.UNITS``.
    push_ready : bit u: that queue has room.
    retired : counts of RetireCounters, modulo 2**TICKET_BITS; END waits for STORE's responses.
    finish : END is reached, and LATEST_FAULT cycles ago its tickets were satisfied.
    fault : :class:`~rtl.control.faults.FaultPort`: an opcode that does not exist, a field out of its range, a wrong checksum,
        a program that runs out, a read error, an address that is not acceptable.
    ev_dram_fetch_words : words that arrive in this cycle.
    """

    run: Signal
    prog_offset: Signal
    prog_count: Signal
    prog_check: Signal
    mem_size: Signal
    request: stream.Interface
    r: ReadBeatPort
    word: Signal
    push: Signal
    push_ready: Signal
    retired: list[Signal]
    finish: Signal
    fault: FaultReport
    ev_dram_fetch_words: Signal

    @staticmethod
    def events(cfg: MachineConfig) -> dict[str, ShapeLike]:
        """Counted events and the width of their increments."""
        return {"dram_fetch_words": 5}

    def __init__(self, *, cfg: MachineConfig) -> None:
        self.cfg = check_config("FetchUnit", cfg)
        units = len(isa.UNITS)
        super().__init__({
            "run": In(1),
            "prog_offset": In(32), "prog_count": In(24), "prog_check": In(32), "mem_size": In(32),
            "request": Out(stream.Signature(BurstRequest())),
            "r": In(ReadBeat(cfg.bus_bits)),
            "word": Out(WORD_BITS), "push": Out(units), "push_ready": In(units),
            "retired": In(TICKET_BITS).array(units),
            "finish": Out(1),
            "fault": Out(FaultPort()),
            **event_ports(self.events(cfg)),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        beats = instruction_beats(cfg)
        places = FETCH_DEPTH * beats

        # Asking. ``room``: beats for which there is place.
        started = Signal()
        misplaced = Signal()
        m.submodules.bursts = bursts = BurstGenerator(
            cfg=cfg, max_beats=fetch_burst_beats(cfg), beats_width=24 + (beats - 1).bit_length(), single=True)
        room = Signal(range(places + 1), init=places)
        taken = Signal()
        asked = Signal()
        aligned = self.prog_offset[:6] == 0
        m.d.comb += [
            bursts.start.eq(self.run & ~started & aligned & (self.prog_count != 0)),
            bursts.offset.eq(self.prog_offset),
            bursts.line_beats.eq(self.prog_count * beats),
            bursts.limit.eq(self.mem_size),
            bursts.enable.eq(1), bursts.space.eq(Mux(room < bursts.max_beats, room, bursts.max_beats)),
            asked.eq(self.request.valid & self.request.ready),
        ]
        wiring.connect(m, bursts.request, wiring.flipped(self.request))
        with m.If(self.run & ~started):
            m.d.sync += [started.eq(1), misplaced.eq(~aligned)]
        m.d.sync += room.eq(room - Mux(asked, self.request.payload.beats, 0) + Mux(taken, beats, 0))

        # Receiving: beats are gathered to instructions. The oldest lies in a register, already decoded, because the queues, the reports
        # of faults and the room for the next burst all hang on it; the memory holds those behind it, from ``head`` on. Where none is, an
        # instruction that arrives may go past the memory; it is written there all the same, which takes fewer gates than not to.
        held = Signal((beats - 1) * cfg.bus_bits, reset_less=True)
        beat = Signal(range(beats))
        whole = Cat(held, self.r.data)
        m.submodules.words = words = memory.Memory(shape=WORD_BITS, depth=FETCH_DEPTH, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        head = Signal(range(FETCH_DEPTH))
        tail = Signal(range(FETCH_DEPTH))
        behind = Signal(range(FETCH_DEPTH + 1))
        present = Signal()
        arrives = Signal()
        replaced = Signal()
        kept = Signal()
        drawn = Signal()
        following = Signal(WORD_BITS)
        m.d.comb += [
            arrives.eq(self.r.valid & (beat == beats - 1)),
            replaced.eq(taken | ~present),
            following.eq(Mux(behind != 0, read.data, whole)),
            write.addr.eq(tail), write.data.eq(whole), write.en.eq(arrives), read.addr.eq(head),
            kept.eq(arrives & ((behind != 0) | ~replaced)), drawn.eq(replaced & (behind != 0)),
            self.ev_dram_fetch_words.eq(Mux(self.r.valid, cfg.bus_words, 0)),
        ]
        m.d.sync += [behind.eq(behind + kept - drawn), tail.eq(tail + kept), head.eq(head + drawn)]
        with m.If(self.r.valid):
            m.d.sync += [held.eq(whole[cfg.bus_bits :]), beat.eq(beat + 1)]

        # Dispatching.
        word = Signal(WORD_BITS, reset_less=True)
        m.d.comb += self.word.eq(word)
        number = Signal(24)
        known = Signal()
        ends = Signal()
        units = Signal(len(isa.UNITS))  # the unit's bit, where there is an instruction for one
        with m.If(replaced):
            follows = (behind != 0) | arrives
            m.d.sync += [present.eq(follows), word.eq(following), known.eq(1), ends.eq(0), units.eq(0)]
            with m.Switch(following[:8]):
                for op in isa.machine_ops(cfg):
                    with m.Case(op.code):
                        m.d.sync += ends.eq(1) if op.unit is None else units.eq(Mux(follows, 1 << op.unit, 0))
                with m.Default():
                    m.d.sync += known.eq(0)
        satisfied = Signal()  # stays: END is not taken from here
        ended = Signal()
        m.d.comb += [
            satisfied.eq(present & ends & (ticket_waits(self.word, self.retired) == 0)),
            self.push.eq(Mux(self.run, units, 0)),
            taken.eq((self.push & self.push_ready).any()),
            ended.eq(delayed(m, satisfied, LATEST_FAULT, "ended")),
        ]
        m.d.sync += number.eq(number + taken)

        # Checking: the ranges of an instruction's fields, a cycle after it is the oldest, and the checksum of all instructions. END is the
        # last one, so that the sum is complete when it is here.
        bad_field = Signal()
        bad_number = Signal(24)
        m.d.sync += [bad_field.eq(present & out_of_range(word, cfg)), bad_number.eq(number)]
        check = Signal(32, init=CHECK_START)
        damaged = Signal()
        with m.If(self.r.valid):
            m.d.sync += check.eq(checksum(m, check, self.r.data))
        m.d.sync += damaged.eq((self.prog_check != 0) & ((check != self.prog_check) | (number + 1 != self.prog_count)))
        m.d.comb += self.finish.eq(ended & ~damaged)

        bad_opcode = Signal()
        ran_out = Signal()
        bad_read = Signal()
        m.d.comb += [
            bad_opcode.eq(present & ~known),
            ran_out.eq(started & (number == self.prog_count)),
            bad_read.eq(self.r.valid & self.r.error),
            self.fault.valid.eq(self.run & (
                bad_read | bad_opcode | bad_field | ran_out | misplaced | bursts.fault | (ended & damaged))),
        ]
        with m.If(bad_read):
            m.d.comb += [self.fault.code.eq(CODE["READ"]), self.fault.detail.eq(number)]
        with m.Elif(misplaced | bursts.fault):
            m.d.comb += [
                self.fault.code.eq(CODE["ADDRESS"]),
                self.fault.detail.eq(Mux(misplaced, self.prog_offset, self.request.payload.offset)),
            ]
        with m.Elif(bad_opcode):
            m.d.comb += [self.fault.code.eq(CODE["OPCODE"]), self.fault.detail.eq(number)]
        with m.Elif(bad_field):
            m.d.comb += [self.fault.code.eq(CODE["OPERAND"]), self.fault.detail.eq(bad_number)]
        with m.Elif(ended):
            m.d.comb += [self.fault.code.eq(CODE["CHECKSUM"]), self.fault.detail.eq(check)]
        with m.Else():
            m.d.comb += [self.fault.code.eq(CODE["PROGRAM"]), self.fault.detail.eq(number)]
        return m
