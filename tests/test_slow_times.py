"""What is said before slow tests run (tests/conftest.py)."""

import pytest

pytest_plugins = "pytester"
_SLOW = "import pytest\n\n@pytest.mark.slow\n@pytest.mark.parametrize('number', range({count}))\ndef test_{name}(number):\n    pass\n"


@pytest.fixture
def project(pytester, request):
    """Two files of slow tests under the project's conftest.py, of which a table has one."""
    pytester.makefile(".ini", pytest="[pytest]\nmarkers = slow: takes long\n")
    pytester.makeconftest((request.path.parent / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(test_known=_SLOW.format(count=3, name="known"), test_new=_SLOW.format(count=2, name="new"))
    (pytester.path / "slow_times.csv").write_text("file,tests,seconds\ntest_known.py,4,1200\n", encoding="utf-8")
    return pytester


def test_the_time_of_those_chosen_is_said_first(project):
    lines = project.runpytest("--collect-only").outlines
    assert "slow tests: about 15 min of processor time, by slow_times.csv, and what 2 tests take that it does not have" in lines
    lines = project.runpytest("--collect-only", "-k", "known and 1").outlines
    assert "slow tests: about 5 min of processor time, by slow_times.csv" in lines
    assert not any(line.startswith("slow tests") for line in project.runpytest("--collect-only", "-k", "nothing").outlines)


def test_times_are_renewed_by_file(project):
    project.runpytest("--renew-slow-times", "test_new.py")
    head, known, new = (project.path / "slow_times.csv").read_text(encoding="utf-8").splitlines()
    assert (head, known) == ("file,tests,seconds", "test_known.py,4,1200.0") and new.startswith("test_new.py,2,0.")
