"""Steps of a build that are run once: a step is done again only if its command or one of its inputs has changed."""

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from squeezelerator.common.errors import UserError
from squeezelerator.common.tools import TOOLS, complaint, run_logged

__all__ = ["BuildError", "Steps"]

#: What is shown of the logs: pattern and message.
_MILESTONES = (
    (re.compile(r"^(\d+(?:\.\d+)+)\. (Executing .+)\.$"), "yosys {1}: {2}"),
    (re.compile(r"^Info: +iter=(\d+)0 steplen="), "placement, iteration {1}0"),
    (re.compile(r"^Info: +iter=(\d+) wires=\d+ overused=(\d+)"), "routing, round {1}: wires used twice {2}"),
    (re.compile(r"^Info: Max frequency for clock +'([^']*)': ([0-9.]+) MHz"), "clock {1}: {2} MHz"),
)


class BuildError(UserError, RuntimeError):
    """A step that failed, or a clock that is not met; the message is one line."""


def milestone(line: str) -> str | None:
    """What a line of a log says is done, in a few words; None for most lines."""
    for pattern, message in _MILESTONES:
        found = pattern.match(line)
        if found:
            return message.format(found[0], *found.groups())
    return None


class Steps:
    """Runs tools of the Python environment in ``folder``; ``say`` is called with a message at every sign of progress."""

    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.say = say

    def _identity(self, command: Sequence[str], inputs: Sequence[str]) -> str:
        contents = [hashlib.sha256((self.folder / name).read_bytes()).hexdigest() for name in inputs]
        return hashlib.sha256(repr((list(command), contents)).encode()).hexdigest()

    def run(self, tool: str, arguments: Sequence[str], *, inputs: Sequence[str], output: str, log: str) -> None:
        """Run ``tool`` unless its ``output`` was made by the same command of the same ``inputs`` (files in the folder).

        Raises
        ------
        BuildError
            The tool is not installed or failed; the message has its first complaint and the log's place.
        """
        path = TOOLS / tool
        if not path.exists():
            raise BuildError(f"{tool} is not installed; pip install 'squeezelerator[board,synth]' brings it")
        stamp = self.folder / f"{output}.made-by"
        identity = self._identity([tool, *arguments], inputs)
        if (self.folder / output).exists() and stamp.exists() and stamp.read_text() == identity:
            self.say(f"{tool}: {output} is there already")
            return
        stamp.unlink(missing_ok=True)
        started = time.monotonic()
        self.say(f"{tool} (takes minutes, writes {self.folder / log})")
        code = run_logged(path, arguments, self.folder / log, self._show)
        if code or not (self.folder / output).exists():
            raise BuildError(f"{tool} failed{complaint(self.folder / log)} (log: {self.folder / log})")
        stamp.write_text(identity)
        self.say(f"{tool} done after {time.monotonic() - started:.0f} s")

    def _show(self, line: str) -> None:
        message = milestone(line)
        if message is not None:
            self.say(message)
