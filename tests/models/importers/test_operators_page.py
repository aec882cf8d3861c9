"""``docs/operators.md`` is what the tables say."""

from pathlib import Path

from squeezelerator.models.importers.__main__ import main, operators_page
from squeezelerator.models.importers.operator_table import OPERATORS, UNITS
from squeezelerator.models.importers.torch import graph as torch_graph
from squeezelerator.models.importers.torch.operator_table import OPERATORS as ATEN_OPERATORS

_PAGE = Path(__file__).parents[3] / "docs" / "operators.md"


def test_the_page_is_current(tmp_path, capsys):
    assert _PAGE.read_text() == operators_page(), "run: python -m models.importers -o docs/operators.md"
    assert main([]) == 0
    assert capsys.readouterr().out == operators_page()
    assert main(["-o", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == operators_page()


def test_every_operator_is_on_it():
    page = operators_page()
    assert all(f"\n| {name} | " in page for name in (*OPERATORS, *torch_graph.SUPPORTED))
    assert {entry.like for entry in ATEN_OPERATORS.values()} <= set(OPERATORS)
    assert {entry.unit for entry in OPERATORS.values()} == set(UNITS)
