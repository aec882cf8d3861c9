"""The table of schedules: programs, cycles, DRAM words and energy are what they were when it was last renewed."""

import dataclasses

import pytest

from squeezelerator.sim.schedules import TABLE, Schedule, changes, main, measure, read_table

ROWS = read_table(TABLE)


def _rows(check):
    return [pytest.param(row, id=row.name) for row in ROWS if row.check == check]


def check(row):
    found = measure(row)
    assert not list(changes(row, found)), "python -m sim.schedules shows what changed; --renew accepts it"


@pytest.mark.parametrize("row", _rows("default"))
def test_schedules(row):
    check(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", _rows("slow"))
def test_slow_schedules(row):
    check(row)


def test_table_3_is_in_the_table_on_both_machines():
    from squeezelerator.models.paper.published import TABLE_3

    rows = {(row.network, row.machine) for row in ROWS if not row.options}
    assert {(row.network, machine) for row in TABLE_3 for machine in ("--pe 16", "--pe 8")} <= rows
    assert {row.check for row in ROWS} == {"default", "slow"}


BEFORE = Schedule("tiny_fc", "--pe 4", "", "default", "ab", 10, 1000, 200, 5000)


def test_what_got_worse_and_better_is_said_with_both_numbers():
    after = dataclasses.replace(BEFORE, sha256="cd", cycles=1600, energy=4000)
    assert list(changes(BEFORE, after)) == ["worse: cycles 1,000 -> 1,600 (+60.00%)", "better: energy 5,000 -> 4,000 (-20.00%)"]
    assert list(changes(BEFORE, BEFORE)) == []
    assert list(changes(BEFORE, dataclasses.replace(BEFORE, sha256="cd"))) == [
        "the program's bytes changed, its cycles, DRAM words and energy did not"]


def test_programs_are_timed_on_the_memory_that_they_are_for():
    slow, fast = (measure(dataclasses.replace(BEFORE, options=options)) for options in ("--memory reference,latency=1000", ""))
    assert slow.cycles > fast.cycles + 900


def test_a_worse_schedule_fails_until_the_table_is_renewed(tmp_path, capsys):
    table = tmp_path / "schedules.csv"
    found = measure(BEFORE)
    better = dataclasses.replace(found, sha256="ab", cycles=found.cycles - 1)
    fields = [field.name for field in dataclasses.fields(Schedule)]
    table.write_text(",".join(fields) + "\n" + ",".join(map(str, dataclasses.astuple(better))) + "\n")
    assert main(["--table", str(table)]) == 1
    assert f"worse: cycles {better.cycles:,} -> {found.cycles:,}" in capsys.readouterr().out
    assert main(["--table", str(table), "--renew"]) == 0
    assert read_table(table) == [found]
    assert main(["--table", str(table)]) == 0


@pytest.mark.parametrize(("text", "message"), [
    ("", "the columns must be"),
    ("network,cycles\n", "the columns must be network, machine, options, check, sha256"),
    ("network,machine,options,check,sha256,instructions,cycles,dram_words,energy\nx,--pe 4,,default,,many,1,1,1\n", "many"),
    ("network,machine,options,check,sha256,instructions,cycles,dram_words,energy\nno_such,--pe 4,,default,,1,1,1,1\n", "no_such"),
])  # fmt: skip
def test_a_table_that_cannot_be_used(tmp_path, capsys, text, message):
    (tmp_path / "t.csv").write_text(text)
    assert main(["--table", str(tmp_path / "t.csv")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_no_table(capsys):
    assert main(["--table", "nowhere/t.csv"]) == 2
    assert "cannot read nowhere/t.csv: No such file or directory" in capsys.readouterr().err
