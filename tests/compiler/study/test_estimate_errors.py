"""The estimates beside the exact cycles."""

from squeezelerator.compiler.study.estimate_errors import estimates, main


def test_bounds_are_bounds_and_estimates_are_near():
    found = estimates("tiny_all", 4)
    assert found.array_cost <= found.lower_bound < found.exact
    assert found.array_cost <= found.line_schedule
    for near in (found.group_timeline, found.program_estimate, found.prefetch_clock):
        assert abs(near / found.exact - 1) < 0.5


def test_the_command_prints_a_row_for_each_network(capsys):
    assert main(["tiny_chain", "tiny_fc", "--pe", "4"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert "program estimate" in head and [row.split(",")[0] for row in rows] == ["| tiny_chain", "| tiny_fc"]
