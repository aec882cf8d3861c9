"""The machine between AXI models that are not ours (cocotbext-axi), on Verilator and, where it is installed, on Icarus Verilog: a
four-state simulator, in which a register that nobody has set is not 0."""

import json
import os
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.runner import get_runner
from support.machine_programs import CODE, SIZE, execute, image_of, ordered_copies, random_copies
from support.machines import MACHINES

from squeezelerator.compiler.api import compile_network
from squeezelerator.models.arithmetic import golden
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.models.tables.builder import TableBuilder
from squeezelerator.rtl.verilog import generate
from squeezelerator.sim.engines.rtl import job_registers
from squeezelerator.sim.engines.verilator_runner import VerilatorBuild
from squeezelerator.spec.registers import ERRORS

FOLDER = Path("build/axi_models")
SIMULATORS = [
    "verilator",
    *(pytest.param(f"icarus-{standard}", marks=pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed"))
      for standard in ("g2005", "g2012")),
]
DONE = 1 << 6 | 2


def simulate(simulator, cfg, image, steps, *, seed, pause, tmp_path):
    """(answers, memory) of the bench in ``support.axi_bench``; fails if the machine has accessed anything outside the memory."""
    task = {"image": str(tmp_path / "image"), "memory": str(tmp_path / "memory"), "result": str(tmp_path / "result"), "steps": steps,
            "seed": seed, "pause": pause}
    (tmp_path / "image").write_bytes(image)
    (tmp_path / "task").write_text(json.dumps(task))
    root = Path(__file__).resolve().parents[2]
    environment = {"TASK": str(tmp_path / "task"), "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests"), *sys.path])}
    verilog = generate(cfg)[0]
    if simulator == "verilator":
        build = VerilatorBuild(top="squeezelerator", sources={"squeezelerator.v": verilog}, parameters={}, root=FOLDER)
        build.build()
        build.run(module="support.axi_bench", test_dir=tmp_path, plusargs=[], environment=environment)
    else:
        source = tmp_path / "squeezelerator.v"
        source.write_text(verilog)
        runner = get_runner("icarus")
        runner.build(sources=[source], hdl_toplevel="squeezelerator", build_dir=tmp_path / "build", timescale=("1ns", "1ps"),
                     build_args=["-" + simulator.split("-")[1]], log_file=tmp_path / "build.log")
        runner.test(test_module="support.axi_bench", hdl_toplevel="squeezelerator", build_dir=tmp_path / "build", test_dir=tmp_path,
                    extra_env=environment, results_xml=str(tmp_path / "results.xml"), log_file=tmp_path / "log")
    result = json.loads((tmp_path / "result").read_text())
    assert result["outside"] == 0
    return result["answers"], (tmp_path / "memory").read_bytes()


def code_of(status):
    return ERRORS[status >> 8 & 15].name


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_programs_errors_and_stops_between_foreign_models(simulator, n, tmp_path):
    cfg = MACHINES[n]
    rng = random.Random(n)
    programs = [ordered_copies(cfg, rng, 6), random_copies(cfg, rng, 20)]
    image = bytearray(image_of(programs[0]))
    code = b"".join(instr.encode() for instr in programs[1])
    image[CODE + 0x4000 : CODE + 0x4000 + len(code)] = code
    jobs = [job_registers(CODE + 0x4000 * i, len(program), SIZE) for i, program in enumerate(programs)]
    small = {**jobs[1], "MEM_SIZE": CODE + 0x4000 + len(code), "PROG_OFFSET": CODE + 0x4000 + len(code) - 32 & ~63, "PROG_COUNT": 9}
    steps = [
        {"job": jobs[0]}, {"job": jobs[0], "bad_reads": [0]}, {"job": jobs[1], "bad_writes": [0]},
        *({"job": jobs[1], "stop": how, "after": rng.randrange(1, 500)} for how in ("abort", "rst", "reset") for _ in range(2)),
        {"job": small}, {"job": jobs[0]},
    ]
    answers, memory = simulate(simulator, cfg, bytes(image), steps, seed=n, pause=0.4, tmp_path=tmp_path)
    assert all(bus == 0 for _, _, bus in answers)
    first, read, write, *stopped, short, last = [(status, detail) for status, detail, _ in answers]
    assert first[0] & 0x7F == DONE and last[0] & 0x7F == DONE
    assert code_of(read[0]) == "READ" and code_of(write[0]) == "WRITE"
    assert all(status & 1 << 6 for status, _ in stopped)
    assert code_of(short[0]) in ("ADDRESS", "PROGRAM") and short[0] & 4
    # What the other programs left half done is beyond what the first one writes.
    expected = execute(cfg, programs[0], memory)
    assert memory == expected


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_network_between_foreign_models(simulator, n, tmp_path):
    # Every unit and both dataflows work, so that nothing unknown may be left anywhere in the datapath.
    cfg = MACHINES[n]
    table = TableBuilder("small", (3, 6, 6))
    table.conv("conv1", 5, 3, pad=1)
    table.max_pool("pool1", 2, 2)
    second = table.conv("conv2", 5, 1)
    table.conv("conv3", 5, 1)
    table.add("sum", second, table.last)
    table.fc("fc", 4, activation="none")
    net = synthetic(table.table())
    program = compile_network(net, cfg)
    assert {"OS", "WS", "DRAIN", "POOL"} <= {instr.op for instr in program.instructions}
    x = synthetic_input(net.table, 0)
    job = job_registers(program.prog_offset, len(program.instructions), program.mem_bytes)
    image = bytes(program.memory(input=x)).ljust(program.mem_bytes, b"\0")
    steps = [{"job": job}] * 2
    answers, memory = simulate(simulator, cfg, image, steps, seed=n, pause=0.2, tmp_path=tmp_path)
    assert [status & 0x7F for status, _, _ in answers] == [DONE, DONE]
    expected = golden.run(net, x)
    for tensor in program.outputs:
        np.testing.assert_array_equal(tensor.unpack(memory), expected[tensor.name], err_msg=tensor.name)
