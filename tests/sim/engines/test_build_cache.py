"""Simulators that are kept: built once, and again by themselves where something damaged them."""

import os
import shutil

import pytest

from squeezelerator.sim.engines import rtl
from squeezelerator.sim.engines.verilator_runner import SimulationError, VerilatorBuild
from squeezelerator.spec.machine import MachineConfig

COUNTER = """
module counter(input clk, output reg [7:0] value);
    always @(posedge clk) value <= value + 1;
endmodule
"""


@pytest.fixture
def build(tmp_path):
    found = VerilatorBuild(top="counter", sources={"counter.v": COUNTER}, parameters={}, root=tmp_path)
    found.build()
    return found


def damage(path):
    """Cut a file off in the middle, as a full disk does."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def test_a_simulator_is_built_once_and_again_when_it_is_damaged(build):
    simulator = build.folder / "counter"
    whole, built = simulator.read_bytes(), simulator.stat().st_mtime_ns
    build.build()
    assert simulator.stat().st_mtime_ns == built
    damage(simulator)
    build.build()
    assert len(simulator.read_bytes()) == len(whole)


def test_it_is_built_with_this_python_whatever_the_path_says(tmp_path, monkeypatch):
    other = tmp_path / "bin" / "python3"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\nexit 1\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}:{os.environ['PATH']}")
    build = VerilatorBuild(top="counter", sources={"counter.v": COUNTER}, parameters={}, root=tmp_path / "builds")
    build.build()
    assert (build.folder / "counter").exists()


@pytest.mark.slow
def test_damaged_objects_of_other_builds_are_left_aside(build):
    shutil.rmtree(build.folder)
    for path in build.runtime.iterdir():
        damage(path)
    build.build()
    assert (build.folder / "counter").exists()


def test_sources_that_cannot_be_built_are_an_error_with_the_name_of_the_log(tmp_path):
    with pytest.raises(SimulationError, match=r"the simulation could not be built, see .*build\.log") as error:
        VerilatorBuild(top="counter", sources={"counter.v": "module counter(; endmodule\n"}, parameters={}, root=tmp_path).build()
    assert "\n" not in str(error.value)


def test_damaged_verilog_is_generated_again(tmp_path):
    text = rtl._verilog(MachineConfig(n=2), tmp_path)
    (path,) = tmp_path.glob("*.v")
    damage(path)
    assert rtl._verilog(MachineConfig(n=2), tmp_path) == text
    assert path.read_text() == text
