"""Properties of the control plane: the sequencer and the queues of instructions."""

import types

from amaranth.hdl import Assert, Assume, Cat, Module, Signal
from formal.buses import free_like, held
from formal.prover import opened

from squeezelerator.rtl.control.sequencer import QUIET_CYCLES
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.registers import JOB_PLACES

__all__ = ["abort_reaches_idle", "instruction_queue", "sequencer", "store_beats"]

#: An abort is complete at most so many cycles after the last transaction: the last cycle of a job that just began, and the quiet time.
ABORT_CYCLES = QUIET_CYCLES + 6


def _sequencer(module: types.ModuleType) -> tuple[Module, object, dict[str, Signal], list[Signal]]:
    """The sequencer with free inputs."""
    m = Module()
    dut = module.Sequencer()
    m.submodules.dut, inside = opened(dut)
    free: list[Signal] = []
    for name in ("start", "abort", "bus_idle", "finish", "fault_unit", "present", "job"):
        free_like(m, getattr(dut, name), name, free)
    for name in ("valid", "code", "detail"):
        free_like(m, getattr(dut.fault, name), f"fault_{name}", free)
    m.d.comb += Assume(~(dut.start & dut.abort))
    return m, dut, inside, free


def sequencer(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """A job begins from a core in reset; nothing runs while the machine is idle or stopping; an outcome is reported only when no
    transaction has been open for QUIET_CYCLES cycles; what waits is never more than there are places; the active job does not change while
    it runs."""
    m, dut, inside, free = _sequencer(module)
    in_reset, was_in_reset, cleared, quiet = Signal(), Signal(), Signal(), Signal(range(QUIET_CYCLES + 1))
    ran, active = Signal(), Signal(len(dut.active.as_value()))
    m.d.sync += [
        in_reset.eq(dut.reset_next), was_in_reset.eq(in_reset), cleared.eq(dut.clear), ran.eq(dut.run), active.eq(dut.active.as_value()),
    ]
    with m.If(dut.run | ~dut.bus_idle):
        m.d.sync += quiet.eq(0)
    with m.Elif(quiet != QUIET_CYCLES):
        m.d.sync += quiet.eq(quiet + 1)
    state = inside["state"]
    m.d.comb += [
        Assert(dut.run == (state == module.State.RUN)), Assert(dut.clear == (state == module.State.PREPARE)),
        Assert(~dut.run | ran | (cleared & was_in_reset)),
        Assert(~dut.run | ~(dut.idle | dut.stopping)), Assert(~(dut.run & in_reset)),
        Assert(dut.waiting <= JOB_PLACES),
        Assert(~(dut.run & ran) | (dut.active.as_value() == active)),
        Assert(~(dut.raised[0] & dut.raised[1])), Assert(quiet <= QUIET_CYCLES),
        Assert((inside["count"] <= quiet) | (state != module.State.DRAIN)), Assert((state == module.State.DRAIN) | (inside["count"] == 0)),
        Assert((inside["outcome"] == module.Outcome.NONE) | (state == module.State.DRAIN)),
    ]
    with m.If(dut.raised[:2].any()):
        m.d.comb += [Assert(quiet >= QUIET_CYCLES - 1), Assert(dut.bus_idle), Assert(~dut.run)]
    return m, free


def abort_reaches_idle(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """ABORT_CYCLES after an abort, counted while no transaction is open, the machine is idle and the interrupt has come, whatever it did
    before."""
    m, dut, inside, free = _sequencer(module)
    pending, answered, count = Signal(), Signal(), Signal(range(ABORT_CYCLES + 2))
    state = inside["state"]
    # The AXI master takes no request while nothing runs, so that what is open only becomes less.
    was_idle = Signal()
    m.d.sync += was_idle.eq(dut.bus_idle & ~dut.run)
    m.d.comb += [Assume(~was_idle | dut.run | dut.bus_idle), Assume(~pending | ~dut.start)]
    with m.If(dut.abort):
        m.d.sync += [pending.eq(1), answered.eq(0), count.eq(0)]
    with m.Elif(pending):
        with m.If(dut.raised[2]):
            m.d.sync += answered.eq(1)
        with m.If(dut.bus_idle & (count <= ABORT_CYCLES)):
            m.d.sync += count.eq(count + 1)
    with m.If(pending):
        m.d.comb += [
            Assert(answered == ~inside["aborting"]), Assert(dut.waiting == 0), Assert(~answered | (state == module.State.IDLE)),
            Assert((state != module.State.PREPARE) | (count <= 1)), Assert(~dut.run | (count <= 2)),
            Assert((state != module.State.DRAIN) | (count <= inside["count"] + 4)),
        ]
    with m.If(pending & (count >= ABORT_CYCLES)):
        m.d.comb += [Assert(dut.idle), Assert(~dut.run), Assert(answered)]
    return m, free


def instruction_queue(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """Instructions come out in the order in which they went in, with every bit that the unit can use, none twice and none lost; nothing
    comes out while the machine does not run."""
    m = Module()
    depth = 2
    m.submodules.dut = dut = module.InstructionQueue(unit=isa.STORE, depth=depth)
    free: list[Signal] = []
    run = free_like(m, dut.run, "run", free)
    free_like(m, dut.push.valid, "push_valid", free)
    word = free_like(m, dut.push.payload, "push_payload", free)
    free_like(m, dut.instr.ready, "instr_ready", free)
    for unit in range(len(isa.UNITS)):
        free_like(m, dut.retiring[unit], f"retiring{unit}", free)
    # One instruction, of any number, is followed.
    number, pushed, popped = Signal(5), Signal(5), Signal(5)
    chosen, kept = Signal(5), Signal(512)
    free.append(chosen)
    first = Signal(init=1)
    mask = module.used_bits(isa.STORE) & ~(((1 << 96) - 1) ^ 0xFF)
    m.d.sync += first.eq(0)
    with m.If(first):
        m.d.sync += number.eq(chosen)
    goes_in, comes_out = dut.push.valid & dut.push.ready, dut.instr.valid & dut.instr.ready
    m.d.sync += [pushed.eq(pushed + goes_in), popped.eq(popped + comes_out)]
    m.d.comb += [Assume(~first | ~goes_in), Assert(pushed - popped <= depth), Assert(run | ~dut.instr.valid)]
    with m.If(goes_in & (pushed == number)):
        m.d.sync += kept.eq(word)
    with m.If(comes_out):
        m.d.comb += Assert(pushed != popped)
        with m.If(popped == number):
            m.d.comb += Assert((dut.instr.payload & mask) == (kept & mask))
    return m, free


def store_beats(module: types.ModuleType) -> tuple[Module, list[Signal]]:
    """STORE sends the beats of the bursts that it has asked for: WVALID stays with its data until it is taken, WLAST comes with the last
    beat of each burst, and no beat comes that nobody has asked for, whatever stops the machine."""
    m = Module()
    cfg = MachineConfig(n=2, bus_bits=64, burst_beats=4, outstanding=2)
    m.submodules.dut = dut = module.StoreUnit(cfg=cfg)
    free: list[Signal] = []
    for name in ("mem_size", "retired", "b_valid", "b_error"):
        free_like(m, getattr(dut, name), name, free)
    for port, names in ((dut.instr, ("valid", "payload")), (dut.request, ("ready",)), (dut.w, ("ready",)), (dut.rd, ("data",))):
        for name in names:
            free_like(m, getattr(port, name), f"{name}_{len(free)}", free)
    held(m, dut.w.valid, dut.w.ready, Cat(dut.w.payload.data, dut.w.payload.last), "w")
    asked, sent = dut.request.valid & dut.request.ready, dut.w.valid & dut.w.ready
    owed, open_bursts, ended = Signal(8), Signal(4), Signal(4)
    m.d.sync += [
        owed.eq(owed + (asked & 1) * dut.request.payload.beats - sent), open_bursts.eq(open_bursts + asked - dut.b_valid),
        ended.eq(ended + (sent & dut.w.payload.last) - dut.b_valid),
    ]
    m.d.comb += [
        Assume(~dut.b_valid | (ended != 0)), Assert(~dut.w.valid | (owed != 0)), Assert(open_bursts <= cfg.outstanding),
        # With one burst open, its last beat is the last that is owed.
        Assert(~dut.w.valid | (open_bursts - ended != 1) | (dut.w.payload.last == (owed == 1))),
    ]
    return m, free
