"""The tables of mutations stay true: every place is there, once, and what takes its place is Python."""

import ast
import shlex

import pytest

from tests.mutation.mutation import ROOT, TableError, of
from tests.mutation.tables import MUTATIONS


def test_there_are_enough_and_none_twice():
    assert len(MUTATIONS) >= 150 and len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert {mutation.file.split("/")[0] for mutation in MUTATIONS} == {"rtl", "sim", "compiler", "models", "squeezelerator"}


def test_every_mutation_applies():
    wrong = []
    for mutation in MUTATIONS:
        try:
            ast.parse(mutation.apply((ROOT / mutation.file).read_text()))
        except (TableError, SyntaxError) as error:
            wrong.append(f"{mutation.name}: {mutation.old!r}: {error}")
    assert not wrong, "\n".join(wrong)


def test_the_tests_are_there():
    files = {word for mutation in MUTATIONS for word in shlex.split(mutation.tests) if word.startswith("tests/")}
    assert not [file for file in files if not (ROOT / file.split("::")[0]).exists()]


def test_a_place_that_is_not_there_is_an_error():
    (mutation,) = of("sim/__init__.py", "tests/sim", ("no such text", "another"))
    with pytest.raises(TableError, match=r"^sim/__init__.py:[0-9a-f]{8}: 'no such text' occurs 0 times$"):
        mutation.apply("text")
