"""Progress is shown on terminals only, and results are printed as they are everywhere else."""

import io
import sys

import pytest

from squeezelerator.common.progress import print_line, progress


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stderr", [_Terminal, io.StringIO])
def test_progress_and_results(stderr, monkeypatch, capsys):
    shown = stderr()
    monkeypatch.setattr(sys, "stderr", shown)
    assert [item for item in progress(range(3), "counting", unit="number") if print_line(f"result {item}") is None] == [0, 1, 2]
    assert capsys.readouterr().out == "result 0\nresult 1\nresult 2\n"
    assert ("counting" in shown.getvalue()) == shown.isatty()
    assert ("number" in shown.getvalue()) == shown.isatty()
    if not shown.isatty():
        assert shown.getvalue() == ""


def test_the_line_gives_way_to_what_is_printed(monkeypatch):
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", terminal)
    for item in progress(iter("ab"), "reading", total=2):
        print_line(item)
    lines = [line.split("\r")[-1] for line in terminal.getvalue().split("\n")]
    assert "a" in lines and "b" in lines
