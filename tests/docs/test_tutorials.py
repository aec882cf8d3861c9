"""Every cell of the tutorials runs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/tutorial"
#: Takes a few seconds; the others are marked slow.
SHORT = "report"


@pytest.mark.parametrize("name", [
    name if name == SHORT else pytest.param(name, marks=pytest.mark.slow) for name in sorted(path.stem for path in FOLDER.glob("*.ipynb"))])
def test_a_tutorial_runs(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    book = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [cell for cell in book.cells if cell.cell_type == "code" and cell.outputs]
    assert len(printed) >= 5


def test_the_short_one_is_there():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {"machine", "pytorch", SHORT}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_tutorials_are_kept_without_results(path):
    book = nbformat.read(path, as_version=4)
    assert all(not cell.outputs and cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
