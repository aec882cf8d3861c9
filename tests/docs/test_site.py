"""The documentation site's configuration; ``make docs`` builds the site."""

import runpy
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_checkout_is_found_from_a_copy_wherever_it_is_built(tmp_path, monkeypatch):
    # Sphinx reads the configuration in its own folder: the tutorials' kernels found no package when that folder was taken for the checkout.
    folder = tmp_path / "build" / "docs" / "source"
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    shutil.copy(ROOT / "docs/conf.py", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    assert runpy.run_path(str(folder / "conf.py"))["ROOT"] == tmp_path
