"""Random and damaged programs on the RTL: no hang, no access outside, no broken rule, and what the models say."""

import collections
import dataclasses

import numpy as np
import pytest

from squeezelerator.sim.fuzz.campaign import MUTANTS, complaint_of, job_of, jobs_of, run_numbers
from squeezelerator.sim.fuzz.machines import FUZZED, MACHINES
from squeezelerator.sim.fuzz.oracle.outcome import ANY, Outcome
from squeezelerator.sim.fuzz.oracle.verdict import verdict_of


@pytest.mark.parametrize("n", FUZZED)
def test_damaged_programs_do_what_the_models_say(n):
    findings = list(run_numbers(MACHINES[n], 0, range(12)))
    assert len(findings) == 12 * MUTANTS
    assert not [(finding.number, finding.complaint) for finding in findings if finding.complaint]
    outcomes = collections.Counter(finding.verdict.outcome for finding in findings)
    assert outcomes[Outcome.DONE] > 20 and outcomes[Outcome.ERROR] > 20 and outcomes[Outcome.UNDEFINED] < 30
    # Most verdicts leave one possibility only.
    errors = [finding.verdict.errors for finding in findings if finding.verdict.outcome is Outcome.ERROR]
    assert sum(len(allowed) == 1 for allowed in errors) > len(errors) / 3


def test_a_number_is_always_the_same_program():
    cfg = MACHINES[2]
    jobs = jobs_of(cfg, 3, 5)
    assert job_of(cfg, 3, 5 * MUTANTS + 2) == jobs[2] == jobs_of(cfg, 3, 5)[2]
    assert jobs_of(cfg, 4, 5)[2] != jobs[2]


def test_whatever_the_machine_does_wrong_is_said():
    cfg = MACHINES[2]
    findings = [f for f in run_numbers(cfg, 0, range(4)) if not f.complaint]
    done = next(f for f in findings if f.verdict.outcome is Outcome.DONE and f.result.blocks and f.verdict.cycles is not None
                and not f.verdict.errors and not job_of(cfg, 0, f.number).stall)
    error = next(f for f in findings if f.verdict.outcome is Outcome.ERROR and len(f.verdict.errors) == 1)
    undefined = next(f for f in findings if f.verdict.outcome is Outcome.UNDEFINED)

    def complaint(finding, **changes):
        return complaint_of(job_of(cfg, 0, finding.number), finding.verdict, dataclasses.replace(finding.result, **changes))

    for finding in (done, error, undefined):
        assert complaint(finding) == ""
        assert complaint(finding, crash=True) == "the simulator died"
        assert complaint(finding, rule=4, rule_cycle=7) == "AXI rule 4 broken in cycle 7"
        assert complaint(finding, hang=True) == "hangs"
        assert complaint(finding, hang=True, not_aborted=True) == "hangs, and an abort does not end it"
        assert complaint(finding, busy=True) == "transactions are open after the interrupt"
    job = job_of(cfg, 0, done.number)
    clean = next(at for at in range(0, len(job.image), 64) if not done.verdict.stored[at : at + 64].any())
    damaged = bytes(job.memory()[clean : clean + 63]) + bytes([job.memory()[clean + 63] ^ 1])
    assert complaint(done, blocks={**done.result.blocks, clean: damaged}) == f"byte {clean + 63} changed, which no STORE writes"
    at = min(done.result.blocks)
    assert complaint(done, blocks={k: v for k, v in done.result.blocks.items() if k != at}).startswith("other results, the first in byte")
    assert complaint(done, cycles=done.result.cycles + 1) == f"{done.result.cycles + 1} cycles instead of {done.result.cycles}"
    assert complaint(done, status=0x704) == f"error CONFLICT/load/{done.result.detail} instead of done"
    (allowed,) = error.verdict.errors
    detail = "any" if allowed.detail == ANY else allowed.detail
    assert complaint(error, status=2) == f"done instead of {allowed.code}/{allowed.unit}/{detail}"
    assert complaint(error, status=0x704).endswith(f"instead of {allowed.code}/{allowed.unit}/{detail}")


def test_verdicts_know_the_instruction():
    found = collections.Counter()
    for finding in run_numbers(MACHINES[4], 2, range(48)):
        if finding.verdict.outcome is Outcome.ERROR and finding.verdict.errors == {finding.result.error}:
            found[finding.result.error.code] += 1
    assert found["OPERAND"] and found["ADDRESS"] and found["ROW"]


def test_stored_bytes_are_those_of_stores():
    done = next(f for f in run_numbers(MACHINES[4], 0, range(4)) if f.verdict.outcome is Outcome.DONE and f.result.blocks)
    before = np.frombuffer(bytes(job_of(MACHINES[4], 0, done.number).memory()), np.uint8)
    after = np.frombuffer(done.verdict.memory, np.uint8)
    assert done.verdict.stored[before != after].all() and done.verdict.stored.sum() < 20_000


def test_sums_that_nothing_has_begun_have_no_defined_outcome():
    # An OS of three array rows and one column begins the sums of a bank, a WS goes on with them in all.
    verdict = verdict_of(job_of(MACHINES[4], 11, 606), MACHINES[4])
    assert verdict.outcome is Outcome.UNDEFINED
    assert verdict.reason == "drains entry 0 of bank 1 at array row 0, column 1, where no sum was begun"
