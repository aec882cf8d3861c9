"""What goes to synthesis, and what is made of nextpnr's report."""

import json
from pathlib import Path

import pytest

from squeezelerator.boards.bitstream import RESULTS, _search_clock, main, yosys_commands
from squeezelerator.boards.soc import board_system, describe, write_verilog
from squeezelerator.boards.steps import BuildError, Steps
from squeezelerator.boards.timing import Clock, Crossing, TimingReport, clock_ratio, read_timing
from squeezelerator.common.tools import ToolError
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.boards import BOARDS, UnknownBoard, board_record

CFG = MachineConfig(n=2)
#: As synthesis may name clock nets.
SYS, SYS2X, INPUT = "$glbnet$clkout0", "$glbnet$clkout1", "$glbnet$clk25"


def report(sys: float, sys2x: float, crossing: float) -> TimingReport:
    clocks = {SYS: Clock(sys, 40), SYS2X: Clock(sys2x, 80), INPUT: Clock(400, 25)}
    return TimingReport(40, {"DCCA": (3, 56)}, clocks, (Crossing(SYS, SYS2X, crossing), Crossing(INPUT, SYS, 99)),
                        {SYS: "from a to b", f"{SYS}>{SYS2X}": "from c to d"})  # fmt: skip


def test_a_clock_or_a_crossing_that_is_not_met_is_named_with_its_path() -> None:
    assert report(41, 85, 12.4).misses() == []
    assert report(39, 85, 12.4).misses() == [f"clock {SYS} reaches 39.0 MHz of 40: from a to b"]
    assert report(41, 79, 12.4).misses() == [f"clock {SYS2X} reaches 79.0 MHz of 80: path unknown"]
    # A period of the faster clock: 12.5 ns.
    assert report(41, 85, 12.6).misses() == [f"{SYS} to {SYS2X} takes 12.60 ns of 12.50: from c to d"]
    assert report(50, 90, 12.5).highest_mhz() == 40
    assert report(50, 70, 5).highest_mhz() == 35
    assert [clock_ratio(wanted, 40) for wanted in (40, 80.3, 25, 160)] == [1, 2, None, None]
    assert TimingReport(50, {}, {SYS: Clock(41, 40)}, (), {}).misses() == ["the report of place and route names no clock of 50 MHz"]


def test_the_last_crossing_in_the_log_counts(tmp_path: Path) -> None:
    edges = {"from": f"posedge {SYS}", "to": f"posedge {SYS2X}", "path": [{"from": {"cell": "c"}, "to": {"cell": "d"}}]}
    (tmp_path / "report.json").write_text(json.dumps({
        "utilization": {"DCCA": {"used": 1, "available": 2}}, "critical_paths": [edges],
        "fmax": {SYS: {"achieved": 50.0, "constraint": 40.0}, SYS2X: {"achieved": 90.0, "constraint": 80.0}}}))  # fmt: skip
    line = f"Info: Max delay posedge {SYS}   -> posedge {SYS2X}: %s ns\n"
    log = tmp_path / "log"
    log.write_text(line % "20.00" + line % "13.00" + f"Info: Max delay <async>         -> posedge {SYS}: 3.00 ns\n")
    timing = read_timing(tmp_path / "report.json", log, 40)
    assert timing.crossings == (Crossing(SYS, SYS2X, 13.0),)
    assert timing.misses() == [f"{SYS} to {SYS2X} takes 13.00 ns of 12.50: from c to d"]
    assert f"{SYS2X}: 90.0 MHz, 80 wanted" in timing.lines()
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(BuildError, match="is not a report of nextpnr"):
        read_timing(tmp_path / "report.json", log, 40)


