"""The page on the compiler lists every tuning constant with its value, and every stage."""

import re
from pathlib import Path

from squeezelerator.compiler.pipeline.stages import stage_names
from squeezelerator.compiler.study.sensitivity import constants
from squeezelerator.compiler.tuning import GROUPS

PAGE = (Path(__file__).parents[2] / "docs/compiler.md").read_text()


def test_all_constants_with_their_values():
    listed = dict(re.findall(r"^\| `(\w+\.\w+)` \| `(.*?)` \|", PAGE, re.MULTILINE))
    values = {name: repr(getattr(GROUPS[name.split(".")[0]], name.split(".")[1])) for name in constants()}
    assert listed == values


def test_all_stages_in_order():
    assert tuple(re.findall(r"^\| `([a-z-]+)` \| ", PAGE, re.MULTILINE))[: len(stage_names())] == stage_names()


def test_its_files_exist():
    root = Path(__file__).parents[2]
    files = set(re.findall(r"`((?:compiler|models|squeezelerator|tests)/[\w./]*)`", PAGE))
    assert len(files) > 20 and not [name for name in files if not (root / name).exists()]
