"""The lock file holds what ``pyproject.toml`` pins, with hashes and without addresses."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_pinned_package_is_locked_in_its_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = project["dependencies"] + [package for extra in project["optional-dependencies"].values() for package in extra]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", package) for package in pinned)
    locked = {(normal(name), version) for name, version in re.findall(r"^([\w.-]+)==(\S+) ", LOCK, flags=re.M)}
    missing = {package for package in pinned if (normal(package.split("==")[0]), package.split("==")[1]) not in locked}
    assert {package.split("==")[0] for package in missing} == {"torch"}, "make lock renews requirements.lock"


def test_every_locked_package_has_hashes_and_no_address():
    entries = re.split(r"^(?=[a-z])", LOCK, flags=re.M)[1:]
    assert entries and all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in LOCK
