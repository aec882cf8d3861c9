"""Explorations from end to end: rows, cache, failures, resumption, killed processes."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from squeezelerator.explore.__main__ import main
from squeezelerator.explore.evaluation.cache import Cache
from squeezelerator.explore.evaluation.job import Job, Outcome
from squeezelerator.explore.evaluation.point import Points
from squeezelerator.explore.running.executor import Executor
from squeezelerator.explore.running.explore import Exploration
from squeezelerator.explore.space.space import read_space
from squeezelerator.models.networks import zoo
from squeezelerator.spec.energy import read_costs
from squeezelerator.spec.machine import MachineConfig

ROOT = Path(__file__).parents[2]
SMALL = """
objectives = ["cycles", "luts"]
[network]
family = "zoo"
name = ["tiny_chain", "tiny_concat"]
[machine]
n = 4
buffer_kib = [1, 4, 8]
"""


def run(folder, text, *options):
    path = folder / "space.toml"
    path.write_text(text)
    return main([str(path), "-o", str(folder / "out"), "--cache", str(folder / "cache"), "--workers", "1", *options])


def rows_of(folder):
    with open(folder / "out" / "rows.csv", newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder):
    return {path: path.read_bytes() for path in sorted((folder / "out").iterdir())}


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored")
    assert run(folder, SMALL) == 0
    return folder


def test_a_row_a_point_with_the_figures_of_the_simulator(explored, capsys):
    rows = rows_of(explored)
    assert [row["point"] for row in rows] == [str(number) for number in range(6)]
    good = [row for row in rows if not row["reason"]]
    assert len(good) == 4 and all(row["network.name"] and int(row["block_rams"]) > 0 for row in good)
    from squeezelerator.sim.command import main as simulate

    options = ["--pe", "4", "--buffer-kib", "4", "--engine", "model,golden", "--json", str(explored / "sim.json")]
    assert simulate(["tiny_concat", *options]) == 0
    (row,) = (row for row in good if (row["network.name"], row["machine.buffer_kib"]) == ("tiny_concat", "4"))
    total = json.loads((explored / "sim.json").read_text())
    assert int(row["cycles"]) == total["totals"]["cycles"]["model"]
    assert abs(float(row["energy"]) - total["totals"]["energy"]) <= 1
    assert float(row["edp"]) == float(row["energy"]) * int(row["cycles"])


def test_what_fails_is_a_row_with_its_reason(explored):
    failed = [row for row in rows_of(explored) if row["reason"]]
    assert len(failed) == 2 and all("the buffer must be between 2 and 64 KiB" in row["reason"] and not row["cycles"] for row in failed)


def test_the_second_run_compiles_nothing_and_writes_the_same(explored, capsys, monkeypatch):
    before = files_of(explored)
    monkeypatch.setattr(Executor, "_connected", lambda self: pytest.fail("workers were started"))
    assert run(explored, SMALL) == 0
    assert "0 jobs done, 4 known before" in capsys.readouterr().out
    after = files_of(explored)
    assert {path.name for path in after} == {"rows.csv", "front.csv", "report.html"}
    assert [after[path] == data for path, data in before.items() if path.suffix == ".csv"] == [True, True]


def test_the_report_needs_no_network_and_says_how_to_reproduce(explored):
    text = (explored / "out" / "report.html").read_text()
    assert "<script src=" not in text and "--point" in text and "Sensitivity" in text and "share of variance" in text


def test_one_point_can_be_worked_out_again(explored, capsys):
    row = rows_of(explored)[2]
    assert run(explored, SMALL, "--point", "2") == 0
    out = capsys.readouterr().out
    assert f"{row['cycles']}\n" in out and "tiny_chain" in out


def test_parquet_has_the_same_rows(explored, tmp_path):
    from pyarrow import parquet

    assert run(explored, SMALL, "--format", "parquet") == 0
    found = parquet.read_table(explored / "out" / "rows.parquet").to_pylist()
    (explored / "out" / "rows.parquet").unlink()
    (explored / "out" / "front.parquet").unlink()
    for one, row in zip(found, rows_of(explored), strict=True):
        assert one["point"] == int(row["point"]) and str(one["cycles"] or "") == row["cycles"] and one["reason"] == row["reason"]


def test_constraints_leave_points_out(explored, capsys):
    assert run(explored, SMALL, "--where", "machine.buffer_kib > 4 and parameters < 200", "--count") == 0
    parameters = zoo.get("tiny_chain").params, zoo.get("tiny_concat").params
    assert f"6 points, {sum(count < 200 for count in parameters)} of them within the constraints" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "line"), [
    (("--point", "6"), "the space has points 0 to 5, not 6"),
    (("--workers", "-1"), "--workers takes a number of at least 0"),
    (("--energy", "nowhere.csv"), "cannot read nowhere.csv"),
    (("--where", "machine.n >"), "is no expression"),
    (("-o", "/dev/null/x"), "Not a directory"),
    (("--scheduler", "tcp://127.0.0.1:1"), "the scheduler at tcp://127.0.0.1:1 does not answer"),
])  # fmt: skip
def test_bad_options_are_one_line(tmp_path, capsys, monkeypatch, options, line):
    monkeypatch.setattr("squeezelerator.explore.running.executor._ANSWER_S", 1)
    assert run(tmp_path, SMALL, *options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and line in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("module", "extra", "options"), [("plotly", "report", []), ("pyarrow", "explore", ["--format", "parquet"])])
def test_a_missing_package_is_one_line_before_the_work(tmp_path, capsys, monkeypatch, module, extra, options):
    monkeypatch.setitem(sys.modules, module, None)
    assert run(tmp_path, SMALL, *options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"{module} is not installed; pip install 'squeezelerator[{extra}]' brings it" in error
    assert not (tmp_path / "cache").exists()


def test_the_command_needs_no_extra_to_say_so(tmp_path):
    (tmp_path / "space.toml").write_text(SMALL)
    script = ("import sys; sys.modules['distributed'] = None; sys.argv = ['x', 'explore', 'space.toml']; "
              "from squeezelerator.cli import main; sys.exit(main())")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1) and "squeezelerator[explore]" in done.stderr


def test_a_damaged_file_of_the_cache_is_done_anew(tmp_path):
    cache, job = Cache(tmp_path), Job(table=zoo.get("tiny_chain"), cfg=MachineConfig(n=4))
    cache.put(job, Outcome({"cycles": 5}, 2))
    (path,) = tmp_path.rglob("*.json")
    assert Cache(tmp_path).get(job) == Outcome({"cycles": 5}, 2)
    path.write_text(path.read_text()[:-5])
    assert Cache(tmp_path).get(job) is None


def test_what_another_try_may_change_is_not_kept(tmp_path):
    cache, job = Cache(tmp_path), Job(table=zoo.get("tiny_chain"), cfg=MachineConfig(n=4))
    cache.put(job, Outcome({}, reason="its workers died", lasting=False))
    assert cache.get(job) is not None and Cache(tmp_path).get(job) is None


SEARCH = SMALL.replace('["tiny_chain", "tiny_concat"]', '["tiny_chain", "tiny_concat", "tiny_fc", "tiny_maxpool"]') + "[search]\n"


def exploration_of(folder, text, executor):
    path = folder / "space.toml"
    path.write_text(text)
    return Exploration(Points(read_space(path), read_costs()), Cache(folder / "cache"), executor)


class Pretended:
    """An executor that compiles nothing: cycles are what the job's key says."""

    def __init__(self):
        self.jobs = []

    def done(self, jobs):
        for job in jobs:
            self.jobs.append(job)
            yield job, Outcome({"cycles": 1 + int(job.key[:4], 16)}, 1)


