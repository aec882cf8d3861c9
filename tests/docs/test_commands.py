"""Commands in the documentation exist: modules, options, targets of the Makefile."""

import contextlib
import functools
import importlib
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text()))
#: Options that a wrapped program reads, not the command itself.
FOREIGN = {"pytest", "pip", "venv", "ruff", "sphinx"}


def commands(path):
    """Commands in code blocks and in backquotes."""
    text = path.read_text()
    inside = "\n".join(re.findall(r"`((?:python -m|make) [^`\n]+)`", text))
    for block in [inside, *re.findall(r"(?ms)^```(?:sh|bash|console)?\n(.*?)^```", text)]:
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"(^|\s)#.*", "", line).strip().removeprefix("$ ")
            line = re.sub(r"^(\w+=\S*\s+)+(?=python|make)", "", line)
            if re.match(r"(\.venv/bin/)?python3? -m |make(\s|$)", line):
                yield line


COMMANDS = sorted({(path.name, line) for path in PAGES for line in commands(path)})


@functools.cache
def help_of(module):
    """What ``python -m MODULE --help`` prints; nothing of a module that takes no options."""
    found = importlib.import_module(module)
    if hasattr(found, "__path__") and not hasattr(found, "main"):
        found = importlib.import_module(f"{module}.__main__")
    text = io.StringIO()
    if not hasattr(found, "main"):
        assert '__name__ == "__main__"' in Path(found.__file__).read_text()
        return ""
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, "--help"])
        found.main()
    return text.getvalue()


def module_name(name):
    top = name.split(".")[0]
    return f"squeezelerator.{name}" if (ROOT / "squeezelerator" / top).is_dir() else name


def test_there_are_commands():
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("page, line", COMMANDS)
def test_a_command_exists(page, line):
    words = shlex.split(re.split(r"\s[|>&;]", line)[0])
    if words[0] == "make":
        assert [word for word in words[1:] if "=" not in word and word not in TARGETS] == [], line
        return
    name = words[2]
    if name.split(".")[0] in FOREIGN:
        return
    text = help_of(module_name(name))
    options = [word.split("=")[0] for word in words[3:] if re.match(r"--?[a-z]", word)]
    assert [option for option in options if not re.search(rf"(?<![\w-]){option}\b", text)] == [], line
