"""The parts of the compiler's search: the bus, cuts along the channels, objectives."""

import dataclasses
import os
import random

import pytest

from squeezelerator.compiler.api import compile_full, compile_network
from squeezelerator.compiler.cost.bus import Bus
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.fusion import schedule_cache
from squeezelerator.compiler.fusion.line_schedule import ScheduleTooLong
from squeezelerator.compiler.fusion.line_scheduler import LineScheduler
from squeezelerator.compiler.pipeline import stages
from squeezelerator.compiler.search import portfolio, trial
from squeezelerator.compiler.search.candidate import Candidate
from squeezelerator.compiler.search.configuration import search_plan
from squeezelerator.compiler.search.worker import WorkerProcess
from squeezelerator.compiler.tuning import PORTFOLIO
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.isa import LOAD, STORE
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.verify import verify


def test_bus_gives_every_cycle_once():
    rand = random.Random(1)
    for _ in range(100):
        bus, taken = Bus(), set()
        for _ in range(40):
            start, beats = rand.randrange(200), rand.randrange(9)
            finish, cycle, left = bus.reserve(start, beats), start, beats
            while left:
                left -= cycle not in taken
                taken.add(cycle)
                cycle += 1
            assert finish == cycle


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize("name", ["tiny_sqnxt", "tiny_grouped", "tiny_separable"])
def test_channel_ranges_are_read_after_they_are_written(name, n):
    compiled = compile_full(synthetic(zoo.get(name)), MachineConfig(n=n))
    verify(compiled.program)
    made = {op.out for op in compiled.graph.ops} | {compiled.graph.input}
    for group in compiled.schedule.groups:
        written = {op.out.home for op in group.ops}
        views = {t.home for op in group.ops for t in op.reads if t not in made}
        assert not views & written


def _words(program):
    """Buffer rows that cross the bus."""
    return sum(i.fields["lines"] * i.fields["rows"] for i in program.instructions if i.unit in (LOAD, STORE))


def test_energy_moves_less_than_cycles():
    net, cfg = synthetic(zoo.get("tiny_sqnxt")), MachineConfig(n=4, buffer_kib=2)
    assert _words(compile_network(net, cfg, objective="energy")) < 0.8 * _words(compile_network(net, cfg))


@pytest.mark.parametrize("process_ops", [0, 1000])
@pytest.mark.parametrize("effort", ["normal", "high"])
def test_a_promising_candidate_without_room_leaves_the_slow_ones(monkeypatch, process_ops, effort):
    class Some(Candidate):
        def __init__(self, problem, config, schedules=None, thorough=True):
            super().__init__(problem, config, schedules, thorough)
            self.last = config == search_plan("cycles", effort).candidates[3]
            if thorough and not self.last:
                self.cost /= 2

        def schedule(self):
            if hasattr(self, "last") and not self.last:
                raise CompileError("no room")
            return super().schedule()

    monkeypatch.setattr(portfolio, "Candidate", Some)
    monkeypatch.setattr(portfolio, "PORTFOLIO", dataclasses.replace(PORTFOLIO, process_ops=process_ops))
    assert compile_network(synthetic(zoo.get("tiny_chain")), MachineConfig(n=4), effort=effort).instructions


@pytest.mark.parametrize("kind", ["forked", "killed", "in line"])
def test_a_worker_gives_the_same_result_everywhere(monkeypatch, kind):
    if kind == "in line":
        monkeypatch.delattr(os, "fork")
    parent = os.getpid()

    def generator():
        heard = yield "mine"
        if kind == "killed" and os.getpid() != parent:
            os._exit(1)
        return heard, shared

    shared = object()
    worker = WorkerProcess(generator, [shared])
    assert worker.exchange("yours") == "mine"
    heard, thing = worker.result()
    assert heard == "yours" and thing is shared


def test_an_error_in_the_worker_is_raised_here():
    def generator():
        yield from ()
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        WorkerProcess(generator).exchange(0)


@pytest.mark.parametrize("fails", [0, 1, 2, 3])
@pytest.mark.parametrize("process_ops", [0, 1000])
def test_one_candidate_without_a_schedule_leaves_the_others(monkeypatch, fails, process_ops):
    plan = search_plan("cycles")
    bad = plan.candidates[fails]

    class Some(Candidate):
        def __init__(self, problem, config, schedules=None, thorough=True):
            if thorough and config == bad:
                raise CompileError("no room")
            super().__init__(problem, config, schedules, thorough)

    monkeypatch.setattr(portfolio, "Candidate", Some)
    monkeypatch.setattr(portfolio, "PORTFOLIO", dataclasses.replace(PORTFOLIO, process_ops=process_ops))
    assert compile_network(synthetic(zoo.get("tiny_chain")), MachineConfig(n=4)).instructions
    monkeypatch.setattr(stages, "search_plan", lambda *_: dataclasses.replace(plan, candidates=(bad,)))
    with pytest.raises(CompileError, match="no room"):
        compile_network(synthetic(zoo.get("tiny_chain")), MachineConfig(n=4))


def test_only_schedules_that_take_too_long_are_broken_off(monkeypatch):
    broken = []

    class Both(LineScheduler):
        def run(self):
            full = LineScheduler(self.parameters, self.times).run()
            try:
                schedule = super().run()
            except ScheduleTooLong:
                broken.append(self.most)
                assert full.array_cycles > self.most
                raise
            assert full.array_cycles <= self.most and schedule.steps == full.steps
            return schedule

    monkeypatch.setattr(schedule_cache, "LineScheduler", Both)
    compile_network(synthetic(zoo.get("tiny_sqnxt")), MachineConfig(n=4))
    assert broken


def test_remembered_trials_change_nothing(monkeypatch):
    net = synthetic(zoo.get("tiny_maxpool"))
    plain, estimated = compile_network(net, MachineConfig(n=2)).to_bytes(), []
    whole = trial.Trial._estimate

    def counted(one):
        estimated.append(one)
        return whole(one)

    monkeypatch.setattr(trial.Trial, "_estimate", counted)
    assert compile_network(net, MachineConfig(n=2)).to_bytes() == plain
    remembered = len(estimated)
    monkeypatch.setattr(trial, "_key", lambda *_: object())
    assert compile_network(net, MachineConfig(n=2)).to_bytes() == plain
    assert 0 < remembered < len(estimated) - remembered