def test_what_is_known_of_a_stopped_run_can_be_looked_at(tmp_path):
    first = Pretended()
    wanted = exploration_of(tmp_path, SEARCH, first).run()
    removed = first.jobs[2]
    (path,) = tmp_path.rglob(f"{removed.key}.json")
    path.unlink()
    nothing = Pretended()
    exploration = exploration_of(tmp_path, SEARCH, nothing)
    exploration.known_only = True
    found = exploration.run()
    lost = [row for row in wanted if row not in found]
    assert not nothing.jobs and len(lost) == 1 and len(found) == len(wanted) - 1


@pytest.mark.parametrize("method", ['method = "random"', *(f'method = "optuna"\nsampler = "{name}"\nbatch = 3' for name in
                                                          ("nsga2", "nsga3", "tpe", "random"))])  # fmt: skip
def test_samplers_choose_the_same_points_again(tmp_path, method):
    text = f"{SEARCH}{method}\npoints = 6\nseed = 3\n"
    first, second = Pretended(), Pretended()
    rows = exploration_of(tmp_path, text, first).run()
    assert 1 <= len(rows) <= 6 and len({row.number for row in rows}) == len(rows)
    again = exploration_of(tmp_path, text, second).run()
    assert again == rows and not second.jobs and first.jobs


