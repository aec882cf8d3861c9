"""The pipeline: what is listed is what runs, every stage's result can be printed, and stages repair each other."""

import dataclasses

import pytest

from squeezelerator.compiler import api
from squeezelerator.compiler.__main__ import main
from squeezelerator.compiler.api import compile_full, compile_network
from squeezelerator.compiler.compile_options import CompileOptions, DataflowChoice, Effort, Objective
from squeezelerator.compiler.errors import CompileError, StreamError
from squeezelerator.compiler.pipeline.stage import Repair, Stage, run
from squeezelerator.compiler.pipeline.stages import STAGES, stage_names
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.energy import read_costs
from squeezelerator.spec.isa import LOAD
from squeezelerator.spec.machine import MachineConfig

NET, CFG = synthetic(zoo.get("tiny_all")), MachineConfig(n=4)


def test_what_is_listed_is_what_runs(capsys):
    ran = []
    compile_full(NET, CFG, after=lambda stage, _: ran.append(stage))
    assert ran == list(STAGES)
    assert main(["--stages"]) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert [line.split()[0] for line in listed] == [stage.name for stage in ran]


def test_a_stage_that_is_left_out_is_missed(monkeypatch):
    # The list is the pipeline, not a description of it.
    monkeypatch.setattr(api, "STAGES", tuple(stage for stage in STAGES if stage.name != "synchronise"))
    with pytest.raises(AttributeError, match="instructions"):
        compile_network(NET, CFG)


def test_every_stage_can_be_printed(capsys):
    assert main(["tiny_all", "--pe", "4", "--print-after", "all"]) == 0
    text = capsys.readouterr().out
    parts = [part.split("\n", 1) for part in text.split("== ")[1:]]
    assert tuple(head.split(":")[0] for head, _ in parts) == stage_names()
    assert all(body.strip() for _, body in parts)
    program = compile_network(NET, CFG)
    body = {head.split(":")[0]: body for head, body in parts}
    assert [line.split(maxsplit=1)[1] for line in body["synchronise"].splitlines()] == [str(i).strip() for i in program.instructions]
    assert len(body["place-transfers"].splitlines()) == len(program.instructions) - 1
    assert sum(line.startswith(" ") and "LOAD" in line for line in body["emit"].splitlines()) == sum(
        i.unit == LOAD for i in program.instructions)
    assert f"{len(program.instructions)} instructions, all of them ordered" in body["verify"]


def test_single_stages(capsys):
    assert main(["tiny_all", "--pe", "4", "--print-after", "lower", "--print-after", "verify"]) == 0
    heads = [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("== ")]
    assert heads == ["== lower", "== verify"]
    with pytest.raises(SystemExit) as stop:
        main(["tiny_all", "--print-after", "parse"])
    assert stop.value.code == 2 and "invalid choice: 'parse'" in capsys.readouterr().err


def _stage(name, action, repair=None):
    return Stage(name, name, action, str, repair)


def test_repairs():
    class Fails(CompileError):
        pass

    log, need = [], [2]

    def second(_):
        log.append("second")
        if need[0]:
            raise Fails("too much")

    def change(_, error):
        need[0] -= 1
        if need[0] < 0:
            raise error

    stages = [_stage("zeroth", lambda _: log.append("zeroth")), _stage("first", lambda _: log.append("first")),
              _stage("second", second, Repair(Fails, change, "first", "less"))]
    run(stages, None)
    assert log == ["zeroth", *["first", "second"] * 3]
    need[0] = -5
    with pytest.raises(Fails, match="too much"):
        run(stages, None)
    with pytest.raises(CompileError, match="other"):
        run([_stage("other", lambda _: (_ for _ in ()).throw(CompileError("other")), stages[2].repair)], None)


def test_weights_without_room_are_fetched_more_often(monkeypatch):
    # Where the last stage but a few finds no room for weights, emission starts again with weights that are fetched more often.
    place = next(stage for stage in STAGES if stage.name == "place-transfers")
    failures = []

    def once(c):
        if not failures:
            op = next(op for group in c.schedule.groups for op in group.plans)
            failures.append(op)
            raise StreamError("no room", op)
        assert c.refetched == {failures[0]: 1}
        place.run(c)

    monkeypatch.setattr(api, "STAGES", tuple(dataclasses.replace(s, run=once) if s is place else s for s in STAGES))
    assert compile_network(NET, CFG).instructions


# -- options ------------------------------------------------------------------------------------------------


