"""The glossary: in alphabetical order, and the files that it names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [line.strip("| ").split(" | ") for line in (ROOT / "docs/glossary.md").read_text().splitlines() if line.startswith("| ")][1:]


def test_words_are_in_alphabetical_order():
    words = [re.sub(r"\W+", " ", row[0]).lower() for row in ROWS]
    assert words == sorted(words)


def test_files_exist():
    files = {name for row in ROWS for name in re.findall("`([^`]+)`", row[2])}
    assert len(files) > 20 and not [name for name in files if not (ROOT / name).exists()]
