"""What all commands share: exit codes, one line on standard error, and nothing left behind by an interrupt."""

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import psutil
import pytest

from squeezelerator.cli import COMMANDS
from squeezelerator.cli import main as console
from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.extras import EXTRAS

ROOT = Path(__file__).parents[2]


def start(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", *map(str, arguments)], stderr=subprocess.PIPE, text=True, cwd=ROOT, **options)


def fail(error):
    @command("a.module")
    def main(argv=None):
        raise error

    return main


@pytest.mark.parametrize(("error", "line"), [
    (OptionError("no such thing"), "no such thing"),
    (OptionError("Traceback ...\n  File\nsqueezelerator.common.command_line.OptionError: no such thing\n"), "no such thing"),
    (FileNotFoundError(2, "No such file or directory", "x.npy"), "x.npy: No such file or directory"),
    (ModuleNotFoundError("No module named 'torch'", name="torch"),
     "torch is not installed; pip install 'squeezelerator[weights]' brings it"),
    (MemoryError(), "not enough memory"),
])  # fmt: skip
def test_errors_of_the_user_are_one_line_and_exit_code_2(capsys, error, line):
    assert fail(error)([]) == 2
    assert capsys.readouterr().err == f"python -m a.module: {line}\n"


def test_defects_keep_their_traceback():
    with pytest.raises(KeyError):
        fail(KeyError("a defect"))([])
    with pytest.raises(ModuleNotFoundError):
        fail(ModuleNotFoundError("No module named 'nowhere'", name="nowhere"))([])


def test_a_parser_complains_in_one_line(capsys):
    with pytest.raises(SystemExit) as exit_code:
        OneLineParser(prog=program_name("sim")).parse_args(["--nonsense"])
    assert exit_code.value.code == 2
    assert capsys.readouterr().err == "python -m sim: unrecognized arguments: --nonsense\n"


def test_every_optional_package_is_known_by_its_extra():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules = {"pyserial": "serial", "scikit_learn": "sklearn"}
    for extra in set(EXTRAS.values()):
        names = {package.split("==")[0].replace("-", "_") for package in extras[extra]}
        # A package may be in several extras; the smallest is named.
        found = {modules.get(name, name) for name in names}
        assert {module for module, of in EXTRAS.items() if of == extra} <= found <= set(EXTRAS)


def test_the_console_command_names_itself(capsys):
    assert console(["compile", "no_such_network"]) == 2
    assert capsys.readouterr().err.startswith("squeezelerator compile: unknown network 'no_such_network'; there are ")
    assert console(["no_such_command"]) == 2
    assert capsys.readouterr().err.startswith("squeezelerator: unknown command 'no_such_command'; there are compile, ")
    assert console([]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_sub_command_has_help_under_its_own_name(capsys, name):
    with pytest.raises(SystemExit) as exit_code:
        console([name, "--help"])
    assert exit_code.value.code == 0
    assert f"usage: squeezelerator {name}" in capsys.readouterr().out


def test_the_console_command_starts_without_the_packages_that_only_some_need():
    code = ("import sys; from squeezelerator.cli import main; main(['--help']); "
            "sys.exit(bool({'torch', 'amaranth', 'numpy', 'onnx'} & sys.modules.keys()))")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.parametrize("arguments", [("compiler", "tiny_fc"), ("compiler", "--list"), ("sim", "tiny_fc", "--pe", "4")])
def test_a_full_disk_is_said_in_one_line(arguments):
    with open("/dev/full", "w") as full:
        process = start(*arguments, stdout=full)
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert error.splitlines()[-1] == f"python -m {arguments[0]}: cannot write the output: No space left on device"
    assert "Traceback" not in error and "Exception" not in error


def test_a_file_that_cannot_be_finished_is_left_empty(tmp_path):
    # A limit on the size of files does what a full disk does, to a regular file.
    import resource

    with open(tmp_path / "prog.bin", "wb") as file:
        process = start("compiler", "tiny_fc", stdout=file, preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))))
        error = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert error == "python -m compiler: cannot write the output: File too large\n"
    assert (tmp_path / "prog.bin").stat().st_size == 0


def test_a_reader_that_has_seen_enough_is_no_error():
    process = start("models", stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0


#: A command with a child and a grandchild that would go on for ever.
FAMILY = """
import subprocess, sys, time
from squeezelerator.common.command_line import command

@command("family")
def main(argv=None):
    subprocess.Popen(["sh", "-c", "trap '' TERM; sleep 1000 & echo ready; wait"])
    time.sleep(1000)

sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_children_and_theirs(number):
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "ready\n"
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) == 2
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert process.stderr.read() == "python -m family: interrupted\n"
    assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_compilation_leaves_nothing(tmp_path, number):
    process = start("compiler", "sqnxt23v5", "-o", tmp_path / "prog.bin")
    deadline = time.monotonic() + 60
    # Until the search has started its worker process.
    while not (family := psutil.Process(process.pid).children(recursive=True)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert process.stderr.read() == "python -m compiler: interrupted\n"
    assert os.listdir(tmp_path) == []
    assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
