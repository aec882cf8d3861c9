"""What is proved about the hardware, and that each proof refuses a unit that is broken.

``make prove`` runs all of it; the default tests a part that takes seconds.
"""

import importlib

import pytest
from formal import arithmetic, array, buses, control
from formal.prover import Proof, broken, prove

#: Packages of the units.
RTL = "squeezelerator.rtl"

#: Proofs by induction hold for all times, those without for ``steps`` cycles from the reset on. The skewed banks have no loop, so that what
#: holds for their few cycles holds always.
PROOFS = [
    Proof("requantiser", arithmetic.requantiser, f"{RTL}.postprocess.requantiser", 6, True, ("(half + 1) >> 1", "half >> 1")),
    Proof("register port", buses.register_port, f"{RTL}.control.lite_port", 6, True,
          ("bus.awready.eq(~have_address & ~bus.bvalid)", "bus.awready.eq(~have_address)")),
    Proof("AXI master", buses.axi_master, f"{RTL}.dma.axi", 6, True, ("self.run & (~axi.arvalid | axi.arready)", "self.run")),
    Proof("AXI master stopped", buses.axi_master, f"{RTL}.dma.axi", 6, True,
          ("self.store.ready.eq(self.run & (~axi.awvalid", "self.store.ready.eq((~axi.awvalid")),
    Proof("bursts", buses.bursts, f"{RTL}.dma.bursts", 4, True, ("place > page_beats - self.max_beats", "place > page_beats")),
    Proof("bursts within the memory", buses.bursts, f"{RTL}.dma.bursts", 4, True, ("(beats > room) |", "")),
    Proof("sequencer", control.sequencer, f"{RTL}.control.sequencer", 4, True, ("self.bus_idle & (count ==", "(count ==")),
    Proof("abort", control.abort_reaches_idle, f"{RTL}.control.sequencer", 18, True,
          ("aborts = aborting | self.abort", "aborts = self.abort")),
    Proof("skewed banks", arithmetic.skewed_banks, f"{RTL}.buffer.bank_access", 3, False, ("here.eq(local + distance)", "here.eq(local)")),
    Proof("beats of STORE", control.store_beats, f"{RTL}.dma.dma_store", 10, False,
          ("sent + 1 == lengths.r_data", "sent == lengths.r_data")),
    Proof("weight rows", array.weight_rows, f"{RTL}.array.prefetch", 4, True,
          ("free.eq(free - self.mem_en + self.pop)", "free.eq(free - self.mem_en + (self.pop & (stored > 1)))")),
    Proof("queue", control.instruction_queue, f"{RTL}.control.queues", 8, False, ("more.eq(queue.level > 1)", "more.eq(queue.level > 2)")),
]
#: Those of the default tests.
SHORT = {"requantiser", "register port", "AXI master", "bursts", "sequencer", "abort", "weight rows"}


def cases():
    return [pytest.param(proof, id=proof.name, marks=[] if proof.name in SHORT else pytest.mark.prove) for proof in PROOFS]


@pytest.mark.parametrize("proof", cases())
def test_what_is_proved(proof, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    harness, free = proof.harness(importlib.import_module(proof.source))
    assert prove(harness, free, steps=proof.steps, induction=proof.induction)


@pytest.mark.parametrize("proof", cases())
def test_a_broken_unit_is_refused(proof, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    # Found from the reset state on, so that it is the unit that is refused and not the induction.
    harness, free = proof.harness(broken(proof.source, *proof.breaks))
    assert not prove(harness, free, steps=max(proof.steps, 20) if proof.induction else proof.steps, induction=False)


def test_a_break_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="0 times"):
        broken(f"{RTL}.dma.bursts", "no such text", "")
