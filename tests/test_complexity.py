"""Limits that code reaches unnoticed: cyclomatic complexity of functions and maintainability index of files, as radon measures them."""

from pathlib import Path

import pytest
from radon.complexity import cc_visit
from radon.metrics import mi_visit
from radon.visitors import Class, Function

_ROOT = Path(__file__).resolve().parents[1]
_LARGEST_COMPLEXITY = 12
_LOWEST_INDEX = 20


def _functions(blocks: list[Class | Function]) -> list[Function]:
    """Functions and methods, those inside of others included."""
    found = []
    for block in blocks:
        if isinstance(block, Class):
            found += _functions([*block.methods, *block.inner_classes])
        else:
            found += [block, *_functions(block.closures)]
    return found


def _complaints(source: str) -> list[str]:
    """What exceeds the limits in the text of a file."""
    # radon lists the methods of a class once more beside it.
    functions = {(block.lineno, block.name): block for block in _functions(cc_visit(source))}
    found = [f"{block.name} (line {block.lineno}) has complexity {block.complexity}, the limit is {_LARGEST_COMPLEXITY}"
             for block in functions.values() if block.complexity > _LARGEST_COMPLEXITY]  # fmt: skip
    index = mi_visit(source, multi=True)
    return found if index >= _LOWEST_INDEX else [*found, f"the maintainability index is {index:.1f}, the limit {_LOWEST_INDEX}"]


@pytest.mark.parametrize("package", ["compiler", "explore", "models", "rtl", "sim", "squeezelerator"])
def test_no_function_and_no_file_is_too_complex(package):
    # The package has the other folders as symbolic links.
    files = [file for file in sorted((_ROOT / package).rglob("*.py")) if file.resolve().is_relative_to(_ROOT / package)]
    assert files
    found = [f"{file.relative_to(_ROOT)}: {text}" for file in files for text in _complaints(file.read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


def test_limits_bite():
    branches = "".join(f"        if x == {number}:\n            return {number}\n" for number in range(_LARGEST_COMPLEXITY))
    (complaint,) = _complaints(f"class Rule:\n    def choose(self, x):\n{branches}        return x\n")
    assert complaint == f"choose (line 2) has complexity {_LARGEST_COMPLEXITY + 1}, the limit is {_LARGEST_COMPLEXITY}"
    (complaint,) = _complaints("".join(f"a{place} = b{place} * c{place} if d{place} else e{place} + f{place}\n" for place in range(400)))
    assert complaint.startswith("the maintainability index is ")
