"""The generated Verilog and the files beside it."""

import json
import os
import re
import subprocess
import sys

import pytest

from squeezelerator.rtl.verilog import main


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Two runs of the command with different hash seeds."""
    folders = []
    for seed in ("1", "2"):
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        subprocess.run([sys.executable, "-m", "rtl.verilog", "--pe", "2", "--buffer-kib", "3", "--rf", "8", "-o", str(folder)],
                       check=True, env={**os.environ, "PYTHONHASHSEED": seed}, stdout=subprocess.DEVNULL)
        folders.append(folder)
    return folders


def test_the_output_is_the_same_every_time(outputs):
    for name in ("squeezelerator_pe2.v", "squeezelerator_pe2.json", "squeezelerator_pe2.h"):
        first, second = (folder / name for folder in outputs)
        assert first.read_bytes() == second.read_bytes()


def test_one_pe_module_placed_many_times(outputs):
    text = (outputs[0] / "squeezelerator_pe2.v").read_text()
    assert len(re.findall(r"^module squeezelerator_pe\b", text, re.M)) == 1
    assert len(re.findall(r"^  squeezelerator_pe ", text, re.M)) == 4


def test_one_memory_module_placed_for_every_bank(outputs):
    text = (outputs[0] / "squeezelerator_pe2.v").read_text()
    assert len(re.findall(r"^module squeezelerator_memory\b", text, re.M)) == 1
    # Four sectors of two banks, the weight buffer and the bias buffer.
    assert len(re.findall(r"^  squeezelerator_memory #\(", text, re.M)) == 4 * 2 + 2
    # No word of a buffer has a line of its own.
    assert not re.search(r"(sector|rows)\w*\[\d+\] = ", text)


def test_the_description_matches_the_verilog(outputs):
    text = (outputs[0] / "squeezelerator_pe2.v").read_text()
    description = json.loads((outputs[0] / "squeezelerator_pe2.json").read_text())
    assert description["configuration"]["rf"] == 8
    assert description["configuration"]["buffer_kib"] == 3
    body = text[re.search(r"^module squeezelerator\(", text, re.M).start() :]
    found = {name: (direction, int(high or 0) + 1)
             for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", body[: body.index("endmodule")], re.M)}
    assert {"clk", "rst", "irq", "m_axi_awaddr", "m_axi_rdata", "s_axi_awaddr"} <= set(found)
    listed = {port["name"]: (port["direction"], port["width"]) for port in description["ports"]}
    # Inputs that the machine has no use for may be missing from a tool's point of view, never the other way round.
    assert found == {name: listed[name] for name in found}
    assert set(listed) == set(found)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--pe", "33"], "rtl.verilog: N must be a whole number from 2 to 32, not 33\n"),
    (["--pe", "4", "--buffer-kib", "1"], "rtl.verilog: the buffer must be between 2 and 64 KiB for N=4, not 1.0 KiB\n"),
    (["--pe", "4", "--bus-bits", "100"], "rtl.verilog: the bus width must be 64, 128 or 256 bits, not 100\n"),
    (["--pe", "4", "--sectors", "33"], "rtl.verilog: sectors must be a whole number from 2 to 32, not 33\n"),
])
def test_impossible_machines(arguments, message, capsys, tmp_path):
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == message
    assert not (tmp_path / "out").exists()
