"""What slow tests will take: the time that each of their files took once, said before they run; and measured anew when asked for."""

import csv
import os
from pathlib import Path

import pytest

_TABLE = Path(__file__).with_name("slow_times.csv")
_measured: dict[str, list[float]] = {}
_LEAST_TOLD_S = 60


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew-slow-times", action="store_true", help=f"write the times of the files that run into {_TABLE.name}")


def _known() -> dict[str, tuple[int, float]]:
    """{file: (tests, seconds of processor time)}."""
    with _TABLE.open(encoding="utf-8", newline="") as lines:
        return {row["file"]: (int(row["tests"]), float(row["seconds"])) for row in csv.DictReader(lines)}


def _file(item: pytest.Item) -> str:
    return item.path.relative_to(_TABLE.parent).as_posix()


def estimate(items: list[pytest.Item]) -> tuple[float, int]:
    """Seconds of processor time that slow ``items`` take by the table, and how many of them stand in none of its files."""
    known, seconds, unknown = _known(), 0.0, 0
    for item in items:
        if item.get_closest_marker("slow") is not None:
            tests, time = known.get(_file(item), (0, 0.0))
            seconds, unknown = seconds + (time / tests if tests else 0), unknown + (not tests)
    return seconds, unknown


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    seconds, unknown = estimate(session.items)
    if seconds < _LEAST_TOLD_S and not unknown:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        rest = f", and what {unknown} tests take that it does not have" if unknown else ""
        reporter.write_line(f"slow tests: about {seconds / 60:.0f} min of processor time, by {_TABLE.name}{rest}")


def _processor_s() -> float:
    """Processor time of this process and of those children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item):
    before = _processor_s()
    try:
        return (yield)
    finally:
        if item.get_closest_marker("slow") is not None:
            _measured.setdefault(_file(item), []).append(_processor_s() - before)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("--renew-slow-times"):
        return
    rows = _known() | {file: (len(times), round(sum(times), 1)) for file, times in _measured.items()}
    with _TABLE.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["file", "tests", "seconds"])
        writer.writerows((file, *rows[file]) for file in sorted(rows))