def test_options_are_one_object():
    options = CompileOptions(dataflow="ws", fusion=False)
    assert options.dataflow is DataflowChoice.WS and options.objective is Objective.CYCLES and options.effort is Effort.NORMAL
    assert compile_network(NET, CFG, options).to_bytes() == compile_network(NET, CFG, dataflow="ws", fusion=False).to_bytes()
    assert compile_network(NET, CFG, options, fusion=True).to_bytes() == compile_network(NET, CFG, dataflow="ws").to_bytes()
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.fusion = True
    costs = read_costs()
    options = CompileOptions(energy_costs=costs)
    costs["macs"] = 7.0
    assert options.energy_costs == read_costs()
    with pytest.raises(TypeError):
        options.energy_costs["macs"] = 7.0


@pytest.mark.parametrize("choice,message", [
    ({"dataflow": "rs"}, "dataflow must be one of auto, os, ws, not 'rs'"), ({"effort": 3}, "effort must be one of normal, high, not 3"),
    ({"objective": ""}, "objective must be one of cycles, energy, edp, not ''")])  # fmt: skip
def test_choices_that_do_not_exist(choice, message):
    with pytest.raises(CompileError, match=f"^{message}$"):
        compile_network(NET, CFG, **choice)


# -- costs and effort -----------------------------------------------------------------------------------------


def _mode_counts(program):
    return {op: sum(i.op == op for i in program.instructions) for op in ("OS", "WS")}


def test_a_users_energy_costs_reach_the_search(tmp_path, capsys):
    net, cfg = synthetic(zoo.get("tiny_sqnxt")), MachineConfig(n=4, buffer_kib=2.0)
    default = compile_network(net, cfg, objective="energy")
    # Only WS hands many words from PE to PE.
    dear = read_costs() | {"neighbour_words": 500.0}
    assert _mode_counts(compile_network(net, cfg, objective="energy", energy_costs=dear))["WS"] < _mode_counts(default)["WS"]
    assert compile_network(net, cfg, energy_costs=dear).to_bytes() == compile_network(net, cfg).to_bytes()  # cycles cost no energy
    file = tmp_path / "costs.csv"
    file.write_text("event,cost,source\n" + "".join(f"{event},{cost},test\n" for event, cost in dear.items()))
    command = ["tiny_sqnxt", "--pe", "4", "--buffer-kib", "2", "--objective", "energy", "--energy", str(file), "-o", str(tmp_path / "p")]
    assert main(command) == 0
    assert (tmp_path / "p").read_bytes() == compile_network(net, cfg, objective="energy", energy_costs=dear).to_bytes()
    assert main([*command[:-4], "--energy", "none.csv", *command[-2:]]) == 2
    assert capsys.readouterr().err == "python -m compiler: cannot read none.csv: No such file or directory\n"


@pytest.mark.parametrize("n,objective,better", [(5, "energy", False), (3, "cycles", True)])
def test_more_effort_never_makes_a_worse_program(n, objective, better):
    # The long search by itself comes to a worse program of these networks: it takes other turns.
    net, cfg, kept = synthetic(zoo.get("tiny_residual")), MachineConfig(n=n), []
    high = compile_full(net, cfg, objective=objective, effort="high", after=lambda _, c: kept.append(c)).program
    normal = compile_network(net, cfg, objective=objective)
    costs = {effort: min(a.outcome.cost for a in kept[-1].alternatives if a.effort is effort) for effort in Effort}
    assert (costs[Effort.HIGH] < costs[Effort.NORMAL]) == better
    assert (high.to_bytes() == normal.to_bytes()) != better


def test_an_alternative_without_a_result_leaves_the_other(monkeypatch):
    fit = next(stage for stage in STAGES if stage.name == "lower")

    def spoilt(which):
        def run_and_spoil(c):
            fit.run(c)
            for number in which:
                c.alternatives[number].error = CompileError(f"no {c.alternatives[number].effort}")

        return tuple(dataclasses.replace(s, run=run_and_spoil) if s is fit else s for s in STAGES)

    # High effort for cycles has four: high and normal, each for cycles and for energy.
    monkeypatch.setattr(api, "STAGES", spoilt([0, 1, 3]))
    high = compile_network(NET, CFG, effort="high")
    monkeypatch.setattr(api, "STAGES", spoilt([0, 1, 2, 3]))
    with pytest.raises(CompileError, match="^no high$"):
        compile_network(NET, CFG, effort="high")
    monkeypatch.undo()
    assert high.to_bytes() == compile_network(NET, CFG).to_bytes()