def test_a_step_is_done_again_only_when_something_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho run >> runs\ncat in > out\n[ -z \"$1\" ] || { echo 'ERROR: no room'; exit 1; }\n")
    tool.chmod(0o755)
    monkeypatch.setattr("squeezelerator.boards.steps.TOOLS", tmp_path)
    (tmp_path / "in").write_text("a")
    steps = Steps(tmp_path, lambda message: None)
    for text, runs in (("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        (tmp_path / "in").write_text(text)
        steps.run("tool", [], inputs=["in"], output="out", log="log")
        assert (tmp_path / "runs").read_text().count("run") == runs and (tmp_path / "out").read_text() == text
    for _ in range(2):
        with pytest.raises(BuildError, match="tool failed: no room"):
            steps.run("tool", ["x"], inputs=["in"], output="out", log="log")
    assert (tmp_path / "runs").read_text().count("run") == 4
    tool.write_text("#!/nowhere/python\n")
    with pytest.raises(ToolError, match="tool cannot be run .*; if the Python environment has been moved, install it again"):
        steps.run("tool", [], inputs=["in"], output="out", log="log")
    with pytest.raises(BuildError, match="no_tool is not installed"):
        steps.run("no_tool", [], inputs=["in"], output="out", log="log")


def search(reached: dict[float, float], tmp_path: Path, *, highest: bool = True) -> tuple[float, list[float]]:
    """The clock that is found and those that were tried, where an attempt at a clock reaches what ``reached`` has."""
    tried = []

    def attempt(mhz: float) -> TimingReport:
        tried.append(mhz)
        for name in RESULTS:
            (tmp_path / name).write_text(f"{mhz}")
        return TimingReport(mhz, {}, {SYS: Clock(reached[mhz], mhz)}, (), {})

    found, timing = _search_clock(attempt, 40, tmp_path, highest=highest, say=lambda message: None)
    assert timing.mhz == found and [(tmp_path / name).read_text() for name in RESULTS] == [f"{found}"] * len(RESULTS)
    return found, tried


def test_the_clock_goes_down_to_one_that_is_met(tmp_path: Path) -> None:
    assert search({40: 36, 35: 34, 33: 50}, tmp_path) == (33, [40, 35, 33])
    with pytest.raises(BuildError, match=r"reaches 32\.0 MHz of 33"):
        search({40: 36, 35: 34, 33: 32}, tmp_path)
    with pytest.raises(BuildError, match=r"reaches 36\.0 MHz of 40"):
        search({40: 36}, tmp_path, highest=False)


def test_the_clock_goes_up_as_far_as_it_is_met(tmp_path: Path) -> None:
    assert search({40: 50, 49: 60, 58.5: 58.5}, tmp_path) == (58.5, [40, 49, 58.5])
    # Back to the last one, with its files.
    assert search({40: 50, 49: 48}, tmp_path) == (40, [40, 49])
    assert search({40: 50, 49: 60, 58.5: 50}, tmp_path) == (49, [40, 49, 58.5])
    # Not for less than a twentieth; not where it has come from above.
    assert search({40: 42}, tmp_path) == (40, [40])
    assert search({40: 36, 35: 60}, tmp_path) == (35, [40, 35])
    assert search({40: 90}, tmp_path, highest=False) == (40, [40])


def test_global_buffers_lie_where_the_clocks_leave_room() -> None:
    script = yosys_commands(MachineConfig(n=8), ["top.v"], "cells.v", "netlist.json")
    assert 'setattr -set BEL "X67/Y0/TDCC9" top/machine.array.pes.own0_broadcast.* top/t:DCCA %i' in script
    assert "TDCC0" not in script and "BDCC13" in script
    # The bits of the wires that lead to these are not known to ecppack.
    assert "BDCC12" not in script and "BDCC15" not in script


@pytest.mark.parametrize("name", BOARDS)
def test_the_system_is_generated_for_pins(name: str, tmp_path: Path) -> None:
    board = BOARDS[name]
    soc = board_system(board, CFG, board.clock_mhz * 1e6, tmp_path)
    soc.finalize()
    files, names = write_verilog(soc, tmp_path)
    assert "top.v" in files and f"squeezelerator_pe{CFG.n}.v" in files
    # The board's own clock has its frequency: without it place and route knows none of the PLL's.
    assert any("FREQUENCY PORT" in constraint for constraint in soc.platform.resolve_signals(names)[1])
    found = describe(soc, board, CFG, board.clock_mhz * 1e6)
    assert found["fingerprint"] == CFG.fingerprint and found["memory"]["base"] == 0x40000000 and found["registers"] == 0x80000000
    assert found["initialisation"] and found["csrs"]["sdram_dfii_control"] >= 0xF0000000
    # 260 ns at 50 MHz and one; LiteDRAM's own value is in clocks, several times that.
    assert name != "ecpix5" or found["timings"]["tRFC"] == 14


def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownBoard, match="unknown board 'zedboard'; there are ulx3s, "):
        board_record("zedboard")
    assert main(["--freq", "1"]) == 2
    assert capsys.readouterr().err.endswith("the clock must be between 10 and 200 MHz, not 1\n")
