"""What a mutation is, and the tests that are to notice it."""

import dataclasses
import hashlib
from pathlib import Path

__all__ = ["ROOT", "Mutation", "TableError", "of"]

#: The checkout.
ROOT = Path(__file__).parents[2]


class TableError(ValueError):
    """A mutation that cannot be applied; the message is one line."""


@dataclasses.dataclass(frozen=True)
class Mutation:
    """A change of one place in one file.

    Parameters
    ----------
    file : str
        Path from the checkout.
    old, new : str
        The exact text, which occurs once in the file, and what takes its place.
    tests : str
        Words for pytest: files, node ids, ``-k`` and its expression without blanks.
    equivalent : str
        Why no test can notice it; empty: one has to.
    """

    file: str
    old: str
    new: str
    tests: str
    equivalent: str = ""

    @property
    def name(self) -> str:
        """A short name that stays the same as long as the mutation does."""
        return f"{self.file}:{hashlib.sha256(f'{self.old} -> {self.new}'.encode()).hexdigest()[:8]}"

    def apply(self, text: str) -> str:
        """The file's ``text`` with the mutation in it. Raises TableError if its place is not there, or not the only one."""
        found = text.count(self.old)
        if found != 1 or self.old == self.new:
            raise TableError(f"{self.name}: {self.old!r} occurs {found} times")
        return text.replace(self.old, self.new)


def of(file: str, tests: str, *places: tuple[str, ...]) -> list[Mutation]:
    """Mutations of one file that the same tests are to notice: (old, new), or (old, new, why it is equivalent)."""
    return [Mutation(file, old, new, tests, *reason) for old, new, *reason in places]
