"""Steps of a build that are run once: a step is done again only if its command or one of its inputs has changed."""

import contextlib
import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from squeezelerator.common.errors import UserError

__all__ = ["BuildError", "Steps"]

#: Where pip puts the tools.
TOOLS = Path(sys.executable).parent
#: Seconds between looks into a tool's log.
POLL = 1.0
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
        code = self._watch([str(path), *arguments], self.folder / log)
        if code or not (self.folder / output).exists():
            raise BuildError(f"{tool} failed{_complaint(self.folder / log)} (log: {self.folder / log})")
        stamp.write_text(identity)
        self.say(f"{tool} done after {time.monotonic() - started:.0f} s")

    def _watch(self, command: Sequence[str], log: Path) -> int | None:
        with (open(log, "w") as output, open(log, errors="replace") as written,
              subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=self.folder) as running):
            part, ended = "", False
            try:
                while not ended:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        running.wait(POLL)
                    ended = running.returncode is not None
                    *lines, part = (part + written.read()).split("\n")
                    for message in filter(None, map(milestone, lines)):
                        self.say(message)
            finally:
                running.kill()  # after an interrupt; of no effect on one that has ended
            return running.returncode


def _complaint(log: Path) -> str:
    found = re.search(r"^ERROR: (.+)$", log.read_text(errors="replace"), re.M)
    return f": {found[1].strip()}" if found else ""
