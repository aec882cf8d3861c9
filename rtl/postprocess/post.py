"""Post-processing of drained partial sums: bias, requantisation, activation, residual."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from squeezelerator.rtl.postprocess.requantiser import REQUANTISER_LATENCY, Requantiser
from squeezelerator.rtl.primitives.delay import copies, delayed
from squeezelerator.rtl.primitives.parameters import check_config
from squeezelerator.spec import isa
from squeezelerator.spec.machine import MachineConfig

__all__ = ["POST_LATENCY", "RESIDUAL_OFFSET", "Post"]

#: Bits of an activation's code (:class:`spec.functions.activations.ActivationCode`).
ACT_BITS = isa.BY_NAME["DRAIN"].field("act").width
#: Cycles from ``acc`` to ``data``.
POST_LATENCY = REQUANTISER_LATENCY + 4
#: Cycles from ``acc`` to the residual that belongs to it.
RESIDUAL_OFFSET = POST_LATENCY - 2


def saturated(value: Signal) -> Value:
    """A signed value brought to 16 bits; ``value`` must be a signal of more than 16 bits."""
    fits = value[15:].all() | ~value[15:].any()
    return Mux(fits, value[:16], Mux(value[-1], 0x8000, 0x7FFF))


class Post(wiring.Component):
    """N lanes, each::

        v = sat16((acc + bias + round) >> shift)             round = 1 << (shift - 1), 0 if shift is 0
        v = v                                                act 0
            max(v, 0)                                        act 1
            min(max(v, 0), parm)                             act 2
            v if v >= 0 else sat16((v * parm + 2**14) >> 15)  act 3
        v = sat16(v + res)                                   only if residual
        v = v, max(v, 0) or min(max(v, 0), post_parm)        post_act 0, 1, 2 (3 is not used)

    No intermediate sum overflows. ``parm`` and ``post_parm`` are unsigned.

    Latency: 7 cycles; throughput: one result a lane and cycle.

    Parameters
    ----------
    cfg : MachineConfig
        The machine.

    Members
    -------
    acc, bias : N signed sums of ``acc_bits`` and N signed biases of 32 bits.
    shift, act, parm, residual, post_act, post_parm : settings, with ``acc``.
    res : N residual words, 5 cycles after ``acc``.
    data : N result words, 7 cycles after ``acc``.
    """

    acc: Signal
    bias: Signal
    shift: Signal
    act: Signal
    parm: Signal
    residual: Signal
    post_act: Signal
    post_parm: Signal
    res: Signal
    data: Signal

    def __init__(self, *, cfg: MachineConfig) -> None:
        self._n = check_config("Post", cfg).n
        self._acc_bits = cfg.acc_bits
        super().__init__({
            "acc": In(cfg.acc_bits * cfg.n), "bias": In(32 * cfg.n),
            "shift": In(6), "act": In(ACT_BITS), "parm": In(16), "residual": In(1), "post_act": In(2), "post_parm": In(16),
            "res": In(16 * cfg.n), "data": Out(16 * cfg.n),
        })

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at_product = REQUANTISER_LATENCY + 1
        coarse = copies(m, self.shift[3:6], self._n, "coarse", reset_less=True)
        fine = copies(m, delayed(m, self.shift[0:3], 1, "fine", reset_less=True), self._n, "fine", reset_less=True)
        slope = delayed(m, self.parm, at_product, "parm", reset_less=True)
        bound = delayed(m, slope, 1, "bound", reset_less=True)
        act = delayed(m, self.act, at_product + 1, "act", reset_less=True)
        residual = delayed(m, self.residual, RESIDUAL_OFFSET, "residual", reset_less=True)
        # The buffer rotates its words behind its last register, so they are kept here before they are added.
        kept = Signal.like(self.res, reset_less=True)
        m.d.sync += kept.eq(Mux(residual, self.res, 0))
        post_act = delayed(m, self.post_act, POST_LATENCY - 1, "post_act", reset_less=True)
        post_bound = delayed(m, self.post_parm, POST_LATENCY - 1, "post_parm", reset_less=True)

        for lane in range(self._n):
            word = slice(16 * lane, 16 * lane + 16)
            acc = self.acc[self._acc_bits * lane : self._acc_bits * (lane + 1)].as_signed()
            bias = self.bias[32 * lane : 32 * lane + 32].as_signed()
            total = Signal(signed(self._acc_bits + 1), name=f"total{lane}", reset_less=True)
            m.submodules[f"requantiser{lane}"] = requantiser = Requantiser(width=self._acc_bits + 1)
            m.d.sync += total.eq(acc + bias)
            m.d.comb += [requantiser.value.eq(total), requantiser.coarse.eq(coarse[lane]), requantiser.fine.eq(fine[lane])]

            value = Signal(signed(16), name=f"value{lane}", reset_less=True)
            product = Signal(signed(33), name=f"product{lane}", reset_less=True)
            leaky = Signal(signed(19), name=f"leaky{lane}")
            m.d.sync += [value.eq(requantiser.result), product.eq(requantiser.result * slope)]
            m.d.comb += leaky.eq((product + (1 << 14)) >> 15)
            activated = Signal(signed(16), name=f"activated{lane}", reset_less=True)
            m.d.sync += activated.eq(value)
            with m.If(value < 0):
                with m.If(act == isa.ACT_LEAKY):
                    m.d.sync += activated.eq(saturated(leaky))
                with m.Elif(act != isa.ACT_NONE):
                    m.d.sync += activated.eq(0)
            with m.Elif((act == isa.ACT_CLIP) & (value > bound)):
                m.d.sync += activated.eq(bound)

            added = Signal(signed(17), name=f"added{lane}")
            summed = Signal(signed(16), name=f"summed{lane}")
            m.d.comb += [
                added.eq(activated + kept[word].as_signed()),
                summed.eq(saturated(added)),
            ]
            m.d.sync += self.data[word].eq(summed)
            with m.If((post_act != isa.ACT_NONE) & (summed < 0)):
                m.d.sync += self.data[word].eq(0)
            with m.Elif((post_act == isa.ACT_CLIP) & (summed > post_bound)):
                m.d.sync += self.data[word].eq(post_bound)
        return m
