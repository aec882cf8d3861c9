"""One number or claim of a text, with its value here and a verdict."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Item", "Text", "Verdict", "checked", "differing", "number", "quoted"]


class Text(StrEnum):
    """The texts, by short titles."""

    STORY = "Story on SqueezeNext"
    GUIDE = "Guide to SqueezeNet"
    SLIDES = "Slides on SqueezeNext"
    PAGE = "Page on SqueezeNet"
    REPORT = "Course project on SqueezeNet"


class Verdict(StrEnum):
    """What became of an item."""

    REPRODUCED = "reproduced"
    #: Something described, not a number: the project has it, and the command shows it.
    BUILT = "built"
    DIFFERS = "differs"
    QUOTED = "quoted"


@dataclass(frozen=True)
class Item:
    """A number, table row, figure or claim.

    Parameters
    ----------
    text : Text
    where : str
        Table, figure or section.
    says : str
        What it says, in this project's words.
    published, here : str
        Its value there and here; ``here`` is empty where it is only quoted.
    verdict : Verdict
    command : str
        What reproduces it.
    why : str
        Why it differs or is only quoted.
    """

    text: Text
    where: str
    says: str
    published: str
    here: str
    verdict: Verdict
    command: str = ""
    why: str = ""

    def __post_init__(self) -> None:
        good = self.verdict in (Verdict.REPRODUCED, Verdict.BUILT)
        if good and not (self.here and self.command):
            raise ValueError(f"{self.says}: what is reproduced or built has a value and a command")
        if not good and not self.why:
            raise ValueError(f"{self.says}: what is not reproduced has a reason")


def number(place: tuple[Text, str], says: str, published: float, here: float, command: str, *, unit: float, why: str = "") -> Item:
    """An item whose value is a number: reproduced if it is within ``unit`` (mostly one of the last digit), else ``why`` it is not.
    ``place`` is the text and where in it."""
    verdict = Verdict.REPRODUCED if abs(here - published) <= unit * (1 + 1e-9) else Verdict.DIFFERS
    return Item(*place, says, f"{published:,g}", f"{here:,g}", verdict, command, why if verdict is Verdict.DIFFERS else "")


def checked(text: Text, where: str, says: str, published: str, here: str, command: str, *, why: str = "") -> Item:
    """An item whose value is words: reproduced if they are equal, else ``why`` they are not."""
    verdict = Verdict.REPRODUCED if published == here else Verdict.DIFFERS
    return Item(text, where, says, published, here, verdict, command, why if verdict is Verdict.DIFFERS else "")


def differing(text: Text, where: str, says: str, published: str, here: str, command: str, why: str) -> Item:
    """An item that comes out differently, whatever the last digit."""
    return Item(text, where, says, published, here, Verdict.DIFFERS, command, why)


def quoted(text: Text, where: str, says: str, published: str, why: str, command: str = "") -> Item:
    """An item that is quoted only."""
    return Item(text, where, says, published, "", Verdict.QUOTED, command, why)
