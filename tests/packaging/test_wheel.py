"""What is installed: one package, with its data, that works from any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What no Python file is, and must be there all the same.
DATA = {"squeezelerator/py.typed", "squeezelerator/models/networks/digits.npz", "squeezelerator/explore/evaluation/area.csv",
        "squeezelerator/explore/experiments/v5_optimal.toml"} | {
    f"squeezelerator/sim/engines/bench/{path.name}" for path in (ROOT / "sim/engines/bench").glob("*.[vc]*")}


def tracked():
    """The files of the checkout that git knows or would add; None outside of a repository."""
    done = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                          check=False)
    return done.stdout.splitlines() if done.returncode == 0 else None


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of what git knows, built in a folder of its own: a build folder in the checkout would add to it."""
    files = tracked()
    if files is None:
        pytest.skip("this is no git checkout")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in files:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink():
            path.symlink_to(os.readlink(ROOT / name))
        elif (ROOT / name).exists():
            path.write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", target, source],
                   check=True)
    (found,) = target.glob("*.whl")
    return found


def test_it_holds_one_package_with_all_its_files(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"squeezelerator"}
    assert set(names) >= DATA
    for package in ("compiler", "explore", "models", "rtl", "sim"):
        here = {f"squeezelerator/{path.relative_to(ROOT)}" for path in (ROOT / package).rglob("*.py")}
        assert {name for name in names if name.startswith(f"squeezelerator/{package}/") and name.endswith(".py")} == here


def test_it_brings_the_console_command_and_the_licence(wheel):
    archive = zipfile.ZipFile(wheel)
    (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "squeezelerator = squeezelerator.cli:main" in archive.read(entry).decode()
    (licence,) = (name for name in archive.namelist() if name.endswith("/LICENSE"))
    assert "the Squeezelerator contributors" in archive.read(licence).decode()


@pytest.mark.slow
def test_it_works_from_a_folder_that_has_models_of_its_own(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    installed = tmp_path / "venv" / "bin"
    subprocess.run([installed / "python", "-m", "pip", "install", "--quiet", wheel], check=True)
    foreign = tmp_path / "work"
    for name in ("compiler", "models", "rtl", "sim"):
        (foreign / name).mkdir(parents=True)
        (foreign / name / "__init__.py").write_text("raise ImportError('not this one')\n")

    def run(*arguments):
        return subprocess.run([installed / "squeezelerator", *arguments], cwd=foreign, capture_output=True, text=True, check=False)

    done = run("compile", "tiny_all", "--pe", "2", "-o", "prog.bin")
    assert (done.returncode, done.stderr) == (0, "")
    done = run("sim", "tiny_all", "--pe", "2", "--engine", "rtl,model,golden")
    assert done.returncode == 0 and "mismatching words 0" in done.stdout
    done = run("verilog", "--pe", "2", "-o", "out")
    assert done.returncode == 0 and (foreign / "out" / "squeezelerator_pe2.v").stat().st_size > 100_000
    assert run("models").returncode == 0
    done = run("train", "digits", "--data", "nowhere")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "pip install 'squeezelerator[weights]'" in done.stderr
    packages = {path.name for path in (tmp_path / "venv").glob("lib/python3*/site-packages/*")}
    assert not packages & {"compiler", "models", "rtl", "sim"}
