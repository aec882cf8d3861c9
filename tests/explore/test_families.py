"""Families of networks: the published ones come out, ONNX files bring their weights, values that make no network are reasons."""

from pathlib import Path

import numpy as np
import pytest
from support.foreign import graph

from squeezelerator.common.errors import UserError
from squeezelerator.compiler.api import compile_network
from squeezelerator.explore.__main__ import main
from squeezelerator.explore.evaluation.job import compiled, evaluate, weights_of
from squeezelerator.explore.evaluation.point import Points
from squeezelerator.explore.space.families import FAMILIES
from squeezelerator.explore.space.space import space_of
from squeezelerator.models.networks import zoo
from squeezelerator.sim.engines.model import count_program
from squeezelerator.spec.energy import read_costs
from squeezelerator.spec.platform.memory import memory_of


def built(family, **values):
    defaults = {name: parameter.default for name, parameter in FAMILIES[family].parameters.items()}
    return FAMILIES[family].build(defaults | values)


@pytest.mark.parametrize(("family", "values", "name"), [
    ("squeezenext", {"depths": (2, 4, 14, 1)}, "sqnxt23v5"),
    ("squeezenext", {"depths": (6, 6, 8, 1), "conv1_kernel": 7, "shortcut_feeds_block": False}, "sqnxt23"),
    ("squeezenext", {"depths": (6, 6, 8, 1), "conv1_kernel": 7, "shortcut_feeds_block": False, "groups": 2}, "gsqnxt23"),
    ("squeezenet", {}, "squeezenet1_0"), ("squeezenet", {"bypass": "simple"}, "squeezenet1_0_simple_bypass"),
    ("zoo", {"name": "mobilenet"}, "mobilenet"),
])  # fmt: skip
def test_the_published_networks_are_in_their_families(family, values, name):
    assert built(family, **values).layers == zoo.get(name).layers


@pytest.mark.parametrize(("family", "values", "line"), [
    ("squeezenext", {"depths": (1, 2, 3)}, "depths must be 4 numbers of at least 1"),
    ("squeezenext", {"depths": (0, 1, 1, 1)}, "depths must be 4 numbers of at least 1"),
    ("squeezenext", {"depths": (1, 1, 1, 1), "size": 8}, "size must be at least 32"),
    ("squeezenext", {"depths": (1, 1, 1, 1), "width": 0.01}, "leaves no channels"),
    ("squeezenext", {"depths": (1, 1, 1, 1), "groups": 7}, "groups"),
    ("squeezenet", {"sr": 0.0}, "SR must be above 0"), ("squeezenet", {"conv1": (96,)}, "conv1 must be filters and kernel"),
    ("squeezenet", {"bypass": "double"}, "bypass must be one of none, simple, complex"), ("squeezenet", {"size": 20}, "at least"),
    ("zoo", {"name": "resnet"}, "unknown network 'resnet'"),
])  # fmt: skip
def test_values_that_make_no_network_are_reasons(family, values, line):
    with pytest.raises(UserError, match=line):
        built(family, **values)


def test_onnx_files_bring_their_weights(tmp_path, capsys):
    rng = np.random.default_rng(1)
    for number, zeros in enumerate((0, 20)):
        weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
        weight.reshape(-1)[:zeros] = 0
        model = graph([("Conv", ["x", "w"], ["y"])], {"w": weight})
        (tmp_path / f"net{number}.onnx").write_bytes(model.SerializeToString())
    text = 'objectives = ["cycles"]\n[network]\nfamily = "onnx"\nfile = ["net0.onnx", "net1.onnx", "none.onnx"]\n[machine]\nn = 4\n'
    (tmp_path / "space.toml").write_text(text)
    assert main([str(tmp_path / "space.toml"), "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--workers", "1"]) == 0
    assert "3 points, 1 failed" in capsys.readouterr().out
    first, second, missing = (line.split(",") for line in (tmp_path / "out" / "rows.csv").read_text().splitlines()[1:])
    assert "none.onnx" in missing[-1] and first[1:3] != second[1:3] and first != second


def test_composed_effort_is_not_for_files():
    data = {"network": {"family": "onnx", "file": "x.onnx"}, "compile": {"effort": "composed"}}
    with pytest.raises(UserError, match="composed is for networks without weights of their own"):
        space_of(data, "test", Path())


def test_the_memorys_latency_and_the_objective_reach_the_job():
    space = space_of({"network": {"family": "zoo", "name": "tiny_residual"}, "machine": {"n": 4}, "memory": {"latency": [20, 200]},
                      "compile": {"objective": ["cycles", "energy"]}}, "test", Path())  # fmt: skip
    points = Points(space, read_costs())
    jobs = [point.job for point in map(points.point, range(4))]
    found = {(job.memory.latency, job.objective): evaluate(job).counters["cycles"] for job in jobs}
    assert len(found) == 4 and found[20, "cycles"] < found[200, "cycles"]


def test_named_memories_reach_compiler_and_cycle_model():
    memories = ["reference", "sdr16", "ddr3x16", "sdr16,latency=200"]
    data = {"network": {"family": "zoo", "name": "tiny_residual"}, "machine": {"n": 4}, "memory": {"name": memories}}
    space = space_of(data, "test", Path())
    jobs = {point.values["memory.name"]: point.job for point in map(Points(space, read_costs()).point, range(4))}
    for name, job in jobs.items():
        net, memory = weights_of(job), memory_of(name)
        program = compile_network(net, job.cfg, memory=memory)
        assert compiled(job, net).instructions == program.instructions
        assert evaluate(job).counters == count_program(program, dram=memory)
    cycles = {name: evaluate(job).counters["cycles"] for name, job in jobs.items()}
    assert cycles["ddr3x16"] < cycles["sdr16"] < cycles["sdr16,latency=200"]
