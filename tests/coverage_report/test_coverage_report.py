"""The coverage page: a short form of it, its two sources on small examples, and the hardware's whole on request."""

import collections
import re

import pytest

from squeezelerator.sim.engines.rtl import _counted
from squeezelerator.sim.engines.verilator_runner import CoverageBuild
from tests.coverage_report import python
from tests.coverage_report.__main__ import main
from tests.coverage_report.page import page, share, spans
from tests.coverage_report.python import ROOT, run_folder
from tests.coverage_report.rtl import MachineCoverage
from tests.coverage_report.verilator_data import Block, Module, counts_in, modules

COUNTER = """
module counter(input clk, output reg [3:0] value, output reg \\never.set );
    initial value = 0;
    initial \\never.set = 0;
    always @(posedge clk)
        if (value == 4'd12) \\never.set <= 1;
        else value <= value + 1;
endmodule
"""
COCOTB = """
import cocotb
from cocotb.triggers import Timer

@cocotb.test()
async def ticks(dut):
    for _ in range(6):
        dut.clk.value = 0
        await Timer(1, "ns")
        dut.clk.value = 1
        await Timer(1, "ns")
"""
FAILING = """
from squeezelerator.spec.checksum import program_check

def test_it():
    assert program_check(bytes(64)) is None
"""


def test_lines_and_bits_of_a_simulation(tmp_path, monkeypatch):
    build = CoverageBuild(top="counter", sources={"counter.v": COUNTER}, parameters={}, root=tmp_path / "builds")
    build.build()
    (tmp_path / "ticking.py").write_text(COCOTB)
    build.run(module="ticking", test_dir=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    once = counts_in([tmp_path / "coverage.dat"])
    (found,) = modules(once)
    assert found.name == "counter"
    # It counted to 6: bit 0 and 1 went up and down again, bit 2 only up, bit 3 stayed.
    assert found.signals_still() == ["never.set", "value[3:2]"] and found.bits["value", 0] == [3, 3] and found.bits["value", 2] == [1, 0]
    assert found.blocks_not_run == [Block(6, "if", "if (value == 4'd12) \\never.set <= 1;")]
    assert found.bits_still == 3 and sum(found.blocks.values()) > 6
    twice = counts_in([tmp_path / "coverage.dat"] * 2)
    assert twice.keys() == once.keys() and all(count == 2 * once[key] for key, count in twice.items())


def test_what_no_one_wrote_is_not_counted():
    text = "\n".join(["  wire [3:0] \\$12 ;", "  reg \\port$7$0 ;", "  wire [3:0] \\tile$8.row ;",
                      "    if (\\$auto$verilog_backend.cc:1:x ) begin end", "    if (a)"])
    found = _counted({"squeezelerator.v": text, "bench.v": "module bench;"})
    off = [line.strip().startswith("/*verilator coverage_off*/") for line in found["squeezelerator.v"].splitlines()]
    assert off == [True, True, False, True, False] and found["bench.v"].startswith("/*verilator coverage_off*/ module bench;")
    assert found["squeezelerator.v"].count("coverage_on") == 3


def test_the_page_names_what_is_not_covered(tmp_path, capsys, monkeypatch):
    packages = ("squeezelerator/spec", "sim/explain")
    monkeypatch.setattr(python, "PACKAGES", packages)
    # A test that fails is said, and what it covered counts all the same.
    failing = tmp_path / "test_failing.py"
    failing.write_text(FAILING)
    target, kept = tmp_path / "page.html", tmp_path / "kept"
    options = ["--pe", "--workers", "0", "-o", str(target), "--folder", str(kept)]
    assert main(["--tests", str(failing), "tests/spec/test_registers.py", *options]) == 1
    printed, text = capsys.readouterr().out, target.read_text()
    assert re.search(r"Python: [\d.]+% of [\d,]+ statements, [\d.]+% of [\d,]+ branches\n", printed)
    assert "1 failed" in printed and "1 failed" in text and "RTL" not in text
    rows = dict(re.findall(r"<tr><td>([\w/]+\.py)</td>(.*?)</tr>", text))
    files = {path.relative_to(ROOT).as_posix() for package in packages for path in (ROOT / package).rglob("*.py")}
    assert {name for name in rows if not name.startswith("tests")} == files
    assert "<td>100.0%</td>" in rows["squeezelerator/spec/checksum.py"] and "not" not in rows["squeezelerator/spec/checksum.py"]
    assert "lines not run: " in rows["squeezelerator/spec/registers.py"]
    # What nothing imported is there, with every statement missing.
    dark = rows["sim/explain/advice.py"]
    assert dark.count("<td>0.0%</td>") == 2 and "branches not taken" not in dark


def test_what_is_known_is_not_measured_again(tmp_path):
    words = ["tests/spec/test_registers.py", "-k", "no_such_test"]
    run = run_folder(words, tmp_path, workers="0")
    assert not run.failed and "deselected" in run.summary
    log = tmp_path / "log.txt"
    log.unlink()
    assert run_folder(words, tmp_path, workers="0") == run and not log.exists()
    assert run_folder(words, tmp_path, workers="0", fresh=True).summary and log.exists()


def test_the_page_of_a_machine():
    module = Module("top.unit", collections.Counter({Block(3, "if", "if (a < b)"): 0, Block(4, "else", "else"): 2}),
                    {("row", bit): [1, int(bit < 2)] for bit in range(4)})
    text = page([], [], [MachineCoverage("N = 2: tiny", 5, [module])], 5)
    assert "bits that did not change both ways: row[3:2]<br>line 3, if: if (a &lt; b)" in text
    assert "<tr><td>top.unit</td><td>2</td><td>50.0%</td><td>4</td><td>50.0%</td>" in text and "Python" not in text
    assert (share(0, 0), share(1, 3), spans([9, 3, 5, 4])) == ("100.0%", "33.3%", "3-5, 9")


@pytest.mark.slow
def test_a_whole_machine(tmp_path):
    target = tmp_path / "page.html"
    assert main(["--tests", "--pe", "2", "--programs", "1", "-o", str(target), "--folder", str(tmp_path / "kept")]) == 0
    text = target.read_text()
    names = re.findall(r"<tr><td>(squeezelerator[\w.]*)</td>", text)
    assert {"squeezelerator", "squeezelerator.array.streamer", "squeezelerator_pe"} <= set(names) and "axi_check" not in text
    (blocks, bits) = re.findall(r"<tr><td>all</td><td>[\d,]+</td><td>([\d.]+)%</td><td>[\d,]+</td><td>([\d.]+)%</td>", text)[0]
    assert 50 < float(blocks) < 100 and 20 < float(bits) < 100