# -- processes of their own ---------------------------------------------------------------------------------------------------

MANY = """
objectives = ["cycles"]
[network]
family = "zoo"
name = ["tiny_chain", "tiny_concat", "tiny_fc", "tiny_maxpool"]
seed = {from = 1, to = 10}
[machine]
n = 4
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def start(*words, **options):
    return subprocess.Popen([sys.executable, "-m", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, **options)


def wait_for(what, seconds=900):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def kept(folder):
    return len(list(folder.rglob("*.json")))


def command(folder, *options):
    (folder / "space.toml").write_text(MANY)
    return ["explore", folder / "space.toml", "-o", folder / "out", "--cache", folder / "cache", *options]


def check_complete(folder):
    """Every point is there once."""
    rows = rows_of(folder)
    assert [row["point"] for row in rows] == [str(number) for number in range(40)] and not [row for row in rows if row["reason"]]
    assert len({(row["network.name"], row["network.seed"]) for row in rows}) == 40 and kept(folder / "cache") == 40
    return rows


def test_a_worker_that_is_killed_costs_no_point_and_a_killed_run_goes_on(tmp_path):
    address = f"tcp://127.0.0.1:{free_port()}"
    quiet = {"DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "critical"}
    dask = ["distributed.cli.dask_scheduler", "--port", address.rsplit(":", 1)[1], "--host", "127.0.0.1", "--no-dashboard"]
    worker = ["distributed.cli.dask_worker", address, "--no-nanny", "--nthreads", "1", "--no-dashboard", "--local-directory", tmp_path]
    started = [start(*dask, env=os.environ | quiet), *(start(*worker, env=os.environ | quiet) for _ in range(2))]
    try:
        # The exploration is killed in mid-run ...
        killed = start(*command(tmp_path, "--scheduler", address))
        started.append(killed)
        wait_for(lambda: kept(tmp_path / "cache") >= 5)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        before = kept(tmp_path / "cache")
        assert 5 <= before < 40 and not (tmp_path / "out").exists()
        # ... and goes on; now a worker is.
        again = start(*command(tmp_path, "--scheduler", address))
        started.append(again)
        wait_for(lambda: kept(tmp_path / "cache") >= before + 5)
        started[1].send_signal(signal.SIGKILL)
        out, _ = again.communicate(timeout=900)
        assert again.returncode == 0 and f"{40 - before} jobs done, {before} known before" in out
        check_complete(tmp_path)
    finally:
        for process in started:
            process.kill()
            process.communicate()


def children_of(process):
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize(("number", "code", "lines"), [
    (signal.SIGINT, 130, ["python -m explore: interrupted"]), pytest.param(signal.SIGKILL, -9, [], marks=pytest.mark.slow),
])  # fmt: skip
def test_workers_of_this_machine_end_with_their_exploration(tmp_path, number, code, lines):
    words = command(tmp_path, "--workers", "2")
    running = subprocess.Popen([sys.executable, "-m", *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: kept(tmp_path / "cache") >= 3)
    children = children_of(running)
    assert len(children) >= 3
    running.send_signal(number)
    _, error = running.communicate(timeout=900)
    assert (running.returncode, error.splitlines()) == (code, lines)
    assert not psutil.wait_procs(children, timeout=300)[1] and not (tmp_path / "out").exists()
